//! Where and with what STS is asked: regions and their partitions, endpoints, managed session policies.

use super::RoleArn;

/// An AWS region such as `eu-central-1`: it signs the request and picks the endpoint of STS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(String);

/// Text that cannot be a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a region is 1-32 of `a-z 0-9 -`")]
pub struct RegionError;

/// Each partition of AWS with how its regions begin and which of them is used when none is said. Partitions share nothing:
/// no role, no credentials, no STS.
const PARTITIONS: [(&str, &str, &str); 8] = [
    ("aws-cn", "cn-", "cn-north-1"),
    ("aws-us-gov", "us-gov-", "us-gov-west-1"),
    ("aws-eusc", "eusc-", "eusc-de-east-1"),
    ("aws-iso", "us-iso-", "us-iso-east-1"),
    ("aws-iso-b", "us-isob-", "us-isob-east-1"),
    ("aws-iso-e", "eu-isoe-", "eu-isoe-west-1"),
    ("aws-iso-f", "us-isof-", "us-isof-south-1"),
    // Last: every other region is in the standard one.
    ("aws", "", "us-east-1"),
];

/// The partition of that name; an unknown one is a typing error far more often than a new one.
pub(super) fn partition(name: &str) -> Option<&'static str> {
    PARTITIONS.iter().map(|(known, ..)| *known).find(|known| *known == name)
}

impl Region {
    /// It becomes part of a host name (`sts.<region>.amazonaws.com`), so its characters are few.
    pub fn new(text: &str) -> Result<Self, RegionError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RegionError)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that the region belongs to: `aws-cn` for `cn-north-1`.
    pub fn partition(&self) -> &'static str {
        PARTITIONS.iter().find(|(_, prefix, _)| self.0.starts_with(prefix)).map_or("aws", |(name, ..)| name)
    }

    /// A region of the partition: where its STS can be asked.
    pub fn of_partition(partition: &str) -> Self {
        let found = PARTITIONS.iter().find(|(name, ..)| *name == partition);
        Self(found.map_or("us-east-1", |(_, _, region)| region).to_owned())
    }
}

/// Which STS is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StsRoute {
    /// Its region.
    pub region: Region,
    /// Instead of the region's own endpoint.
    pub endpoint: Option<String>,
}

impl StsRoute {
    /// The usual STS of the role's partition.
    pub fn of_role(role: &RoleArn) -> Self {
        Self { region: Region::of_partition(role.partition()), endpoint: None }
    }
}

/// `arn:<partition>:iam::<account or aws>:policy/<path and name>`: a managed policy that STS takes as a session policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyArn(String);

/// Managed session policies that STS would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyArnError {
    /// No ARN of a managed policy.
    #[error("`{text}` is not the ARN of a managed policy: {fault}")]
    Malformed {
        /// What stands there, cut.
        text: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// In another account or partition than the role: STS does not find it.
    #[error(
        "`{text}` is neither in the role's account and partition nor a policy of AWS's own in that partition"
    )]
    Elsewhere {
        /// What stands there.
        text: String,
    },
}

/// What may stand in the account's place of an ARN of AWS's own policies.
const AWS_OWN: &str = "aws";

impl PolicyArn {
    /// The most that STS takes for one session.
    pub const MOST: usize = 10;

