//! What every backend must do. Written once, run against each.

mod custody;
mod elevations;
mod kept;
mod outbox;
mod replicas;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::fixture::Postgres;
use super::{KeyPurpose, KeyRow, LogHead, LogRow, ReplayClaim, Store, StoreError, TileHash, open, open_with};
use crate::clock::Moment;
use crate::ids::{IssuerName, Kid};
use crate::secret::Fingerprint;

/// Opens the storage of one test: empty the first time, as it was left later. The one before must be closed.
pub(super) type Open<'a> = &'a (dyn Fn() -> BoxFuture<'static, Arc<dyn Store>> + Sync);

const AT: Moment = Moment::from_unix_seconds(1_795_363_392);

/// A test for each promise and backend: `promises! { one, another }`.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(&crate::store::conformance::on_sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(&crate::store::conformance::on_postgres()).await;
            })*
        }
    };
}
use promises;

promises! {
    a_new_store_is_empty,
    a_dropped_unit_leaves_nothing,
    a_commit_outlives_the_store,
    a_claim_is_taken_once,
    racing_claims_have_one_winner,
    many_claims_in_one_call_are_each_answered,
    only_ended_claims_are_purged,
    the_head_moves_only_from_where_it_is,
    entries_and_hashes_come_in_pages,
    keys_are_replaced_by_id_and_deleted,
    a_probe_proves_a_write,
}

fn on_sqlite() -> impl Fn() -> BoxFuture<'static, Arc<dyn Store>> + Sync {
    let folder = tempfile::tempdir().unwrap();
    move || {
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        Box::pin(async move { open(&url).await.unwrap() })
    }
}

fn on_postgres() -> impl Fn() -> BoxFuture<'static, Arc<dyn Store>> + Sync {
    let server = Postgres::start();
    let database = server.database();
    move || {
        let settings = server.settings(&database);
        Box::pin(async move { open_with(&settings).await.unwrap() })
    }
}

fn claim(key: u64) -> ReplayClaim {
    let until = AT.plus(Duration::from_secs(key));
    ReplayClaim { issuer: IssuerName::new("ci").unwrap(), key: Fingerprint::of(&key.to_be_bytes()), until }
}

fn rows(range: std::ops::Range<u64>) -> Vec<LogRow> {
    let row = |index: u64| LogRow {
        index,
        leaf_hash: *Fingerprint::of(&index.to_be_bytes()).as_bytes(),
        bytes: Bytes::from(format!("entry {index}")),
    };
    range.map(row).collect()
}

fn head(size: u64) -> LogHead {
    LogHead { size, peaks: vec![[7; 32]; usize::try_from(size.count_ones()).unwrap()], last_at: Some(AT) }
}

async fn append(
    store: &dyn Store,
    range: std::ops::Range<u64>,
    hashes: &[TileHash],
) -> Result<(), StoreError> {
    let to = head(range.end);
    let mut unit = store.begin().await?;
    unit.head().await?;
    unit.append(&rows(range), hashes, &to).await?;
    unit.commit().await
}

async fn claim_all(store: &dyn Store, claims: &[ReplayClaim]) -> Vec<bool> {
    let mut unit = store.begin().await.unwrap();
    let won = unit.claim(claims).await.unwrap();
    unit.commit().await.unwrap();
    won
}

async fn a_new_store_is_empty(open: Open<'_>) {
    let store = open().await;
    assert_eq!(store.head().await.unwrap(), LogHead::default());
    assert!(store.entries(0, 10).await.unwrap().is_empty());
    assert!(store.tile_hashes(0, 0, 10).await.unwrap().is_empty());
    assert!(store.tile_hashes(1, 0, 10).await.unwrap().is_empty());
    assert!(store.keys().await.unwrap().is_empty());
    assert_eq!(store.purge_claims(AT, 10).await.unwrap(), 0);
}

