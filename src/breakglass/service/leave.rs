//! What stops something: deny, withdraw, give back, revoke. It works with a clock that stepped back, under a lock, and while
//! the store is sick.

use super::commit::{MOST_TRIES, Planned, Under};
use super::decide::check_text;
use super::questions::Deed;
use super::refuse::{Attempt, Refusal};
use super::{BreakGlass, BreakGlassError, Keyed, Outcome};
use crate::audit::{DecisionRecord, Overtaken, RecordError};
use crate::breakglass::{Act, Change, ChangeRefusal, Elevation, State};
use crate::grants::GrantKind;
use crate::ids::ElevationId;
use crate::people::Caller;
use crate::store::AnswerRow;

/// May they? `None` where no policy is asked, because it is the requester's own.
type Decision<'a> = dyn Fn(&Elevation) -> Result<Option<DecisionRecord>, Refusal> + Send + Sync + 'a;

impl BreakGlass {
    /// The requester takes it back before its window is open.
    pub async fn withdraw(
        &self,
        caller: &Caller,
        id: ElevationId,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Outcome, BreakGlassError> {
        self.stop(caller, id, Change::Withdrawn, None, keyed, &|_| Ok(None)).await
    }

    /// The requester gives it back before its end.
    pub async fn end(
        &self,
        caller: &Caller,
        id: ElevationId,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Outcome, BreakGlassError> {
        self.stop(caller, id, Change::Ended, None, keyed, &|_| Ok(None)).await
    }

    /// Somebody whom policy lets takes it away.
    pub async fn revoke(
        &self,
        caller: &Caller,
        id: ElevationId,
        reason: String,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Outcome, BreakGlassError> {
        let decide = |current: &Elevation| self.may_with(caller, current, Deed::Revoke).map(Some);
        self.stop(caller, id, Change::Revoked, Some(reason), keyed, &decide).await
    }

    pub(super) async fn stop(
        &self,
        caller: &Caller,
        id: ElevationId,
        change: Change,
        reason: Option<String>,
        keyed: Option<Keyed<'_>>,
        decide: &Decision<'_>,
    ) -> Result<Outcome, BreakGlassError> {
        let answer = keyed.map(|keyed| keyed.row(caller, &id.to_string()));
        match self.try_stop(caller, id, change, reason, answer.as_ref(), decide).await {
            Ok(outcome) => Ok(outcome),
            Err(refusal) => Err(self.refuse(&Attempt::on(caller, verb(change), id), refusal).await),
        }
    }

    async fn try_stop(
        &self,
        caller: &Caller,
        id: ElevationId,
        change: Change,
        reason: Option<String>,
        answer: Option<&AnswerRow>,
        decide: &Decision<'_>,
    ) -> Result<Outcome, Refusal> {
        match self.answered(caller, answer).await {
            Ok(Some(outcome)) => return Ok(outcome),
            // A store that cannot be read must not keep anybody from stopping something.
            Err(refusal) if !matches!(refusal.error, BreakGlassError::Unavailable(_)) => return Err(refusal),
            Ok(None) | Err(_) => {}
        }
        let mut current = self.visible(caller, id).await?;
        if let Some(text) = &reason {
            must_say_why(text)?;
        }
        let mut tries = 1;
        loop {
            let decided = decide(&current)?;
            let next = self.leave(change, &current, caller, reason.as_deref()).map_err(|refusal| {
                Refusal::told(BreakGlassError::of_change(&refusal, &current)).at_version(current.version)
            })?;
            let planned = Planned::new(change, next, caller.at).noted(reason.clone());
            let planned = match decided {
                Some(decided) => planned.permitted(decided),
                None => planned,
            };
            match self.commit(&current, planned.clone(), Under::caller(caller, answer)).await {
                Ok(elevation) => return Ok(Outcome::recorded(elevation)),
                Err(RecordError::Answered) => return self.answered_meanwhile(caller, answer).await,
                Err(RecordError::Overtaken(Overtaken::Change)) if tries < MOST_TRIES => {
                    tries += 1;
                    current = self.visible(caller, id).await?;
                }
                Err(RecordError::Unavailable) => {
                    if let Some(outcome) = self.stop_now(&current, &planned, caller, answer) {
                        return Ok(outcome);
                    }
                    return Err(self.unwritten(RecordError::Unavailable, &current).await);
                }
                Err(error) => return Err(self.unwritten(error, &current).await),
            }
        }
    }

    /// The machine's answer, with what must be cut off at AWS.
    pub(super) fn leave(
        &self,
        change: Change,
        current: &Elevation,
        caller: &Caller,
        reason: Option<&str>,
    ) -> Result<Elevation, ChangeRefusal> {
        let act = Act { by: &caller.person, at: caller.at };
        let reason = reason.unwrap_or_default();
        let next = match change {
            Change::Denied => current.deny(act, reason),
            Change::Withdrawn => current.withdraw(act),
            Change::Ended => current.end(act),
            Change::Revoked => current.revoke(act, reason),
            _ => Err(ChangeRefusal::State(current.state_name())),
        }?;
        let had_access = matches!(current.state, State::Active { .. });
        Ok(if had_access && self.can_cut_off(current) { next.cut_off(caller.at) } else { next })
    }

    fn can_cut_off(&self, elevation: &Elevation) -> bool {
        let is_aws = |grant: &std::sync::Arc<crate::grants::Grant>| matches!(grant.kind, GrantKind::Aws(_));
        self.services.sessions.is_some() && self.grant_of(elevation).is_some_and(is_aws)
    }
}

fn must_say_why(reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal::told(BreakGlassError::invalid("reason", "`reason` is empty: say why")));
    }
    check_text("reason", reason)
}

const fn verb(change: Change) -> &'static str {
    match change {
        Change::Denied => "deny",
        Change::Withdrawn => "withdraw",
        Change::Ended => "end",
        _ => "revoke",
    }
}
