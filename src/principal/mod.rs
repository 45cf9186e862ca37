//! Who a verified caller is: claims in, a [`Principal`] with typed attributes out. Knows the shapes that issuer
//! profiles promise; refuses to know how a token was checked or what the principal may do.

mod attributes;
mod person;
mod profiles;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use profiles::{MapError, map};

use crate::clock::Moment;
use crate::ids::{IssuerName, Subject};

/// The immutable name of a caller: two callers are the same only when both parts are, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PrincipalId {
    /// The configured name of the issuer.
    pub issuer: IssuerName,
    /// The token's `sub`.
    pub subject: Subject,
}

impl fmt::Display for PrincipalId {
    /// `<issuer name>|<sub>`. An issuer's name holds no `|`, so this cannot be forged by a subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.issuer, self.subject)
    }
}

/// A verified caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A program.
    Workload(Workload),
    /// A human being.
    Person(Person),
}

/// A program that presented its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Who.
    pub id: PrincipalId,
    /// What its profile promises.
    pub attributes: WorkloadAttributes,
    /// Ids of Cedar groups, without the issuer's name in front: the token's `groups`.
    pub groups: BTreeSet<String>,
    /// Every other string or string-list claim.
    pub tags: BTreeMap<String, BTreeSet<String>>,
}

/// The typed attributes that a workload's profile gives to policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadAttributes {
    /// `kubernetes`
    Kubernetes(Kubernetes),
    /// `github`
    Github(Github),
    /// `gitlab`
    Gitlab(Gitlab),
    /// `spiffe`
    Spiffe(Spiffe),
    /// `aws`
    Aws(AwsIdentity),
    /// `generic`: only tags.
    Generic,
}

/// A Kubernetes service account, and the pod it was mounted into.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the claim of that name under `kubernetes.io`")]
pub struct Kubernetes {
    pub namespace: String,
    pub service_account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// A GitHub Actions job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is GitHub's claim of that name")]
pub struct Github {
    pub repository: String,
    pub repository_id: String,
    pub repository_owner: String,
    pub repository_owner_id: String,
    #[serde(rename = "ref")]
    pub git_ref: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
}

/// A GitLab CI/CD job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is GitLab's claim of that name")]
pub struct Gitlab {
    pub project_path: String,
    pub project_id: String,
    pub namespace_id: String,
    #[serde(rename = "ref")]
    pub git_ref: String,
    pub ref_type: String,
    pub ref_protected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A SPIFFE ID, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the two parts of a SPIFFE ID (SPIFFE-ID §2)")]
pub struct Spiffe {
    pub trust_domain: String,
    pub path: String,
}

/// An AWS principal that called `GetWebIdentityToken`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "AWS's own names")]
pub struct AwsIdentity {
    pub account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
}

/// A human being, as their own identity provider names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who. Only this decides; never the e-mail address or the name.
    pub id: PrincipalId,
    /// For display.
    pub email: Option<String>,
    /// For display.
    pub name: Option<String>,
    /// The token's `groups`, without the issuer's name in front.
    pub groups: BTreeSet<String>,
    /// Every other string or string-list claim.
    pub tags: BTreeMap<String, BTreeSet<String>>,
}

/// How and when the caller signed in: what policy sees as `context.auth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// The token's `iat`.
    pub issued_at: Moment,
    /// `acr`
    pub acr: Option<String>,
    /// `amr`
    pub amr: BTreeSet<String>,
    /// `auth_time`
    pub auth_time: Option<Moment>,
}

impl Principal {
    /// Who this is.
    pub fn id(&self) -> &PrincipalId {
        match self {
            Self::Workload(workload) => &workload.id,
            Self::Person(person) => &person.id,
        }
    }

    /// `"workload"` or `"person"`, for the record.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Workload(_) => "workload",
            Self::Person(_) => "person",
        }
    }

    /// The groups that the token names, without the issuer's name in front.
    pub fn groups(&self) -> &BTreeSet<String> {
        match self {
            Self::Workload(workload) => &workload.groups,
            Self::Person(person) => &person.groups,
        }
    }

    /// Every claim that no typed attribute took.
    pub fn tags(&self) -> &BTreeMap<String, BTreeSet<String>> {
        match self {
            Self::Workload(workload) => &workload.tags,
            Self::Person(person) => &person.tags,
        }
    }
}
