//! What only a file can suffer; the rest is in the conformance suite.

use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use sqlx::Executor as _;
use tempfile::TempDir;

use super::*;
use crate::secret::Fingerprint;
use crate::store::{ReplayClaim, open, open_beside};

fn url(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("t.db").display())
}

async fn store(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("t.db")).await.unwrap()
}

async fn append(store: &SqliteStore, index: u64, bytes: usize) -> Result<(), StoreError> {
    let size = index + 1;
    let peaks = vec![[0; 32]; usize::try_from(size.count_ones()).unwrap()];
    let row = LogRow { index, leaf_hash: [0; 32], bytes: Bytes::from(vec![b'x'; bytes]) };
    let mut unit = store.begin().await?;
    unit.append(&[row], &[], &LogHead { size, peaks, last_at: None }).await?;
    unit.commit().await
}

#[tokio::test]
async fn what_cannot_be_a_durable_file_is_refused_with_the_reason() {
    for (url, why) in [
        ("sqlite::memory:", "forgets the audit log"),
        ("sqlite:", "the path is missing"),
        ("mysql://db/t", "expected `sqlite:PATH`"),
        ("t.db", "expected `sqlite:PATH`"),
        ("sqlite:t.db?mode=ro", "parameters are not supported"),
        ("sqlite:/nowhere/at/all/t.db", "its folder `/nowhere/at/all` does not exist"),
    ] {
        let refusal = open(url).await.unwrap_err();
        assert!(matches!(&refusal, StoreError::Refused(text) if text.contains(why)), "{url}: {refusal}");
    }
}

#[tokio::test]
async fn a_second_broker_on_the_same_file_is_refused_and_a_command_beside_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open_beside(&url(&folder)).await, Err(StoreError::Refused(_))), "it must not create");
    let first = open(&url(&folder)).await.unwrap();
    let refusal = open(&url(&folder)).await.unwrap_err().to_string();
    assert!(refusal.contains("in use by another broker process"), "{refusal}");
    assert!(open_beside(&url(&folder)).await.unwrap().keys().await.unwrap().is_empty());
    drop(first);
    open(&url(&folder)).await.unwrap();
}

#[tokio::test]
async fn nobody_but_the_owner_may_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    append(&store, 0, 10).await.unwrap();
    let mut seen = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
        seen += 1;
    }
    assert_eq!(seen, 4, "database, -wal, -shm and lock");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder).await;
    {
        let mut slot = first.writer.slot().await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations SELECT 99, 'newer', installed_on, success, checksum, execution_time \
                     FROM _sqlx_migrations WHERE version = 1";
        slot.connection().unwrap().execute(newer).await.unwrap();
    }
    drop(first);
    let refusal = open(&url(&folder)).await.unwrap_err().to_string();
    assert!(refusal.contains("schema has version 99, which a newer Tidegate made"), "{refusal}");
}

#[tokio::test]
async fn something_else_than_a_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.db"), "this is not a database, whatever its name says".repeat(50))
        .unwrap();
    assert!(matches!(open(&url(&folder)).await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn writes_are_synced_in_full_and_readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut slot = store.writer.slot().await.unwrap();
    for (pragma, expected) in
        [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1), ("PRAGMA busy_timeout", 5000)]
    {
        let found: i64 = sqlx::query_scalar(pragma).fetch_one(slot.connection().unwrap()).await.unwrap();
        assert_eq!(found, expected, "{pragma}");
    }
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(slot.connection().unwrap()).await.unwrap();
    assert_eq!(mode, "wal");
    assert!(store.readers.execute("DELETE FROM log_entry").await.is_err());
}

#[tokio::test]
async fn the_write_ahead_log_is_copied_beside_the_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    // Far fewer pages than a commit itself would copy at.
    for index in 0..400 {
        append(&store, index, 2_000).await.unwrap();
    }
    let database = || std::fs::metadata(folder.path().join("t.db")).unwrap().len();
    let copied = async {
        while database() < 300 * 2_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), copied).await;
    assert!(waited.is_ok(), "only {} bytes were copied", database());
    assert_eq!(store.head().await.unwrap().size, 400);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_ends_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    append(&store, 0, 10).await.unwrap();
    {
        let mut slot = store.writer.slot().await.unwrap();
        // SQLite answers SQLITE_FULL, as it does when the disk has no room.
        slot.connection().unwrap().execute("PRAGMA max_page_count = 1").await.unwrap();
    }
    let refusal = append(&store, 1, 60_000).await.unwrap_err();
    assert!(matches!(&refusal, StoreError::Unavailable(why) if why.contains("full")), "{refusal}");
    assert_eq!(store.head().await.unwrap().size, 1);
    // The limit was the connection's: a new one finds room.
    append(&store, 1, 60_000).await.unwrap();
    store.probe().await.unwrap();
}

#[tokio::test]
async fn a_closed_connection_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    append(&store, 0, 10).await.unwrap();
    store.writer.slot().await.unwrap().close_for_test().await;
    append(&store, 1, 10).await.unwrap();
}

#[tokio::test]
async fn a_database_that_another_holds_locked_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let other = SqliteStore::open_beside(&folder.path().join("t.db")).await.unwrap();
    {
        let mut slot = store.writer.slot().await.unwrap();
        slot.connection().unwrap().execute("PRAGMA busy_timeout = 1").await.unwrap();
    }
    let holding = other.begin().await.unwrap();
    assert!(matches!(append(&store, 0, 10).await, Err(StoreError::Unavailable(_))));
    drop(holding);
    // The dropped unit rolls back by itself; the default time-out is enough to wait for it.
    append(&store, 0, 10).await.unwrap();
}

