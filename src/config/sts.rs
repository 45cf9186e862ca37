//! What `[aws]` says for every grant and a grant may say for itself: which STS, which external id, which managed policies.

use url::Url;

use super::aws::{AwsMode, AwsSettings};
use super::net::web_url;
use crate::document::Section;
use crate::document::quoted;
use crate::grants::{PolicyArn, Region, RoleArn, StsRoute};

/// What of a grant has to do with the way to STS.
#[derive(Debug)]
pub(super) struct GrantSts {
    pub(super) route: StsRoute,
    pub(super) external_id: Option<String>,
    pub(super) policy_arns: Vec<PolicyArn>,
}

pub(super) fn region(section: &Section<'_>) -> Option<Region> {
    let region = section.parsed("region", |text| {
        let refusal =
            |_| (format!("{} is no AWS region", quoted(text)), "such as \"eu-central-1\"".to_owned());
        Region::new(text).map_err(refusal)
    })?;
    Some(region.value)
}

pub(super) fn endpoint(section: &Section<'_>) -> Option<Url> {
    section.parsed("sts_endpoint", web_url).map(|at| at.value)
}

pub(super) fn external_id(section: &Section<'_>) -> Option<String> {
    let id = section.parsed("external_id", |text| {
        let fits = (2..=1_224).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b));
        let refusal = || {
            (format!("{} is no external id", quoted(text)), "2-1224 of letters, digits and _+=,.@:/-".into())
        };
        if fits { Ok(text.to_owned()) } else { Err(refusal()) }
    })?;
    Some(id.value)
}

/// `AssumeRoleWithWebIdentity` has no such parameter: a trust policy that asks for it would refuse every call.
pub(super) fn refuse_external_id(section: &Section<'_>) {
    if section.has("external_id") {
        let help = "leave it out: the token's subject names the grant, and the trust policy can ask for that";
        section.fault("external_id", "AWS takes no external id with mode = \"web_identity\"", help);
    }
}

/// `None` when something is wrong, or `[aws]` is.
pub(super) fn read(section: &Section<'_>, role: &RoleArn, aws: Option<&AwsSettings>) -> Option<GrantSts> {
    let (own_region, own_endpoint) = (region(section), endpoint(section));
    let own_id = external_id(section);
    let policy_arns = policy_arns(section, role);
    let aws = aws?;
    if matches!(aws.mode, AwsMode::WebIdentity { .. }) {
        refuse_external_id(section);
    }
    let route = match own_region {
        // The endpoint of [aws] is the one of its region: this one has its own.
        Some(region) => StsRoute { region, endpoint: own_endpoint.map(String::from) },
        None if section.has("region") => return None,
        None => StsRoute {
            region: aws.sts.region.clone(),
            endpoint: own_endpoint.map(String::from).or_else(|| aws.sts.endpoint.clone()),
        },
    };
    check_partition(section, role, &route.region, aws);
    let external_id = own_id.or_else(|| aws.external_id.clone());
    Some(GrantSts { route, external_id, policy_arns: policy_arns? })
}

/// Partitions share nothing: a role is assumed at an STS of its own partition, and credentials of one are unknown in another.
fn check_partition(section: &Section<'_>, role: &RoleArn, region: &Region, aws: &AwsSettings) {
    let wanted = role.partition();
    if region.partition() != wanted {
        let key = if section.has("region") { "region" } else { "role_arn" };
        let message = format!(
            "the role is in the partition `{wanted}`, the region {} in `{}`",
            quoted(region.as_str()),
            region.partition()
        );
        section.fault(
            key,
            message,
            format!("such as region = \"{}\"", Region::of_partition(wanted).as_str()),
        );
    } else if aws.mode == AwsMode::AssumeRole && aws.sts.region.partition() != wanted {
        let message = format!(
            "the role is in the partition `{wanted}`, [aws] in `{}`: the broker's AWS identity counts in its own partition only",
            aws.sts.region.partition()
        );
        section.fault(
            "role_arn",
            message,
            "mode = \"web_identity\" needs no identity, or run a broker there",
        );
    }
}

fn policy_arns(section: &Section<'_>, role: &RoleArn) -> Option<Vec<PolicyArn>> {
    let Some(texts) = section.texts("policy_arns") else {
        return (!section.has("policy_arns")).then(Vec::new);
    };
    if texts.len() > PolicyArn::MOST {
        let message = format!("{} managed policies; STS takes at most {}", texts.len(), PolicyArn::MOST);
        section.fault("policy_arns", message, "put their statements together into fewer");
        return None;
    }
    let arn = |text: &str| {
        let help = format!(
            "such as \"arn:{0}:iam::{1}:policy/orders-read\" or \"arn:{0}:iam::aws:policy/ReadOnlyAccess\"",
            role.partition(),
            role.account()
        );
        PolicyArn::for_role(text, role).map_err(|error| (error.to_string(), help))
    };
    let read: Vec<_> = texts.into_iter().map(|text| section.parse_at(text, arn).map(|at| at.value)).collect();
    read.into_iter().collect()
}
