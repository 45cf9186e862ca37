//! Whom we trust: registered issuers, their key sets, and the only verifier of subject tokens. Turns an
//! [`UnverifiedToken`] into a [`VerifiedToken`]; refuses to know what a principal is or what it may get.
//!
//! Read `verify` first; it tells the story. `jws`, `json`, `jwk`, `roca` and `checks` are pure; `keyset` keeps keys fresh;
//! `fetch` is the only IO.

mod address;
mod algorithm;
mod checks;
mod defaults;
mod fetch;
mod json;
mod jwk;
mod jws;
mod keyset;
mod refusal;
mod roca;
mod settings;
mod token;
mod verify;

#[cfg(test)]
pub(crate) mod tests;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use checks::LEEWAY;
pub use defaults::{SafeDefaults, immutable_id_claims, is_shared, safe_defaults};
pub use jws::MAX_TOKEN_BYTES;
pub use keyset::{COOL_DOWN, MAX_STALENESS, MISSING_KID_FOR, REFRESH_EVERY, REREAD_EVERY, RETRY_AFTER};
pub use refusal::{TokenRefusal, VerifyError};
pub use settings::{IssuerSettings, KeySource, ReplayMode};
pub use token::{ReplayKey, Told, UnverifiedToken, VerifiedToken};
pub use verify::{Federation, FederationError, IssuerHealth};
