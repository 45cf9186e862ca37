//! How many would have to approve, found by asking `activate`.

use std::collections::BTreeSet;
use std::time::Duration;

use cedar_policy_core::ast::{Expr, ExprKind, Literal};

use super::look::Judge;
use super::shape::ApprovalsNeeded;
use crate::policy::facts::{ApprovalFacts, Asked, Facts, PrincipalFacts, PrincipalKind};
use crate::policy::schema::Action;

/// The broker asks for no more either.
const MOST_APPROVALS: u32 = 10;

/// Where nobody said how long.
const USUAL_DURATION: Duration = Duration::from_hours(1);

/// For a person and a break-glass grant.
pub(super) fn needed(judge: Judge<'_>, facts: &Facts) -> Option<ApprovalsNeeded> {
    let (requester, duration) = asked_by(judge, facts);
    if !facts.grant.break_glass || requester.kind != PrincipalKind::Person {
        return None;
    }
    let given = match &facts.asked {
        Asked::Activate { approvals, .. } => approvals.groups.clone(),
        _ => BTreeSet::new(),
    };
    let hoped: BTreeSet<String> = given.iter().cloned().chain(groups_named(judge, facts)).collect();
    let permitted = |count: u32, groups: &BTreeSet<String>| {
        let approvals = ApprovalFacts { count, groups: groups.clone() };
        let asked = Asked::Activate { duration, approvals };
        judge.sets.decide(&Facts { principal: requester.clone(), asked, ..facts.clone() }).is_ok()
    };
    let least = (1..=MOST_APPROVALS).find(|count| permitted(*count, &hoped) || permitted(*count, &given));
    Some(least.map_or(ApprovalsNeeded::NoNumber, ApprovalsNeeded::AtLeast))
}

/// Who would activate, and for how long.
fn asked_by<'a>(judge: Judge<'_>, facts: &'a Facts) -> (&'a PrincipalFacts, Duration) {
    let longest = || {
        let grant = judge.world.grant(facts.grant.name.as_str());
        grant.and_then(|grant| grant.break_glass).map_or(USUAL_DURATION, |caps| caps.max_duration)
    };
    match &facts.asked {
        Asked::Request { duration } | Asked::Activate { duration, .. } => (&facts.principal, *duration),
        Asked::Approve { elevation, duration } => (&elevation.requester, *duration),
        Asked::Revoke { elevation } | Asked::View { elevation } => (&elevation.requester, elevation.duration),
        Asked::Issue { elevation: Some(window), .. } => {
            (&facts.principal, window.ends_at.since(window.starts_at))
        }
        _ => (&facts.principal, longest()),
    }
}

/// The next approver may be in any group that a policy names.
fn groups_named(judge: Judge<'_>, facts: &Facts) -> BTreeSet<String> {
    let Ok(grant) = facts.grant.to_grant() else { return BTreeSet::new() };
    let Ok(candidates) = judge.sets.candidates(Action::Activate, &grant) else { return BTreeSet::new() };
    let policies = candidates.set.policies();
    let named = policies.flat_map(|policy| {
        let nodes = policy.as_ref().non_scope_constraints().into_iter().flat_map(Expr::subexpressions);
        nodes.filter_map(|node| group(judge, node.expr_kind())).collect::<Vec<_>>()
    });
    named.collect()
}

fn group(judge: Judge<'_>, node: &ExprKind) -> Option<String> {
    let ExprKind::Lit(Literal::EntityUID(uid)) = node else { return None };
    let uid = cedar_policy::EntityUid::from(uid.as_ref().clone());
    let is_group = *uid.type_name() == judge.sets.words.group && uid.id().unescaped().contains('/');
    is_group.then(|| uid.id().unescaped().to_owned())
}
