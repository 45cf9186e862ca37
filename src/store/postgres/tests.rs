//! What only a server can suffer; the rest is in the conformance suite.

mod access;
mod beside;
mod damage;
mod outage;
mod races;
mod replicas;

use std::time::Duration;

use bytes::Bytes;

use super::connect::LIMITS;
use super::*;
use crate::store::fixture::Postgres;

/// So short that a test need not wait, in the same order as the real ones.
const SHORT: Limits = Limits {
    acquire: Duration::from_millis(800),
    connect: Duration::from_secs(2),
    password: Duration::from_secs(2),
    call: Duration::from_millis(1_500),
    statement: Duration::from_millis(1_200),
    lock: Duration::from_secs(1),
    idle: Duration::from_millis(500),
};

async fn store(server: &Postgres, database: &str) -> PostgresStore {
    let settings = server.postgres_settings(database);
    schema::migrate(settings.clone()).await.unwrap();
    PostgresStore::with_limits(settings, SHORT).await.unwrap()
}

/// One more entry, from wherever the head is.
async fn append(store: &PostgresStore) -> Result<u64, StoreError> {
    let mut unit = store.begin().await?;
    let index = unit.head().await?.size;
    let (row, head) = next(index);
    unit.append(&[row], &[], &head).await?;
    unit.commit().await?;
    Ok(index)
}

fn next(index: u64) -> (LogRow, LogHead) {
    let size = index + 1;
    let peaks = vec![[7; 32]; usize::try_from(size.count_ones()).unwrap()];
    let row = LogRow { index, leaf_hash: [9; 32], bytes: Bytes::from(format!("entry {index}")) };
    (row, LogHead { size, peaks, last_at: None })
}

fn is_unavailable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}
