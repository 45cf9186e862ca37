//! Policies that never matter, because a forbid holds whenever they do. Whoever wrote one believes in something that never
//! happens.
//!
//! Only what is certain is told: for every question that the policy could answer, the forbid's scope is as wide, and each
//! part of its condition holds by what is known or stands in the policy's own condition.

use std::collections::BTreeMap;

use cedar_policy::{Effect, EntityUid, PrincipalConstraint, ResourceConstraint};
use cedar_policy_core::ast::{Expr, ExprKind, UnaryOp};

use super::finding::{Code, Finding};
use super::hypothesis::Hypothesis;
use super::{Subject, walk};
use crate::policy::LoadedPolicy;
use crate::policy::schema::Action;

pub(super) fn look(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let forbids: Vec<_> =
        subject.policies().iter().filter(|policy| policy.policy.effect() == Effect::Forbid).collect();
    if forbids.is_empty() {
        return;
    }
    let questions: Questions<'_> =
        Action::ALL.into_iter().map(|action| (action, Hypothesis::all(subject, action))).collect();
    for policy in subject.policies() {
        let asked = answered(policy, subject, &questions);
        let shadow = forbids.iter().find(|forbid| {
            let covered = covers(forbid, policy, &asked);
            covered && !is_mirrored(forbid, policy, subject, &questions)
        });
        if let Some(forbid) = shadow {
            findings.push(finding(policy, forbid));
        }
    }
}

type Questions<'a> = BTreeMap<Action, Vec<Hypothesis<'a>>>;

fn finding(policy: &LoadedPolicy, forbid: &LoadedPolicy) -> Finding {
    let message = format!("never matters: `{}` forbids whenever this {} holds", forbid.name, effect(policy));
    let help = "narrow the forbid, or remove this one".to_owned();
    Finding::of_policy(policy, Code::ShadowedByForbid, message, help)
}

fn effect(policy: &LoadedPolicy) -> &'static str {
    match policy.policy.effect() {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    }
}

/// The questions that the policy could answer.
fn answered<'q, 'a>(
    policy: &LoadedPolicy,
    subject: &Subject<'_>,
    questions: &'q Questions<'a>,
) -> Vec<&'q Hypothesis<'a>> {
    let actions = walk::actions(policy, subject.words());
    let asked = actions.iter().filter_map(|action| questions.get(action)).flatten();
    asked.filter(|question| question.holds(policy) != Some(false)).collect()
}

/// A policy that answers nothing is not shadowed; what is wrong with it is told elsewhere.
fn covers(forbid: &LoadedPolicy, policy: &LoadedPolicy, asked: &[&Hypothesis<'_>]) -> bool {
    forbid.name != policy.name
        && !asked.is_empty()
        && asked.iter().all(|question| {
            question.is_meant(forbid) != Some(false)
                && (question.means_caller(forbid) == Some(true) || names_the_same_callers(forbid, policy))
                && (question.means_resource(forbid) == Some(true) || names_the_same_resources(forbid, policy))
                && is_implied(forbid, policy, question)
        })
}

/// Of two forbids that hold at the same time, the first stands.
fn is_mirrored(
    forbid: &LoadedPolicy,
    policy: &LoadedPolicy,
    subject: &Subject<'_>,
    questions: &Questions<'_>,
) -> bool {
    policy.policy.effect() == Effect::Forbid
        && policy.name < forbid.name
        && covers(policy, forbid, &answered(forbid, subject, questions))
}

fn names_the_same_callers(forbid: &LoadedPolicy, policy: &LoadedPolicy) -> bool {
    let parts = |constraint| match constraint {
        PrincipalConstraint::Eq(uid) => Some((true, uid)),
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => Some((false, uid)),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    };
    is_as_wide(parts(forbid.policy.principal_constraint()), parts(policy.policy.principal_constraint()))
}

fn names_the_same_resources(forbid: &LoadedPolicy, policy: &LoadedPolicy) -> bool {
    let parts = |constraint| match constraint {
        ResourceConstraint::Eq(uid) => Some((true, uid)),
        ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => Some((false, uid)),
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    };
    is_as_wide(parts(forbid.policy.resource_constraint()), parts(policy.policy.resource_constraint()))
}

/// Both name one entity, and the first not more narrowly (`==`) than the second.
fn is_as_wide(wide: Option<(bool, EntityUid)>, narrow: Option<(bool, EntityUid)>) -> bool {
    match (wide, narrow) {
        (Some((only, one)), Some((only_too, other))) => one == other && (only_too || !only),
        _ => false,
    }
}

fn is_implied(forbid: &LoadedPolicy, policy: &LoadedPolicy, question: &Hypothesis<'_>) -> bool {
    let known = policy.policy.as_ref().non_scope_constraints().map(conjuncts).unwrap_or_default();
    forbid
        .policy
        .as_ref()
        .non_scope_constraints()
        .is_none_or(|condition| follows(condition, &known, question))
}

fn follows(condition: &Expr, known: &[&Expr], question: &Hypothesis<'_>) -> bool {
    let here = |part: &Expr| follows(part, known, question);
    known.contains(&condition)
        || question.verdict(condition) == Some(true)
        || match condition.expr_kind() {
            ExprKind::And { left, right } => here(left) && here(right),
            ExprKind::Or { left, right } => here(left) || here(right),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => match arg.expr_kind() {
                ExprKind::UnaryApp { op: UnaryOp::Not, arg } => here(arg),
                _ => false,
            },
            _ => false,
        }
}

/// The parts that all hold when the condition does.
fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition.expr_kind() {
        ExprKind::And { left, right } => [conjuncts(left), conjuncts(right)].concat(),
        _ => vec![condition],
    }
}
