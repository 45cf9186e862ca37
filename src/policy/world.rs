//! What tools know of a broker's configuration: whose tokens it takes and what it can issue. No keys, no addresses.

use std::sync::Arc;

use crate::claims::Profile;
use crate::grants::Grant;
use crate::ids::IssuerName;

/// The issuers and grants that policies are about.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Whose tokens are taken.
    pub issuers: Vec<KnownIssuer>,
    /// What can be issued.
    pub grants: Vec<Arc<Grant>>,
}

/// One issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownIssuer {
    /// Its configured name.
    pub name: IssuerName,
    /// The shape of its tokens.
    pub profile: Profile,
    /// Does it make tokens for anybody, so that only an immutable id tells whose they are?
    pub shared: bool,
    /// May its people approve?
    pub may_approve: bool,
}

impl World {
    /// The issuer of that name.
    pub fn issuer(&self, name: &str) -> Option<&KnownIssuer> {
        self.issuers.iter().find(|issuer| issuer.name.as_str() == name)
    }

    /// The grant of that name.
    pub fn grant(&self, name: &str) -> Option<&Arc<Grant>> {
        self.grants.iter().find(|grant| grant.name.as_str() == name)
    }
}
