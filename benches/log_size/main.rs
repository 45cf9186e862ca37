//! Does the log's length cost anything? A start with 1,000,000 entries, and an append to 10,000 against one to 1,000,000, on
//! SQLite and on PostgreSQL, both syncing what they commit.
//!
//! `cargo bench --bench log_size`. Rounds of the short and the long log alternate and the ratio is what counts. `--quick`
//! takes 100,000 for the long one; `--sqlite` leaves PostgreSQL out.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations, dead_code, reason = "a bench")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

#[path = "../../tests/harness/certificates.rs"]
mod certificates;
mod fill;
#[path = "../../tests/harness/postgres.rs"]
mod postgres;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use futures_util::future::join_all;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use tidegate::audit::{AuditLog, Submission};
use tidegate::clock::{Clock as _, SystemClock};
use tidegate::config::{self, Settings};
use tidegate::entropy::SystemEntropy;
use tidegate::ids::{IssuerName, RequestId};
use tidegate::keys::{Kek, NoteSigner};
use tidegate::secret::Fingerprint;
use tidegate::server::{self, Ports};
use tidegate::store::{self, Backend, ReplayClaim};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ORIGIN: &str = "broker.example.com/tidegate";
const SHORT: u64 = 10_000;
const STARTS: usize = 5;
const ROUNDS: usize = 15;
/// Entries of one round, by so many callers at a time: as the broker's writer sees them under load.
const PER_ROUND: u64 = 512;
const CALLERS: u64 = 64;
const CLAIMS: u64 = 100_000;

fn main() {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    let long = if has("--quick") { 100_000 } else { 1_000_000 };
    server::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let files = [Place::of(SHORT).await, Place::of(long).await];
        measure("SQLite", &files).await;
        if has("--sqlite") {
            return;
        }
        let server = postgres::Postgres::builder().durable().start();
        let moved = [files[0].moved_to(&server).await, files[1].moved_to(&server).await];
        measure("PostgreSQL", &moved).await;
    });
}

/// A broker's folder, and a log of some length.
struct Place {
    folder: tempfile::TempDir,
    entries: u64,
}

impl Place {
    async fn of(entries: u64) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder"), entries };
        place.lay_out("sqlite:tidegate.db");
        place.start().await;
        let began = Instant::now();
        let store = store::open_with(&place.settings().store).await.expect("a store");
        fill::fill(store.as_ref(), entries).await;
        drop(store);
        place.is_free().await;
        println!("SQLite filled with {entries} entries in {:.1} s", began.elapsed().as_secs_f64());
        place
    }

    /// The same in PostgreSQL, by `tidegate store copy`.
    async fn moved_to(&self, server: &postgres::Postgres) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder"), entries: self.entries };
        place.lay_out(&server.url(&server.database()));
        let kek = |place: &Self| place.folder.path().join("kek");
        std::fs::copy(kek(self), kek(&place)).expect("the key-encryption key");
        let began = Instant::now();
        let (from, to) = (self.settings().store, place.settings().store);
        let copied = store::copy(&from, &to, None, &mut |_, _, _| {}).await.expect("a copy");
        let seconds = began.elapsed().as_secs_f64();
        println!("{} entries copied to PostgreSQL and compared in {seconds:.1} s", copied.entries);
        place
    }

    fn lay_out(&self, url: &str) {
        let folder = self.folder.path();
        std::fs::create_dir_all(folder.join("policies/customer")).expect("a folder");
        write(folder, "policies/customer/main.cedar", "permit (principal, action, resource);");
        write(folder, "jwks.json", &key_set());
        write(folder, "tidegate.toml", &configuration(url));
        if !folder.join("kek").exists() {
            Kek::create(&folder.join("kek"), &SystemEntropy::new()).expect("a key-encryption key");
        }
    }

    fn settings(&self) -> Settings {
        config::load(&self.folder.path().join("tidegate.toml")).expect("a configuration")
    }

    /// The whole broker, from its configuration to open doors.
    async fn start(&self) -> Duration {
        let began = Instant::now();
        let running = server::start(self.settings(), Ports::system()).await.expect("a broker");
        let took = began.elapsed();
        running.stop("bench").await;
        self.is_free().await;
        took
    }

    /// What a broker leaves behind it ends a moment after it.
    async fn is_free(&self) {
        let store = self.settings().store;
        for _ in 0..500 {
            if store::migrate(&store, false).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the store is still in use");
    }

    async fn open(&self) -> (AuditLog, Duration) {
        let store = store::open_with(&self.settings().store).await.expect("a store");
        // Any key: what it signs is not looked at here.
        let private = NoteSigner::generate_pkcs8().expect("a key");
        let signer = NoteSigner::from_pkcs8(ORIGIN, &private);
        let (clock, entropy) = (SystemClock::start(), SystemEntropy::new());
        let began = Instant::now();
        let log = AuditLog::start(store, signer.expect("the log's key"), Arc::new(clock), Arc::new(entropy));
        (log.await.expect("a log"), began.elapsed())
    }

    /// So many single-use tokens that have not ended.
    async fn claim_many(&self) {
        let store = store::open_with(&self.settings().store).await.expect("a store");
        let issuer = IssuerName::new("bench").expect("a name");
        let until = SystemClock::start().now().plus(Duration::from_mins(5));
        for batch in 0..CLAIMS / 5_000 {
            let claim = |number: u64| ReplayClaim {
                issuer: issuer.clone(),
                key: Fingerprint::of(&(batch * 5_000 + number).to_be_bytes()),
                until,
            };
            let mut unit = store.begin().await.expect("a unit");
            unit.claim(&(0..5_000).map(claim).collect::<Vec<_>>()).await.expect("claims");
            unit.commit().await.expect("a commit");
        }
        drop(store);
        self.is_free().await;
    }

    /// The large ones, where the store says so.
    async fn tables(&self) -> Vec<(String, u64)> {
        let found = store::inspect(&self.settings().store).await.expect("a store").tables;
        let sized = found.into_iter().filter_map(|table| Some((table.name, table.bytes?)));
        sized.filter(|(_, bytes)| *bytes > 1_000_000).collect()
    }

    async fn bytes(&self) -> u64 {
        match store::inspect(&self.settings().store).await.expect("a store").backend {
            Backend::Sqlite { files } => files.iter().map(|(_, bytes)| bytes).sum(),
            Backend::Postgres(server) => server.database_bytes,
        }
    }
}

