//! A described caller: what a token of the issuer would have given.

use std::collections::{BTreeMap, BTreeSet};

use super::shapes;
use crate::claims::Profile;
use crate::document::{Section, nearest, quoted};
use crate::ids::{IssuerName, Subject};
use crate::policy::facts::{PrincipalFacts, PrincipalKind};
use crate::policy::{KnownIssuer, World};
use crate::principal::{AwsIdentity, Github, Gitlab, Kubernetes, Spiffe};

/// People and workloads that cases call by a name.
pub(super) type Named = BTreeMap<String, PrincipalFacts>;

/// One that has a name or is described on the spot.
pub(super) fn read_or_named(
    section: &Section<'_>,
    key: &str,
    named: &Named,
    world: &World,
) -> Option<PrincipalFacts> {
    let Some(name) = section.quiet_text(key) else {
        return read(&section.section(key, &shapes::PRINCIPAL)?, world);
    };
    if let Some(known) = named.get(name) {
        return Some(known.clone());
    }
    let help = match nearest(name, named.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "write [principals.{name}], or describe one: {key} = {{ issuer = \"…\", subject = \"…\" }}"
        ),
    };
    section.fault(key, format!("no principal of this file is called {}", quoted(name)), help);
    None
}

pub(super) fn read(section: &Section<'_>, world: &World) -> Option<PrincipalFacts> {
    let issuer = section.require("issuer", issuer(section, world), "such as issuer = \"prod-cluster\"");
    let parse = |text: &str| Subject::new(text).map_err(|error| (error.to_string(), String::new()));
    let subject = section.require("subject", section.parsed("subject", parse), "the `sub` of the token");
    let issuer = issuer?;
    let kind = kind(section, issuer);
    let groups = section.texts("groups").unwrap_or_default();
    let groups: BTreeSet<String> = groups.into_iter().map(|group| group.value.to_owned()).collect();
    if !groups.is_empty() && !issuer.profile.names_groups() {
        let message = format!("tokens of `{}` name no groups", issuer.name);
        section.fault("groups", message, format!("its profile is `{}`", issuer.profile.as_str()));
    }
    let tags = section.text_set_pairs("tags").into_iter();
    let tags = tags.map(|(name, values)| (name.to_owned(), owned(&values.value))).collect();
    let text = |key| section.text(key).map(|text| text.value.to_owned());
    let facts = PrincipalFacts {
        kind,
        issuer: issuer.name.clone(),
        subject: subject?.value,
        groups,
        kubernetes: record(section, "kubernetes", issuer, kubernetes),
        github: record(section, "github", issuer, github).map(Box::new),
        gitlab: record(section, "gitlab", issuer, gitlab).map(Box::new),
        spiffe: record(section, "spiffe", issuer, spiffe),
        aws: record(section, "aws", issuer, aws),
        email: text("email"),
        name: text("name"),
        tags,
    };
    if kind == PrincipalKind::Workload {
        for key in ["email", "name"].into_iter().filter(|key| section.has(key)) {
            section.fault(key, "only people have this", "leave it out");
        }
    }
    Some(facts)
}

