//! One STS call for many callers.
//!
//! SDKs ask for credentials again and again, and STS throttles at a few hundred calls a second per account. A slot per
//! plan holds the session; whoever finds it empty calls STS while the others wait for the slot. A caller that goes away
//! while it calls leaves the slot empty to the next one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::plan::Plan;
use crate::clock::{Clock, Moment};
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

/// A session for one caller.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) session: Arc<Session>,
    /// No STS call was made for this caller.
    pub(super) cached: bool,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Held(Arc<Session>),
    Failed {
        error: IssueError,
        until: Moment,
    },
}

/// Sessions by the fingerprint of everything that shaped them.
pub(super) struct SessionCache {
    slots: moka::future::Cache<Fingerprint, Arc<Mutex<Slot>>>,
    longest_wait: Duration,
}

impl SessionCache {
    /// A call takes at most `longest_call`.
    pub(super) fn new(longest_call: Duration) -> Self {
        let slots = moka::future::Cache::builder().max_capacity(MOST_SESSIONS).time_to_idle(IDLE).build();
        Self { slots, longest_wait: longest_call + Duration::from_secs(1) }
    }

    /// The plan's session from memory, or from `call`. `call` is awaited at most once, and only while nobody else
    /// calls for the same plan.
    pub(super) async fn session(
        &self,
        plan: &Plan,
        clock: &dyn Clock,
        call: impl Future<Output = Result<Session, IssueError>>,
    ) -> Result<Answer, IssueError> {
        let Some(key) = plan.cache_key() else {
            return Ok(Answer { session: Arc::new(call.await?), cached: false });
        };
        let slot = self.slots.get_with(key, async { Arc::default() }).await;
        let (mut held, waited) = self.enter(slot).await?;
        if let Some(answer) = held.answer(plan) {
            count(if waited { "wait" } else { "hit" });
            return answer;
        }
        count("miss");
        let outcome = call.await.map(Arc::new);
        *held = Slot::after(&outcome, clock.now());
        outcome.map(|session| Answer { session, cached: false })
    }

    async fn enter(&self, slot: Arc<Mutex<Slot>>) -> Result<(OwnedMutexGuard<Slot>, bool), IssueError> {
        if let Ok(free) = Arc::clone(&slot).try_lock_owned() {
            return Ok((free, false));
        }
        match tokio::time::timeout(self.longest_wait, slot.lock_owned()).await {
            Ok(freed) => Ok((freed, true)),
            Err(_) => {
                Err(IssueError::Unavailable("another call for the same session did not end".to_owned()))
            }
        }
    }
}

impl Slot {
    /// What the next caller finds.
    fn after(outcome: &Result<Arc<Session>, IssueError>, now: Moment) -> Self {
        let error = match outcome {
            Ok(session) => return Self::Held(Arc::clone(session)),
            Err(error) => error.clone(),
        };
        let span = match &error {
            IssueError::Refused { .. } => REMEMBER_REFUSAL,
            IssueError::SlowDown { retry_after } => *retry_after,
            // STS was not called for this one: the next caller tries with a record of their own.
            IssueError::Unrecorded(_) => return Self::Empty,
            _ => REMEMBER_OUTAGE,
        };
        Self::Failed { error, until: now.plus(span) }
    }

    /// What this slot says to a caller with `plan`; `None` when STS must be asked.
    fn answer(&self, plan: &Plan) -> Option<Result<Answer, IssueError>> {
        match self {
            Self::Held(session) if session.serves(plan.at(), plan.ends_at()) => {
                Some(Ok(Answer { session: Arc::clone(session), cached: true }))
            }
            Self::Failed { error, until } if plan.at() < *until => Some(Err(error.clone())),
            Self::Empty | Self::Held(_) | Self::Failed { .. } => None,
        }
    }
}

impl Session {
    /// May a caller at `at` have it whose own permit ends at `permitted`? Only when it ends no later, and while more than
    /// half of its life is left: SDKs that were given less would come back for more with every request.
    fn serves(&self, at: Moment, permitted: Moment) -> bool {
        let left = self.ends_at.since(at);
        self.ends_at <= permitted && left > self.ends_at.since(self.began_at) / 2
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
            if session.serves(at, permitted) {
                prop_assert!(at < session.ends_at && session.ends_at <= permitted);
                prop_assert!(session.ends_at.since(at) * 2 > session.ends_at.since(session.began_at));
            }
        }
    }
}
