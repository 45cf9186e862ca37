//! The log on a real SQLite file.

mod effects;
mod replicas;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::checkpoint::{Checkpoint, VerifierKey};
use super::merkle::{Peaks, leaf_hash, verify_consistency, verify_inclusion};
use super::proof::TlogProof;
use super::tile::{TileKind, TilePath, available, decode_entries, decode_hashes};
use super::{AuditLog, Effect, Event, ReadError, RecordError, Submission};
use crate::clock::{Clock as _, ManualClock, Moment};
use crate::entropy::SystemEntropy;
use crate::ids::{IssuerName, Kid, RequestId};
use crate::keys::NoteSigner;
use crate::secret::Fingerprint;
use crate::store::{self, KeyPurpose, KeyRow, ReplayClaim, Store, StoreError};

const START: Moment = Moment::from_unix_seconds(1_795_363_392);
const ORIGIN: &str = "broker.example.com/tidegate";

/// A broker's log in a folder of its own.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pkcs8: Vec<u8>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn in_folder(folder: TempDir) -> Self {
        Self {
            folder,
            clock: Arc::new(ManualClock::at(START)),
            pkcs8: NoteSigner::generate_pkcs8().unwrap().to_vec(),
        }
    }

    pub(crate) fn signer(&self) -> NoteSigner {
        NoteSigner::from_pkcs8(ORIGIN, &self.pkcs8).unwrap()
    }

    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        self.try_store().await.unwrap()
    }

    async fn try_store(&self) -> Result<Arc<dyn Store>, StoreError> {
        store::open(&format!("sqlite:{}", self.folder.path().join("t.db").display())).await
    }

    pub(crate) async fn log_on(&self, store: Arc<dyn Store>) -> AuditLog {
        AuditLog::start(store, self.signer(), Arc::clone(&self.clock) as _, Arc::new(SystemEntropy::new()))
            .await
            .unwrap()
    }

    pub(crate) async fn log(&self) -> AuditLog {
        self.log_on(self.store().await).await
    }

    /// What a database looks like that was replaced by another one while the broker ran.
    async fn put_in_place_of_the_log(&self, other: &Self) {
        let other = other.folder.path().join("t.db");
        let sql = format!(
            "ATTACH '{}' AS other;
            DELETE FROM log_entry; INSERT INTO log_entry SELECT * FROM other.log_entry;
            DELETE FROM log_node; INSERT INTO log_node SELECT * FROM other.log_node;
            DELETE FROM log_head; INSERT INTO log_head SELECT * FROM other.log_head;",
            other.display()
        );
        tamper(&self.folder.path().join("t.db"), sqlx::AssertSqlSafe(sql)).await;
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.signer().verifier_key().parse().unwrap()
    }
}

fn request() -> RequestId {
    RequestId::new(START, &SystemEntropy::new()).unwrap()
}

fn stopped(reason: &str) -> Submission {
    let event = Event::BrokerStopped { reason: reason.to_owned() };
    Submission::new(request(), event)
}

fn claim(key: &str) -> ReplayClaim {
    let until = START.plus(Duration::from_mins(10));
    ReplayClaim { issuer: IssuerName::new("ci").unwrap(), key: Fingerprint::of(key.as_bytes()), until }
}

fn claiming(keys: &[&str]) -> Submission {
    Submission { effects: keys.iter().map(|key| Effect::Claim(claim(key))).collect(), ..stopped("claims") }
}

fn key(kid: &str) -> KeyRow {
    KeyRow {
        kid: Kid::new(kid).unwrap(),
        purpose: KeyPurpose::Token,
        algorithm: "ES256".into(),
        sealed_private: vec![1, 2],
        public: "{}".into(),
        created_at: START,
        active_from: START,
        retired_at: None,
        published_until: None,
    }
}

/// Records `count` entries, many at a time.
pub(crate) async fn fill(log: &AuditLog, count: u64) {
    let mut done = 0;
    while done < count {
        let some = (count - done).min(1_000);
        let all = (0..some).map(|n| log.record(stopped(&format!("entry {}", done + n))));
        for outcome in futures_util::future::join_all(all).await {
            outcome.unwrap();
        }
        done += some;
    }
}

#[tokio::test]
async fn a_receipt_names_the_request_and_the_durable_entry() {
    let bench = Bench::new();
    let log = bench.log().await;
    let submission = stopped("first");
    let receipt = log.record(submission.clone()).await.unwrap();
    assert_eq!(receipt.request_id(), submission.request_id);
    assert_eq!(receipt.index(), 0);
    let entry = log.entry(0).await.unwrap().unwrap();
    assert_eq!(receipt.leaf_hash(), Fingerprint::from_bytes(leaf_hash(&entry)));
    let entry: serde_json::Value = serde_json::from_slice(&entry).unwrap();
    assert_eq!(entry["v"], 1);
    assert_eq!(entry["type"], "broker.stopped");
    assert_eq!(entry["at"], "2026-11-22T16:03:12Z");
    assert_eq!(entry["request_id"], submission.request_id.to_string());
    assert_eq!(log.entry(1).await.unwrap(), None);
}

