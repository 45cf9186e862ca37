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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::Bench;
    use crate::entropy::SystemEntropy;

    const BOUND: Duration = Duration::from_secs(30);

    struct Room {
        bench: Bench,
        watch: ClockWatch,
    }

    impl Room {
        async fn on(bench: Bench) -> Self {
            let store = bench.store().await;
            let audit = bench.log_on(Arc::clone(&store)).await;
            let mark = high_water(&*store, &audit, BOUND).await.unwrap();
            let clock = Arc::clone(&bench.clock) as _;
            let watch = ClockWatch::new(mark, store, audit, clock, Arc::new(SystemEntropy::new()));
            Self { bench, watch }
        }

        async fn restart(self) -> Self {
            let Self { bench, watch } = self;
            watch.audit.drain().await;
            drop(watch);
            Self::on(bench).await
        }

        async fn look_at(&self, at: Moment) {
            self.bench.clock.set(at);
            self.watch.look().await;
        }

        fn is_fine(&self) -> bool {
            self.watch.high_water.check(self.bench.clock.now()).is_ok()
        }

        async fn rollbacks(&self) -> Vec<serde_json::Value> {
            let all = self.watch.audit.entries(0, 1_000).await.unwrap();
            let read =
                all.iter().map(|(_, bytes)| serde_json::from_slice::<serde_json::Value>(bytes).unwrap());
            read.filter(|entry| entry["type"] == "clock.rollback").collect()
        }
    }

    const MONTH: Duration = Duration::from_hours(31 * 24);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_step_back_is_recorded_once_per_episode_and_ends_by_itself() {
        let room = Room::on(Bench::new()).await;
        let now = room.bench.clock.now();
        room.look_at(now).await;
        for later in 0..3 {
            room.look_at(now.minus(MONTH).plus(SECOND * later)).await;
        }
        assert!(!room.is_fine());
        let entries = room.rollbacks().await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0]["clock"], now.minus(MONTH).to_string());
        assert_eq!(entries[0]["highest"], now.to_string());
        room.look_at(now.minus(BOUND)).await;
        assert!(room.is_fine());
        room.look_at(now.minus(MONTH)).await;
        assert_eq!(room.rollbacks().await.len(), 2);
    }

    #[tokio::test]
    async fn time_synchronisation_is_no_step_back() {
        let room = Room::on(Bench::new()).await;
        let now = room.bench.clock.now();
        for at in [now, now.minus(BOUND), now.plus(MONTH), now.plus(MONTH).minus(BOUND)] {
            room.look_at(at).await;
            assert!(room.is_fine(), "{at}");
        }
        assert!(room.rollbacks().await.is_empty());
    }

    #[tokio::test]
    async fn the_mark_survives_a_restart_and_lags_by_ten_seconds_at_most() {
        let room = Room::on(Bench::new()).await;
        let now = room.bench.clock.now();
        let last = now.plus(MONTH).plus(SECOND * 9);
        for at in [now, now.plus(MONTH), last] {
            room.look_at(at).await;
        }
        room.bench.clock.set(now);
        let room = room.restart().await;
        assert!(!room.is_fine());
        assert!(last.since(room.watch.high_water.highest()) < KEEP_EVERY);
    }

    #[tokio::test]
    async fn the_last_entry_of_the_log_is_a_floor_of_its_own() {
        let room = Room::on(Bench::new()).await;
        let now = room.bench.clock.now();
        room.bench.clock.set(now.plus(MONTH));
        crate::audit::tests::fill(&room.watch.audit, 1).await;
        room.bench.clock.set(now);
        let room = room.restart().await;
        assert!(!room.is_fine());
    }

    #[tokio::test]
    async fn a_step_back_while_the_log_is_sick_is_recorded_when_it_recovers() {
        let room = Room::on(Bench::new()).await;
        let now = room.bench.clock.now();
        room.look_at(now).await;
        let (here, away) = (room.bench.folder.path().join("t.db"), room.bench.folder.path().join("away.db"));
        std::fs::rename(&here, &away).unwrap();
        room.look_at(now.minus(MONTH)).await;
        room.look_at(now.minus(MONTH)).await;
        std::fs::rename(&away, &here).unwrap();
        room.look_at(now.minus(MONTH)).await;
        room.look_at(now.minus(MONTH)).await;
        assert_eq!(room.rollbacks().await.len(), 1);
    }
}
