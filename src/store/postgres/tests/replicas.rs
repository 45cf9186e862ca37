//! What a unit of one replica sees of another's.

use std::time::Duration;

use super::*;
use crate::locks::LockTarget;
use crate::store::samples::{AT, lock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_are_seen_under_the_heads_lock_whoever_moved_them_last() {
    let server = Postgres::start();
    let settings = server.postgres_settings(&server.database());
    let one = PostgresStore::open(settings.clone()).await.unwrap();
    let other = PostgresStore::open(settings).await.unwrap();
    let mut unit = other.begin().await.unwrap();
    unit.head().await.unwrap();
    let setting = async {
        let mut unit = one.begin().await.unwrap();
        unit.put_lock(&lock(LockTarget::All, AT, None)).await.unwrap();
        unit.commit().await.unwrap();
    };
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
