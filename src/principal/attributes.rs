//! Claims taken one by one, so that what nobody took can become tags; and attributes looked up by name.

use std::collections::{BTreeMap, BTreeSet};

use super::profiles::MapError;
use super::{Principal, WorkloadAttributes};
use crate::claims::{Claim, Claims, Profile};

/// Claims that describe the token or the session and not its bearer: they never become tags. A policy that compared one
/// would decide by chance, and tags stand in the log: a session's id or a nonce may be worth something to whoever reads it.
#[rustfmt::skip]
const OF_THE_TOKEN: [&str; 22] = [
    // RFC 7519 §4.1; RFC 8417 §2.2
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "txn",
    // OpenID Connect Core §2 and §3.3.2.11, FAPI, CIBA: what binds the token to a request or to other tokens
    "nonce", "at_hash", "c_hash", "s_hash", "urn:openid:params:jwt:claim:rt_hash",
    "urn:openid:params:jwt:claim:auth_req_id",
    // OpenID Connect Session Management and Front-Channel Logout §3; Auth0
    "sid", "session_state", "session_id",
    // Microsoft Entra and Amazon Cognito: ids of the token and of the sign-in
    "uti", "aio", "rh", "origin_jti", "event_id",
];

/// Reads claims for one profile and remembers which were taken.
pub(super) struct ClaimReader<'c> {
    profile: Profile,
    claims: &'c Claims,
    taken: BTreeSet<&'static str>,
}

impl<'c> ClaimReader<'c> {
    pub(super) fn new(profile: Profile, claims: &'c Claims) -> Self {
        Self { profile, claims, taken: BTreeSet::new() }
    }

    pub(super) fn fault(&self, claim: &'static str, fault: &'static str) -> MapError {
        MapError { profile: self.profile.as_str(), claim, fault }
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<&'c Claim> {
        self.taken.insert(name);
        self.claims.get(name)
    }

