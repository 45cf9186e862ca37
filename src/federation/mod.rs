//! Whom we trust: registered issuers, their key sets, and the only verifier of subject tokens. Turns an
//! [`UnverifiedToken`] into a [`VerifiedToken`]; refuses to know what a principal is or what it may get.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::claims::{Claims, Profile};
use crate::clock::{Clock, Moment};
use crate::ids::{Audience, IssuerName, IssuerUrl, Subject};
use crate::secret::Fingerprint;

/// A signature algorithm that an issuer may use. Symmetric ones do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm { Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, EdDsa }

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource { Discovery, JwksUrl(url::Url), JwksFile(PathBuf) }

/// May a token be presented more than once?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayMode { SingleUse, Reusable }

/// One trusted issuer, as configured.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    pub name: IssuerName,
    pub url: IssuerUrl,
    pub profile: Profile,
    /// Never empty.
    pub audiences: BTreeSet<Audience>,
    /// Never empty.
    pub algorithms: BTreeSet<Algorithm>,
    pub keys: KeySource,
    pub ca_file: Option<PathBuf>,
    pub allow_private_network: bool,
    pub replay: ReplayMode,
    pub max_token_age: Duration,
    pub max_token_lifetime: Duration,
    /// Claims a token must carry, each with one of the listed values.
    pub require: BTreeMap<String, BTreeSet<String>>,
    /// Bars its people from approving.
    pub may_approve: bool,
}

/// What a caller presented: nobody has checked anything. `Debug` prints no character of it.
#[derive(Clone)]
pub struct UnverifiedToken(crate::secret::SecretText);

impl UnverifiedToken {
    pub fn new(text: String) -> Self { todo!() }
}

/// A token whose issuer, signature, audience and times hold. Only this room makes one.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    issuer: IssuerName,
    profile: Profile,
    subject: Subject,
    claims: Claims,
    issued_at: Moment,
    expires_at: Moment,
    fingerprint: Fingerprint,
    replay: Option<ReplayKey>,
}

/// What must be claimed before a single-use token counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayKey {
    /// Over the issuer and `jti`, or the signing input where there is no `jti` (never the signature: ECDSA is malleable).
    pub key: Fingerprint,
    /// When the claim may be forgotten: the token's end and the leeway.
    pub until: Moment,
}

impl VerifiedToken {
    pub fn issuer(&self) -> &IssuerName { &self.issuer }
    pub fn profile(&self) -> Profile { self.profile }
    pub fn subject(&self) -> &Subject { &self.subject }
    pub fn claims(&self) -> &Claims { &self.claims }
    pub fn issued_at(&self) -> Moment { self.issued_at }
    pub fn expires_at(&self) -> Moment { self.expires_at }
    /// SHA-256 of the whole token: what the record names it by.
    pub fn fingerprint(&self) -> Fingerprint { self.fingerprint }
    /// `None` when the issuer's tokens may be presented again.
    pub fn replay(&self) -> Option<&ReplayKey> { self.replay.as_ref() }
}

/// Why a token was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VerifyError {
    /// The caller's side.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// Ours: the issuer's keys are not known or too old. 503, never a guess.
    #[error("the keys of issuer `{0}` are not available")]
    KeysUnavailable(IssuerName),
}

/// A refusal with a stable code for metrics (`code()`) and a text that is safe to show to a stranger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    #[error("the token is not a JWS in compact serialization")]
    Malformed,
    // … one variant per reason
}

impl TokenRefusal {
    /// Stable, snake_case, bounded: for metrics and logs.
    pub fn code(&self) -> &'static str { todo!() }
}

/// How fresh an issuer's keys are, for `/readyz` and metrics.
#[derive(Clone, Debug)]
pub struct IssuerHealth { pub issuer: IssuerName, pub keys: usize, pub fetched_at: Option<Moment> }

/// Every trusted issuer.
pub struct Federation {}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("Federation") }
}

impl Federation {
    /// Builds clients and reads `jwks_file`s. Fetches nothing yet.
    pub fn new(issuers: Vec<IssuerSettings>, clock: Arc<dyn Clock>) -> Result<Self, FederationError> { todo!() }
    /// Refreshes key sets in the background until dropped/cancelled.
    pub async fn keep_fresh(&self) { todo!() }
    pub async fn verify(&self, token: &UnverifiedToken, at: Moment) -> Result<VerifiedToken, VerifyError> { todo!() }
    pub fn health(&self) -> Vec<IssuerHealth> { todo!() }
}

#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    #[error("issuer `{issuer}`: {reason}")]
    Issuer { issuer: IssuerName, reason: String },
}
