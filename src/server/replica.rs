//! One replica of several: it asks the store what others have changed, and lets each room that keeps such things in memory
//! catch up. What it has not heard lately it does not decide from memory ([`Heard`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::build::Rooms;
use crate::audit::AuditLog;
use crate::breakglass::service::BreakGlass;
use crate::clock::{Clock, FRESH_FOR, Heard, HighWater};
use crate::keys::KeyService;
use crate::locks::service::LockBook;
use crate::policy::service::Policies;
use crate::store::{Store, StoreError};

/// How often the store is asked, whatever it says by itself: that can fall silent without anybody noticing. A quarter of
/// [`FRESH_FOR`], so that a slow answer or two do not make memory stale.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// At least between two questions: many changes in a row are heard together.
const BREATH: Duration = Duration::from_millis(20);
/// An answer that takes longer is worth nothing: the next question may find a better connection.
const PATIENCE: Duration = FRESH_FOR.saturating_mul(2);

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
            fault: Mutex::default(),
        }
    }

    /// For ever; ends at once where nobody else writes.
    pub(super) async fn run(&self) {
        if !self.store.is_shared() {
            return;
        }
        loop {
            self.hear().await;
            tokio::time::sleep(BREATH).await;
            let _ = tokio::time::timeout(ASK_EVERY.saturating_sub(BREATH), self.store.hint()).await;
        }
    }

    /// One question. Only when every room has caught up does this replica know what was true when it asked.
    pub(super) async fn hear(&self) {
        let since = self.clock.uptime();
        let fault = match tokio::time::timeout(PATIENCE, self.catch_up()).await {
            Ok(Ok(())) => {
                self.heard.mark(since);
                String::new()
            }
            Ok(Err(cause)) => cause,
            Err(_) => "no answer in time".to_owned(),
        };
        self.say(fault);
    }

    async fn catch_up(&self) -> Result<(), String> {
        let said = |cause: StoreError| cause.to_string();
        let known = self.audit.size();
        let pulse = self.store.pulse().await.map_err(said)?;
        if let Some(last_at) = pulse.head.last_at {
            // What another replica wrote down has been: a clock that is far behind it cannot be right.
            let _ = self.high_water.check(last_at);
        }
        let marks = pulse.marks;
        // Each on its own: a policy that is not valid here must not keep a lock away.
        let outcomes = [
            self.audit.heard(pulse.head, known).await.map_err(said),
            self.locks.catch_up(marks.locks).await.map_err(said),
            self.keys.catch_up(marks.keys).await.map_err(|cause| cause.to_string()),
            self.policies.catch_up(marks.policy).await.map_err(|cause| cause.to_string()),
            self.break_glass.catch_up(marks.elevations).await.map_err(said),
        ];
        outcomes.into_iter().collect()
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
