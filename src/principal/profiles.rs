//! One mapping per issuer profile: what each promises, and a refusal by name where a token breaks the promise.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Authentication, AwsIdentity, Github, Gitlab, Kubernetes, Principal, PrincipalId, Spiffe, Workload,
    WorkloadAttributes,
};
use super::{attributes::ClaimReader, person};
use crate::claims::{Claims, Profile};
use crate::clock::Moment;
use crate::ids::{IssuerName, Subject};

/// The claims do not have the shape that the profile promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token's claim `{claim}` is {fault} for profile `{profile}`")]
pub struct MapError {
    /// The issuer's profile.
    pub profile: &'static str,
    /// The claim's name, as the profile documents it.
    pub claim: &'static str,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// Claims of a verified token → principal and how it signed in.
pub fn map(
    issuer: &IssuerName,
    subject: &Subject,
    issued_at: Moment,
    profile: Profile,
    claims: &Claims,
) -> Result<(Principal, Authentication), MapError> {
    let id = PrincipalId { issuer: issuer.clone(), subject: subject.clone() };
    let mut reader = ClaimReader::new(profile, claims);
    let authentication = person::authentication(&mut reader, issued_at)?;
    let principal = match profile {
        Profile::Person => Principal::Person(person::person(id, reader)?),
        _ => Principal::Workload(workload(id, profile, reader)?),
    };
    Ok((principal, authentication))
}

fn workload(id: PrincipalId, profile: Profile, mut reader: ClaimReader<'_>) -> Result<Workload, MapError> {
    let subject = id.subject.as_str();
    let mut more_tags = BTreeMap::new();
    let attributes = match profile {
        Profile::Kubernetes => WorkloadAttributes::Kubernetes(kubernetes(subject, &mut reader)?),
        Profile::Github => WorkloadAttributes::Github(github(&mut reader)?),
        Profile::Gitlab => WorkloadAttributes::Gitlab(gitlab(&mut reader)?),
        Profile::Spiffe => WorkloadAttributes::Spiffe(spiffe(subject, &reader)?),
        Profile::Aws => {
            more_tags = aws_tags(&reader);
            WorkloadAttributes::Aws(aws(subject, &mut reader)?)
        }
        Profile::Generic | Profile::Person => WorkloadAttributes::Generic,
    };
    let groups = reader.groups()?;
    let mut tags = reader.tags();
    tags.extend(more_tags);
    Ok(Workload { id, attributes, groups, tags })
}

const K8S: &str = "kubernetes.io";

/// `sub` decides; the `kubernetes.io` record adds the pod and must agree. A record that names another namespace means
/// that somebody between us and the API server writes tokens.
fn kubernetes(subject: &str, reader: &mut ClaimReader<'_>) -> Result<Kubernetes, MapError> {
    let not_ours = || reader.fault("sub", "not `system:serviceaccount:NAMESPACE:NAME`");
    let (namespace, service_account) = subject
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
        .filter(|(namespace, account)| is_dns_name(namespace, 63, false) && is_dns_name(account, 253, true))
        .ok_or_else(not_ours)?;
    let record = reader.record(K8S)?;
    let nested =
        |object: &str| record.and_then(|record| record.record(object)).and_then(|object| object.text("name"));
    let disagrees = record.is_some_and(|record| record.text("namespace") != Some(namespace))
        || nested("serviceaccount").is_some_and(|name| name != service_account);
    if disagrees {
        return Err(reader.fault(K8S, "not in agreement with `sub`"));
    }
    Ok(Kubernetes {
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        pod: nested("pod").map(str::to_owned),
        node: nested("node").map(str::to_owned),
    })
}

/// RFC 1123, as Kubernetes names namespaces (labels) and service accounts (subdomains).
fn is_dns_name(text: &str, most: usize, dots: bool) -> bool {
    (1..=most).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || (dots && b == b'.'))
}

