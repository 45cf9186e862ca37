//! Elevations, locks and messages for tests: whole ones, made as the broker makes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::breakglass::{Act, Approval, Ask, Elevation, Judge, Narrowing, Participant, Tally};
use crate::clock::Moment;
use crate::entropy::SystemEntropy;
use crate::ids::{ElevationId, GrantName, IssuerName, LockId, Scope, Subject};
use crate::locks::{Lock, LockTarget};
use crate::notify::{HookId, Message};
use crate::principal::{Authentication, Person, PrincipalId};
use crate::secret::Fingerprint;
use crate::store::{ElevationChange, OutboxRow};

/// When every sample was asked for.
pub(crate) const AT: Moment = Moment::from_unix_millis(1_795_363_392_250);

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn person_id(name: &str) -> PrincipalId {
    PrincipalId { issuer: IssuerName::new("vendor").unwrap(), subject: Subject::new(name).unwrap() }
}

pub(crate) fn participant(name: &str) -> Participant {
    let tags = BTreeMap::from([("team".to_owned(), BTreeSet::from(["a".to_owned(), "ü\"\n".to_owned()]))]);
    let person = Person {
        id: person_id(name),
        email: Some(format!("{name}@example.com")),
        name: None,
        groups: BTreeSet::from(["oncall".to_owned()]),
        tags,
    };
    let authentication = Authentication {
        issued_at: AT,
        acr: Some("mfa".to_owned()),
        amr: BTreeSet::from(["hwk".to_owned()]),
        auth_time: Some(AT.minus(seconds(60))),
    };
    Participant { person, authentication }
}

/// Asked at `at` by `person` for `grant`; waits ten minutes.
pub(crate) fn asked_by(person: &str, grant: &str, at: Moment) -> Elevation {
    let ask = Ask {
        grant: GrantName::new(grant).unwrap(),
        grant_version: Fingerprint::of(grant.as_bytes()),
        requester: participant(person),
        duration: Duration::from_hours(1),
        reason: "the \"orders\" queue is stuck\nand nobody sees why: 🚒".to_owned(),
        ticket: Some("OPS-1".to_owned()),
        not_before: None,
        scope: Some(BTreeSet::from([
            Scope::new("orders:read").unwrap(),
            Scope::new("orders:write").unwrap(),
        ])),
        created_at: at,
        expires_at: at.plus(Duration::from_mins(10)),
    };
    let id = ElevationId::new(at, &SystemEntropy::new()).unwrap();
    Elevation::requested(id, ask, 1, vec!["vendor/0".to_owned()])
}

pub(crate) fn asked() -> Elevation {
    asked_by("ann", "orders", AT)
}

/// Everybody counts, one suffices.
#[derive(Debug)]
struct OneIsEnough;

impl Judge for OneIsEnough {
    fn is_eligible(&mut self, _elevation: &Elevation, _approval: &Approval) -> bool {
        true
    }

    fn suffices(&mut self, _elevation: &Elevation, tally: &Tally, _duration: Duration) -> bool {
        tally.count() > 0
    }
}

pub(crate) fn approved(elevation: &Elevation, at: Moment) -> Elevation {
    let scope = Some(BTreeSet::from([Scope::new("orders:read").unwrap()]));
    let approval = Approval {
        by: participant("zoe"),
        at,
        source_ip: Some("2001:db8::1".parse().unwrap()),
        comment: Some("half of it will do".to_owned()),
        narrowing: Narrowing { duration: Some(Duration::from_mins(30)), scope },
    };
    elevation.approve(approval, &mut OneIsEnough).unwrap()
}

pub(crate) fn active(elevation: &Elevation, at: Moment) -> Elevation {
    approved(elevation, at).activate(at, &mut OneIsEnough).unwrap()
}

pub(crate) fn denied(elevation: &Elevation, at: Moment) -> Elevation {
    elevation.deny(Act { by: &participant("zoe").person, at }, "not today").unwrap()
}

pub(crate) fn revoked(elevation: &Elevation, at: Moment) -> Elevation {
    elevation.revoke(Act { by: &participant("zoe").person, at }, "enough").unwrap()
}

pub(crate) fn new(next: &Elevation) -> ElevationChange {
    ElevationChange { next: next.clone(), from: None, before: None, room: None }
}

/// From `old` to `next`, in time for what `old` stands on.
pub(crate) fn change(old: &Elevation, next: &Elevation) -> ElevationChange {
    ElevationChange { next: next.clone(), from: Some(old.version), before: old.deadline(), room: None }
}

pub(crate) fn lock(target: LockTarget, at: Moment, until: Option<Moment>) -> Lock {
    let id = LockId::new(at, &SystemEntropy::new()).unwrap();
    Lock { id, target, reason: "a stolen laptop".to_owned(), by: person_id("bob"), at, until }
}

pub(crate) fn hook(number: u8) -> HookId {
    HookId(Fingerprint::of(&[number]))
}

pub(crate) fn message(to: HookId, about: &Elevation) -> OutboxRow {
    let message = Message {
        event: "elevation.requested".to_owned(),
        elevation: about.id,
        version: about.version,
        state: about.state_name(),
        grant: about.ask.grant.to_string(),
        requester: about.ask.requester.id().to_string(),
        requester_name: None,
        reason: about.ask.reason.clone(),
        ticket: about.ask.ticket.clone(),
        by: None,
        at: AT,
        ends_at: about.window().map(|window| window.ends_at),
        approvals: 0,
        approvals_needed: about.approvals_needed,
    };
    OutboxRow { hook: to, message }
}
