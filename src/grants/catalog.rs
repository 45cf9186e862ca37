//! Every grant by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Grant;
use crate::ids::GrantName;

/// Every grant that this broker can issue.
#[derive(Clone, Debug, Default)]
pub struct Catalog(BTreeMap<GrantName, Arc<Grant>>);

/// Grants that make no catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A name twice: which one is meant would depend on the order in a file.
    #[error("two grants are called `{0}`")]
    Duplicate(GrantName),
}

impl Catalog {
    /// A catalog of `grants`.
    pub fn new(grants: Vec<Grant>) -> Result<Self, CatalogError> {
        let mut by_name = BTreeMap::new();
        for grant in grants {
            if by_name.contains_key(&grant.name) {
                return Err(CatalogError::Duplicate(grant.name));
            }
            by_name.insert(grant.name.clone(), Arc::new(grant));
        }
        Ok(Self(by_name))
    }

    /// The grant of that name.
    pub fn resolve(&self, name: &GrantName) -> Option<&Arc<Grant>> {
        self.0.get(name)
    }

    /// Every grant, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::grants::{GrantKind, JwtGrant, Lifetime, LifetimeCaps};
    use crate::ids::Audience;

    fn grant(name: &str) -> Grant {
        let minute = Lifetime::from_seconds(60).unwrap();
        let kind = GrantKind::Jwt(JwtGrant {
            audience: Audience::new("https://x").unwrap(),
            scopes: BTreeSet::new(),
        });
        Grant::new(
            GrantName::new(name).unwrap(),
            kind,
            LifetimeCaps::new(minute, minute).unwrap(),
            None,
            BTreeSet::new(),
            BTreeSet::new(),
        )
    }

    #[test]
    fn two_grants_of_one_name_are_refused() {
        let refusal = Catalog::new(vec![grant("a"), grant("b"), grant("a")]).unwrap_err();
        assert_eq!(refusal, CatalogError::Duplicate(GrantName::new("a").unwrap()));
    }

    #[test]
    fn a_grant_is_found_by_its_exact_name() {
        let catalog = Catalog::new(vec![grant("b"), grant("a")]).unwrap();
        assert!(catalog.resolve(&GrantName::new("a").unwrap()).is_some());
        assert!(catalog.resolve(&GrantName::new("a.b").unwrap()).is_none());
        assert_eq!(catalog.iter().map(|grant| grant.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
