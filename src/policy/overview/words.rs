//! A policy's scope in words, and its conditions as the author wrote them.

use cedar_policy::{EntityTypeName, EntityUid, Policy, PrincipalConstraint};

use crate::policy::explain::all_parts;
use crate::policy::schema::Vocabulary;

/// Whom the scope means.
pub(super) fn who(policy: &Policy, words: &Vocabulary) -> String {
    match policy.principal_constraint() {
        PrincipalConstraint::Any => "anybody".to_owned(),
        PrincipalConstraint::Is(kind) => kind_of(&kind, words).to_owned(),
        PrincipalConstraint::In(uid) => within("whoever is", &uid, words),
        PrincipalConstraint::IsIn(kind, uid) => within(kind_of(&kind, words), &uid, words),
        PrincipalConstraint::Eq(uid) => format!("`{}`", uid.id().unescaped()),
    }
}

fn kind_of(kind: &EntityTypeName, words: &Vocabulary) -> &'static str {
    if *kind == words.person { "people" } else { "workloads" }
}

fn within(whom: &str, uid: &EntityUid, words: &Vocabulary) -> String {
    let id = uid.id().unescaped();
    if *uid.type_name() == words.group { format!("{whom} in group `{id}`") } else { format!("`{id}`") }
}

/// Every part of the conditions.
pub(super) fn conditions(policy: &Policy) -> Vec<String> {
    let parts = all_parts(policy).into_iter();
    parts.map(|(source, hold)| if hold { source } else { format!("not {source}") }).collect()
}
