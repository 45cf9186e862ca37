//! The AWS keys that left through any door, for as long as they work: so that whoever signs `GetCallerIdentity` with one is
//! told who they are. What was signed for us cannot be passed on to AWS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;

use super::signature::SignedRequest;
use crate::clock::Moment;
use crate::grants::RoleArn;
use crate::issuance::OpenCredential;
use crate::secret::{Fingerprint, SecretText};

/// Keys at once, about 1 KiB each; the least used go first.
const MOST_KEYS: u64 = 20_000;
/// After its end a key is known a little longer, so that its holder is told that it has ended.
const KNOWN_AFTER: Duration = Duration::from_mins(15);
/// What AWS allows between the client's clock and its own.
const MOST_SKEW: Duration = Duration::from_mins(5);

/// Who holds a key, as `GetCallerIdentity` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// `arn:aws:sts::<account>:assumed-role/<role>/<session>`
    pub arn: String,
    /// `AROA…:<session>`; `None` where STS did not say.
    pub user_id: Option<String>,
    /// 12 digits.
    pub account: String,
}

/// The request is not signed with a key that we know. `Display` goes to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefusal {
    /// No signature at all.
    #[error("the request is not signed: GetCallerIdentity needs credentials that this broker issued")]
    Missing,
    /// A part of it is missing or is of another service.
    #[error(
        "the signature is not complete: an `Authorization` header of AWS Signature Version 4 for `sts` over at least \
         `host` and `x-amz-date` is needed"
    )]
    Incomplete,
    /// Of another, forgotten at a restart, or never issued.
    #[error(
        "the key is not one that this broker issued since it started, and another's cannot be passed on to AWS"
    )]
    UnknownKey,
    /// Signed with another secret, or changed on its way.
    #[error("the signature does not match; a proxy in between must leave `Host` and path as they are")]
    Mismatch,
    /// Too old or from the future.
    #[error("the signature's time is more than 5 minutes from the broker's: compare clocks")]
    Skewed,
    /// The session is over.
    #[error("the credentials have expired")]
    Expired,
}

impl SignatureRefusal {
    /// Stable and bounded: for metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Incomplete => "signature_incomplete",
            Self::UnknownKey => "signature_unknown_key",
            Self::Mismatch => "signature_mismatch",
            Self::Skewed => "signature_skewed",
            Self::Expired => "signature_expired",
        }
    }
}

struct KnownKey {
    secret: SecretText,
    session_token: Fingerprint,
    caller: CallerIdentity,
    ends_at: Moment,
    kept: Duration,
}

/// Keys by their ids.
pub struct KnownKeys(Cache<String, Arc<KnownKey>>);

impl std::fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KnownKeys")
    }
}

impl Default for KnownKeys {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_KEYS).expire_after(UntilItsEnd).build())
    }
}

struct UntilItsEnd;

impl moka::Expiry<String, Arc<KnownKey>> for UntilItsEnd {
    fn expire_after_create(&self, _: &String, known: &Arc<KnownKey>, _: Instant) -> Option<Duration> {
        Some(known.kept)
    }
}

impl KnownKeys {
    /// Remembers an AWS credential that was opened at `at`. Of others there is nothing to remember.
    pub async fn remember(&self, credential: &OpenCredential, at: Moment) {
        let OpenCredential::Aws { access_key_id, session_token, .. } = credential else { return };
        let print = session_token.fingerprint();
        // A session from the cache is delivered many times.
        if self.0.get(access_key_id).await.is_some_and(|known| known.session_token == print) {
            return;
        }
        if let Some(known) = KnownKey::of(credential, print, at) {
            self.0.insert(access_key_id.clone(), Arc::new(known)).await;
        }
    }

    /// Whose key signed this?
    pub async fn identify(
        &self,
        request: &SignedRequest<'_>,
        at: Moment,
    ) -> Result<CallerIdentity, SignatureRefusal> {
        let known = self.0.get(request.access_key_id).await.ok_or(SignatureRefusal::UnknownKey)?;
        if !request.is_signed_with(&known.secret) {
            return Err(SignatureRefusal::Mismatch);
        }
        if at.since(request.at) > MOST_SKEW || request.at.since(at) > MOST_SKEW {
            return Err(SignatureRefusal::Skewed);
        }
        if SecretText::new(request.session_token.to_owned()).fingerprint() != known.session_token {
            return Err(SignatureRefusal::UnknownKey);
        }
        if at >= known.ends_at { Err(SignatureRefusal::Expired) } else { Ok(known.caller.clone()) }
    }

    /// Wipes what is over. Otherwise it would wait for the next request.
    pub async fn forget_ended(&self) {
        self.0.run_pending_tasks().await;
    }
}

impl KnownKey {
    fn of(credential: &OpenCredential, session_token: Fingerprint, at: Moment) -> Option<Self> {
        let OpenCredential::Aws {
            secret_access_key,
            role_arn,
            session_name,
            assumed_role_id,
            expires_at,
            ..
        } = credential
        else {
            return None;
        };
        let role = RoleArn::new(role_arn).ok()?;
        let caller = CallerIdentity {
            arn: role.assumed(session_name),
            user_id: assumed_role_id.clone(),
            account: role.account().to_owned(),
        };
        let (secret, ends_at) = (secret_access_key.clone(), *expires_at);
        Some(Self { secret, session_token, caller, ends_at, kept: ends_at.since(at) + KNOWN_AFTER })
    }
}
