//! Looks at the clock every second: keeps the latest time in the store, says it once when the clock stepped back, and once
//! when it has caught up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::audit::{AuditLog, Event, Submission};
use crate::clock::{Clock, HighWater, Moment, RolledBack};
use crate::entropy::Entropy;
use crate::ids::RequestId;
use crate::store::{Store, StoreError};

/// How often the latest time is kept. After a crash the mark may be behind by so much, and by less where the log goes on.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// The mark to start with: the later of what the store kept and the log's last entry. `bound` is how far back the clock
/// may step: an ended grant could come back for as long, were its end not in the credential itself.
pub(super) async fn high_water(
    store: &dyn Store,
    audit: &AuditLog,
    bound: Duration,
) -> Result<Arc<HighWater>, StoreError> {
    let seen = store.high_water().await?.max(audit.last_at());
    Ok(Arc::new(HighWater::new(seen, bound)))
}

#[derive(Debug)]
pub(super) struct ClockWatch {
    high_water: Arc<HighWater>,
    store: Arc<dyn Store>,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// With what was kept last.
    Fine { kept: Moment },
    /// It stepped back; is that in the log?
    Behind { recorded: bool },
}

impl ClockWatch {
    pub(super) fn new(
        high_water: Arc<HighWater>,
        store: Arc<dyn Store>,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let state = Mutex::new(State::Fine { kept: Moment::EPOCH });
        Self { high_water, store, audit, clock, entropy, state }
    }

    /// One look. What the sick store or log refuses is tried again at the next one.
    pub(super) async fn look(&self) {
        let at = self.clock.now();
        let next = match (self.high_water.check(at), self.state()) {
            (Ok(()), State::Fine { kept }) => State::Fine { kept: self.keep(at, kept).await },
            (Ok(()), State::Behind { .. }) => {
                tracing::info!("the clock has caught up; credentials are issued again");
                metrics::gauge!("tidegate_clock_behind_seconds").set(0.0);
                State::Fine { kept: self.keep(at, Moment::EPOCH).await }
            }
            (Err(behind), state) => {
                metrics::gauge!("tidegate_clock_behind_seconds").set(behind.highest.since(at).as_secs_f64());
                State::Behind { recorded: self.say(behind, state).await }
            }
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, at: Moment, kept: Moment) -> Moment {
        if at.since(kept) < KEEP_EVERY {
            return kept;
        }
        match self.store.raise_high_water(at).await {
            Ok(()) => at,
            Err(cause) => {
                tracing::warn!(%cause, "the latest time was not kept");
                kept
            }
        }
    }

    /// Once per episode; whether the log has it.
    async fn say(&self, behind: RolledBack, state: State) -> bool {
        match state {
            State::Behind { recorded: true } => return true,
            State::Behind { recorded: false } => {}
            State::Fine { .. } => {
                metrics::counter!("tidegate_clock_rollbacks_total").increment(1);
                tracing::error!(clock.now = %behind.at, clock.highest = %behind.highest, "the clock stepped back; nothing is issued or approved until it has caught up");
            }
        }
        let Ok(request_id) = RequestId::new(behind.highest, self.entropy.as_ref()) else { return false };
        let event = Event::ClockRollback { clock: behind.at, highest: behind.highest };
        let recorded = self.audit.record(Submission::new(request_id, event)).await;
        recorded.inspect_err(|cause| tracing::error!(%cause, "the clock's step was not recorded")).is_ok()
    }
}
