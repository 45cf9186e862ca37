//! A grant as somebody describes it who has no configuration at hand: a record of a decision, or a case to be decided.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{AwsGrant, BreakGlass, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps, RoleArn};
use crate::ids::{Audience, GrantName};

/// What policy can see of a grant, and no more.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Its name.
    pub name: &'a GrantName,
    /// `jwt` or `aws`.
    pub kind: &'a str,
    /// Of an AWS grant.
    pub account: Option<&'a str>,
    /// Is it for break-glass?
    pub break_glass: bool,
    /// Its labels.
    pub labels: &'a BTreeSet<String>,
    /// The sets that hold it.
    pub sets: &'a BTreeSet<String>,
}

/// No grant looks like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// A kind that is not known.
    #[error("grant `{0}`: the kind is `jwt` or `aws`")]
    Kind(GrantName),
    /// An AWS grant without an account, or a JWT grant with one.
    #[error("grant `{0}`: a grant of kind `aws` has an account of 12 digits, and no other has one")]
    Account(GrantName),
}

impl Grant {
    /// A grant that looks to policy as described. For deciding only: where it leads is made up, so its version is that of no
    /// configured grant, and nothing can be issued for it.
    ///
    /// # Errors
    /// No grant looks like this.
    pub fn described(about: Description<'_>) -> Result<Self, DescribeError> {
        let (name, longest) = (about.name.clone(), Lifetime::LONGEST);
        let wrong_account = || DescribeError::Account(about.name.clone());
        let kind = match (about.kind, about.account) {
            ("jwt", None) => {
                let audience = Audience::new("described").map_err(|_| wrong_account())?;
                GrantKind::Jwt(JwtGrant { audience, scopes: BTreeSet::new() })
            }
            ("aws", Some(account)) => {
                // One for each name, so that several of them make a catalog.
                let of = |role: &str| RoleArn::new(&format!("arn:aws:iam::{account}:role/{role}"));
                let role = of(name.as_str()).or_else(|_| of("described")).map_err(|_| wrong_account())?;
                GrantKind::Aws(Arc::new(AwsGrant::new(role, None)))
            }
            ("jwt" | "aws", _) => return Err(wrong_account()),
            _ => return Err(DescribeError::Kind(name)),
        };
        let caps = LifetimeCaps { default: longest, max: longest };
        let break_glass = about
            .break_glass
            .then_some(BreakGlass { max_duration: Duration::from_secs(longest.seconds().into()) });
        Ok(Self::new(name, kind, caps, break_glass, about.labels.clone(), about.sets.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_grant_can_look_like_is_described() {
        let (name, none) = (GrantName::new("a").unwrap(), BTreeSet::new());
        let sets = BTreeSet::from(["s".to_owned()]);
        let about = |kind, account| Description {
            name: &name,
            kind,
            account,
            break_glass: true,
            labels: &none,
            sets: &sets,
        };
        for (kind, account) in
            [("jwt", Some("123456789012")), ("aws", None), ("aws", Some("12")), ("ssh", None)]
        {
            assert!(Grant::described(about(kind, account)).is_err(), "{kind} {account:?}");
        }
        let aws = Grant::described(about("aws", Some("123456789012"))).unwrap();
        assert_eq!((aws.kind_name(), aws.account()), ("aws", Some("123456789012")));
        assert!(aws.break_glass.is_some() && aws.sets == sets);
        assert_eq!(Grant::described(about("jwt", None)).unwrap().account(), None);
    }
}
