//! Permits for the tests of rooms that need one and have no policy.

use std::sync::Arc;

use super::{Permit, PolicyDigests};
use crate::clock::Moment;
use crate::grants::{Grant, Lifetime};
use crate::ids::{IssuerName, Scope, Subject};
use crate::principal::PrincipalId;
use crate::secret::Fingerprint;

fn digests(text: &str) -> PolicyDigests {
    let of = |author: &str| Fingerprint::of(format!("{author}{text}").as_bytes());
    PolicyDigests { both: of(""), customer: of("customer's "), vendor: Some(of("vendor's ")) }
}

impl Permit {
    /// A permit that no policy gave.
    pub(crate) fn for_test(
        issuer: &str,
        subject: &str,
        grant: &Arc<Grant>,
        ttl: Lifetime,
        scopes: &[&str],
    ) -> Self {
        Self {
            principal: PrincipalId {
                issuer: IssuerName::new(issuer).unwrap(),
                subject: Subject::new(subject).unwrap(),
            },
            grant: Arc::clone(grant),
            ttl,
            scopes: scopes.iter().map(|scope| Scope::new(scope).unwrap()).collect(),
            decided_by: Vec::new(),
            digests: digests("policies"),
            elevation: None,
        }
    }

    /// The same by other policies.
    pub(crate) fn by_policies(self, text: &str) -> Self {
        Self { digests: digests(text), ..self }
    }

    /// The same under an elevation.
    pub(crate) fn under(self, elevation: super::ElevationUse) -> Self {
        Self { elevation: Some(elevation), ..self }
    }

    /// The same under the elevation of that id, which two approved, until then.
    pub(crate) fn under_elevation(self, id: &str, ends_at: Moment) -> Self {
        let (id, starts_at) = (id.parse().unwrap(), Moment::EPOCH);
        self.under(super::ElevationUse { id, version: 4, approvals: 2, starts_at, ends_at })
    }
}
