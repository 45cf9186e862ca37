//! The literals and attributes that stand in a policy.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, PrincipalConstraint, ResourceConstraint};
use cedar_policy_core::ast::{Expr, ExprKind, Literal};

use crate::policy::LoadedPolicy;
use crate::policy::schema::{Action, Vocabulary};

/// Every node of the condition.
pub(super) fn nodes(policy: &LoadedPolicy) -> impl Iterator<Item = &Expr> {
    policy.policy.as_ref().non_scope_constraints().into_iter().flat_map(Expr::subexpressions)
}

/// The entity that a node names.
pub(super) fn named(node: &Expr) -> Option<EntityUid> {
    match node.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => Some(EntityUid::from(uid.as_ref().clone())),
        _ => None,
    }
}

/// The text that a node is.
pub(super) fn text(node: &Expr) -> Option<&str> {
    match node.expr_kind() {
        ExprKind::Lit(Literal::String(text)) => Some(text),
        _ => None,
    }
}

/// The entities of the scope, the action left out.
pub(super) fn scope(policy: &LoadedPolicy) -> impl Iterator<Item = EntityUid> {
    let principal = match policy.policy.principal_constraint() {
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Some(uid)
        }
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    };
    let resource = match policy.policy.resource_constraint() {
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid)
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    };
    principal.into_iter().chain(resource)
}

/// The actions that the scope leaves.
pub(super) fn actions(policy: &LoadedPolicy, words: &Vocabulary) -> BTreeSet<Action> {
    match policy.policy.action_constraint() {
        ActionConstraint::Any => Action::ALL.into_iter().collect(),
        ActionConstraint::Eq(uid) => words.action_of(&uid).into_iter().collect(),
        ActionConstraint::In(uids) => uids.iter().filter_map(|uid| words.action_of(uid)).collect(),
    }
}

/// The ids of every entity of that type in the scope and the condition.
pub(super) fn ids_of(policy: &LoadedPolicy, kind: &EntityTypeName) -> BTreeSet<String> {
    let all = scope(policy).chain(nodes(policy).filter_map(named));
    all.filter(|uid| uid.type_name() == kind).map(|uid| uid.id().unescaped().to_owned()).collect()
}
