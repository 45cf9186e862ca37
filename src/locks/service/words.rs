//! What the log says about locks.

use std::time::Duration;

use super::Refused;
use super::{Event, Submission};
use crate::audit::{DecisionRecord, Effect, LockEntry, PrincipalRecord, RefusedEntry, TokenRecord};
use crate::clock::Moment;
use crate::ids::{LockId, RequestId};
use crate::locks::Lock;
use crate::people::Caller;
use crate::secret::Fingerprint;
use crate::store::AnswerRow;

/// How long the store remembers that an entry about a lock was written. Writing is tried again within seconds.
const REMEMBERED: Duration = Duration::from_hours(24);

/// That it was set.
pub(super) fn set(caller: &Caller, lock: &Lock, decision: &DecisionRecord) -> Submission {
    let event = Event::LockSet(Box::new(entry(lock, Some((caller, decision)))));
    let effects = vec![once("lock.set", lock.id, lock.at), Effect::PutLock(lock.clone())];
    Submission::new(caller.request_id, event).with(effects)
}

/// That somebody lifted it.
pub(super) fn lifted(caller: &Caller, lock: &Lock, decision: &DecisionRecord) -> Submission {
    let event = Event::LockLifted(Box::new(entry(lock, Some((caller, decision)))));
    let mut effects = end(lock, caller.at);
    // Who may lift nothing any more must not do it through a replica that does not know yet.
    effects.push(Effect::RequirePolicy(decision.policy.digest));
    Submission::new(caller.request_id, event).with(effects)
}

/// That it ended by itself.
pub(super) fn ended(request_id: RequestId, lock: &Lock, at: Moment) -> Submission {
    Submission::new(request_id, Event::LockLifted(Box::new(entry(lock, None)))).with(end(lock, at))
}

/// That somebody tried.
pub(super) fn refused(
    caller: &Caller,
    attempted: &'static str,
    target: &str,
    refused: &Refused,
) -> Submission {
    let entry = RefusedEntry {
        by: person(caller),
        attempted,
        target: Some(target.to_owned()),
        grant: None,
        version: None,
        reason: refused.reason,
        detail: refused.detail.clone(),
        policy: refused.decision.as_ref().map(|decision| decision.policy.clone()),
        facts: refused.decision.as_ref().and_then(|decision| decision.facts.clone()),
        token: token(caller),
        source_ip: caller.source_ip,
    };
    Submission::new(caller.request_id, Event::ElevationRefused(Box::new(entry)))
}

fn end(lock: &Lock, at: Moment) -> Vec<Effect> {
    vec![once("lock.lifted", lock.id, at), Effect::DeleteLock(lock.id)]
}

/// Whether a try became durable is not always known. This refuses the second one in the commit itself.
fn once(what: &str, id: LockId, at: Moment) -> Effect {
    let outcome = id.to_string();
    let key = Fingerprint::of_fields(&[what.as_bytes(), outcome.as_bytes()]);
    Effect::KeepAnswer(AnswerRow { key, request: key, outcome, until: at.plus(REMEMBERED) })
}

fn entry(lock: &Lock, by: Option<(&Caller, &DecisionRecord)>) -> LockEntry {
    LockEntry {
        lock: lock.id.to_string(),
        target: lock.target.to_string(),
        reason: lock.reason.clone(),
        by: by.map(|(caller, _)| person(caller)),
        token: by.map(|(caller, _)| token(caller)),
        policy: by.map(|(_, decision)| decision.policy.clone()),
        facts: by.and_then(|(_, decision)| decision.facts.clone()),
        in_force_since: lock.at,
        until: lock.until,
        source_ip: by.and_then(|(caller, _)| caller.source_ip),
    }
}

fn person(caller: &Caller) -> PrincipalRecord {
    let id = caller.id();
    PrincipalRecord { kind: "person", issuer: id.issuer.to_string(), subject: id.subject.to_string() }
}

fn token(caller: &Caller) -> TokenRecord {
    let facts = caller.token;
    TokenRecord { sha256: facts.fingerprint, issued_at: facts.issued_at, expires_at: facts.expires_at }
}
