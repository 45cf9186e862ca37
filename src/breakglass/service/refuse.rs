//! What did not happen, written down: every refused attempt of somebody who had signed in.

use super::questions::Denied;
use super::record::{person_record, token_record};
use super::{BreakGlass, BreakGlassError};
use crate::audit::{DecisionRecord, Event, RefusedEntry, Submission};
use crate::ids::ElevationId;
use crate::people::Caller;
use crate::store::StoreError;

/// No more of a caller's text than a name can be goes into the entry.
const MOST_DETAIL_CHARS: usize = 300;

/// What somebody tried.
#[derive(Clone, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) caller: &'a Caller,
    pub(super) what: &'static str,
    pub(super) elevation: Option<ElevationId>,
    pub(super) grant: Option<String>,
}

impl<'a> Attempt<'a> {
    pub(super) const fn on(caller: &'a Caller, what: &'static str, id: ElevationId) -> Self {
        Self { caller, what, elevation: Some(id), grant: None }
    }
}

/// Why it did not happen: what the caller is told, and what the record says beside it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: BreakGlassError,
    words: Box<Words>,
}

/// For the record.
#[derive(Debug)]
struct Words {
    reason: &'static str,
    detail: String,
    decision: Option<DecisionRecord>,
    version: Option<u64>,
    written: bool,
}

impl Refusal {
    /// The caller is told what the record says.
    pub(super) fn told(error: BreakGlassError) -> Self {
        let (reason, detail) = (error.code(), error.to_string());
        let version = match &error {
            BreakGlassError::Conflict { current, .. } => Some(current.version),
            _ => None,
        };
        let words = Words { reason, detail, decision: None, version, written: true };
        Self { error, words: Box::new(words) }
    }

    /// Policy said no; why is for the record.
    pub(super) fn denied(error: BreakGlassError, denied: Denied) -> Self {
        let mut refusal = Self::told(error);
        refusal.words.detail = denied.why;
        refusal.words.decision = Some(denied.record);
        refusal
    }

    /// Not for the record: what the store could not tell it cannot keep.
    pub(super) fn unwritten(error: BreakGlassError) -> Self {
        let mut refusal = Self::told(error);
        refusal.words.written = false;
        refusal
    }

    /// Under another code in the record than in the answer.
    #[must_use]
    pub(super) fn because(mut self, reason: &'static str) -> Self {
        self.words.reason = reason;
        self
    }

    #[must_use]
    pub(super) fn at_version(mut self, version: u64) -> Self {
        self.words.version = Some(version);
        self
    }

    /// The answer is another one; the record keeps the reason.
    #[must_use]
    pub(super) fn shown_as(self, error: BreakGlassError) -> Self {
        Self { error, ..self }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::unwritten(error.into())
    }
}

impl BreakGlass {
    /// Writes the refusal down and says what the caller is told. One that cannot be written down is no answer: nobody
    /// tries doors while the log is away.
    pub(super) async fn refuse(&self, attempt: &Attempt<'_>, refusal: Refusal) -> BreakGlassError {
        let Refusal { error: told, words } = refusal;
        let Words { reason, detail, decision, version, written } = *words;
        metrics::counter!("tidegate_elevation_refused_total", "reason" => reason).increment(1);
        if !written {
            return told;
        }
        let caller = attempt.caller;
        let (policy, facts) = decision.map(|decision| (decision.policy, decision.facts)).unzip();
        let entry = RefusedEntry {
            by: person_record(caller.id()),
            attempted: attempt.what,
            target: attempt.elevation.map(|id| id.to_string()),
            grant: attempt.grant.clone(),
            version,
            reason,
            detail: detail.chars().take(MOST_DETAIL_CHARS).collect(),
            policy,
            facts: facts.flatten(),
            token: token_record(&caller.token),
            source_ip: caller.source_ip,
        };
        let event = Event::ElevationRefused(Box::new(entry));
        match self.services.audit.record(Submission::new(caller.request_id, event)).await {
            Ok(_) => told,
            Err(error) => BreakGlassError::Unavailable(error.to_string()),
        }
    }
}
