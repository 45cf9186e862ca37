//! The AWS half of the catalog: role and tags. The session policy is in `session_policy`, the way to STS in `sts`.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::session_policy::PolicyTemplate;
use super::sts::{self, PolicyArn, StsRoute};
use super::template::Template;

/// `arn:<partition>:iam::<12 digits>:role/<path and name>`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleArn {
    text: String,
    partition: &'static str,
    account: String,
}

/// Text that is no ARN of an IAM role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the ARN of an IAM role: {fault}")]
pub struct RoleArnError {
    text: String,
    fault: &'static str,
}

impl RoleArn {
    /// Checks and keeps `text`.
    pub fn new(text: &str) -> Result<Self, RoleArnError> {
        parse_role(text).map_err(|fault| RoleArnError {
            text: text.chars().take(200).flat_map(char::escape_default).collect(),
            fault,
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The account: 12 digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The role's name, without its path: what IAM's calls take.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub fn partition(&self) -> &str {
        self.partition
    }
}

fn parse_role(text: &str) -> Result<RoleArn, &'static str> {
    let mut fields = text.splitn(6, ':');
    let mut next = || fields.next().unwrap_or("");
    let (scheme, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    if scheme != "arn" {
        return Err("it does not start with `arn:`");
    }
    let partition = sts::partition(partition).ok_or("its partition is unknown")?;
    if service != "iam" {
        return Err("its service is not `iam`");
    }
    if !region.is_empty() {
        return Err("roles have no region: two colons stand after `iam`");
    }
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its account is not 12 digits");
    }
    let name = resource.strip_prefix("role/").ok_or("`role/` does not follow the account")?;
    check_role_name(name)?;
    Ok(RoleArn { text: text.to_owned(), partition, account: account.to_owned() })
}

/// Path and name (IAM `CreateRole`): 1-64 of `\w+=,.@-` after a path of at most 512 printable characters.
fn check_role_name(path_and_name: &str) -> Result<(), &'static str> {
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or(("", path_and_name));
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-');
    if !(1..=64).contains(&name.len()) || !name.chars().all(fits) {
        return Err("the role's name is not 1-64 of `a-z A-Z 0-9 _ + = , . @ -`");
    }
    if path.len() > 510 || (path_and_name.contains('/') && path.split('/').any(str::is_empty)) {
        return Err("the role's path has an empty part or is longer than 512");
    }
    let printable =
        |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '?' | '$' | '{' | '}' | '"' | '\\' | ':');
    if path.chars().all(printable) {
        Ok(())
    } else {
        Err("the role's path has a character that may not stand there")
    }
}

/// What shapes an AWS credential.
#[derive(Clone, Debug)]
pub struct AwsGrant {
    /// The role that is assumed.
    pub role_arn: RoleArn,
    /// Which STS is asked.
    pub sts: StsRoute,
    /// `ExternalId` of `AssumeRole`: what the trust policies of other accounts may ask for.
    pub external_id: Option<String>,
    /// Narrows the role; `None` leaves what the role, or `policy_arns`, allow (the closing Deny is added all the same).
    pub session_policy: Option<PolicyTemplate>,
    /// Managed session policies. AWS allows what any session policy allows, so these *add* to `session_policy`; the role
    /// still bounds both.
    pub policy_arns: Vec<PolicyArn>,
    /// Session tags in the order of their keys.
    pub session_tags: Vec<(String, Template)>,
    /// Keys of those tags that stay on when roles are chained. None unless asked.
    pub transitive_tags: Vec<String>,
    /// May the session assume further roles? Off unless asked.
    pub allow_assume_role: bool,
    /// How many calls to STS it may take in a second. It shapes no credential and so is no part of the grant's version: an
    /// elevation does not end because somebody changed it.
    pub sts_rate: Option<NonZeroU32>,
}

/// Session tags that AWS would refuse, or that nobody can mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// More than AWS takes.
    #[error("there are {0} session tags; AWS takes at most 50")]
    TooMany(usize),
    /// The key.
    #[error(
        "`{0}` is no key of a session tag (1-128 of `a-z A-Z 0-9 _ . : / = + - @`, not starting with `aws:`)"
    )]
    Key(String),
    /// AWS compares keys of session tags without regard to case.
    #[error("the session tag `{0}` stands there twice (AWS compares keys without regard to case)")]
    Twice(String),
    /// A transitive key that no tag has.
    #[error("the transitive tag `{0}` is no session tag of this grant")]
    Unknown(String),
}

impl AwsGrant {
    /// Session tags for a grant, checked against the limits of STS and put into the order of their keys.
    pub fn with_tags(
        mut self,
        mut tags: Vec<(String, Template)>,
        mut transitive: Vec<String>,
    ) -> Result<Self, TagError> {
        tags.sort_by(|one, other| one.0.cmp(&other.0));
        transitive.sort();
        transitive.dedup();
        check_tags(&tags, &transitive)?;
        self.session_tags = tags;
        self.transitive_tags = transitive;
        Ok(self)
    }

    /// A grant of `role_arn` without tags that may not assume further roles, from the usual STS of the role's partition.
    pub fn new(role_arn: RoleArn, session_policy: Option<PolicyTemplate>) -> Self {
        Self {
            sts: StsRoute::of_role(&role_arn),
            role_arn,
            external_id: None,
            session_policy,
            policy_arns: Vec::new(),
            session_tags: Vec::new(),
            transitive_tags: Vec::new(),
            allow_assume_role: false,
            sts_rate: None,
        }
    }