async fn a_dropped_unit_leaves_nothing(open: Open<'_>) {
    let store = open().await;
    for _ in 0..3 {
        let mut unit = store.begin().await.unwrap();
        assert_eq!(unit.claim(&[claim(1)]).await.unwrap(), [true]);
        unit.append(&rows(0..5), &[], &head(5)).await.unwrap();
        assert_eq!(unit.head().await.unwrap(), head(5));
        drop(unit);
        assert_eq!(store.head().await.unwrap(), LogHead::default());
        assert!(store.entries(0, 10).await.unwrap().is_empty());
    }
    {
        // Dropped in the middle of a statement.
        let mut unit = store.begin().await.unwrap();
        let _ = futures_util::poll!(unit.claim(&[claim(1)]));
    }
    assert_eq!(claim_all(store.as_ref(), &[claim(1)]).await, [true]);
}

async fn a_commit_outlives_the_store(open: Open<'_>) {
    let store = open().await;
    append(store.as_ref(), 0..100, &[]).await.unwrap();
    drop(store);
    let store = open().await;
    assert_eq!(store.head().await.unwrap(), head(100));
    assert_eq!(store.entries(0, 200).await.unwrap(), rows(0..100));
    append(store.as_ref(), 100..101, &[]).await.unwrap();
    assert_eq!(store.head().await.unwrap().size, 101);
}

async fn a_claim_is_taken_once(open: Open<'_>) {
    let store = open().await;
    assert_eq!(claim_all(store.as_ref(), &[claim(1), claim(1), claim(2)]).await, [true, false, true]);
    assert_eq!(claim_all(store.as_ref(), &[claim(2), claim(3)]).await, [false, true]);
    // The same key of another issuer is another token.
    let other = ReplayClaim { issuer: IssuerName::new("other").unwrap(), ..claim(1) };
    assert_eq!(claim_all(store.as_ref(), std::slice::from_ref(&other)).await, [true]);
    let mut unit = store.begin().await.unwrap();
    unit.release(&[claim(1), claim(77)]).await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(claim_all(store.as_ref(), &[other, claim(1), claim(2)]).await, [false, true, false]);
}

async fn racing_claims_have_one_winner(open: Open<'_>) {
    let store = open().await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { claim_all(store.as_ref(), &[claim(9)]).await == [true] })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn many_claims_in_one_call_are_each_answered(open: Open<'_>) {
    let store = open().await;
    for count in [1, 2, 8, 9, 63, 64, 65, 200] {
        let mine: Vec<_> = (0..count).map(|n| claim(1_000 * count + n)).collect();
        let half: Vec<_> = mine.iter().step_by(2).cloned().collect();
        assert!(claim_all(store.as_ref(), &half).await.into_iter().all(|won| won), "{count}");
        let won = claim_all(store.as_ref(), &mine).await;
        assert!(won.iter().enumerate().all(|(n, won)| *won == (n % 2 == 1)), "{count}");
        let mut unit = store.begin().await.unwrap();
        unit.release(&mine).await.unwrap();
        unit.commit().await.unwrap();
        assert!(claim_all(store.as_ref(), &mine).await.into_iter().all(|won| won), "{count}");
    }
}

async fn only_ended_claims_are_purged(open: Open<'_>) {
    let store = open().await;
    let claims: Vec<_> = (0..10).map(claim).collect();
    claim_all(store.as_ref(), &claims).await;
    let at = AT.plus(Duration::from_secs(6));
    assert_eq!(store.purge_claims(at, 4).await.unwrap(), 4);
    assert_eq!(store.purge_claims(at, 4).await.unwrap(), 2);
    assert_eq!(store.purge_claims(at, 4).await.unwrap(), 0);
    let free: Vec<_> = claim_all(store.as_ref(), &claims).await;
    assert_eq!(free.iter().filter(|won| **won).count(), 6);
    assert_eq!(&free[6..], [false; 4]);
}

