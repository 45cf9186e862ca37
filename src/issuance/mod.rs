//! What we give: JWTs that we sign and AWS credentials that STS makes. A [`Permit`] in, a sealed [`Credential`] out.
//! Knows formats and limits of both; refuses to know who the caller is beyond what the permit and the template see.

use crate::audit::Receipt;
use crate::clock::Moment;
use crate::ids::RequestId;
use crate::secret::{Fingerprint, SecretText};

/// A credential that exists but cannot be read: it opens only with the receipt of its own request.
pub struct Credential {}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("Credential") }
}

/// The receipt belongs to another request.
#[derive(Debug, thiserror::Error)]
#[error("the receipt belongs to another request")]
pub struct WrongReceipt;

/// A credential that may leave.
#[derive(Debug)]
pub enum OpenCredential {
    Jwt { token: SecretText, expires_at: Moment },
    Aws { access_key_id: String, secret_access_key: SecretText, session_token: SecretText, role_arn: String, expires_at: Moment },
}

impl Credential {
    pub fn request_id(&self) -> RequestId { todo!() }
    pub fn expires_at(&self) -> Moment { todo!() }
    /// What the record says of it (public facts only).
    pub fn facts(&self) -> &CredentialFacts { todo!() }
    /// The only way to the secret.
    pub fn open(self, receipt: &Receipt) -> Result<OpenCredential, WrongReceipt> { todo!() }
}

/// Public facts for the record.
#[derive(Clone, Debug)]
pub enum CredentialFacts {
    Jwt { jti: String, kid: String, fingerprint: Fingerprint },
    Aws { access_key_id: String, role_arn: String, session_name: String, source_identity: String, fingerprint: Fingerprint, cached: bool, packed_policy_percent: Option<i32> },
}
