//! One STS call for many callers, and one entry for many deliveries.
//!
//! SDKs ask for credentials again and again, and STS throttles at a few hundred calls a second per account. A slot per
//! plan holds the session; whoever has the slot's turn calls STS and makes the entry of the issue, while the others wait
//! for the turn, or take the session that is held as long as it serves them. A caller that goes away in its turn leaves it
//! to the next one.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Purpose;
use super::plan::Plan;
use super::slot::{Failure, Kept, Slot, Turn, TurnGuard};
use crate::clock::{Clock, Moment};
use crate::ids::RequestId;
use crate::issuance::IssueError;
use crate::secret::{Fingerprint, SecretText};

/// Sessions at once: about 3 KiB each.
const MOST_SESSIONS: u64 = 10_000;
/// A slot nobody asks for is forgotten, and its secret wiped.
const IDLE: Duration = Duration::from_mins(15);
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
    turn: Option<TurnGuard>,
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
            let kept = Kept::new(call(Ask::alone()).await?);
            return Ok(Answer { kept, cached: false, turn: None });
        };
        let slot = self.slots.get_with(key, async { Arc::default() }).await;
        let (mut turn, waited) = if let Some(turn) = slot.try_turn() {
            (turn, false)
        } else if let Some(kept) = slot.in_passing(plan, digest, plan.now(clock)) {
            // Somebody calls STS, or makes an entry. Who can be served without either does not wait for them.
            count("hit");
            return Ok(Answer { kept, cached: true, turn: None });
        } else {
            (self.wait_for(&slot).await?, true)
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
                let kept = slot.instead(plan, plan.now(clock), error)?;
                count("stale");
                Ok(Answer { kept, cached: true, turn: Some(turn) })
            }
        }
    }

    async fn wait_for(&self, slot: &Slot) -> Result<TurnGuard, IssueError> {
        tokio::time::timeout(self.longest_wait, slot.turn())
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
        let purpose = if slot.lives(now) { Purpose::Reserved } else { Purpose::New };
        let patience = slot.stand_in(plan, now).map(|_| self.patience);
        match call(Ask { purpose, patience }).await {
            Ok(session) => {
                *turn = None;
                Ok(slot.hold(session))
            }
            Err(error) => {
                *turn = Failure::of(&error, clock.now());
                if matches!(error, IssueError::Refused { .. }) {
                    // It may have been closed on purpose: nobody is given what is left of it.
                    slot.let_go();
                }
                Err(error)
            }
        }
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

impl Answer {
    /// For who makes an entry that may stand for others.
    pub(super) fn into_turn(self, request_id: RequestId, digest: Fingerprint) -> Option<Turn> {
        let Self { kept, turn, .. } = self;
        turn.map(|held| Turn::new(kept, request_id, digest, held))
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("tidegate_credential_cache_total", "outcome" => outcome).increment(1);
}