#[tokio::test]
async fn a_replayed_claim_is_refused_and_leaves_no_entry() {
    let bench = Bench::new();
    let log = bench.log().await;
    log.record(claiming(&["a"])).await.unwrap();
    assert_eq!(log.record(claiming(&["a"])).await.unwrap_err(), RecordError::Replayed);
    assert_eq!(log.record(claiming(&["b", "a"])).await.unwrap_err(), RecordError::Replayed);
    assert_eq!(log.size(), 1);
    // What the refused one had taken is free again.
    log.record(claiming(&["b"])).await.unwrap();
    let given_back = Submission { effects: vec![Effect::Release(claim("a"))], ..stopped("mint failed") };
    log.record(given_back).await.unwrap();
    log.record(claiming(&["a"])).await.unwrap();
    assert_eq!(log.size(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_racing_claims_exactly_one_wins() {
    let bench = Bench::new();
    let log = bench.log().await;
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let log = log.clone();
            // Every second one wants the same token; the others want their own.
            let key = if n % 2 == 0 { "shared".to_owned() } else { format!("own {n}") };
            tokio::spawn(async move { log.record(claiming(&[&key])).await.map(|receipt| receipt.index()) })
        })
        .collect();
    let mut indexes = Vec::new();
    let mut replayed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(index) => indexes.push(index),
            Err(RecordError::Replayed) => replayed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    indexes.sort_unstable();
    assert_eq!(replayed, 99);
    assert_eq!(indexes, (0..101).collect::<Vec<_>>());
    assert_eq!(log.size(), 101);
}

#[tokio::test]
async fn an_entry_over_the_limit_is_refused_and_the_log_goes_on() {
    let bench = Bench::new();
    let log = bench.log().await;
    assert_eq!(log.record(stopped(&"x".repeat(65_535))).await.unwrap_err(), RecordError::TooLarge);
    log.record(stopped(&"x".repeat(65_000))).await.unwrap();
    assert_eq!(log.size(), 1);
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_recorded_and_later_the_log_goes_on() {
    let bench = Bench::new();
    let log = bench.log().await;
    log.record(claiming(&["a"])).await.unwrap();
    let (path, away) = (bench.folder.path().join("t.db"), bench.folder.path().join("away.db"));
    std::fs::rename(&path, &away).unwrap();
    for _ in 0..3 {
        assert_eq!(log.record(claiming(&["b"])).await.unwrap_err(), RecordError::Unavailable);
    }
    assert!(!log.is_healthy());
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(log.record(claiming(&["b"])).await.unwrap().index(), 1);
    assert!(log.is_healthy());
}

#[tokio::test]
async fn when_the_disk_hangs_the_queue_refuses_instead_of_growing() {
    let bench = Bench::new();
    let store = bench.store().await;
    let log = bench.log_on(Arc::clone(&store)).await;
    let hanging = store.begin().await.unwrap();
    let mut waiting = Vec::new();
    let mut refused = 0;
    for n in 0..3_000 {
        let mut record = Box::pin(log.record(stopped(&n.to_string())));
        match futures_util::poll!(record.as_mut()) {
            std::task::Poll::Pending => waiting.push(record),
            std::task::Poll::Ready(outcome) => {
                assert_eq!(outcome.unwrap_err(), RecordError::Unavailable);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && !log.is_healthy());
    drop(hanging);
    let (all, outcomes) = (waiting.len() as u64, futures_util::future::join_all(waiting).await);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(log.size(), all);
    assert!(log.is_healthy());
}

#[tokio::test]
async fn an_entry_is_durable_even_when_its_caller_goes_away() {
    let bench = Bench::new();
    let log = bench.log().await;
    {
        let mut leaving = Box::pin(log.record(stopped("gone")));
        // Polled once: it waits in the queue now.
        assert!(futures_util::poll!(leaving.as_mut()).is_pending());
    }
    log.drain().await;
    assert_eq!(log.size(), 1);
}

#[tokio::test]
async fn keys_become_durable_with_their_entry() {
    let bench = Bench::new();
    let store = bench.store().await;
    let log = bench.log_on(Arc::clone(&store)).await;
    let kid = Kid::new("k1").unwrap();
    let key = key("k1");
    log.record(Submission { effects: vec![Effect::PutKey(key.clone())], ..stopped("key") }).await.unwrap();
    assert_eq!(store.keys().await.unwrap(), [key]);
    log.record(Submission { effects: vec![Effect::DeleteKey(kid)], ..stopped("key") }).await.unwrap();
    assert!(store.keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn after_drain_nothing_is_recorded_and_everything_before_is_durable() {
    let bench = Bench::new();
    let log = bench.log().await;
    let waiting: Vec<_> = (0..50).map(|n| log.record(stopped(&n.to_string()))).collect();
    let (outcomes, ()) = futures_util::future::join(futures_util::future::join_all(waiting), async {
        tokio::task::yield_now().await;
        log.drain().await;
    })
    .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(log.record(stopped("late")).await.unwrap_err(), RecordError::Unavailable);
    assert!(!log.is_healthy());
    log.drain().await;
}

#[tokio::test]
async fn a_reopened_log_goes_on_where_it_ended() {
    let bench = Bench::new();
    let mut whole = Peaks::default();
    for round in 0..4_u64 {
        let log = bench.log().await;
        assert_eq!(log.size(), round * 300);
        fill(&log, 300).await;
        log.drain().await;
        for index in round * 300..log.size() {
            whole.append(leaf_hash(&log.entry(index).await.unwrap().unwrap()), |_, _| {});
        }
        let checkpoint = Checkpoint::open(&log.checkpoint().await.unwrap(), &bench.key()).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (whole.size(), whole.root()));
    }
}

#[tokio::test]
async fn entries_are_never_stamped_before_the_last_durable_one() {
    let bench = Bench::new();
    let log = bench.log().await;
    log.record(stopped("now")).await.unwrap();
    bench.clock.set(START.minus(Duration::from_hours(1)));
    log.record(stopped("clock went back")).await.unwrap();
    let entry: serde_json::Value = serde_json::from_slice(&log.entry(1).await.unwrap().unwrap()).unwrap();
    assert_eq!(entry["at"], "2026-11-22T16:03:12Z");
    assert_eq!(log.last_at(), Some(START));
    bench.clock.advance(Duration::from_hours(2));
    log.record(stopped("later")).await.unwrap();
    assert_eq!(log.last_at(), Some(bench.clock.now()));
}

#[tokio::test]
async fn tiles_are_exactly_what_the_log_holds_and_nothing_beyond_it() {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 700).await;
    let leaves: Vec<_> = log.entries(0, 1000).await.unwrap().iter().map(|(_, e)| leaf_hash(e)).collect();
    assert_eq!(leaves.len(), 700);
    let tile = async |path: &str| log.tile(&path.parse().unwrap()).await.unwrap();
    for (path, width, from) in [
        ("tile/0/000", 256, 0),
        ("tile/0/001", 256, 256),
        ("tile/0/002.p/188", 188, 512),
        ("tile/0/002.p/1", 1, 512),
        ("tile/0/000.p/255", 255, 0),
    ] {
        let hashes = decode_hashes(&tile(path).await.unwrap(), width).unwrap();
        assert_eq!(hashes, leaves[from..from + usize::from(width)], "{path}");
    }
    let second = decode_hashes(&tile("tile/1/000.p/2").await.unwrap(), 2).unwrap();
    assert_eq!(second[1], super::merkle::perfect_root(&leaves[256..512]).unwrap());
    let bundle = tile("tile/entries/002.p/188").await.unwrap();
    let entries = decode_entries(&bundle, 188).unwrap();
    assert_eq!(entries.iter().map(|e| leaf_hash(e)).collect::<Vec<_>>(), leaves[512..]);
    for beyond in [
        "tile/0/002.p/189",
        "tile/0/002",
        "tile/0/003.p/1",
        "tile/1/000.p/3",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/entries/002.p/189",
        "tile/entries/003",
        "tile/63/000.p/1",
    ] {
        assert_eq!(tile(beyond).await, None, "{beyond}");
    }
    assert!(
        TilePath::newest(TileKind::Hashes(1), 0, available(TileKind::Hashes(1), 700)).unwrap().is_within(700)
    );
}

#[tokio::test]
async fn proofs_of_the_log_hold_for_sizes_within_it_only() {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 600).await;
    let mut roots = vec![super::merkle::empty_root()];
    let mut leaves = Vec::new();
    let mut tree = Peaks::default();
    for (_, entry) in log.entries(0, 600).await.unwrap() {
        leaves.push(leaf_hash(&entry));
        tree.append(leaf_hash(&entry), |_, _| {});
        roots.push(tree.root());
    }
    for (index, size) in [(0, 1), (0, 600), (599, 600), (255, 256), (256, 257), (511, 513), (300, 555)] {
        let proof = log.inclusion_proof(index, size).await.unwrap();
        let (leaf, root) = (leaves[usize::try_from(index).unwrap()], roots[usize::try_from(size).unwrap()]);
        verify_inclusion(&leaf, index, size, &proof, &root).unwrap();
    }
    for (old, new) in [(0, 600), (1, 600), (256, 512), (255, 599), (300, 301), (600, 600)] {
        let proof = log.consistency_proof(old, new).await.unwrap();
        let root = |size: u64| roots[usize::try_from(size).unwrap()];
        verify_consistency((old, &root(old)), (new, &root(new)), &proof).unwrap();
    }
    assert_eq!(log.inclusion_proof(600, 600).await, Err(ReadError::OutOfRange));
    assert_eq!(log.inclusion_proof(0, 601).await, Err(ReadError::OutOfRange));
    assert_eq!(log.consistency_proof(5, 601).await, Err(ReadError::OutOfRange));
    assert_eq!(log.consistency_proof(6, 5).await, Err(ReadError::OutOfRange));
}

#[tokio::test]
async fn an_offline_receipt_convinces_for_its_own_entry_only() {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 300).await;
    let text = log.tlog_proof(77).await.unwrap();
    let proof = TlogProof::parse(&text).unwrap();
    assert_eq!(proof.to_string(), text);
    let entry = log.entry(77).await.unwrap().unwrap();
    assert_eq!(proof.verify(&entry, &bench.key()).unwrap().size, 300);
    assert!(proof.verify(&log.entry(78).await.unwrap().unwrap(), &bench.key()).is_err());
    assert!(TlogProof { index: 78, ..proof.clone() }.verify(&entry, &bench.key()).is_err());
    assert!(proof.verify(&entry, &Bench::new().key()).is_err());
    assert_eq!(log.tlog_proof(300).await, Err(ReadError::OutOfRange));
}

#[tokio::test]
async fn a_log_that_was_changed_at_its_edge_does_not_start() {
    for sql in [
        "UPDATE log_entry SET body = zeroblob(9) WHERE idx = 299",
        "UPDATE log_entry SET leaf_hash = zeroblob(32) WHERE idx = 299",
        "DELETE FROM log_entry WHERE idx = 280",
        "DELETE FROM log_node",
        "UPDATE log_head SET size = 297",
        "UPDATE log_head SET size = 301, peaks = zeroblob(128)",
    ] {
        let bench = Bench::new();
        let log = bench.log().await;
        fill(&log, 300).await;
        log.drain().await;
        drop(log);
        tamper(&bench.folder.path().join("t.db"), sql).await;
        let (clock, entropy) = (Arc::clone(&bench.clock), Arc::new(SystemEntropy::new()));
        // A head that cannot be is noticed when the store is opened.
        let started = match bench.try_store().await {
            Ok(store) => AuditLog::start(store, bench.signer(), clock, entropy).await,
            Err(error) => Err(error),
        };
        assert!(matches!(started, Err(StoreError::Corrupt(_))), "{sql}: {started:?}");
    }
}

#[tokio::test]
async fn a_log_that_went_back_under_a_running_broker_is_never_signed_again() {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 3).await;
    let before = log.checkpoint().await.unwrap();
    // What a restored backup looks like to the writer.
    tamper(
        &bench.folder.path().join("t.db"),
        "DELETE FROM log_entry; UPDATE log_head SET size = 0, peaks = x''",
    )
    .await;
    assert_eq!(log.record(stopped("fork")).await.unwrap_err(), RecordError::Unavailable);
    assert!(!log.is_healthy());
    assert_eq!(log.checkpoint().await.unwrap(), before);
}

async fn tamper(path: &std::path::Path, sql: impl sqlx::SqlSafeStr) {
    use sqlx::ConnectOptions as _;
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

/// Not a check: prints what grouping gives on this machine. `cargo test audit::tests::speed -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; machines are noisy"]
async fn speed_of_recording() {
    let bench = Bench::new();
    let clock = Arc::new(crate::clock::SystemClock::start());
    let log =
        AuditLog::start(bench.store().await, bench.signer(), clock.clone(), Arc::new(SystemEntropy::new()))
            .await
            .unwrap();
    for callers in [1_u32, 16, 64, 256] {
        let (since, each) = (clock.uptime(), if callers == 1 { 1_000 } else { 20_000 / callers });
        let tasks: Vec<_> = (0..callers)
            .map(|n| {
                let log = log.clone();
                tokio::spawn(async move {
                    for round in 0..each {
                        log.record(claiming(&[&format!("{callers} {n} {round}")])).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let took = clock.uptime().saturating_sub(since);
        println!("{callers} callers: {:.0}/s", f64::from(callers * each) / took.as_secs_f64());
    }
}