#[tokio::test]
async fn a_deleted_or_replaced_file_is_noticed_and_the_right_one_is_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("t.db"), folder.path().join("aside.db"));
    let store = store(&folder).await;
    append(&store, 0, 10).await.unwrap();
    std::fs::rename(&path, &aside).unwrap();
    assert!(matches!(append(&store, 1, 10).await, Err(StoreError::Unavailable(_))));
    assert!(!path.exists(), "it must not be begun again");
    std::fs::copy(&aside, &path).unwrap();
    let refusal = store.probe().await.unwrap_err().to_string();
    assert!(refusal.contains("replaced by another file"), "{refusal}");
    std::fs::rename(&aside, &path).unwrap();
    append(&store, 1, 10).await.unwrap();
}

#[tokio::test]
async fn a_gap_in_the_log_is_corruption_and_not_a_short_page() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for index in 0..5 {
        append(&store, index, 10).await.unwrap();
    }
    {
        let mut slot = store.writer.slot().await.unwrap();
        slot.connection().unwrap().execute("DELETE FROM log_entry WHERE idx = 2").await.unwrap();
    }
    assert!(matches!(store.entries(0, 5).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(store.tile_hashes(0, 2, 2).await, Err(StoreError::Corrupt(_))));
    assert_eq!(store.entries(3, 5).await.unwrap().len(), 2);
}

async fn claims_in_table(store: &SqliteStore) -> Vec<ClaimRow> {
    let rows = sqlx::query("SELECT until, token FROM replay_claim ORDER BY until, token");
    rows.fetch_all(&store.readers).await.unwrap().iter().map(|row| claims::claim_row(row).unwrap()).collect()
}

fn claim_of(key: u64) -> ReplayClaim {
    let until = Moment::from_unix_seconds(1_000 + i64::try_from(key % 5).unwrap());
    let issuer = crate::ids::IssuerName::new("i").unwrap();
    ReplayClaim { issuer, key: Fingerprint::of_fields(&[&key.to_be_bytes()]), until }
}

/// A few thousand changes in an order that chance makes, always the same one.
#[tokio::test]
async fn memory_and_table_agree_on_what_is_taken_whatever_happens() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(&folder).await;
    let mut seed = 1_u64;
    let mut chance = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    for _ in 0..150 {
        let mut unit = store.begin().await.unwrap();
        for _ in 0..chance(4) {
            let some: Vec<_> = (0..chance(40)).map(|_| claim_of(chance(200))).collect();
            if chance(3) == 0 {
                unit.release(&some).await.unwrap();
            } else {
                unit.claim(&some).await.unwrap();
            }
        }
        match chance(8) {
            0 => drop(unit),
            1 => {
                unit.commit().await.unwrap();
                store.purge_claims(Moment::from_unix_seconds(1_002), 7).await.unwrap();
            }
            2 => {
                // Nobody waits for the end of the commit: it takes place, or it does not.
                let _ = futures_util::poll!(unit.commit());
            }
            3 => {
                unit.commit().await.unwrap();
                store.writer.slot().await.unwrap().close_for_test().await;
            }
            _ => unit.commit().await.unwrap(),
        }
        if chance(20) == 0 {
            drop(store);
            store = self::store(&folder).await;
        }
        // A unit of its own reads the claims again where nobody knows.
        assert!(store.begin().await.unwrap().claim(&[]).await.unwrap().is_empty());
        let slot = store.writer.slot().await.unwrap();
        let remembered = slot.taken_for_test().unwrap().rows_for_test();
        drop(slot);
        assert_eq!(remembered, claims_in_table(&store).await);
    }
    assert!(!claims_in_table(&store).await.is_empty());
}

#[tokio::test]
async fn a_token_that_was_claimed_with_another_end_is_taken_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let later = ReplayClaim { until: Moment::from_unix_seconds(9_999), ..claim_of(1) };
    let claim = async |claim: &ReplayClaim| {
        let mut unit = store.begin().await.unwrap();
        let won = unit.claim(std::slice::from_ref(claim)).await.unwrap();
        unit.commit().await.unwrap();
        won
    };
    assert_eq!(claim(&claim_of(1)).await, [true]);
    assert_eq!(claim(&later).await, [false]);
    let mut unit = store.begin().await.unwrap();
    unit.release(std::slice::from_ref(&later)).await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(claim(&later).await, [true]);
}

#[tokio::test]
async fn claims_of_the_first_schema_are_still_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    {
        let old = store(&folder).await;
        let mut unit = old.begin().await.unwrap();
        unit.claim(&[claim_of(1)]).await.unwrap();
        unit.commit().await.unwrap();
        let mut slot = old.writer.slot().await.unwrap();
        let undo =
            "CREATE TABLE old (token BLOB PRIMARY KEY CHECK (length(token) = 16), until INTEGER NOT NULL)
                        STRICT, WITHOUT ROWID;
                    INSERT INTO old SELECT token, until FROM replay_claim; DROP TABLE replay_claim;
                    ALTER TABLE old RENAME TO replay_claim; DELETE FROM _sqlx_migrations WHERE version = 2";
        slot.connection().unwrap().execute(undo).await.unwrap();
    }
    let store = SqliteStore::open(&path).await.unwrap();
    let mut unit = store.begin().await.unwrap();
    assert_eq!(unit.claim(&[claim_of(1), claim_of(2)]).await.unwrap(), [false, true]);
}
