//! Principals, grants and groups as Cedar entities.
//!
//! Built without a schema check per request: what typed code builds has the schema's shape by construction, and tests
//! hold it there for every profile.

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression as Expr};

use super::fault::{Fault, LoadError};
use super::question::ElevationFacts;
use super::reads::{Part, Reads};
use super::relations::{Relations, token_group_uid};
use super::schema::{Vocabulary, uid};
use super::values::{Members, ValueError, duration, entity, tags, text, texts};
use crate::grants::Grant;
use crate::principal::{
    AwsIdentity, Github, Gitlab, Kubernetes, Person, Principal, PrincipalId, Spiffe, Workload,
    WorkloadAttributes,
};

/// A grant as policy sees it: the part of a request that does not change.
#[derive(Debug)]
pub(super) struct GrantEntity {
    pub(super) uid: EntityUid,
    /// The grant, the sets that hold it, and the group that owns it.
    pub(super) entities: Entities,
}

impl GrantEntity {
    pub(super) fn new(grant: &Grant, words: &Vocabulary, relations: &Relations) -> Result<Self, LoadError> {
        let mut members = Members::default();
        members.text("name", grant.name.as_str());
        members.text("kind", grant.kind_name());
        members.put("break_glass", Expr::new_bool(grant.break_glass.is_some()));
        members.optional("account", grant.account());
        members.put("labels", texts(grant.labels.iter().map(String::as_str)));
        if let Some(owner) = relations.owner(&grant.name) {
            members.put("owner", entity(owner.clone()));
        }
        let sets: Vec<EntityUid> = grant.sets.iter().map(|set| uid(&words.grant_set, set)).collect();
        let grant_uid = uid(&words.grant, grant.name.as_str());
        let fault = |error: String| LoadError::from(Fault::of_file(format!("grant `{}`", grant.name), error));
        let built = Entity::new_with_tags(grant_uid.clone(), members.0, sets.clone(), [])
            .map_err(|error| fault(error.to_string()))?;
        let groups = relations.group_entities(&grant.name);
        let all = sets.into_iter().map(Entity::with_uid).chain(groups).chain([built]);
        let entities = Entities::from_entities(all, None).map_err(|error| fault(error.to_string()))?;
        Ok(Self { uid: grant_uid, entities })
    }
}

pub(super) fn principal_uid(principal: &Principal, words: &Vocabulary) -> EntityUid {
    match principal {
        Principal::Workload(workload) => uid(&words.workload, &workload.id.to_string()),
        Principal::Person(person) => person_uid(person, words),
    }
}

pub(super) fn person_uid(person: &Person, words: &Vocabulary) -> EntityUid {
    uid(&words.person, &person.id.to_string())
}

pub(super) fn elevation_uid(facts: &ElevationFacts<'_>, words: &Vocabulary) -> EntityUid {
    uid(&words.elevation, facts.id)
}

pub(super) fn elevation(facts: &ElevationFacts<'_>, words: &Vocabulary) -> Result<Entity, ValueError> {
    let mut members = Members::default();
    members.put("grant", entity(uid(&words.grant, facts.grant.name.as_str())));
    members.put("requester", entity(person_uid(facts.requester, words)));
    members.put("duration", duration(facts.duration));
    members.text("reason", facts.reason);
    members.optional("ticket", facts.ticket);
    Entity::new_with_tags(elevation_uid(facts, words), members.0, [], []).map_err(ValueError::of)
}

/// The caller, with what `reads` can look at.
pub(super) fn principal(
    caller: &Principal,
    words: &Vocabulary,
    relations: &Relations,
    reads: Reads,
) -> Result<Entity, ValueError> {
    match caller {
        Principal::Workload(one) => workload(one, words, relations, reads),
        Principal::Person(one) => person(one, words, relations, reads),
    }
}

pub(super) fn workload(
    caller: &Workload,
    words: &Vocabulary,
    relations: &Relations,
    reads: Reads,
) -> Result<Entity, ValueError> {
    let mut members = common(&caller.id, words, reads);
    if let Some((name, record)) = profile(&caller.attributes, reads) {
        members.put(name, record.record()?);
    }
    let tags = reads.has(Part::Tags).then(|| tags(&caller.tags)).into_iter().flatten();
    let uid = uid(&words.workload, &caller.id.to_string());
    let groups = reads.has(Part::Ancestors).then(|| {
        let named = caller.groups.iter().map(|group| token_group_uid(&caller.id.issuer, group, words));
        relations.groups_of(&uid, named)
    });
    Entity::new_with_tags(uid, members.0, groups.unwrap_or_default(), tags).map_err(ValueError::of)
}

