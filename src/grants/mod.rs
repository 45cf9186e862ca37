//! The catalog of what can be issued: named grants, their caps, and how a claim may stand inside them. Knows
//! lifetimes, scopes and templates; refuses to know who asks or how a credential is made.

mod aws;
mod catalog;
mod described;
mod lifetime;
mod session_policy;
mod sts;
mod template;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use aws::{AwsGrant, RoleArn, RoleArnError, TagError};
pub use catalog::{Catalog, CatalogError};
pub use described::{DescribeError, Description};
pub use lifetime::{AskError, CapsError, Lifetime, LifetimeCaps, effective};
pub use session_policy::PolicyTemplate;
pub(crate) use session_policy::strict_json;
pub use sts::{PolicyArn, PolicyArnError, Region, RegionError, StsRoute};
pub use template::{Attributes, Position, Template, TemplateError};

use crate::ids::{Audience, GrantName, Scope};
use crate::secret::Fingerprint;

/// A named thing that can be issued.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What callers call it.
    pub name: GrantName,
    /// Digest of everything below: caches and the record name the exact version that shaped a credential.
    pub version: Fingerprint,
    /// What is made.
    pub kind: GrantKind,
    /// How long it may live.
    pub caps: LifetimeCaps,
    /// Present when the grant is never issued without an active elevation, whatever policy says.
    pub break_glass: Option<BreakGlass>,
    /// Free labels for policy.
    pub labels: BTreeSet<String>,
    /// Cedar `GrantSet`s that hold the grant.
    pub sets: BTreeSet<String>,
}

/// What kind of credential a grant makes.
#[derive(Clone, Debug)]
pub enum GrantKind {
    /// A JWT that we sign.
    Jwt(JwtGrant),
    /// AWS STS credentials.
    Aws(Arc<AwsGrant>),
}

/// A JWT access token (RFC 9068) for one audience.
#[derive(Clone, Debug)]
pub struct JwtGrant {
    /// `aud`
    pub audience: Audience,
    /// Every scope that may be asked for. All of them when the caller names none.
    pub scopes: BTreeSet<Scope>,
}

/// The caps of a break-glass grant.
#[derive(Clone, Copy, Debug)]
pub struct BreakGlass {
    /// The longest elevation.
    pub max_duration: std::time::Duration,
}

impl Grant {
    /// A grant whose version is the digest of all its fields.
    pub fn new(
        name: GrantName,
        kind: GrantKind,
        caps: LifetimeCaps,
        break_glass: Option<BreakGlass>,
        labels: BTreeSet<String>,
        sets: BTreeSet<String>,
    ) -> Self {
        let version = digest_of(&name, &kind, caps, break_glass, &labels, &sets);
        Self { name, version, kind, caps, break_glass, labels, sets }
    }

    /// `"jwt"` or `"aws"`, as policy and the record spell it.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            GrantKind::Jwt(_) => "jwt",
            GrantKind::Aws(_) => "aws",
        }
    }

    /// The AWS account, when there is one.
    pub fn account(&self) -> Option<&str> {
        match &self.kind {
            GrantKind::Jwt(_) => None,
            GrantKind::Aws(aws) => Some(aws.role_arn.account()),
        }
    }
}

