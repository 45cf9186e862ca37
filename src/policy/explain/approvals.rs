//! How many would have to approve, found by asking `activate`.

use std::time::Duration;

use super::look::Judge;
use super::shape::ApprovalsNeeded;
use crate::policy::activation::{Hoped, MOST_APPROVALS, hoped};
use crate::policy::facts::{ApprovalFacts, Asked, Facts, PrincipalFacts, PrincipalKind};
use crate::policy::schema::Action;

/// Where nobody said how long; no longer than the grant's longest.
const USUAL_DURATION: Duration = Duration::from_hours(1);

/// For a person and a break-glass grant.
pub(super) fn needed(judge: Judge<'_>, facts: &Facts) -> Option<ApprovalsNeeded> {
    let (requester, duration) = asked_by(judge, facts);
    if !facts.grant.break_glass || requester.kind != PrincipalKind::Person {
        return None;
    }
    let given = match &facts.asked {
        Asked::Activate { approvals, .. } => approvals.clone(),
        _ => ApprovalFacts::default(),
    };
    let hoped = given.hoping(&hoped_for(judge, facts, requester));
    let permitted = |count: u32, approvals: &ApprovalFacts| {
        let approvals = ApprovalFacts { count, ..approvals.clone() };
        let asked = Asked::Activate { duration, approvals };
        judge.sets.decide(&Facts { principal: requester.clone(), asked, ..facts.clone() }).is_ok()
    };
    let least = (1..=MOST_APPROVALS).find(|count| permitted(*count, &hoped) || permitted(*count, &given));
    Some(least.map_or(ApprovalsNeeded::NoNumber, ApprovalsNeeded::AtLeast))
}

/// Who would activate, and for how long.
fn asked_by<'a>(judge: Judge<'_>, facts: &'a Facts) -> (&'a PrincipalFacts, Duration) {
    let usual = || {
        let grant = judge.world.grant(facts.grant.name.as_str());
        let longest = grant.and_then(|grant| grant.break_glass).map(|caps| caps.max_duration);
        longest.map_or(USUAL_DURATION, |longest| longest.min(USUAL_DURATION))
    };
    match &facts.asked {
        Asked::Request { duration } | Asked::Activate { duration, .. } => (&facts.principal, *duration),
        Asked::Approve { elevation, duration } => (&elevation.requester, *duration),
        Asked::Revoke { elevation } | Asked::View { elevation } => (&elevation.requester, elevation.duration),
        Asked::Issue { elevation: Some(window), .. } => {
            (&facts.principal, window.ends_at.since(window.starts_at))
        }
        _ => (&facts.principal, usual()),
    }
}

/// The next approver may be in any group that a policy names, or that owns the grant.
fn hoped_for(judge: Judge<'_>, facts: &Facts, requester: &PrincipalFacts) -> Hoped {
    let grant = facts.grant.to_grant();
    let candidates = grant.and_then(|grant| judge.sets.candidates(Action::Activate, &grant)).ok();
    candidates.map_or_else(Hoped::default, |candidates| {
        hoped(judge.sets, &candidates, &facts.grant.name, &requester.id())
    })
}