pub(super) fn person(
    caller: &Person,
    words: &Vocabulary,
    relations: &Relations,
    reads: Reads,
) -> Result<Entity, ValueError> {
    let mut members = common(&caller.id, words, reads);
    if reads.has(Part::Email) {
        members.optional("email", caller.email.as_deref());
    }
    if reads.has(Part::Name) {
        members.optional("name", caller.name.as_deref());
    }
    let tags = reads.has(Part::Tags).then(|| tags(&caller.tags)).into_iter().flatten();
    let uid = person_uid(caller, words);
    let groups = reads.has(Part::Ancestors).then(|| {
        let named = caller.groups.iter().map(|group| token_group_uid(&caller.id.issuer, group, words));
        relations.groups_of(&uid, named)
    });
    Entity::new_with_tags(uid, members.0, groups.unwrap_or_default(), tags).map_err(ValueError::of)
}

fn common(id: &PrincipalId, words: &Vocabulary, reads: Reads) -> Members {
    let mut members = Members::default();
    if reads.has(Part::Issuer) {
        members.put("issuer", entity(uid(&words.issuer, id.issuer.as_str())));
    }
    if reads.has(Part::Subject) {
        members.put("subject", text(id.subject.as_str()));
    }
    members
}

fn profile(attributes: &WorkloadAttributes, reads: Reads) -> Option<(&'static str, Members)> {
    let (part, name, build): (_, _, &dyn Fn() -> Members) = match attributes {
        WorkloadAttributes::Kubernetes(facts) => (Part::Kubernetes, "kubernetes", &|| kubernetes(facts)),
        WorkloadAttributes::Github(facts) => (Part::Github, "github", &|| github(facts)),
        WorkloadAttributes::Gitlab(facts) => (Part::Gitlab, "gitlab", &|| gitlab(facts)),
        WorkloadAttributes::Spiffe(facts) => (Part::Spiffe, "spiffe", &|| spiffe(facts)),
        WorkloadAttributes::Aws(facts) => (Part::Aws, "aws", &|| aws(facts)),
        WorkloadAttributes::Generic => return None,
    };
    reads.has(part).then(|| (name, build()))
}

fn kubernetes(facts: &Kubernetes) -> Members {
    let mut members = Members::default();
    members.text("namespace", &facts.namespace);
    members.text("service_account", &facts.service_account);
    members.optional("pod", facts.pod.as_deref());
    members.optional("node", facts.node.as_deref());
    members
}

fn github(facts: &Github) -> Members {
    let mut members = Members::default();
    members.text("repository", &facts.repository);
    members.text("repository_id", &facts.repository_id);
    members.text("repository_owner", &facts.repository_owner);
    members.text("repository_owner_id", &facts.repository_owner_id);
    members.text("ref", &facts.git_ref);
    members.optional("ref_type", facts.ref_type.as_deref());
    members.optional("environment", facts.environment.as_deref());
    members.optional("workflow_ref", facts.workflow_ref.as_deref());
    members.optional("event_name", facts.event_name.as_deref());
    members.optional("actor_id", facts.actor_id.as_deref());
    members
}

fn gitlab(facts: &Gitlab) -> Members {
    let mut members = Members::default();
    members.text("project_path", &facts.project_path);
    members.text("project_id", &facts.project_id);
    members.text("namespace_id", &facts.namespace_id);
    members.text("ref", &facts.git_ref);
    members.text("ref_type", &facts.ref_type);
    members.put("ref_protected", Expr::new_bool(facts.ref_protected));
    members.optional("environment", facts.environment.as_deref());
    members
}

fn spiffe(facts: &Spiffe) -> Members {
    let mut members = Members::default();
    members.text("trust_domain", &facts.trust_domain);
    members.text("path", &facts.path);
    members
}

fn aws(facts: &AwsIdentity) -> Members {
    let mut members = Members::default();
    members.text("account", &facts.account);
    members.optional("role_arn", facts.role_arn.as_deref());
    members.optional("org_id", facts.org_id.as_deref());
    members
}
