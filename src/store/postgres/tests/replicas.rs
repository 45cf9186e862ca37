//! What one replica hears of another.

use std::time::Duration;

use super::*;
use crate::locks::LockTarget;
use crate::store::samples::{AT, lock};
use crate::store::{ReplicaStore as _, ReplicaUnit as _};

/// Longer than anything here takes; a test that waits for so long has failed.
const LONG: Duration = Duration::from_secs(20);

async fn two() -> (Postgres, String, [PostgresStore; 2]) {
    let server = Postgres::start();
    let database = server.database();
    let settings = server.postgres_settings(&database);
    let one = PostgresStore::open(settings.clone()).await.unwrap();
    let other = PostgresStore::open(settings).await.unwrap();
    // Said when it begins to listen.
    hear(&other).await;
    (server, database, [one, other])
}

async fn hear(store: &PostgresStore) {
    tokio::time::timeout(LONG, store.hint()).await.expect("a hint");
}

async fn put_lock(store: &PostgresStore) {
    let mut unit = store.begin().await.unwrap();
    unit.put_lock(&lock(LockTarget::All, AT, None)).await.unwrap();
    unit.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_one_replica_moves_is_said_to_the_other_and_an_append_is_not() {
    let (_server, _, [one, other]) = two().await;
    append(&one).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(200), other.hint()).await;
    assert!(silence.is_err(), "an entry is no news worth a message each");
    put_lock(&one).await;
    hear(&other).await;
    assert_eq!(other.pulse().await.unwrap().marks.locks, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_was_cut_off_listens_again_and_meanwhile_the_pulse_tells() {
    let (server, database, [one, other]) = two().await;
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    assert_eq!(server.sql(&database, cut), "2");
    put_lock(&one).await;
    assert_eq!(other.pulse().await.unwrap().marks.locks, 1, "whoever asks is told at once");
    // It says so when it listens again: something may have been missed.
    hear(&other).await;
    put_lock(&one).await;
    hear(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_are_seen_under_the_heads_lock_whoever_moved_them_last() {
    let (_server, _, [one, other]) = two().await;
    let mut unit = other.begin().await.unwrap();
    unit.head().await.unwrap();
    let setting = async { put_lock(&one).await };
    let looking = async {
        assert!(unit.locks().await.unwrap().is_empty());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(unit.locks().await.unwrap().is_empty(), "nobody sets one before the end of this unit");
        assert_eq!(unit.marks().await.unwrap().locks, 0);
        unit.commit().await.unwrap();
    };
    tokio::join!(setting, looking);
    let mut unit = other.begin().await.unwrap();
    unit.head().await.unwrap();
    assert_eq!((unit.marks().await.unwrap().locks, unit.locks().await.unwrap().len()), (1, 1));
}