async fn the_head_moves_only_from_where_it_is(open: Open<'_>) {
    let store = open().await;
    append(store.as_ref(), 0..3, &[]).await.unwrap();
    for wrong in [0..3, 4..6, 2..4] {
        let refusal = append(store.as_ref(), wrong.clone(), &[]).await;
        assert!(refusal.is_err(), "{wrong:?}");
        assert_eq!(store.head().await.unwrap(), head(3));
        assert_eq!(store.entries(0, 10).await.unwrap().len(), 3);
    }
    let mut unit = store.begin().await.unwrap();
    let gap = unit.append(&rows(3..5), &[], &head(6)).await;
    assert!(matches!(gap, Err(StoreError::Corrupt(_))));
    drop(unit);
    append(store.as_ref(), 3..5, &[]).await.unwrap();
}

async fn entries_and_hashes_come_in_pages(open: Open<'_>) {
    let store = open().await;
    let upper: Vec<_> =
        (0..130_u8).map(|n| TileHash { level: 1, index: u64::from(n), hash: [n; 32] }).collect();
    append(store.as_ref(), 0..600, &upper).await.unwrap();
    append(store.as_ref(), 600..700, &[TileHash { level: 2, index: 0, hash: [9; 32] }]).await.unwrap();
    assert_eq!(store.entries(250, 300).await.unwrap(), rows(250..550));
    assert_eq!(store.entries(690, 300).await.unwrap(), rows(690..700));
    assert!(store.entries(700, 1).await.unwrap().is_empty());
    assert!(store.entries(0, 0).await.unwrap().is_empty());
    let leaves: Vec<_> = rows(256..512).into_iter().map(|row| row.leaf_hash).collect();
    assert_eq!(store.tile_hashes(0, 256, 256).await.unwrap(), leaves);
    let middle: Vec<_> = (100..130).map(|n| [n; 32]).collect();
    assert_eq!(store.tile_hashes(1, 100, 100).await.unwrap(), middle);
    assert_eq!(store.tile_hashes(2, 0, 256).await.unwrap(), [[9; 32]]);
    assert!(store.tile_hashes(3, 0, 256).await.unwrap().is_empty());
}

fn key(kid: &str, at: i64) -> KeyRow {
    KeyRow {
        kid: Kid::new(kid).unwrap(),
        purpose: KeyPurpose::Token,
        algorithm: "ES256".into(),
        sealed_private: vec![0, 1, 255],
        public: r#"{"kty":"EC"}"#.into(),
        created_at: Moment::from_unix_seconds(at),
        active_from: Moment::from_unix_seconds(at + 1),
        retired_at: None,
        published_until: None,
    }
}

async fn keys_are_replaced_by_id_and_deleted(open: Open<'_>) {
    let store = open().await;
    let retired = KeyRow {
        retired_at: Some(Moment::from_unix_seconds(8)),
        published_until: Some(Moment::from_unix_seconds(9)),
        ..key("b", 1)
    };
    let log = KeyRow { purpose: KeyPurpose::Log, ..key("c", 3) };
    let mut unit = store.begin().await.unwrap();
    for key in [&key("a", 2), &key("b", 1), &log, &retired] {
        unit.put_key(key).await.unwrap();
    }
    unit.commit().await.unwrap();
    assert_eq!(store.keys().await.unwrap(), [retired, key("a", 2), log.clone()]);
    let mut unit = store.begin().await.unwrap();
    for gone in ["a", "b", "never"] {
        unit.delete_key(&Kid::new(gone).unwrap()).await.unwrap();
    }
    unit.commit().await.unwrap();
    assert_eq!(store.keys().await.unwrap(), [log]);
}

async fn a_probe_proves_a_write(open: Open<'_>) {
    let store = open().await;
    store.probe().await.unwrap();
    append(store.as_ref(), 0..1, &[]).await.unwrap();
    store.probe().await.unwrap();
    assert_eq!(store.head().await.unwrap(), head(1));
}
