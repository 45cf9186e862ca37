//! One replica of several: it asks the store what others have changed, and lets each room that keeps such things in memory
//! catch up. What it has not heard lately it does not decide from memory ([`Heard`]).
//!
//! Token keys are followed beside that, in their own time: for one of them AWS KMS may have to be asked. A replica that lacks
//! a key is not ready, and decides as before.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::build::Rooms;
use crate::audit::AuditLog;
use crate::breakglass::service::BreakGlass;
use crate::clock::{Clock, FRESH_FOR, Heard, HighWater};
use crate::keys::KeyService;
use crate::locks::service::LockBook;
use crate::policy::service::Policies;
use crate::store::Store;

/// How often the store is asked, whatever it says by itself: that can fall silent without anybody noticing. A quarter of
/// [`FRESH_FOR`], so that a slow answer or two do not make memory stale.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// At least between two questions: many changes in a row are heard together.
const BREATH: Duration = Duration::from_millis(20);
/// An answer that takes longer is worth nothing: the next question may find a better connection. For each room: one that
/// hangs must not take the time of the others.
const PATIENCE: Duration = FRESH_FOR.saturating_mul(2);
/// Between two looks at keys that a sick store did not give.
const KEYS_AGAIN: Duration = Duration::from_secs(1);

/// What hears, and who is told.
#[derive(Debug)]
pub(super) struct Replica {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    heard: Arc<Heard>,
    high_water: Arc<HighWater>,
    audit: AuditLog,
    locks: Arc<LockBook>,
    keys: Arc<KeyService>,
    policies: Arc<Policies>,
    break_glass: Arc<BreakGlass>,
    /// The newest mark of the keys that was heard.
    keys_mark: watch::Sender<u64>,
    /// The last fault, so that one that stays is said once.
    fault: Mutex<String>,
}

impl Replica {
    pub(super) fn of(rooms: &Rooms) -> Self {
        Self {
            store: Arc::clone(&rooms.store),
            clock: Arc::clone(&rooms.clock),
            heard: Arc::clone(&rooms.heard),
            high_water: Arc::clone(&rooms.high_water),
            audit: rooms.audit.clone(),
            locks: Arc::clone(&rooms.locks),
            keys: Arc::clone(&rooms.keys),
            policies: Arc::clone(&rooms.policies),
            break_glass: Arc::clone(&rooms.break_glass),
            keys_mark: watch::Sender::default(),
            fault: Mutex::default(),
        }
    }

    /// For ever; ends at once where nobody else writes.
    pub(super) async fn run(&self) {
        if self.store.is_shared() {
            tokio::join!(self.follow(), self.follow_keys());
        }
    }

    async fn follow(&self) {
        loop {
            self.hear().await;
            tokio::time::sleep(BREATH).await;
            let _ = tokio::time::timeout(ASK_EVERY.saturating_sub(BREATH), self.store.hint()).await;
        }
    }

    /// One question. Only when every room has caught up does this replica know what was true when it asked.
    pub(super) async fn hear(&self) {
        let since = self.clock.uptime();
        let outcome = self.catch_up().await;
        if outcome.is_ok() {
            self.heard.mark(since);
        }
        self.say(outcome.err().unwrap_or_default());
    }

    async fn catch_up(&self) -> Result<(), String> {
        let known = self.audit.size();
        let pulse = in_time(self.store.pulse()).await?;
        if let Some(last_at) = pulse.head.last_at {
            // What another replica wrote down has been: a clock that is far behind it cannot be right.
            let _ = self.high_water.check(last_at);
        }
        let marks = pulse.marks;
        self.keys_mark.send_replace(marks.keys);
        // Before anything that may take its time: what stops.
        let locks = in_time(self.locks.catch_up(marks.locks)).await;
        // Each on its own: a policy that is not valid here must not keep an elevation away.
        let (log, policies, elevations) = tokio::join!(
            in_time(self.audit.heard(pulse.head, known)),
            in_time(self.policies.catch_up(marks.policy)),
            in_time(self.break_glass.catch_up(marks.elevations)),
        );
        [locks, log, policies, elevations].into_iter().collect()
    }

    /// For ever. A key that cannot be opened here is asked for once for each change of the keys, and by the schedule; a store
    /// that is away, until it is back.
    async fn follow_keys(&self) {
        let (mut marks, mut said) = (self.keys_mark.subscribe(), String::new());
        loop {
            let mark = *marks.borrow_and_update();
            let fault =
                self.keys.catch_up(mark).await.err().map(|cause| cause.to_string()).unwrap_or_default();
            if !fault.is_empty() && fault != said {
                metrics::counter!("tidegate_replica_faults_total").increment(1);
                tracing::error!(
                    cause = fault,
                    "this replica lacks token keys that others have: it is not ready"
                );
            }
            said = fault;
            let _ = tokio::time::timeout(KEYS_AGAIN, marks.changed()).await;
        }
    }

    fn say(&self, fault: String) {
        let mut last = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match (last.is_empty(), fault.is_empty()) {
            _ if *last == fault => return,
            (false, true) => tracing::info!("this replica follows the others again"),
            _ => {
                metrics::counter!("tidegate_replica_faults_total").increment(1);
                tracing::error!(cause = fault, "this replica cannot follow the others");
            }
        }
        *last = fault;
    }
}

async fn in_time<T, E: Display>(work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(|cause| cause.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