async fn measure(name: &str, [short, long]: &[Place; 2]) {
    println!("\n{name}: {} against {} entries", short.entries, long.entries);
    let (few, many) = (short.bytes().await, long.bytes().await);
    let each = (many.saturating_sub(few)) as f64 / (long.entries - short.entries) as f64;
    println!("  on disk: {many} bytes; {each:.0} for each entry");
    long.claim_many().await;
    for (name, bytes) in long.tables().await {
        println!("  {name:<16}{bytes:>14} bytes");
    }
    let (mut starts_short, mut starts_long) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        starts_short.push(short.start().await);
        starts_long.push(long.start().await);
    }
    let [short_start, long_start] = [starts_short, starts_long].map(median);
    println!("  the whole broker is ready after {short_start:?} and {long_start:?}");
    let ((short_log, one), (long_log, other)) = (short.open().await, long.open().await);
    println!("  of that the log alone: {one:?} and {other:?}");
    for (what, callers) in [("one at a time", 1), ("64 at a time", CALLERS)] {
        let (mut on_short, mut on_long, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms both up.
        for round in 0..=ROUNDS {
            let (first, second) = (append(&short_log, callers).await, append(&long_log, callers).await);
            if round > 0 {
                on_short.push(first);
                on_long.push(second);
                ratios.push(second.as_secs_f64() / first.as_secs_f64());
            }
        }
        ratios.sort_by(f64::total_cmp);
        let (on_short, on_long) = (median(on_short), median(on_long));
        println!(
            "  an append, {what}: {on_short:?} and {on_long:?}; ratio of medians {:.2}, median of ratios {:.2}",
            on_long.as_secs_f64() / on_short.as_secs_f64(),
            ratios[ratios.len() / 2]
        );
    }
    short_log.drain().await;
    long_log.drain().await;
}

/// How long one entry takes when so many callers record one after the other each.
async fn append(log: &AuditLog, callers: u64) -> Duration {
    let count = if callers == 1 { PER_ROUND / 8 } else { PER_ROUND };
    let began = Instant::now();
    join_all((0..callers).map(|caller| async move {
        let entropy = SystemEntropy::new();
        for number in 0..count / callers {
            let id = RequestId::new(SystemClock::start().now(), &entropy).expect("an id");
            log.record(Submission::new(id, fill::event(caller + number))).await.expect("a receipt");
        }
    }))
    .await;
    began.elapsed() / u32::try_from(count).expect("a few")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}

/// An issuer's: it signs nothing here.
fn key_set() -> String {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
    let point = key.expect("a key").public_key().as_ref().to_vec();
    let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","alg":"ES256","kid":"bench"}}]}}"#)
}

fn configuration(url: &str) -> String {
    format!(
        r#"[server]
issuer = "https://broker.example.com"
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"

[log]
level = "warn"

[store]
url = "{url}"

[keys]
kek_file = "kek"

[audit]
origin = "{ORIGIN}"

[policy]
dir = "policies"

[[issuers]]
name = "bench"
url = "https://bench.example.com"
profile = "kubernetes"
audiences = ["tidegate"]
algorithms = ["ES256"]
jwks_file = "jwks.json"

[[grants]]
name = "ledger-api"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.read", "ledger.write"]
default_ttl = "5m"
max_ttl = "15m"
"#
    )
}
