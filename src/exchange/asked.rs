//! What is asked for, in the words of the door: a grant's name, or the role that stands for it.

use std::fmt;
use std::sync::Arc;

use super::{Attempt, Exchange};
use crate::grants::{Catalog, Grant, RoleArn};
use crate::ids::GrantName;

/// Which grant. Whether there is one is found out when it is known who asks: a name that no grant has and an ARN that
/// none answers to go the way of a grant that policy denies, up to the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedGrant {
    /// By its name.
    Name(GrantName),
    /// By the role ARN that it answers to: STS's way.
    Role(RoleArn),
}

impl WantedGrant {
    pub(super) fn find<'c>(&self, catalog: &'c Catalog) -> Option<&'c Arc<Grant>> {
        match self {
            Self::Name(name) => catalog.resolve(name),
            Self::Role(arn) => catalog.by_role_arn(arn),
        }
    }
}

impl fmt::Display for WantedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name(name) => name.as_str(),
            Self::Role(arn) => arn.as_str(),
        })
    }
}

impl From<GrantName> for WantedGrant {
    fn from(name: GrantName) -> Self {
        Self::Name(name)
    }
}

impl Exchange {
    /// What locks may name: the grant's own name, also where it was asked for by its role.
    pub(super) fn grant_name<'a>(&'a self, attempt: Attempt<'a>) -> Option<&'a GrantName> {
        match &attempt.request.grant {
            WantedGrant::Name(name) => Some(name),
            wanted @ WantedGrant::Role(_) => wanted.find(&self.services.catalog).map(|grant| &grant.name),
        }
    }
}
