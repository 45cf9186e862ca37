//! Every grant by its name, and every AWS grant by the role ARN that stands for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Grant, GrantKind, RoleArn};
use crate::ids::GrantName;

/// Every grant that this broker can issue.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    by_name: BTreeMap<GrantName, Arc<Grant>>,
    by_role_arn: BTreeMap<String, Arc<Grant>>,
}

/// Grants that make no catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A name twice: which one is meant would depend on the order in a file.
    #[error("two grants are called `{0}`")]
    Duplicate(GrantName),
    /// A role ARN twice: whoever asks STS for it could mean either.
    #[error("the grants `{0}` and `{1}` answer to one role ARN")]
    SameRole(GrantName, GrantName),
}

impl Catalog {
    /// A catalog of `grants`.
    pub fn new(grants: Vec<Grant>) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for grant in grants {
            catalog.add(Arc::new(grant))?;
        }
        Ok(catalog)
    }

    fn add(&mut self, grant: Arc<Grant>) -> Result<(), CatalogError> {
        if self.by_name.contains_key(&grant.name) {
            return Err(CatalogError::Duplicate(grant.name.clone()));
        }
        if let GrantKind::Aws(aws) = &grant.kind {
            let arn = aws.answers_to().as_str().to_owned();
            if let Some(other) = self.by_role_arn.insert(arn, Arc::clone(&grant)) {
                return Err(CatalogError::SameRole(other.name.clone(), grant.name.clone()));
            }
        }
        self.by_name.insert(grant.name.clone(), grant);
        Ok(())
    }

    /// The grant of that name.
    pub fn resolve(&self, name: &GrantName) -> Option<&Arc<Grant>> {
        self.by_name.get(name)
    }

    /// The one grant that answers to that ARN: its alias, or its role's own where it has none.
    pub fn by_role_arn(&self, arn: &RoleArn) -> Option<&Arc<Grant>> {
        self.by_role_arn.get(arn.as_str())
    }

    /// Every grant, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.by_name.values()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::grants::{AwsGrant, JwtGrant, Lifetime, LifetimeCaps};
    use crate::ids::Audience;

    fn grant_of(name: &str, kind: GrantKind) -> Grant {
        let minute = Lifetime::from_seconds(60).unwrap();
        Grant::new(
            GrantName::new(name).unwrap(),
            kind,
            LifetimeCaps::new(minute, minute).unwrap(),
            None,
            BTreeSet::new(),
            BTreeSet::new(),
        )
    }

    fn grant(name: &str) -> Grant {
        let audience = Audience::new("https://x").unwrap();
        grant_of(name, GrantKind::Jwt(JwtGrant { audience, scopes: BTreeSet::new() }))
    }

    fn role(name: &str) -> RoleArn {
        RoleArn::new(&format!("arn:aws:iam::123456789012:role/{name}")).unwrap()
    }

    fn aws(name: &str, assumed: &str, alias: Option<&str>) -> Grant {
        let grant = AwsGrant { sts_role_arn_alias: alias.map(role), ..AwsGrant::new(role(assumed), None) };
        grant_of(name, GrantKind::Aws(Arc::new(grant)))
    }

    #[test]
    fn two_grants_of_one_name_are_refused() {
        let refusal = Catalog::new(vec![grant("a"), grant("b"), grant("a")]).unwrap_err();
        assert_eq!(refusal, CatalogError::Duplicate(GrantName::new("a").unwrap()));
    }

    #[test]
    fn two_grants_that_answer_to_one_role_are_refused_whichever_way_they_come_to_it() {
        let name = |name| GrantName::new(name).unwrap();
        for two in [
            [aws("a", "orders", None), aws("b", "orders", None)],
            [aws("a", "orders", None), aws("b", "ledger", Some("orders"))],
            [aws("a", "x", Some("orders")), aws("b", "y", Some("orders"))],
        ] {
            let refusal = Catalog::new(two.into()).unwrap_err();
            assert_eq!(refusal, CatalogError::SameRole(name("a"), name("b")));
        }
    }

    #[test]
    fn a_grant_is_found_by_its_exact_name() {
        let catalog = Catalog::new(vec![grant("b"), grant("a")]).unwrap();
        assert!(catalog.resolve(&GrantName::new("a").unwrap()).is_some());
        assert!(catalog.resolve(&GrantName::new("a.b").unwrap()).is_none());
        assert_eq!(catalog.iter().map(|grant| grant.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_grant_with_an_alias_answers_to_it_alone_and_one_without_to_its_role() {
        let catalog =
            Catalog::new(vec![aws("read", "orders", None), aws("write", "orders", Some("orders-write"))]);
        let found = |arn| {
            let catalog = catalog.as_ref().unwrap();
            catalog.by_role_arn(&role(arn)).map(|grant| grant.name.to_string())
        };
        assert_eq!(found("orders").as_deref(), Some("read"));
        assert_eq!(found("orders-write").as_deref(), Some("write"));
        assert_eq!(found("Orders"), None);
    }
}
