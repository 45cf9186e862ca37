//! One mapping per issuer profile.

use super::{Authentication, Principal};
use crate::claims::{Claims, Profile};
use crate::clock::Moment;
use crate::ids::{IssuerName, Subject};

/// The claims do not have the shape that the profile promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token's claim `{claim}` is {fault} for profile `{profile}`")]
pub struct MapError { pub profile: &'static str, pub claim: &'static str, pub fault: &'static str }

/// Claims of a verified token → principal and how it signed in.
pub fn map(issuer: &IssuerName, subject: &Subject, issued_at: Moment, profile: Profile, claims: &Claims) -> Result<(Principal, Authentication), MapError> { todo!() }
