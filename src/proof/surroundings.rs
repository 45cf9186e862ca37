//! Could a broker of this configuration put these facts to its policies, and would it let the answer count? Says of facts
//! what [`assume`](super::assume) says to the solver, so that no example is shown that nobody could meet.

use std::time::Duration;

use crate::claims::Profile;
use crate::grants::{Grant, GrantKind};
use crate::policy::facts::{
    Asked, ElevationSeen, ElevationWindow, GrantFacts, PrincipalFacts, PrincipalKind,
};
use crate::policy::{Facts, World};

/// Why not, in words for whoever reads a report.
pub(super) type Strange = String;

/// Could they be real here?
pub(super) fn admits(world: &World, facts: &Facts) -> Result<(), Strange> {
    known(world, &facts.principal)?;
    let grant = world.grant(facts.grant.name.as_str()).ok_or("the grant is not of this configuration")?;
    ensure(GrantFacts::of(grant) == facts.grant, "the grant is described otherwise than it is configured")?;
    let is_person = facts.principal.kind == PrincipalKind::Person;
    match &facts.asked {
        Asked::Issue { ttl, scopes, actor, elevation, .. } => {
            actor.as_deref().map_or(Ok(()), |actor| known(world, actor))?;
            ensure(*ttl <= grant.caps.max.duration(), "the grant's longest lifetime is shorter")?;
            let fits = match &grant.kind {
                // Of a grant that is only described nobody knows the scopes.
                GrantKind::Jwt(jwt) => jwt.scopes.is_empty() || scopes.is_subset(&jwt.scopes),
                GrantKind::Aws(_) => scopes.is_empty(),
            };
            ensure(fits, "the grant has no such scopes")?;
            window(grant, facts, elevation.as_ref())
        }
        Asked::Request { duration } => {
            ensure(is_person, "only people request")?;
            span(grant, *duration)
        }
        Asked::Activate { duration, approvals } => {
            ensure(approvals.count > 0, "nobody approved")?;
            span(grant, *duration)?;
            let groups = approvals.taken_apart().map_err(|error| error.to_string())?;
            let may = |issuer: &str| world.issuer(issuer).is_some_and(|issuer| issuer.may_approve);
            ensure(groups.iter().all(|(issuer, _)| may(issuer.as_str())), "no approver has such a group")?;
            let people = approvals.approvers().map_err(|error| error.to_string())?;
            let counted = usize::try_from(approvals.count).is_ok_and(|count| people.len() <= count);
            ensure(counted, "more people approved than there are approvals")?;
            let may = people.iter().all(|one| may(one.issuer.as_str()) && *one != facts.principal.id());
            ensure(may, "people of this issuer, or the requester, never approve")
        }
        Asked::Approve { elevation, duration } => {
            seen(world, grant, elevation)?;
            span(grant, elevation.duration)?;
            ensure(
                !duration.is_zero() && *duration <= elevation.duration,
                "approvers narrow, and never widen",
            )?;
            ensure(facts.principal.id() != elevation.requester.id(), "the requester never approves")?;
            let issuer = world.issuer(facts.principal.issuer.as_str());
            ensure(issuer.is_some_and(|issuer| issuer.may_approve), "people of this issuer never approve")
        }
        Asked::Revoke { elevation } | Asked::View { elevation } => seen(world, grant, elevation),
        Asked::Lock | Asked::Audit | Asked::Explain => Ok(()),
    }
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Strange> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// Of a configured issuer, and of its profile.
fn known(world: &World, caller: &PrincipalFacts) -> Result<(), Strange> {
    let issuer = world.issuer(caller.issuer.as_str()).ok_or("the issuer is not of this configuration")?;
    let records = [
        (Profile::Kubernetes, caller.kubernetes.is_some()),
        (Profile::Github, caller.github.is_some()),
        (Profile::Gitlab, caller.gitlab.is_some()),
        (Profile::Spiffe, caller.spiffe.is_some()),
        (Profile::Aws, caller.aws.is_some()),
    ];
    let person = caller.kind == PrincipalKind::Person;
    let fits = records.iter().all(|(profile, there)| *there == (*profile == issuer.profile));
    ensure(fits && person == (issuer.profile == Profile::Person), "the issuer's tokens have another shape")
}

/// A break-glass grant is issued inside an open window of the caller's, and no other grant under any.
fn window(grant: &Grant, facts: &Facts, elevation: Option<&ElevationWindow>) -> Result<(), Strange> {
    match (grant.break_glass, elevation) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err("the grant needs no elevation, and naming one is refused".to_owned()),
        (Some(_), None) => Err("a break-glass grant is never issued without an active elevation".to_owned()),
        (Some(glass), Some(open)) => {
            ensure(facts.principal.kind == PrincipalKind::Person, "only people have elevations")?;
            ensure(open.approvals > 0, "nobody approved the elevation")?;
            ensure(open.starts_at <= facts.at && facts.at < open.ends_at, "the elevation is not active")?;
            let length = open.ends_at.since(open.starts_at);
            ensure(length <= glass.max_duration, "the elevation is longer than the grant allows")
        }
    }
}

fn span(grant: &Grant, duration: Duration) -> Result<(), Strange> {
    let glass = grant.break_glass.ok_or("the grant is no break-glass grant")?;
    ensure(!duration.is_zero(), "the duration is zero")?;
    ensure(duration <= glass.max_duration, "the grant's longest duration is shorter")
}

fn seen(world: &World, grant: &Grant, elevation: &ElevationSeen) -> Result<(), Strange> {
    ensure(grant.break_glass.is_some(), "there are no elevations for an ordinary grant")?;
    ensure(elevation.requester.kind == PrincipalKind::Person, "only people request")?;
    known(world, &elevation.requester)
}
