//! An elevation as JSON: the names are the public contract. Text of people is text here: whoever shows it escapes it.

use serde::Serialize;

use crate::breakglass::{Approval, Change, CloudEnd, Elevation, Happening, PersonRef, StateName};
use crate::clock::Moment;
use crate::ids::{ElevationId, GrantName, Scope};
use crate::span::format_duration;

/// One elevation, seen at a moment.
#[derive(Serialize)]
pub(super) struct ElevationView<'a> {
    id: ElevationId,
    version: u64,
    /// With the time in it: what the clock has ended is over, whether or not that is written down yet.
    state: StateName,
    grant: &'a GrantName,
    requester: PersonRef,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<&'a str>,
    requested_duration: String,
    duration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    created_at: Moment,
    request_expires_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<Moment>,
    approvals: Vec<ApprovalView<'a>>,
    approvals_needed: u32,
    decided_policies: &'a [String],
    /// Where cutting off AWS sessions stands, once that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_end: Option<&'static str>,
    history: Vec<HappeningView<'a>>,
    /// `false` while the change holds in memory only, because the log cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<bool>,
}

#[derive(Serialize)]
struct ApprovalView<'a> {
    #[serde(flatten)]
    by: PersonRef,
    at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

#[derive(Serialize)]
struct HappeningView<'a> {
    at: Moment,
    event: Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a PersonRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl<'a> ElevationView<'a> {
    /// As it is at `at`.
    pub(super) fn of(elevation: &'a Elevation, at: Moment) -> Self {
        let ask = &elevation.ask;
        let window = elevation.window();
        Self {
            id: elevation.id,
            version: elevation.version,
            state: elevation.state_at(at),
            grant: &ask.grant,
            requester: PersonRef::from(&ask.requester.person),
            reason: &ask.reason,
            ticket: ask.ticket.as_deref(),
            requested_duration: format_duration(ask.duration),
            duration: format_duration(elevation.duration()),
            scope: elevation.scope().map(|scope| spaced(&scope)),
            created_at: ask.created_at,
            request_expires_at: ask.expires_at,
            not_before: ask.not_before,
            starts_at: window.map(|window| window.starts_at),
            ends_at: window.map(|window| window.ends_at),
            approvals: elevation.approvals.iter().map(ApprovalView::of).collect(),
            approvals_needed: elevation.approvals_needed,
            decided_policies: &elevation.decided_policies,
            sessions_end: (elevation.cloud != CloudEnd::NotNeeded).then(|| elevation.cloud.name()),
            history: elevation.history.iter().map(HappeningView::of).collect(),
            recorded: None,
        }
    }

    /// Says so when the change is not in the log yet.
    pub(super) fn recorded(self, recorded: bool) -> Self {
        Self { recorded: (!recorded).then_some(false), ..self }
    }
}

impl<'a> ApprovalView<'a> {
    fn of(approval: &'a Approval) -> Self {
        Self {
            by: PersonRef::from(&approval.by.person),
            at: approval.at,
            comment: approval.comment.as_deref(),
            duration: approval.narrowing.duration.map(format_duration),
            scope: approval.narrowing.scope.as_ref().map(spaced),
        }
    }
}

impl<'a> HappeningView<'a> {
    fn of(happening: &'a Happening) -> Self {
        let Happening { at, event, by, note } = happening;
        Self { at: *at, event: *event, by: by.as_ref(), note: note.as_deref() }
    }
}

/// As OAuth writes scopes (RFC 6749 §3.3).
pub(super) fn spaced<'a>(scope: impl IntoIterator<Item = &'a Scope>) -> String {
    scope.into_iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}
