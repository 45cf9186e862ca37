//! What is held for one plan: a session, the entry of its issue, and what went wrong last.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::cache::Session;
use super::plan::Plan;
use crate::audit::Receipt;
use crate::clock::Moment;
use crate::ids::RequestId;
use crate::issuance::IssueError;
use crate::secret::Fingerprint;

/// AWS answers a refused call the same a moment later; a role that was just repaired works again soon.
const REMEMBER_REFUSAL: Duration = Duration::from_secs(5);
/// Long enough that the callers who waited for a failed call do not each make it again, one after another.
const REMEMBER_OUTAGE: Duration = Duration::from_secs(1);
/// What must be left of a session that stands in for one that STS cannot give now: time to use it, and to come again when
/// throttling has passed. Of one that lives for minutes only, a tenth.
const LEAST_LEFT: Duration = Duration::from_mins(1);

/// A session in memory and, as soon as that is durable, the entry of its issue.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) session: Session,
    issue: ArcSwapOption<Issue>,
}

/// A durable entry that a session was issued on.
#[derive(Debug)]
pub(super) struct Issue {
    pub(super) receipt: Arc<Receipt>,
    /// The policies that had permitted it.
    digest: Fingerprint,
}

/// Held while the entry of a session's issue is made: whoever wants the same session waits, and so finds the entry instead
/// of making another. Dropped untold, it leaves that to the next one.
pub struct Turn {
    kept: Arc<Kept>,
    request_id: RequestId,
    digest: Fingerprint,
    _held: TurnGuard,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turn")
    }
}

/// Why STS gave nothing, and how long that is believed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: IssueError,
    pub(super) until: Moment,
}

/// Whoever has it may call STS, and makes the entry of an issue. It knows what went wrong last.
pub(super) type TurnGuard = OwnedMutexGuard<Option<Failure>>;

/// One plan's place in the cache.
#[derive(Debug, Default)]
pub(super) struct Slot {
    held: ArcSwapOption<Kept>,
    turn: Arc<Mutex<Option<Failure>>>,
}

impl Slot {
    /// The turn, when nobody has it.
    pub(super) fn try_turn(&self) -> Option<TurnGuard> {
        Arc::clone(&self.turn).try_lock_owned().ok()
    }

    /// The turn, after everybody who came before.
    pub(super) fn turn(&self) -> impl Future<Output = TurnGuard> {
        Arc::clone(&self.turn).lock_owned()
    }

    /// Holds what STS gave, instead of what was held.
    pub(super) fn hold(&self, session: Session) -> Arc<Kept> {
        let kept = Kept::new(session);
        self.held.store(Some(Arc::clone(&kept)));
        kept
    }

    /// Holds nothing.
    pub(super) fn let_go(&self) {
        self.held.store(None);
    }

    /// Has what is held not ended yet?
    pub(super) fn lives(&self, now: Moment) -> bool {
        self.held.load().as_ref().is_some_and(|kept| kept.session.ends_at > now)
    }

    /// What is held, when it serves the caller as it is.
    pub(super) fn fresh(&self, plan: &Plan, now: Moment) -> Option<Arc<Kept>> {
        self.held.load_full().filter(|kept| kept.session.serves(now, plan.ends_at()))
    }

    /// What is held, when it may stand in for what cannot be had now.
    pub(super) fn stand_in(&self, plan: &Plan, now: Moment) -> Option<Arc<Kept>> {
        self.held.load_full().filter(|kept| kept.session.stands_in(now, plan.ends_at()))
    }

    /// For a caller who finds that another has the turn: what is held, when it serves or will do until there is a successor,
    /// and when nothing is to be recorded for it under the policies of that digest.
    pub(super) fn in_passing(&self, plan: &Plan, digest: Fingerprint, now: Moment) -> Option<Arc<Kept>> {
        let kept = self.fresh(plan, now).or_else(|| self.stand_in(plan, now))?;
        kept.issue_under(digest).map(|_| kept)
    }