    /// Checks `text` against the role whose session it will shape.
    pub fn for_role(text: &str, role: &RoleArn) -> Result<Self, PolicyArnError> {
        let shown = || text.chars().take(200).flat_map(char::escape_default).collect();
        let (partition, account) =
            parse(text).map_err(|fault| PolicyArnError::Malformed { text: shown(), fault })?;
        let is_reachable = account == AWS_OWN || account == role.account();
        if partition == role.partition() && is_reachable {
            Ok(Self(text.to_owned()))
        } else {
            Err(PolicyArnError::Elsewhere { text: shown() })
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Partition and account.
fn parse(text: &str) -> Result<(&str, &str), &'static str> {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition_name, "iam", "", account, resource] = fields.as_slice() else {
        return Err("it is not of the form `arn:<partition>:iam::<account>:policy/<name>`");
    };
    if partition(partition_name).is_none() {
        return Err("its partition is unknown");
    }
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    if !is_account && *account != AWS_OWN {
        return Err("its account is neither 12 digits nor `aws`");
    }
    let name = resource.strip_prefix("policy/").ok_or("`policy/` does not follow the account")?;
    check_name(name)?;
    Ok((partition_name, account))
}

/// IAM `CreatePolicy`: 1-128 of `\w+=,.@-` after a path of at most 512 characters.
fn check_name(path_and_name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-');
    let mut parts = path_and_name.rsplit('/');
    let name = parts.next().unwrap_or_default();
    if !(1..=128).contains(&name.len()) || !name.chars().all(fits) {
        return Err("the policy's name is not 1-128 of `a-z A-Z 0-9 _ + = , . @ -`");
    }
    let is_path = parts.all(|part| !part.is_empty() && part.chars().all(fits));
    if is_path && path_and_name.len() - name.len() <= 511 {
        Ok(())
    } else {
        Err(
            "the policy's path has an empty part, is longer than 512 or has a character that may not stand there",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> RoleArn {
        RoleArn::new("arn:aws:iam::123456789012:role/x").unwrap()
    }

    #[test]
    fn text_that_is_no_region_is_refused() {
        for bad in ["", "eu central", "EU-CENTRAL-1", "a.b", "eu-central-1/", "é", &"a".repeat(33)] {
            assert_eq!(Region::new(bad), Err(RegionError), "{bad:?}");
        }
    }

    #[test]
    fn every_region_knows_its_partition() {
        for (region, partition) in [
            ("eu-central-1", "aws"),
            ("us-east-1", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("cn-northwest-1", "aws-cn"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
        ] {
            assert_eq!(Region::new(region).unwrap().partition(), partition, "{region}");
        }
        for (name, ..) in PARTITIONS {
            assert_eq!(Region::of_partition(name).partition(), name);
        }
    }

    #[test]
    fn text_that_is_no_managed_policy_is_refused_with_what_is_wrong() {
        for (bad, why) in [
            ("", "form"),
            ("arn:aws:iam::123456789012:role/x", "`policy/`"),
            ("arn:aws:s3::123456789012:policy/x", "form"),
            ("arn:aws:iam:eu-central-1:123456789012:policy/x", "form"),
            ("arn:amazon:iam::123456789012:policy/x", "partition"),
            ("arn:aws:iam::12345678901:policy/x", "12 digits"),
            ("arn:aws:iam::AWS:policy/x", "12 digits"),
            ("arn:aws:iam::123456789012:policy/", "name"),
            ("arn:aws:iam::123456789012:policy/a b", "name"),
            ("arn:aws:iam::123456789012:policy/*", "name"),
            ("arn:aws:iam::123456789012:policy//x", "path"),
            ("arn:aws:iam::123456789012:policy/a*/x", "path"),
            ("arn:aws:iam::123456789012:policy/x\n", "name"),
        ] {
            let fault = PolicyArn::for_role(bad, &role()).unwrap_err().to_string();
            assert!(fault.contains(why), "{bad:?}: {fault}");
        }
    }

    #[test]
    fn a_managed_policy_of_another_account_or_partition_is_refused() {
        for bad in [
            "arn:aws:iam::210987654321:policy/x",
            "arn:aws-cn:iam::123456789012:policy/x",
            "arn:aws-cn:iam::aws:policy/x",
        ] {
            let refusal = PolicyArn::for_role(bad, &role());
            assert!(matches!(refusal, Err(PolicyArnError::Elsewhere { .. })), "{bad}: {refusal:?}");
        }
        for good in [
            "arn:aws:iam::123456789012:policy/teams/a/orders-read",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess",
        ] {
            assert_eq!(PolicyArn::for_role(good, &role()).unwrap().as_str(), good);
        }
    }
}
