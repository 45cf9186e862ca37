//! 100,000 recorded decisions, decided again by other policies: how long it takes, and whether exactly the planted changes are
//! found. `cargo bench --bench replay`.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations, dead_code, reason = "a bench")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench"
)]

#[path = "../log_size/fill.rs"]
mod fill;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tidegate::audit::tile::{TileKind, TilePath, available};
use tidegate::audit::{AuditLog, Event, FactsRecord, PolicyRecord};
use tidegate::clock::SystemClock;
use tidegate::entropy::SystemEntropy;
use tidegate::keys::NoteSigner;
use tidegate::policy::{Facts, PolicyDigest, PolicySets};
use tidegate::store;

const COUNT: u64 = 100_000;
/// The other half of the shape of an event.
const ISSUED: &str = "what is filled in was issued";

const BEFORE: &str = "@id(\"billing\") permit(principal is Tidegate::Workload, action == Tidegate::Action::\"issue\", resource) \
    when { principal has kubernetes && principal.kubernetes.namespace == \"billing\" };\n\
    @id(\"ceiling\") forbid(principal, action == Tidegate::Action::\"issue\", resource) \
    when { context.ttl > duration(\"1h\") || context.auth.issued_at > context.now };\n";

/// One account of billing may not any more, one of the web may.
const PLANTED: &str = "@id(\"seven\") forbid(principal is Tidegate::Workload, action, resource) \
    when { principal has kubernetes && principal.kubernetes.service_account == \"invoicer-7\" };\n\
    @id(\"nineteen\") permit(principal is Tidegate::Workload, action == Tidegate::Action::\"issue\", resource) \
    when { principal has kubernetes && principal.kubernetes.service_account == \"invoicer-19\" };\n";

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let policies = |name: &str, text: &str| {
        let dir = folder.path().join(name);
        std::fs::create_dir_all(dir.join("customer")).expect("a folder");
        std::fs::write(dir.join("customer/a.cedar"), text).expect("a file");
        dir
    };
    let (before, after) = (policies("before", BEFORE), policies("after", &format!("{BEFORE}{PLANTED}")));
    let digest = PolicySets::read(&before).expect("policies").digest();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (mirror, key) = runtime.block_on(log(folder.path(), digest));
    for (name, dir, changes) in [("the same policies", &before, 0), ("planted changes", &after, 500)] {
        let began = Instant::now();
        let told = replay(&mirror, &key, dir);
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(told["total"]["decisions"], COUNT);
        assert_eq!((&told["inconsistent"], &told["not_recorded"]), (&json!([]), &json!({})));
        for kind in ["newly_allowed", "newly_denied"] {
            assert_eq!(told["total"][kind], changes, "{kind}");
        }
        let planted = |change: &Value| matches!(change["index"].as_u64().expect("an index") % 200, 7 | 19);
        assert!(told["changes"].as_array().expect("changes").iter().all(planted));
        println!(
            "{COUNT} decisions against {name}: {seconds:.1} s, {changes} + {changes} changes, as planted"
        );
    }
}

/// What the command answers.
fn replay(mirror: &Path, key: &str, against: &Path) -> Value {
    let told = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["--output", "json", "policy", "replay", "--fail-on", "none", "--key", key, "--against"])
        .arg(against)
        .arg(mirror)
        .output()
        .expect("the command");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).expect("JSON")
}

/// A mirror of a log, and its verifier key.
async fn log(folder: &Path, digest: PolicyDigest) -> (std::path::PathBuf, String) {
    let store = store::open(&format!("sqlite:{}", folder.join("t.db").display())).await.expect("a store");
    fill::fill_with(store.as_ref(), COUNT, |number| event(number, digest)).await;
    let private = NoteSigner::generate_pkcs8().expect("a key");
    let signer = NoteSigner::from_pkcs8("broker.example.com/tidegate", &private).expect("the log's key");
    let (clock, entropy) = (Arc::new(SystemClock::start()), Arc::new(SystemEntropy::new()));
    let log = AuditLog::start(store, signer, clock, entropy).await.expect("a log");
    let mirror = folder.join("mirror");
    for kind in [TileKind::Entries, TileKind::Hashes(0), TileKind::Hashes(1), TileKind::Hashes(2)] {
        for path in (0..).map_while(|n| TilePath::newest(kind, n, available(kind, log.size()))) {
            let file = mirror.join(path.to_string());
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(file, log.tile(&path).await.expect("a tile").expect("a tile")).expect("a file");
        }
    }
    std::fs::write(mirror.join("checkpoint"), log.checkpoint().await.expect("a checkpoint")).expect("a file");
    (mirror, log.verifier_key())
}

/// A decision of the policies before: each tenth caller is of the web, and refused.
fn event(number: u64, by: PolicyDigest) -> Event {
    let mut event = fill::event(number);
    let Event::CredentialIssued { policy, .. } = &mut event else { unreachable!("{ISSUED}") };
    let decided_by = vec!["customer/a.cedar#billing".to_owned()];
    *policy = PolicyRecord { digest: by, customer: by, vendor: None, decided_by };
    if number % 10 != 9 {
        return event;
    }
    let Event::CredentialIssued { principal, actor, grant, token, policy, facts, source_ip, .. } = event
    else {
        unreachable!("{ISSUED}")
    };
    let text = serde_json::to_string(&facts).expect("JSON").replace("billing", "web");
    let facts = FactsRecord::of(&serde_json::from_str::<Facts>(&text).expect("facts"));
    let policy = Some(PolicyRecord { decided_by: Vec::new(), ..policy });
    let (reason, detail) = ("policy_denied", "no customer policy permits it".to_owned());
    Event::CredentialRefused {
        principal,
        actor,
        grant,
        token,
        policy,
        facts,
        reason,
        detail,
        elevation: None,
        source_ip,
    }
}
