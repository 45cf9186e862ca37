//! A credential that exists but cannot be read until its record is durable.

use std::fmt;
use std::sync::Arc;

use super::aws::Turn;
use crate::audit::Receipt;
use crate::clock::Moment;
use crate::ids::RequestId;
use crate::secret::{Fingerprint, SecretText};

/// A credential that exists but cannot be read: it opens only with the receipt of its own request. One that is delivered
/// again is sealed for the request of its issue, and so opens with nothing but the receipt of that.
///
/// ```compile_fail,E0451
/// // There is no other way in: the fields are private to the room that seals.
/// fn peek(sealed: tidegate::issuance::Credential) {
///     let tidegate::issuance::Credential { secret, .. } = sealed;
/// }
/// ```
pub struct Credential {
    request_id: RequestId,
    expires_at: Moment,
    facts: CredentialFacts,
    secret: OpenCredential,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

/// A sealed credential, and on whose entry it stands.
#[derive(Debug)]
pub struct Made {
    /// It.
    pub credential: Credential,
    /// What opens it.
    pub standing: Standing,
}

/// On whose entry a credential stands.
#[derive(Debug)]
pub enum Standing {
    /// On none yet: it opens with the receipt of the request that it was made for. Where there is a turn, it is kept until
    /// the entry is durable, and told.
    Unrecorded(Option<Turn>),
    /// On the entry of its issue, which is durable: it opens with this receipt, and nothing else is to be recorded before.
    Recorded(Arc<Receipt>),
}

/// The receipt belongs to another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the receipt belongs to another request")]
pub struct WrongReceipt;

/// A credential that may leave.
#[derive(Clone, Debug)]
pub enum OpenCredential {
    /// An access token that we signed.
    Jwt {
        /// Compact JWS.
        token: SecretText,
        /// `exp`
        expires_at: Moment,
    },
    /// STS credentials.
    Aws {
        /// `ASIA…`: no secret, CloudTrail names it.
        access_key_id: String,
        /// Secret.
        secret_access_key: SecretText,
        /// Secret.
        session_token: SecretText,
        /// The role that was assumed.
        role_arn: String,
        /// `RoleSessionName`
        session_name: String,
        /// `SourceIdentity`
        source_identity: String,
        /// `AssumedRoleId`, as STS gave it: `AROA…:<session name>`.
        assumed_role_id: Option<String>,
        /// `PackedPolicySize`, as STS gave it.
        packed_policy_percent: Option<i32>,
        /// When every request starts to be denied.
        expires_at: Moment,
    },
}

/// Public facts for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialFacts {
    /// Of a JWT.
    Jwt {
        /// `jti`
        jti: String,
        /// The key that signed.
        kid: String,
        /// SHA-256 of the compact form.
        fingerprint: Fingerprint,
    },
    /// Of STS credentials.
    Aws {
        /// What CloudTrail names.
        access_key_id: String,
        /// The role that was assumed.
        role_arn: String,
        /// `RoleSessionName`
        session_name: String,
        /// `SourceIdentity`
        source_identity: String,
        /// SHA-256 of the session token.
        fingerprint: Fingerprint,
        /// Served from memory: no STS call was made for this request.
        cached: bool,
        /// `PackedPolicySize`: how much of STS's packed limit policy and tags take.
        packed_policy_percent: Option<i32>,
        /// SHA-256 of the caller's own policy that narrowed the session.
        narrowed_by: Option<Fingerprint>,
    },
}

impl Credential {
    /// Seals `secret` for one request.
    pub(in crate::issuance) fn seal(
        request_id: RequestId,
        facts: CredentialFacts,
        secret: OpenCredential,
    ) -> Self {
        Self { request_id, expires_at: secret.expires_at(), facts, secret }
    }

    /// The request that it was made for.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// When it ends.
    pub fn expires_at(&self) -> Moment {
        self.expires_at
    }

    /// What the record says of it (public facts only).
    pub fn facts(&self) -> &CredentialFacts {
        &self.facts
    }

    /// The only way to the secret. A credential that was offered the wrong receipt is gone: whoever mixed two requests
    /// up does not get a second try.
    pub fn open(self, receipt: &Receipt) -> Result<OpenCredential, WrongReceipt> {
        if receipt.request_id() == self.request_id { Ok(self.secret) } else { Err(WrongReceipt) }
    }
}

impl From<Credential> for Made {
    /// One that nobody shares.
    fn from(credential: Credential) -> Self {
        Self { credential, standing: Standing::Unrecorded(None) }
    }
}

impl OpenCredential {
    /// When it ends.
    pub fn expires_at(&self) -> Moment {
        match self {
            Self::Jwt { expires_at, .. } | Self::Aws { expires_at, .. } => *expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn request() -> RequestId {
        RequestId::new(Moment::EPOCH, &SystemEntropy::new()).unwrap()
    }

    fn sealed(request_id: RequestId) -> Credential {
        let token = SecretText::new("header.claims.signature".into());
        let facts =
            CredentialFacts::Jwt { jti: "j".into(), kid: "k".into(), fingerprint: token.fingerprint() };
        Credential::seal(request_id, facts, OpenCredential::Jwt { token, expires_at: Moment::EPOCH })
    }

    #[test]
    fn the_receipt_of_another_request_opens_nothing() {
        let receipt = Receipt::for_test(request());
        assert_eq!(sealed(request()).open(&receipt).unwrap_err(), WrongReceipt);
    }

    #[test]
    fn its_own_receipt_opens_it() {
        let id = request();
        let OpenCredential::Jwt { token, .. } = sealed(id).open(&Receipt::for_test(id)).unwrap() else {
            panic!("not a JWT")
        };
        assert_eq!(token.expose(), "header.claims.signature");
    }

    #[test]
    fn debug_shows_nothing_sealed_or_open() {
        let id = request();
        assert_eq!(format!("{:?}", sealed(id)), "Credential");
        let open = sealed(id).open(&Receipt::for_test(id)).unwrap();
        assert!(!format!("{open:?}").contains("signature"));
    }
}
