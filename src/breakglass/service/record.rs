//! From an elevation to what the log and the receivers are told.

use crate::audit::{
    ApprovalRecord, DecisionRecord, ElevationEntry, ElevationRecord, Event, PrincipalRecord, TokenRecord,
};
use crate::breakglass::{Approval, Change, Elevation};
use crate::clock::Moment;
use crate::ids::Scope;
use crate::notify::{HookId, Message};
use crate::people::{Caller, TokenFacts};
use crate::principal::PrincipalId;
use crate::span::format_duration;
use crate::store::OutboxRow;

/// A change and everything that is said about it.
#[derive(Clone, Debug)]
pub(super) struct News<'a> {
    pub(super) change: Change,
    /// The version before; 0 when there was none.
    pub(super) before: u64,
    pub(super) elevation: &'a Elevation,
    pub(super) by: Option<&'a Caller>,
    pub(super) decision: Option<DecisionRecord>,
    pub(super) note: Option<String>,
    /// When it became true; said only where that was before `at`.
    pub(super) true_at: Moment,
    pub(super) at: Moment,
}

impl News<'_> {
    pub(super) fn event(&self) -> Event {
        let entry = Box::new(self.entry());
        match self.change {
            Change::Requested => Event::ElevationRequested(entry),
            Change::Approved => Event::ElevationApproved(entry),
            Change::Activated => Event::ElevationActivated(entry),
            Change::Denied => Event::ElevationDenied(entry),
            Change::Withdrawn => Event::ElevationWithdrawn(entry),
            Change::Lapsed => Event::ElevationLapsed(entry),
            Change::Warned => Event::ElevationEnding(entry),
            Change::Expired => Event::ElevationExpired(entry),
            Change::Revoked => Event::ElevationRevoked(entry),
            Change::Ended => Event::ElevationEnded(entry),
            Change::SessionsEndAsked => Event::ElevationSessionsEndAsked(entry),
            Change::SessionsEndFailed => Event::ElevationSessionsEndFailed(entry),
            Change::SessionsEndConfirmed => Event::ElevationSessionsEndConfirmed(entry),
            Change::SessionsEndLifted => Event::ElevationSessionsEndLifted(entry),
        }
    }

    fn entry(&self) -> ElevationEntry {
        ElevationEntry {
            elevation: elevation_record(self.elevation, self.before),
            by: self.by.map(|caller| person_record(caller.id())),
            token: self.by.map(|caller| token_record(&caller.token)),
            policy: self.decision.as_ref().map(|decision| decision.policy.clone()),
            facts: self.decision.as_ref().and_then(|decision| decision.facts.clone()),
            note: self.note.clone(),
            became_true_at: (self.true_at < self.at).then_some(self.true_at),
            source_ip: self.by.and_then(|caller| caller.source_ip),
        }
    }

    /// One message for each receiver.
    pub(super) fn messages(&self, hooks: &[HookId]) -> Vec<OutboxRow> {
        let message = self.message();
        hooks.iter().map(|hook| OutboxRow { hook: *hook, message: message.clone() }).collect()
    }

    fn message(&self) -> Message {
        let Elevation { id, version, ask, .. } = self.elevation;
        let requester = &ask.requester;
        Message {
            event: event_name(self.change).to_owned(),
            elevation: *id,
            version: *version,
            state: self.elevation.state_name(),
            grant: ask.grant.to_string(),
            requester: requester.id().to_string(),
            requester_name: requester.person.name.clone(),
            reason: ask.reason.clone(),
            ticket: ask.ticket.clone(),
            by: self.by.map(|caller| caller.id().to_string()),
            at: self.true_at,
            ends_at: self.elevation.window().map(|window| window.ends_at),
            approvals: u32::try_from(self.elevation.approvals.len()).unwrap_or(u32::MAX),
            approvals_needed: self.elevation.approvals_needed,
        }
    }
}

/// The entry's `type`.
pub(super) const fn event_name(change: Change) -> &'static str {
    match change {
        Change::Requested => "elevation.requested",
        Change::Approved => "elevation.approved",
        Change::Activated => "elevation.activated",
        Change::Denied => "elevation.denied",
        Change::Withdrawn => "elevation.withdrawn",
        Change::Lapsed => "elevation.lapsed",
        Change::Warned => "elevation.ending",
        Change::Expired => "elevation.expired",
        Change::Revoked => "elevation.revoked",
        Change::Ended => "elevation.ended",
        Change::SessionsEndAsked => "elevation.sessions_end.asked",
        Change::SessionsEndFailed => "elevation.sessions_end.failed",
        Change::SessionsEndConfirmed => "elevation.sessions_end.confirmed",
        Change::SessionsEndLifted => "elevation.sessions_end.lifted",
    }
}

fn elevation_record(elevation: &Elevation, version_before: u64) -> ElevationRecord {
    let ask = &elevation.ask;
    let window = elevation.window();
    ElevationRecord {
        id: elevation.id.to_string(),
        version_before,
        version: elevation.version,
        state: elevation.state_name().as_str(),
        grant: ask.grant.to_string(),
        grant_version: ask.grant_version,
        requester: person_record(ask.requester.id()),
        reason: ask.reason.clone(),
        ticket: ask.ticket.clone(),
        requested_duration: format_duration(ask.duration),
        duration: format_duration(elevation.duration()),
        scope: elevation.scope().map(|scope| scope_text(&scope)),
        not_before: ask.not_before,
        starts_at: window.map(|window| window.starts_at),
        ends_at: window.map(|window| window.ends_at),
        approvals: elevation.approvals.iter().map(approval_record).collect(),
        approvals_needed: elevation.approvals_needed,
    }
}

fn approval_record(approval: &Approval) -> ApprovalRecord {
    ApprovalRecord {
        by: person_record(approval.by.id()),
        at: approval.at,
        duration: approval.narrowing.duration.map(format_duration),
        scope: approval.narrowing.scope.as_ref().map(scope_text),
    }
}

fn scope_text(scope: &std::collections::BTreeSet<Scope>) -> String {
    scope.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) fn person_record(id: &PrincipalId) -> PrincipalRecord {
    PrincipalRecord { kind: "person", issuer: id.issuer.to_string(), subject: id.subject.to_string() }
}

pub(super) const fn token_record(token: &TokenFacts) -> TokenRecord {
    TokenRecord { sha256: token.fingerprint, issued_at: token.issued_at, expires_at: token.expires_at }
}