fn owned(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn issuer<'w>(section: &Section<'_>, world: &'w World) -> Option<&'w KnownIssuer> {
    let name = section.parsed("issuer", |text| {
        IssuerName::new(text).map_err(|error| (error.to_string(), "such as \"prod-cluster\"".to_owned()))
    })?;
    let known = world.issuer(name.value.as_str());
    if known.is_none() {
        let names: Vec<_> = world.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        let help = match nearest(name.value.as_str(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known issuers: {}", names.join(", ")),
        };
        section.fault_at(&name.place, format!("no issuer is called {}", quoted(name.value.as_str())), help);
    }
    known
}

/// The issuer's profile decides; a case may say it, and must not say otherwise.
fn kind(section: &Section<'_>, issuer: &KnownIssuer) -> PrincipalKind {
    let person = issuer.profile == Profile::Person;
    if section.flag("person").is_some_and(|said| said != person) {
        let makes = if person { "people" } else { "workloads" };
        section.fault("person", format!("issuer `{}` makes tokens for {makes}", issuer.name), "leave it out");
    }
    if person { PrincipalKind::Person } else { PrincipalKind::Workload }
}

/// The record of the issuer's profile is needed, and no other is taken.
fn record<T>(
    section: &Section<'_>,
    key: &'static str,
    issuer: &KnownIssuer,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    let shape = match key {
        "kubernetes" => &shapes::KUBERNETES,
        "github" => &shapes::GITHUB,
        "gitlab" => &shapes::GITLAB,
        "spiffe" => &shapes::SPIFFE,
        _ => &shapes::AWS,
    };
    let own = issuer.profile.as_str() == key;
    if own && !section.has(key) {
        let message = format!("missing: every token of `{}` has it", issuer.name);
        section.fault(
            key,
            message,
            format!("write {key} = {{ {} = \"…\", … }}", shape.keys.join(" = \"…\", ")),
        );
    }
    let found = section.section(key, shape)?;
    if !own {
        let message = format!("a token of `{}` has no such record", issuer.name);
        section.fault(key, message, format!("its profile is `{}`", issuer.profile.as_str()));
    }
    read(&found)
}

fn needed(section: &Section<'_>, key: &str) -> Option<String> {
    section.require(key, section.text(key), &format!("write {key} = \"…\"")).map(|text| text.value.to_owned())
}

fn optional(section: &Section<'_>, key: &str) -> Option<String> {
    section.text(key).map(|text| text.value.to_owned())
}

fn kubernetes(section: &Section<'_>) -> Option<Kubernetes> {
    let (namespace, service_account) = (needed(section, "namespace"), needed(section, "service_account"));
    let (pod, node) = (optional(section, "pod"), optional(section, "node"));
    Some(Kubernetes { namespace: namespace?, service_account: service_account?, pod, node })
}

fn github(section: &Section<'_>) -> Option<Github> {
    let [repository, repository_id, repository_owner, repository_owner_id, git_ref] =
        ["repository", "repository_id", "repository_owner", "repository_owner_id", "ref"]
            .map(|key| needed(section, key));
    let [ref_type, environment, workflow_ref, event_name, actor_id] =
        ["ref_type", "environment", "workflow_ref", "event_name", "actor_id"]
            .map(|key| optional(section, key));
    Some(Github {
        repository: repository?,
        repository_id: repository_id?,
        repository_owner: repository_owner?,
        repository_owner_id: repository_owner_id?,
        git_ref: git_ref?,
        ref_type,
        environment,
        workflow_ref,
        event_name,
        actor_id,
    })
}

fn gitlab(section: &Section<'_>) -> Option<Gitlab> {
    let [project_path, project_id, namespace_id, git_ref, ref_type] =
        ["project_path", "project_id", "namespace_id", "ref", "ref_type"].map(|key| needed(section, key));
    let ref_protected =
        section.require("ref_protected", section.flag("ref_protected"), "write true or false");
    Some(Gitlab {
        project_path: project_path?,
        project_id: project_id?,
        namespace_id: namespace_id?,
        git_ref: git_ref?,
        ref_type: ref_type?,
        ref_protected: ref_protected?,
        environment: optional(section, "environment"),
    })
}

fn spiffe(section: &Section<'_>) -> Option<Spiffe> {
    let (trust_domain, path) = (needed(section, "trust_domain"), needed(section, "path"));
    Some(Spiffe { trust_domain: trust_domain?, path: path? })
}

fn aws(section: &Section<'_>) -> Option<AwsIdentity> {
    let account = needed(section, "account");
    let (role_arn, org_id) = (optional(section, "role_arn"), optional(section, "org_id"));
    Some(AwsIdentity { account: account?, role_arn, org_id })
}