    /// Everything that shapes a credential, field by field, for the digest.
    pub(super) fn digest_fields(&self) -> Vec<String> {
        let mut fields = vec![self.role_arn.as_str().to_owned(), self.allow_assume_role.to_string()];
        let policy = self.session_policy.as_ref();
        fields.push(policy.map_or("none", |_| "some").to_owned());
        fields.push(policy.map(|template| template.source().to_owned()).unwrap_or_default());
        fields.push(self.session_tags.len().to_string());
        for (key, value) in &self.session_tags {
            fields.extend([key.clone(), value.source().to_owned()]);
        }
        fields.push(self.transitive_tags.len().to_string());
        fields.extend(self.transitive_tags.iter().cloned());
        fields.push(self.policy_arns.len().to_string());
        fields.extend(self.policy_arns.iter().map(|arn| arn.as_str().to_owned()));
        fields.push(self.sts.region.as_str().to_owned());
        fields.extend(optional(self.sts.endpoint.as_ref()));
        fields.extend(optional(self.external_id.as_ref()));
        fields
    }
}

/// No value is another field list than an empty one.
fn optional(value: Option<&String>) -> [String; 2] {
    [value.map_or("none", |_| "some").to_owned(), value.cloned().unwrap_or_default()]
}

fn check_tags(tags: &[(String, Template)], transitive: &[String]) -> Result<(), TagError> {
    if tags.len() > 50 {
        return Err(TagError::TooMany(tags.len()));
    }
    let mut seen = BTreeSet::new();
    for (key, _) in tags {
        if !is_tag_key(key) {
            return Err(TagError::Key(key.chars().take(130).flat_map(char::escape_default).collect()));
        }
        if !seen.insert(key.to_ascii_lowercase()) {
            return Err(TagError::Twice(key.clone()));
        }
    }
    match transitive.iter().find(|key| !tags.iter().any(|(known, _)| known == *key)) {
        Some(stranger) => Err(TagError::Unknown(stranger.clone())),
        None => Ok(()),
    }
}

fn is_tag_key(key: &str) -> bool {
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@');
    (1..=128).contains(&key.len()) && key.chars().all(fits) && !key.to_ascii_lowercase().starts_with("aws:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::Position;

    #[test]
    fn text_that_is_no_role_is_refused_with_what_is_wrong() {
        for (bad, why) in [
            ("", "start with `arn:`"),
            ("arn:amazon:iam::123456789012:role/x", "partition"),
            ("arn:aws:sts::123456789012:role/x", "service"),
            ("arn:aws:iam:eu-central-1:123456789012:role/x", "no region"),
            ("arn:aws:iam::12345678901:role/x", "12 digits"),
            ("arn:aws:iam::12345678901٣:role/x", "12 digits"),
            ("arn:aws:iam::123456789012:user/x", "`role/`"),
            ("arn:aws:iam::123456789012:role/", "name"),
            ("arn:aws:iam::123456789012:role/a b", "name"),
            ("arn:aws:iam::123456789012:role/*", "name"),
            ("arn:aws:iam::123456789012:role//x", "path"),
            ("arn:aws:iam::123456789012:role/a//x", "path"),
            ("arn:aws:iam::123456789012:role/a*/x", "path"),
            ("arn:aws:iam::123456789012:role/x\n", "name"),
        ] {
            let fault = RoleArn::new(bad).unwrap_err().to_string();
            assert!(fault.contains(why), "{bad:?}: {fault}");
        }
    }

    #[test]
    fn a_role_names_its_account_and_partition() {
        let role = RoleArn::new("arn:aws-us-gov:iam::123456789012:role/teams/a/orders-read").unwrap();
        assert_eq!((role.partition(), role.account()), ("aws-us-gov", "123456789012"));
        assert_eq!(role.name(), "orders-read");
        assert!(RoleArn::new("arn:aws-cn:iam::000000000000:role/x").is_ok());
    }

    #[test]
    fn tags_that_aws_would_refuse_are_refused_before_any_call() {
        let grant = || AwsGrant::new(RoleArn::new("arn:aws:iam::123456789012:role/x").unwrap(), None);
        let value = Template::parse("v", Position::TagValue).unwrap();
        let tags =
            |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), value.clone())).collect::<Vec<_>>();
        let refused = |keys: &[&str]| grant().with_tags(tags(keys), vec![]).unwrap_err();
        assert_eq!(refused(&["a", "A"]), TagError::Twice("a".into()));
        assert_eq!(refused(&["AWS:x"]), TagError::Key("AWS:x".into()));
        assert_eq!(refused(&["a b"]), TagError::Key("a b".into()));
        let many: Vec<String> = (0..51).map(|n| format!("k{n}")).collect();
        assert_eq!(refused(&many.iter().map(String::as_str).collect::<Vec<_>>()), TagError::TooMany(51));
        let transitive = grant().with_tags(tags(&["a"]), vec!["b".into()]);
        assert_eq!(transitive.unwrap_err(), TagError::Unknown("b".into()));
        let sorted = grant().with_tags(tags(&["b", "a"]), vec!["b".into(), "b".into()]).unwrap();
        assert_eq!(sorted.session_tags.first().unwrap().0, "a");
        assert_eq!(sorted.transitive_tags, ["b"]);
    }
}
