//! One STS call for many callers, and one entry for many deliveries.
//!
//! SDKs ask for credentials again and again, and STS throttles at a few hundred calls a second per account. A slot per
//! plan holds the session; whoever has the slot's turn calls STS and makes the entry of the issue, while the others wait
//! for the turn, or take the session that is held as long as it serves them. A caller that goes away in its turn leaves it
//! to the next one.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::budget::Purpose;
use super::plan::Plan;
use crate::audit::Receipt;
use crate::clock::{Clock, Moment};
use crate::ids::RequestId;
use crate::issuance::IssueError;
use crate::secret::{Fingerprint, SecretText};

/// Sessions at once: about 3 KiB each.
const MOST_SESSIONS: u64 = 10_000;
/// A slot nobody asks for is forgotten, and its secret wiped.
const IDLE: Duration = Duration::from_mins(15);
/// AWS answers a refused call the same a moment later; a role that was just repaired works again soon.
const REMEMBER_REFUSAL: Duration = Duration::from_secs(5);
/// Long enough that the callers who waited for a failed call do not each make it again, one after another.
const REMEMBER_OUTAGE: Duration = Duration::from_secs(1);
/// What must be left of a session that stands in for one that STS cannot give now: time to use it, and to come again when
/// throttling has passed. Of one that lives for minutes only, a tenth.
const LEAST_LEFT: Duration = Duration::from_secs(60);

/// What STS gave.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "`session_token` is AWS's own name")]
pub(super) struct Session {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: SecretText,
    pub(super) session_token: SecretText,
    pub(super) packed_policy_percent: Option<i32>,
    /// `AssumedRoleId`
    pub(super) assumed_role_id: Option<String>,
    pub(super) began_at: Moment,
    pub(super) ends_at: Moment,
}

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

/// How STS may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Out of which part of the budget.
    pub(super) purpose: Purpose,
    /// How long it may take: there is something to serve instead.
    patience: Option<Duration>,
}

/// A session for one caller.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) kept: Arc<Kept>,
    /// No STS call was made for this caller.
    pub(super) cached: bool,
    /// The slot's turn; none where the session that is held served without it.
    turn: Option<OwnedMutexGuard<Option<Failure>>>,
}

/// Held while the entry of a session's issue is made: whoever wants the same session waits, and so finds the entry instead
/// of making another. Dropped untold, it leaves that to the next one.
pub struct Turn {
    kept: Arc<Kept>,
    request_id: RequestId,
    digest: Fingerprint,
    _held: OwnedMutexGuard<Option<Failure>>,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turn")
    }
}

/// Why STS gave nothing, and how long that is believed.
#[derive(Debug)]
struct Failure {
    error: IssueError,
    until: Moment,
}

#[derive(Debug, Default)]
struct Slot {
    held: ArcSwapOption<Kept>,
    turn: Arc<Mutex<Option<Failure>>>,
}

/// Sessions by the fingerprint of everything that shaped them.
pub(super) struct SessionCache {
    slots: moka::future::Cache<Fingerprint, Arc<Slot>>,
    longest_wait: Duration,
    /// How long STS may take when there is something to serve instead.
    patience: Duration,
}

impl SessionCache {
    /// A call takes at most `longest_call`.
    pub(super) fn new(longest_call: Duration) -> Self {
        let slots = moka::future::Cache::builder().max_capacity(MOST_SESSIONS).time_to_idle(IDLE).build();
        Self { slots, longest_wait: longest_call + Duration::from_secs(1), patience: longest_call / 4 }
    }

    /// The plan's session from memory, or from `call`. `call` is made at most once, and only while nobody else calls for
    /// the same plan. `digest` is of the policies that permit it now.
    pub(super) async fn session<F>(
        &self,
        plan: &Plan,
        digest: Fingerprint,
        clock: &dyn Clock,
        call: impl FnOnce(Ask) -> F,
    ) -> Result<Answer, IssueError>
    where
        F: Future<Output = Result<Session, IssueError>>,
    {
        let Some(key) = plan.cache_key() else {
            let kept = Arc::new(Kept::new(call(Ask::alone()).await?));
            return Ok(Answer { kept, cached: false, turn: None });
        };
        let slot = self.slots.get_with(key, async { Arc::default() }).await;
        let (mut turn, waited) = match Arc::clone(&slot.turn).try_lock_owned() {
            Ok(turn) => (turn, false),
            Err(_) => {
                // Somebody calls STS, or makes an entry. Who can be served without either does not wait for them.
                if let Some(answer) = slot.in_passing(plan, digest, clock) {
                    return Ok(answer);
                }
                (self.wait_for(&slot).await?, true)
            }
        };
        let now = plan.now(clock);
        if let Some(kept) = slot.fresh(plan, now) {
            count(if waited { "wait" } else { "hit" });
            return Ok(Answer { kept, cached: true, turn: Some(turn) });
        }
        let failed = turn.as_ref().filter(|failure| now < failure.until).map(|failure| failure.error.clone());
        count(if failed.is_some() { "failed" } else { "miss" });
        let outcome = match failed {
            Some(error) => Err(error),
            None => self.ask(&slot, &mut turn, plan, clock, call).await,
        };
        match outcome {
            Ok(kept) => Ok(Answer { kept, cached: false, turn: Some(turn) }),
            Err(error) => {
                let kept = slot.instead(plan, clock, error)?;
                Ok(Answer { kept, cached: true, turn: Some(turn) })
            }
        }
    }

