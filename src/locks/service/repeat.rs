//! The same request to freeze twice is one lock: also when both come at once, and while the store is sick. Where the book
//! cannot tell a repeat from a new request, it freezes: a lock too many can be lifted.

use super::shelf::{Held, Standing};
use super::{LockBook, LockError, LockView};
use crate::audit::{Effect, RecordError, Submission};
use crate::store::AnswerRow;

/// The lock that stands for `new` under its key.
pub(super) fn same(before: Held, new: &Held) -> Result<Held, LockError> {
    let request = |held: &Held| held.answer.as_ref().map(|answer| answer.request);
    if request(&before) != request(new) {
        return Err(LockError::KeyReused);
    }
    if before.lock.holds(new.lock.at) { Ok(before) } else { Err(LockError::Over) }
}

impl LockBook {
    /// Writes down that a lock was set, unless it is written, and says which lock it is then.
    pub(super) async fn record(&self, held: Held) -> Result<LockView, LockError> {
        let Standing::Waiting(submission) = &held.standing else {
            return Ok(LockView { recorded: held.is_recorded(), lock: held.lock });
        };
        let recorded = match self.audit.record(with_answer(submission, held.answer.as_ref())).await {
            Ok(_) => true,
            Err(RecordError::Answered) => return self.answered(held).await,
            Err(RecordError::Unavailable) => false,
            Err(error) => {
                self.drop_lock(held.lock.id);
                return Err(LockError::Unavailable(error.to_string()));
            }
        };
        let view = self.view(held, recorded);
        if recorded {
            // Another replica may have lifted it before it was marked as recorded here.
            self.forget_if_lifted(&view.lock).await;
        }
        Ok(view)
    }

    /// For a lock that waits: `false` when the log cannot be written now. When its key was taken before, which nobody could
    /// see while the store was sick, it is a lock of its own: it was said to be in force.
    pub(super) async fn write_waiting(
        &self,
        held: &Held,
        submission: &Submission,
    ) -> Result<bool, LockError> {
        match self.audit.record(with_answer(submission, held.answer.as_ref())).await {
            Err(RecordError::Answered) if held.answer.is_some() => self.write(submission).await,
            Ok(_) | Err(RecordError::Answered) => Ok(true),
            Err(RecordError::Unavailable) => Ok(false),
            Err(error) => Err(LockError::Unavailable(error.to_string())),
        }
    }

    /// Its entry was refused: it stands there already, or its key belongs to another lock.
    async fn answered(&self, held: Held) -> Result<LockView, LockError> {
        let Some(asked) = &held.answer else { return Ok(self.view(held, true)) };
        match self.store.answer(asked.key).await {
            Ok(Some(kept)) if kept.outcome == asked.outcome => Ok(self.view(held, true)),
            Ok(Some(kept)) => {
                self.drop_lock(held.lock.id);
                self.kept(kept, &held)
            }
            // The next pass finds out.
            Ok(None) | Err(_) => Ok(self.view(held, false)),
        }
    }

    /// The lock of a kept answer.
    fn kept(&self, kept: AnswerRow, new: &Held) -> Result<LockView, LockError> {
        let found = kept.outcome.parse().ok().and_then(|id| self.shelf.find(id));
        let wrong_request = new.answer.as_ref().is_none_or(|asked| asked.request != kept.request);
        let before = match found {
            _ if wrong_request => return Err(LockError::KeyReused),
            Some(found) => same(Held { answer: Some(kept), ..found }, new)?,
            None => return Err(LockError::Over),
        };
        Ok(LockView { recorded: before.is_recorded(), lock: before.lock })
    }

    fn view(&self, held: Held, recorded: bool) -> LockView {
        if recorded {
            self.shelf.mark_recorded(held.lock.id);
        }
        LockView { lock: held.lock, recorded }
    }
}

fn with_answer(submission: &Submission, answer: Option<&AnswerRow>) -> Submission {
    let mut submission = submission.clone();
    submission.effects.extend(answer.cloned().map(Effect::KeepAnswer));
    submission
}