/// Each list stands behind its length, so that no two grants share a digest by moving an item from one to the next.
fn digest_of(
    name: &GrantName,
    kind: &GrantKind,
    caps: LifetimeCaps,
    break_glass: Option<BreakGlass>,
    labels: &BTreeSet<String>,
    sets: &BTreeSet<String>,
) -> Fingerprint {
    let mut fields = vec!["tidegate grant v1".to_owned(), name.to_string()];
    fields.extend([caps.default.seconds().to_string(), caps.max.seconds().to_string()]);
    fields.push(break_glass.map_or("none".to_owned(), |caps| caps.max_duration.as_millis().to_string()));
    for list in [labels, sets] {
        fields.push(list.len().to_string());
        fields.extend(list.iter().cloned());
    }
    match kind {
        GrantKind::Jwt(jwt) => {
            fields.extend(["jwt".to_owned(), jwt.audience.to_string()]);
            fields.extend(jwt.scopes.iter().map(ToString::to_string));
        }
        GrantKind::Aws(aws) => {
            fields.push("aws".to_owned());
            fields.extend(aws.digest_fields());
        }
    }
    Fingerprint::of_fields(&fields.iter().map(String::as_bytes).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Lifetime {
        Lifetime::from_seconds(seconds).unwrap()
    }

    fn jwt(scopes: &[&str], labels: &[&str], sets: &[&str], max: i64, break_glass: bool) -> Grant {
        let audience = Audience::new("https://ledger.internal").unwrap();
        let scopes = scopes.iter().map(|scope| Scope::new(scope).unwrap()).collect();
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Grant::new(
            GrantName::new("ledger-api").unwrap(),
            GrantKind::Jwt(JwtGrant { audience, scopes }),
            LifetimeCaps::new(seconds(60), seconds(max)).unwrap(),
            break_glass.then_some(BreakGlass { max_duration: std::time::Duration::from_mins(1) }),
            texts(labels),
            texts(sets),
        )
    }

    fn aws(change: impl FnOnce(AwsGrant) -> AwsGrant) -> Grant {
        let role = RoleArn::new("arn:aws:iam::123456789012:role/x").unwrap();
        Grant::new(
            GrantName::new("orders-read").unwrap(),
            GrantKind::Aws(Arc::new(change(AwsGrant::new(role, None)))),
            LifetimeCaps::new(seconds(60), seconds(60)).unwrap(),
            None,
            BTreeSet::new(),
            BTreeSet::new(),
        )
    }

    fn managed(name: &str, grant: &AwsGrant) -> PolicyArn {
        PolicyArn::for_role(&format!("arn:aws:iam::aws:policy/{name}"), &grant.role_arn).unwrap()
    }

    fn at(grant: AwsGrant, region: &str, endpoint: Option<&str>) -> AwsGrant {
        let region = Region::new(region).unwrap();
        AwsGrant { sts: StsRoute { region, endpoint: endpoint.map(str::to_owned) }, ..grant }
    }

    #[test]
    fn every_field_of_a_grant_changes_its_version() {
        let tag = |text| (String::from("k"), Template::parse(text, Position::TagValue).unwrap());
        let open = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let versions = [
            jwt(&["a"], &[], &[], 60, false),
            jwt(&["a", "b"], &[], &[], 60, false),
            jwt(&["a"], &["b"], &[], 60, false),
            jwt(&["a"], &[], &["b"], 60, false),
            jwt(&["a"], &[], &[], 61, false),
            jwt(&["a"], &[], &[], 60, true),
            aws(|grant| grant),
            aws(|grant| AwsGrant { allow_assume_role: true, ..grant }),
            aws(|grant| AwsGrant { sts_role_arn_alias: Some(grant.role_arn.clone()), ..grant }),
            aws(|grant| AwsGrant { session_policy: Some(PolicyTemplate::parse(open).unwrap()), ..grant }),
            aws(|grant| grant.with_tags(vec![tag("v")], vec![]).unwrap()),
            aws(|grant| grant.with_tags(vec![tag("w")], vec![]).unwrap()),
            aws(|grant| grant.with_tags(vec![tag("v")], vec!["k".into()]).unwrap()),
            aws(|grant| AwsGrant { external_id: Some(String::new()), ..grant }),
            aws(|grant| AwsGrant { external_id: Some("x".into()), ..grant }),
            aws(|grant| AwsGrant { policy_arns: vec![managed("x", &grant)], ..grant }),
            aws(|grant| AwsGrant { policy_arns: vec![managed("y", &grant)], ..grant }),
            aws(|grant| at(grant, "eu-west-1", None)),
            aws(|grant| at(grant, "eu-west-1", Some("https://sts.example"))),
        ]
        .map(|grant| grant.version);
        assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), versions.len());
        assert_eq!(jwt(&["a"], &[], &[], 60, false).version, versions[0]);
    }
}