    async fn wait_for(&self, slot: &Slot) -> Result<OwnedMutexGuard<Option<Failure>>, IssueError> {
        let turn = Arc::clone(&slot.turn).lock_owned();
        tokio::time::timeout(self.longest_wait, turn)
            .await
            .map_err(|_| IssueError::Unavailable("another call for the same session did not end".to_owned()))
    }

    /// Calls, and leaves what came of it to those who come next.
    async fn ask<F>(
        &self,
        slot: &Slot,
        turn: &mut Option<Failure>,
        plan: &Plan,
        clock: &dyn Clock,
        call: impl FnOnce(Ask) -> F,
    ) -> Result<Arc<Kept>, IssueError>
    where
        F: Future<Output = Result<Session, IssueError>>,
    {
        let now = plan.now(clock);
        let lives = slot.held.load().as_ref().is_some_and(|kept| kept.session.ends_at > now);
        let purpose = if lives { Purpose::Reserved } else { Purpose::New };
        let patience = slot.stand_in(plan, now).map(|_| self.patience);
        match call(Ask { purpose, patience }).await {
            Ok(session) => {
                let kept = Arc::new(Kept::new(session));
                slot.held.store(Some(Arc::clone(&kept)));
                *turn = None;
                Ok(kept)
            }
            Err(error) => {
                *turn = Failure::of(&error, clock.now());
                if matches!(error, IssueError::Refused { .. }) {
                    // It may have been closed on purpose: nobody is given what is left of it.
                    slot.held.store(None);
                }
                Err(error)
            }
        }
    }
}

impl Slot {
    /// What is held, when it serves the caller as it is.
    fn fresh(&self, plan: &Plan, now: Moment) -> Option<Arc<Kept>> {
        self.held.load_full().filter(|kept| kept.session.serves(now, plan.ends_at()))
    }

    /// What is held, when it may stand in for what cannot be had now.
    fn stand_in(&self, plan: &Plan, now: Moment) -> Option<Arc<Kept>> {
        self.held.load_full().filter(|kept| kept.session.stands_in(now, plan.ends_at()))
    }

    /// For a caller who need not wait for whoever has the turn: what is held serves or stands in, and its issue is on record
    /// under today's policies.
    fn in_passing(&self, plan: &Plan, digest: Fingerprint, clock: &dyn Clock) -> Option<Answer> {
        let now = plan.now(clock);
        let (kept, outcome) = match self.fresh(plan, now) {
            Some(kept) => (kept, "hit"),
            None => (self.stand_in(plan, now)?, "stale"),
        };
        kept.issue_under(digest)?;
        count(outcome);
        Some(Answer { kept, cached: true, turn: None })
    }

    /// What is held instead of `error`, where that says nothing against it.
    fn instead(&self, plan: &Plan, clock: &dyn Clock, error: IssueError) -> Result<Arc<Kept>, IssueError> {
        let held = self.stand_in(plan, plan.now(clock)).filter(|_| error.is_passing()).ok_or(error)?;
        count("stale");
        Ok(held)
    }
}

impl Ask {
    /// For a session that is nobody else's.
    const fn alone() -> Self {
        Self { purpose: Purpose::Reserved, patience: None }
    }

    /// What STS says, if it says so in time.
    pub(super) async fn within(
        self,
        call: impl Future<Output = Result<Session, IssueError>>,
    ) -> Result<Session, IssueError> {
        let Some(patience) = self.patience else { return call.await };
        let late = |_| {
            metrics::counter!("tidegate_sts_calls_total", "outcome" => "abandoned").increment(1);
            Err(IssueError::Unavailable("no answer before patience ended; a session is held".to_owned()))
        };
        tokio::time::timeout(patience, call).await.unwrap_or_else(late)
    }
}

impl Failure {
    /// What the next caller finds. Nothing where STS was not asked: they try with a record and a budget of their own.
    fn of(error: &IssueError, now: Moment) -> Option<Self> {
        let span = match error {
            IssueError::Refused { .. } => REMEMBER_REFUSAL,
            IssueError::SlowDown { retry_after } => *retry_after,
            IssueError::Unrecorded(_) | IssueError::NoBudget { .. } => return None,
            _ => REMEMBER_OUTAGE,
        };
        Some(Self { error: error.clone(), until: now.plus(span) })
    }
}

impl Answer {
    /// For who makes an entry that may stand for others.
    pub(super) fn into_turn(self, request_id: RequestId, digest: Fingerprint) -> Option<Turn> {
        let Self { kept, turn, .. } = self;
        turn.map(|held| Turn { kept, request_id, digest, _held: held })
    }
}

impl Turn {
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
    fn new(session: Session) -> Self {
        Self { session, issue: ArcSwapOption::empty() }
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

fn count(outcome: &'static str) {
    metrics::counter!("tidegate_credential_cache_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