    /// A record, without taking it.
    pub(super) fn peek(&self, name: &str) -> Option<&'c Claims> {
        self.claims.record(name)
    }

    /// Absent, null and empty are the same: GitLab sends `environment: ""` and means none, and no policy should
    /// compare with nothing.
    pub(super) fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, MapError> {
        match self.take(name) {
            None | Some(Claim::Null) => Ok(None),
            Some(Claim::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.fault(name, "not a string")),
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<String, MapError> {
        self.optional_text(name)?.ok_or_else(|| self.fault(name, "missing"))
    }

    /// A whole number, sent as a number or as a string of digits: GitHub and GitLab send both, by age of the version.
    /// One canonical text, so that policy compares what it wrote.
    pub(super) fn optional_number(&mut self, name: &'static str) -> Result<Option<String>, MapError> {
        match self.take(name) {
            None | Some(Claim::Null) => Ok(None),
            Some(Claim::Integer(number)) if *number >= 0 => Ok(Some(number.to_string())),
            Some(Claim::Text(text)) if is_canonical_number(text) => Ok(Some(text.clone())),
            Some(_) => Err(self.fault(name, "not a whole number")),
        }
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<String, MapError> {
        self.optional_number(name)?.ok_or_else(|| self.fault(name, "missing"))
    }

    /// A truth, sent as one or as the string `true` or `false`, which is what GitLab does.
    pub(super) fn truth(&mut self, name: &'static str) -> Result<bool, MapError> {
        match self.take(name) {
            Some(Claim::Bool(truth)) => Ok(*truth),
            Some(Claim::Text(text)) if text == "true" => Ok(true),
            Some(Claim::Text(text)) if text == "false" => Ok(false),
            None => Err(self.fault(name, "missing")),
            Some(_) => Err(self.fault(name, "neither true nor false")),
        }
    }

    pub(super) fn record(&mut self, name: &'static str) -> Result<Option<&'c Claims>, MapError> {
        match self.take(name) {
            None => Ok(None),
            Some(Claim::Record(record)) => Ok(Some(record)),
            Some(_) => Err(self.fault(name, "not an object")),
        }
    }

    pub(super) fn optional_texts(
        &mut self,
        name: &'static str,
    ) -> Result<Option<BTreeSet<String>>, MapError> {
        match self.take(name) {
            None | Some(Claim::Null) => Ok(None),
            Some(claim) => match claim.texts() {
                Some(texts) => Ok(Some(texts.into_iter().map(str::to_owned).collect())),
                None => Err(self.fault(name, "not a string or a list of strings")),
            },
        }
    }

    /// `groups`. Wrong types are refused and not skipped: a `forbid` for a group must not be escaped by a broken list.
    pub(super) fn groups(&mut self) -> Result<BTreeSet<String>, MapError> {
        Ok(self.optional_texts("groups")?.unwrap_or_default())
    }

    /// Every string and list of strings that nobody took.
    pub(super) fn tags(self) -> BTreeMap<String, BTreeSet<String>> {
        let is_left = |name: &str| !self.taken.contains(name) && !OF_THE_TOKEN.contains(&name);
        let left = self.claims.iter().filter(|(name, _)| is_left(name));
        left.filter_map(|(name, claim)| {
            let values = claim.texts()?.into_iter().map(str::to_owned).collect();
            Some((name.to_owned(), values))
        })
        .collect()
    }
}

/// Digits without a leading zero: `074` and `74` must not be two texts for one id.
fn is_canonical_number(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 20
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

impl Principal {
    /// An attribute by its name, for templates that name a caller's attributes. A leading `principal.` may stand or
    /// not.
    ///
    /// | callers | names |
    /// |---|---|
    /// | all | `issuer` (the configured name), `subject`, `tags.<claim>` where the claim has exactly one value |
    /// | `kubernetes` | `namespace` `service_account` `pod` `node` |
    /// | `github` | `repository` `repository_id` `repository_owner` `repository_owner_id` `ref` `ref_type` `environment` `workflow_ref` `event_name` `actor_id` |
    /// | `gitlab` | `project_path` `project_id` `namespace_id` `ref` `ref_type` `ref_protected` (`true`/`false`) `environment` |
    /// | `spiffe` | `trust_domain` `path` (with its leading `/`) |
    /// | `aws` | `account` `role_arn` `org_id`; tags of the IAM principal are `tags.principal_tags.<key>` |
    /// | `generic`, `person` | nothing more: a person's e-mail address and name are for display |
    pub fn attribute(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix("principal.").unwrap_or(path);
        match path {
            "issuer" => Some(self.id().issuer.as_str().to_owned()),
            "subject" => Some(self.id().subject.as_str().to_owned()),
            _ => match path.strip_prefix("tags.") {
                Some(name) => self.only_tag(name),
                None => self.typed(path),
            },
        }
    }

    fn only_tag(&self, name: &str) -> Option<String> {
        let mut values = self.tags().get(name)?.iter();
        values.next().filter(|_| values.next().is_none()).cloned()
    }

    fn typed(&self, name: &str) -> Option<String> {
        let Self::Workload(workload) = self else { return None };
        match &workload.attributes {
            WorkloadAttributes::Kubernetes(it) => it.attribute(name),
            WorkloadAttributes::Github(it) => it.attribute(name),
            WorkloadAttributes::Gitlab(it) => it.attribute(name),
            WorkloadAttributes::Spiffe(it) => it.attribute(name),
            WorkloadAttributes::Aws(it) => it.attribute(name),
            WorkloadAttributes::Generic => None,
        }
    }
}

impl super::Kubernetes {
    fn attribute(&self, name: &str) -> Option<String> {
        match name {
            "namespace" => Some(self.namespace.clone()),
            "service_account" => Some(self.service_account.clone()),
            "pod" => self.pod.clone(),
            "node" => self.node.clone(),
            _ => None,
        }
    }
}

impl super::Github {
    fn attribute(&self, name: &str) -> Option<String> {
        match name {
            "repository" => Some(self.repository.clone()),
            "repository_id" => Some(self.repository_id.clone()),
            "repository_owner" => Some(self.repository_owner.clone()),
            "repository_owner_id" => Some(self.repository_owner_id.clone()),
            "ref" => Some(self.git_ref.clone()),
            "ref_type" => self.ref_type.clone(),
            "environment" => self.environment.clone(),
            "workflow_ref" => self.workflow_ref.clone(),
            "event_name" => self.event_name.clone(),
            "actor_id" => self.actor_id.clone(),
            _ => None,
        }
    }
}

impl super::Gitlab {
    fn attribute(&self, name: &str) -> Option<String> {
        match name {
            "project_path" => Some(self.project_path.clone()),
            "project_id" => Some(self.project_id.clone()),
            "namespace_id" => Some(self.namespace_id.clone()),
            "ref" => Some(self.git_ref.clone()),
            "ref_type" => Some(self.ref_type.clone()),
            "ref_protected" => Some(self.ref_protected.to_string()),
            "environment" => self.environment.clone(),
            _ => None,
        }
    }
}

impl super::Spiffe {
    fn attribute(&self, name: &str) -> Option<String> {
        match name {
            "trust_domain" => Some(self.trust_domain.clone()),
            "path" => Some(self.path.clone()),
            _ => None,
        }
    }
}

impl super::AwsIdentity {
    fn attribute(&self, name: &str) -> Option<String> {
        match name {
            "account" => Some(self.account.clone()),
            "role_arn" => self.role_arn.clone(),
            "org_id" => self.org_id.clone(),
            _ => None,
        }
    }
}