/// `sub` is not read: its form is the customer's to choose, and newer repositories write `repo:owner@ID/name@ID:…`.
fn github(reader: &mut ClaimReader<'_>) -> Result<Github, MapError> {
    let github = Github {
        repository: reader.text("repository")?,
        repository_id: reader.number("repository_id")?,
        repository_owner: reader.text("repository_owner")?,
        repository_owner_id: reader.number("repository_owner_id")?,
        git_ref: reader.text("ref")?,
        ref_type: reader.optional_text("ref_type")?,
        environment: reader.optional_text("environment")?,
        workflow_ref: reader.optional_text("workflow_ref")?,
        event_name: reader.optional_text("event_name")?,
        actor_id: reader.optional_number("actor_id")?,
    };
    let (owner, name) = github.repository.split_once('/').unwrap_or_default();
    if owner != github.repository_owner || name.is_empty() || name.contains('/') {
        return Err(reader.fault("repository", "not `OWNER/NAME` of `repository_owner`"));
    }
    Ok(github)
}

/// `runner_id` is a number, or null on some runners: nothing reads it, so nothing refuses it.
fn gitlab(reader: &mut ClaimReader<'_>) -> Result<Gitlab, MapError> {
    Ok(Gitlab {
        project_path: reader.text("project_path")?,
        project_id: reader.number("project_id")?,
        namespace_id: reader.number("namespace_id")?,
        git_ref: reader.text("ref")?,
        ref_type: reader.text("ref_type")?,
        ref_protected: reader.truth("ref_protected")?,
        environment: reader.optional_text("environment")?,
    })
}

/// SPIFFE-ID §2: no query, no escapes, no empty or dot segments, and a path, because an id without one names the trust
/// domain and no workload.
fn spiffe(subject: &str, reader: &ClaimReader<'_>) -> Result<Spiffe, MapError> {
    let parts = subject.strip_prefix("spiffe://").and_then(|id| id.split_once('/'));
    match parts {
        Some((domain, path)) if is_trust_domain(domain) && path.split('/').all(is_path_segment) => {
            Ok(Spiffe { trust_domain: domain.to_owned(), path: format!("/{path}") })
        }
        _ => Err(reader.fault("sub", "not a SPIFFE ID of a workload")),
    }
}

fn is_trust_domain(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}

fn is_path_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

const AWS: &str = "https://sts.amazonaws.com/";

/// `sub` is the ARN of the IAM principal; AWS's own claims are in a record named by a URL.
fn aws(subject: &str, reader: &mut ClaimReader<'_>) -> Result<AwsIdentity, MapError> {
    let record = reader.record(AWS)?.ok_or_else(|| reader.fault(AWS, "missing"))?;
    let account = record
        .text("aws_account")
        .filter(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| reader.fault(AWS, "without an `aws_account` of 12 digits"))?;
    let arn: Vec<&str> = subject.splitn(6, ':').collect();
    let ["arn", _, "iam" | "sts", "", arn_account, resource] = *arn else {
        return Err(reader.fault("sub", "not the ARN of an IAM principal"));
    };
    if arn_account != account {
        return Err(reader.fault("sub", "not of the account that `aws_account` names"));
    }
    let is_role = resource.starts_with("role/");
    Ok(AwsIdentity {
        account: account.to_owned(),
        role_arn: is_role.then(|| subject.to_owned()),
        org_id: record.text("org_id").map(str::to_owned),
    })
}

/// Tags on the IAM principal become `principal_tags.<key>`: an administrator of the account set them. `request_tags`
/// never become anything: whoever asked for the token chose them.
fn aws_tags(reader: &ClaimReader<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let tags = reader.peek(AWS).and_then(|record| record.record("principal_tags"));
    tags.into_iter()
        .flat_map(Claims::iter)
        .filter_map(|(key, value)| {
            let values = value.texts()?.into_iter().map(str::to_owned).collect();
            Some((format!("principal_tags.{key}"), values))
        })
        .collect()
}