    /// What is held instead of `error`, where that says nothing against it.
    pub(super) fn instead(
        &self,
        plan: &Plan,
        now: Moment,
        error: IssueError,
    ) -> Result<Arc<Kept>, IssueError> {
        self.stand_in(plan, now).filter(|_| error.is_passing()).ok_or(error)
    }
}

impl Failure {
    /// What the next caller finds. Nothing where STS was not asked: they try with a record and a budget of their own.
    pub(super) fn of(error: &IssueError, now: Moment) -> Option<Self> {
        let span = match error {
            IssueError::Refused { .. } => REMEMBER_REFUSAL,
            IssueError::SlowDown { retry_after } => *retry_after,
            IssueError::Unrecorded(_) | IssueError::NoBudget { .. } => return None,
            _ => REMEMBER_OUTAGE,
        };
        Some(Self { error: error.clone(), until: now.plus(span) })
    }
}

impl Turn {
    /// For the entry of that request, which policies of that digest permit.
    pub(super) fn new(kept: Arc<Kept>, request_id: RequestId, digest: Fingerprint, held: TurnGuard) -> Self {
        Self { kept, request_id, digest, _held: held }
    }

    /// The entry of the request is durable: from now on the session is delivered on it. The receipt of another request is not
    /// remembered.
    pub fn remember(self, receipt: &Arc<Receipt>) {
        if receipt.request_id() == self.request_id {
            let issue = Issue { receipt: Arc::clone(receipt), digest: self.digest };
            self.kept.issue.store(Some(Arc::new(issue)));
        }
    }
}

impl Kept {
    /// On no record yet.
    pub(super) fn new(session: Session) -> Arc<Self> {
        Arc::new(Self { session, issue: ArcSwapOption::empty() })
    }

    /// Is there an entry of its issue?
    pub(super) fn is_on_record(&self) -> bool {
        self.issue.load().is_some()
    }

    /// The entry of its issue, when that was permitted by these policies.
    pub(super) fn issue_under(&self, digest: Fingerprint) -> Option<Arc<Issue>> {
        self.issue.load_full().filter(|issue| issue.digest == digest)
    }
}

impl Session {
    /// May a caller at `at` have it whose own permit ends at `permitted`? Only when it ends no later, and while more than
    /// half of its life is left: SDKs that were given less would come back for more with every request.
    fn serves(&self, at: Moment, permitted: Moment) -> bool {
        self.ends_at <= permitted && self.ends_at.since(at) > self.life() / 2
    }

    /// May they have it when there is nothing better?
    fn stands_in(&self, at: Moment, permitted: Moment) -> bool {
        self.ends_at <= permitted
            && self.ends_at.since(at) >= LEAST_LEFT.min(self.life() / 10)
            && at < self.ends_at
    }

    fn life(&self) -> Duration {
        self.ends_at.since(self.began_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::SecretText;

    proptest! {
        #[test]
        fn nothing_is_served_past_its_end_or_past_the_callers(
            began in 0_i64..10_000, life in 1_i64..50_000, at in 0_i64..80_000, permitted in 0_i64..80_000,
        ) {
            let (at, permitted) = (Moment::from_unix_seconds(at), Moment::from_unix_seconds(permitted));
            let session = Session {
                access_key_id: "ASIA".into(),
                secret_access_key: SecretText::new("s".into()),
                session_token: SecretText::new("t".into()),
                packed_policy_percent: None,
                assumed_role_id: None,
                began_at: Moment::from_unix_seconds(began),
                ends_at: Moment::from_unix_seconds(began + life),
            };
            let left = session.ends_at.since(at);
            if session.serves(at, permitted) || session.stands_in(at, permitted) {
                prop_assert!(at < session.ends_at && session.ends_at <= permitted);
            }
            if session.serves(at, permitted) {
                prop_assert!(left * 2 > session.life());
            }
            if session.stands_in(at, permitted) {
                prop_assert!(left >= LEAST_LEFT || left * 10 >= session.life());
            }
        }
    }
}
