//! What happens without being asked: fresh keys, rotations, reloads, forgetting.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;

use super::build::Rooms;
use super::replica::Replica;
use crate::clock::{HighWater, Moment};
use crate::policy::PolicyDigest;
use crate::policy::service::{Folder, PoliciesError};
use crate::store::StoreError;

/// How soon a changed policy or certificate file is noticed without a signal.
const WATCH_EVERY: Duration = Duration::from_secs(5);
const KEYS_EVERY: Duration = Duration::from_secs(15);
const FORGET_EVERY: Duration = Duration::from_secs(30);
/// How long an ended lock or a kept answer stays: the end of a lock is written down before the lock is forgotten, also after
/// a crash between the two.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How soon what time has made true of an elevation or a lock is written down, an unrecorded lock is tried again, a clock
/// that stepped back is noticed, and deliveries of a credential that is over are told.
const SECOND: Duration = Duration::from_secs(1);
/// Expired replay claims deleted in one transaction: a long delete would hold the writer. Entries wait in between.
const PURGE_AT_ONCE: u32 = 5_000;

pub(super) fn start(rooms: &Arc<Rooms>, metrics: PrometheusHandle) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let federation = Arc::clone(&rooms.federation);
    tasks.spawn(async move { federation.keep_fresh().await });
    let replica = Replica::of(rooms);
    tasks.spawn(async move { replica.run().await });
    repeat(&mut tasks, rooms, KEYS_EVERY, turn_keys);
    repeat(&mut tasks, rooms, WATCH_EVERY, |rooms| async move {
        look_at_policies(&rooms, false).await;
        rooms.reload_certificates();
    });
    if let Some(shadow) = &rooms.shadow {
        let (asks, looks) = (Arc::clone(shadow), Arc::clone(shadow));
        tasks.spawn(async move { asks.run().await });
        tasks.spawn(async move {
            loop {
                looks.look().await;
                tokio::time::sleep(WATCH_EVERY).await;
            }
        });
    }
    repeat(&mut tasks, rooms, FORGET_EVERY, forget);
    repeat(&mut tasks, rooms, SECOND, |rooms| async move { rooms.break_glass.sweep().await });
    repeat(&mut tasks, rooms, SECOND, |rooms| async move { rooms.break_glass.end_sessions().await });
    let notifier = Arc::clone(&rooms.notifier);
    tasks.spawn(async move { notifier.run().await });
    repeat(&mut tasks, rooms, SECOND, |rooms| async move { rooms.locks.tick().await });
    repeat(&mut tasks, rooms, SECOND, |rooms| async move { rooms.clock_watch.look().await });
    repeat(&mut tasks, rooms, SECOND, |rooms| async move { rooms.exchange.record_deliveries().await });
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            metrics.run_upkeep();
        }
    });
    tasks
}

fn repeat<F, W>(tasks: &mut JoinSet<()>, rooms: &Arc<Rooms>, every: Duration, work: W)
where
    W: Fn(Arc<Rooms>) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let rooms = Arc::clone(rooms);
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            work(Arc::clone(&rooms)).await;
        }
    });
}

async fn turn_keys(rooms: Arc<Rooms>) {
    if let Err(cause) = rooms.keys.tick(rooms.clock.now()).await {
        tracing::error!(%cause, "the key schedule could not be followed; it is tried again");
    }
}

/// Swaps only a valid set; the old one stays on a bad one. The swap is recorded. `on_purpose`: an operator's signal.
pub(super) async fn look_at_policies(rooms: &Rooms, on_purpose: bool) {
    match rooms.policies.look(on_purpose).await {
        Ok(Folder::Same) => _ = rooms.is_news(""),
        Ok(Folder::Loaded(digest)) => {
            metrics::counter!("tidegate_policy_reloads_total", "outcome" => "loaded").increment(1);
            tracing::info!(policy.digest = %digest, "policies loaded");
        }
        Ok(Folder::Superseded(folder)) => say_superseded(folder),
        Err(PoliciesError::Invalid(faults)) => {
            let faults = faults.to_string();
            if rooms.is_news(&faults) {
                metrics::counter!("tidegate_policy_reloads_total", "outcome" => "refused").increment(1);
                tracing::error!(faults, "the changed policies are not valid; the old ones stay in force");
            }
        }
        Err(cause) => {
            let cause = cause.to_string();
            if rooms.is_news(&cause) {
                tracing::error!(cause, "the policies cannot be changed now; it is tried again");
            }
        }
    }
}

pub(super) fn say_superseded(folder: PolicyDigest) {
    metrics::counter!("tidegate_policy_reloads_total", "outcome" => "superseded").increment(1);
    tracing::warn!(
        policy.digest = %folder,
        "the policy folder is older than what replicas decide by, which stays in force; to go back to it, send SIGHUP"
    );
}

async fn forget(rooms: Arc<Rooms>) {
    rooms.rate.forget_idle();
    rooms.abuse.forget_idle();
    rooms.exchange.forget_ended_keys().await;
    let (store, at) = (&rooms.store, rooms.clock.now());
    purge("expired replay claims", || store.purge_claims(forgettable(at, &rooms.high_water), PURGE_AT_ONCE))
        .await;
    let before = at.minus(REMEMBERED);
    purge("answers, revoked tokens and locks that ended", || store.purge_breakglass(before, PURGE_AT_ONCE))
        .await;
}

/// A claim must outlive its token on every clock that is let through: this one may be ahead of another replica's, or step
/// back.
fn forgettable(at: Moment, high_water: &HighWater) -> Moment {
    at.minus(high_water.bound().saturating_mul(2))
}

async fn purge<F>(what: &str, once: impl Fn() -> F)
where
    F: Future<Output = Result<u64, StoreError>>,
{
    loop {
        match once().await {
            Ok(gone) if gone < u64::from(PURGE_AT_ONCE) => return,
            Ok(_) => {}
            Err(cause) => {
                tracing::warn!(%cause, what, "what is over was not forgotten");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_kept_as_long_as_the_slowest_clock_that_is_let_through_accepts_its_token() {
        let bound = Duration::from_secs(30);
        let until = Moment::from_unix_seconds(1_000);
        let high_water = HighWater::new(None, bound);
        // This clock is ahead by the bound, and another's stepped back by it.
        let here = until.plus(bound).plus(bound).minus(Duration::from_secs(1));
        assert!(forgettable(here, &high_water) < until);
    }
}
