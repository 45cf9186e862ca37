//! A vendor signs policies, a customer pins them: the broker that runs goes over to a new version when it is pinned, and to
//! nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::harness::{Broker, OidcProvider, Setup, log};

const PERMIT: &str = "@id(\"needs\") permit (principal, action, resource);\n";
const FORBID: &str =
    "@id(\"none\") permit (principal, action, resource); forbid (principal, action, resource);\n";

/// At the vendor's: `policies/vendor/needs.cedar` becomes `name`.
fn signs(broker: &Broker, version: &str, cedar: &str, name: &str) {
    let folder = broker.folder().join("at-the-vendors/vendor");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("needs.cedar"), cedar).unwrap();
    let what =
        ["policy", "bundle", "--policies", "at-the-vendors", "--name", "acme", "--min-broker", "0.1.0"];
    let which = ["--bundle-version", version, "--key-file", "vendor.key", "--out", name];
    let made = broker.cli(&[&what[..], &which].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn verifies(broker: &Broker, arguments: &[&str]) -> (Option<i32>, String) {
    let judged = broker.cli(&[&["policy", "verify"], arguments].concat());
    (judged.status.code(), String::from_utf8_lossy(&judged.stdout).into_owned())
}

async fn loaded(broker: &Broker) -> Vec<Value> {
    let entries = log::entries(broker).await.into_iter().map(|entry| entry.json);
    entries.filter(|entry| entry["type"] == "policy.loaded").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn running_broker_takes_the_pinned_bundle_and_keeps_it_when_the_next_is_bad() {
    let issuer = OidcProvider::start();
    let mut broker =
        Setup::new().issuer("idp", issuer.url(), "replay = \"reusable\"").jwt_grant("ledger").start();
    let token = issuer.token("es256").await;
    let made = broker.cli(&["policy", "new-key", "--name", "vendor.example/policies", "--out", "vendor.key"]);
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let private = broker.folder().join("vendor.key");
    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    let again = broker.cli(&["policy", "new-key", "--name", "x", "--out", "vendor.key"]);
    assert!(!again.status.success(), "a key is never overwritten");

    signs(&broker, "7", PERMIT, "acme.bundle");
    signs(&broker, "7", PERMIT, "again.bundle");
    let bundle = |name: &str| fs::read(broker.folder().join(name)).unwrap();
    assert_eq!(bundle("acme.bundle"), bundle("again.bundle"), "the same input is the same bytes");
    assert_eq!(verifies(&broker, &["acme.bundle", "--key", &key, "--version", "8"]).0, Some(1));
    assert_eq!(verifies(&broker, &["acme.bundle", "--key", &key, "--broker", "0.0.9"]).0, Some(1));
    let other = "vendor.example/policies+00000000+AAAA";
    assert_eq!(verifies(&broker, &["acme.bundle", "--key", other]).0, Some(1));
    let (code, told) = verifies(&broker, &["acme.bundle", "--key", &key, "--version", "7"]);
    assert_eq!(code, Some(0), "{told}");
    let pin = told.lines().find_map(|line| line.strip_prefix("pin    vendor_bundle_version = ")).unwrap();

    // Signed by somebody else: it does not start.
    broker.stop();
    let lines = format!(
        "vendor_bundle = \"acme.bundle\"\nvendor_key = \"{key}\"\nvendor_bundle_version_file = \"pin\""
    );
    broker.reconfigure("dir = \"policies\"", &format!("dir = \"policies\"\n{lines}"));
    fs::write(broker.folder().join("pin"), "8").unwrap();
    assert!(broker.does_not_start().contains("older than the pinned version 8"));
    let check = broker.cli(&["check", "--config", "tidegate.toml"]);
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!check.status.success() && told.contains("acme.bundle: is version 7, older"), "{told}");

    fs::write(broker.folder().join("pin"), pin.trim_matches('"')).unwrap();
    broker.start_again();
    broker.exchange("ledger", &token).await.granted();
    let entry = loaded(&broker).await.pop().unwrap();
    assert_eq!((&entry["bundle"]["name"], &entry["bundle"]["version"]), (&"acme".into(), &7.into()));
    let newest = log::entries(&broker).await.pop().unwrap().json;
    for author in ["digest", "customer", "vendor"] {
        assert_eq!(newest["policy"][author], entry[author], "{newest}");
    }

    // The next version comes before its review: the last good one stays.
    signs(&broker, "8", FORBID, "acme.bundle");
    broker.signal("HUP");
    broker.hear("raise the pin after review");
    broker.exchange("ledger", &token).await.granted();
    let metrics = broker.ops("/metrics").await.body.to_string();
    assert!(metrics.contains("tidegate_policy_reloads_total{outcome=\\\"refused\\\"} 1"), "{metrics}");

    fs::write(broker.folder().join("pin"), "8").unwrap();
    broker.signal("HUP");
    broker.hear("policies loaded");
    assert_eq!(broker.exchange("ledger", &token).await.status, 400);
    assert_eq!(loaded(&broker).await.pop().unwrap()["bundle"]["version"], 8);

    // Altered on the way.
    let mut bytes = fs::read(broker.folder().join("acme.bundle")).unwrap();
    let at = bytes.windows(6).position(|window| window == b"forbid").unwrap();
    bytes[at..at + 6].copy_from_slice(b"permit");
    fs::write(broker.folder().join("acme.bundle"), bytes).unwrap();
    broker.signal("HUP");
    broker.hear("its files are not the ones that");
    assert_eq!(broker.exchange("ledger", &token).await.status, 400, "version 8 still decides");
    let (code, told) = verifies(&broker, &["acme.bundle", "--key", &key]);
    assert_eq!(code, Some(1), "{told}");
    broker.stop();
    assert!(broker.does_not_start().contains("its files are not the ones that"));
}
