//! One change, its entry, its messages and its answer: all of them durable, or nothing.

use super::questions::locked;
use super::record::{News, event_name};
use super::refuse::Refusal;
use super::{BreakGlass, BreakGlassError};
use crate::audit::{DecisionRecord, Effect, Overtaken, RecordError, StillTrue, Submission};
use crate::breakglass::{Change, Elevation};
use crate::clock::Moment;
use crate::ids::RequestId;
use crate::people::Caller;
use crate::store::{AnswerRow, ElevationChange, OpenLimits};

/// How often a command that lost a race looks again. Approvals do not contradict each other; more racers than this on one
/// elevation are no people.
pub(super) const MOST_TRIES: u32 = 5;

/// A change that was decided on and is not written yet.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) change: Change,
    pub(super) next: Elevation,
    pub(super) decision: Option<DecisionRecord>,
    pub(super) note: Option<String>,
    /// When it became true.
    pub(super) true_at: Moment,
    /// Asked again at the commit.
    pub(super) still_true: Option<StillTrue>,
}

impl Planned {
    pub(super) fn new(change: Change, next: Elevation, true_at: Moment) -> Self {
        Self { change, next, decision: None, note: None, true_at, still_true: None }
    }

    /// Policy permitted it.
    #[must_use]
    pub(super) fn permitted(mut self, decision: DecisionRecord) -> Self {
        self.next.decided_policies.clone_from(&decision.policy.decided_by);
        Self { decision: Some(decision), ..self }
    }

    #[must_use]
    pub(super) fn noted(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }

    #[must_use]
    pub(super) fn only_if(self, still_true: StillTrue) -> Self {
        Self { still_true: Some(still_true), ..self }
    }
}

/// What a change is written under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Under<'a> {
    pub(super) request_id: RequestId,
    pub(super) at: Moment,
    pub(super) by: Option<&'a Caller>,
    pub(super) answer: Option<&'a AnswerRow>,
}

impl<'a> Under<'a> {
    pub(super) const fn caller(caller: &'a Caller, answer: Option<&'a AnswerRow>) -> Self {
        Self { request_id: caller.request_id, at: caller.at, by: Some(caller), answer }
    }

    /// The clock did it.
    pub(super) const fn clock(request_id: RequestId, at: Moment) -> Self {
        Self { request_id, at, by: None, answer: None }
    }
}

impl BreakGlass {
    /// Writes what `current` becomes, before the moment at which `current` itself is over.
    pub(super) async fn commit(
        &self,
        current: &Elevation,
        planned: Planned,
        under: Under<'_>,
    ) -> Result<Elevation, RecordError> {
        // The clock's own changes are true for ever, however late they are written down.
        let by_clock = matches!(planned.change, Change::Lapsed | Change::Expired);
        let before = current.deadline().filter(|_| !by_clock);
        self.write(planned, under, Place { from: Some(current.version), before, room: None }).await
    }

    /// Writes a new one.
    pub(super) async fn commit_new(
        &self,
        planned: Planned,
        under: Under<'_>,
    ) -> Result<Elevation, RecordError> {
        let settings = &self.services.settings;
        let room = OpenLimits { per_person: settings.open_per_person, per_grant: settings.open_per_grant };
        let before = planned.next.deadline();
        self.write(planned, under, Place { from: None, before, room: Some(room) }).await
    }

    async fn write(
        &self,
        planned: Planned,
        under: Under<'_>,
        place: Place,
    ) -> Result<Elevation, RecordError> {
        let Planned { change, next, decision, note, true_at, still_true } = planned;
        let news = News {
            change,
            before: place.from.unwrap_or(0),
            elevation: &next,
            by: under.by,
            decision,
            note,
            true_at,
            at: under.at,
        };
        let decided_by = news.decision.as_ref().map(|decision| decision.policy.digest);
        let messages = news.messages(&self.services.hooks);
        let Place { from, before, room } = place;
        let swap = ElevationChange { next: next.clone(), from, before, room };
        let mut effects = vec![Effect::ChangeElevation(Box::new(swap))];
        if !messages.is_empty() {
            effects.push(Effect::Say(messages));
        }
        effects.extend(under.answer.cloned().map(Effect::KeepAnswer));
        effects.extend(decided_by.filter(|_| opens(change)).map(Effect::RequirePolicy));
        let submission = Submission::new(under.request_id, news.event()).with(effects);
        self.services.audit.record(Submission { still_true, not_before: under.at, ..submission }).await?;
        metrics::counter!("tidegate_elevations_total", "event" => event_name(change)).increment(1);
        self.keep_in_mind(&next);
        Ok(next)
    }

    /// Why nothing was written, for the caller. A race that was lost shows what won it.
    pub(super) async fn unwritten(&self, error: RecordError, current: &Elevation) -> Refusal {
        let told = |text: &str| text.to_owned();
        match error {
            RecordError::Overtaken(Overtaken::Change) => {
                let newest = self.newest(current).await;
                Refusal::told(BreakGlassError::conflict("overtaken", "somebody else was faster", &newest))
            }
            RecordError::Overtaken(Overtaken::Time) => {
                let newest = self.newest(current).await;
                Refusal::told(BreakGlassError::conflict("too_late", "its time is over by now", &newest))
            }
            RecordError::Overtaken(Overtaken::Lock) => Refusal::told(locked()).at_version(current.version),
            RecordError::Overtaken(Overtaken::PersonFull) => Refusal::told(BreakGlassError::TooMany {
                code: "too_many_of_yours",
                told: told("too many elevations of yours are open; withdraw or end one"),
            }),
            RecordError::Overtaken(Overtaken::GrantFull) => Refusal::told(BreakGlassError::TooMany {
                code: "too_many_of_grant",
                told: told("too many elevations for this grant are open"),
            }),
            RecordError::Overtaken(Overtaken::Keys | Overtaken::Policy) => {
                Refusal::unwritten(BreakGlassError::Unavailable(
                    "other policies have come into force meanwhile; ask again".to_owned(),
                ))
            }
            RecordError::TooLarge => Refusal::told(BreakGlassError::invalid(
                "too_large",
                "the record of this would be too large: use fewer words",
            )),
            RecordError::Unavailable | RecordError::Replayed | RecordError::Answered => {
                Refusal::unwritten(BreakGlassError::Unavailable(error.to_string()))
            }
        }
    }

    /// As it stands now, or as it stood when the store was last heard.
    async fn newest(&self, last: &Elevation) -> Elevation {
        self.services.store.elevation(last.id).await.ok().flatten().unwrap_or_else(|| last.clone())
    }
}

/// Does it bring somebody closer to a credential? Policies that another replica has put out of force must not permit that;
/// to stop somebody, any will do.
const fn opens(change: Change) -> bool {
    matches!(change, Change::Requested | Change::Approved | Change::Activated)
}

/// Where a change belongs.
struct Place {
    from: Option<u64>,
    before: Option<Moment>,
    room: Option<OpenLimits>,
}
