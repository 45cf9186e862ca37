//! A broker that outgrew its file: everything goes to PostgreSQL, under the same log and the same keys.

use std::fs;

use crate::harness::postgres::Postgres;
use crate::harness::{OidcProvider, Setup, StoreKind, http};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_moves_to_postgres_with_its_log_and_its_keys() {
    let (issuer, server) = (OidcProvider::start(), Postgres::builder().durable().start());
    let mut broker =
        Setup::new().store(StoreKind::Sqlite).issuer("idp", issuer.url(), "").jwt_grant("ledger").start();
    let once = issuer.token("es256").await;
    broker.exchange("ledger", &once).await.granted();
    let keys = broker.get("/.well-known/jwks.json").await.granted().body;
    let note = http::client().get(format!("{}/log/checkpoint", broker.url())).send().await.unwrap();
    fs::write(broker.folder().join("last.checkpoint"), note.text().await.unwrap()).unwrap();
    let config = fs::read_to_string(broker.folder().join("tidegate.toml")).unwrap();
    let moved = config.replace("sqlite:tidegate.db", &server.url(&server.database()));
    fs::write(broker.folder().join("moved.toml"), &moved).unwrap();

    let cli = |arguments: &[&str]| {
        let done = broker.cli(arguments);
        let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (done.status.code(), said.concat())
    };
    let copy = ["store", "copy", "--config", "tidegate.toml", "--to-config", "moved.toml"];
    let (code, said) = cli(&copy);
    assert!(code == Some(1) && said.contains("in use by another broker"), "{said}");
    assert_eq!(cli(&["store", "copy", "--config", "tidegate.toml"]).0, Some(2), "no target");
    let (code, said) = cli(&["store", "migrate", "--config", "moved.toml", "--dry-run"]);
    assert!(code == Some(0) && said.contains("would apply version 1"), "{said}");
    broker.stop();

    let cli = |arguments: &[&str]| {
        let done = broker.cli(arguments);
        let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (done.status.code(), said.concat())
    };
    let (code, said) = cli(&[&copy[..], &["--checkpoint", "last.checkpoint"]].concat());
    assert!(code == Some(0) && said.contains("never start a broker on the old store again"), "{said}");
    let (code, said) = cli(&[&copy[..], &["--output", "json"]].concat());
    assert!(code == Some(1) && said.contains("the target is not empty"), "{said}");
    let (code, said) = cli(&["store", "status", "--config", "moved.toml", "--checkpoint", "last.checkpoint"]);
    assert!(code == Some(0) && said.contains("synchronous_standby_names ''"), "{said}");
    assert!(said.contains("a standby that is promoted can lack records"), "{said}");
    fs::write(broker.folder().join("tidegate.toml"), moved).unwrap();

    broker.start_again();
    assert_eq!(broker.get("/.well-known/jwks.json").await.granted().body, keys);
    let replayed = broker.exchange("ledger", &once).await;
    assert_eq!(replayed.status, 400, "{replayed:?}");
    broker.exchange("ledger", &issuer.token("es256").await).await.granted();
    let key = broker.get("/log/key").await.granted().body;
    let (url, key) = (format!("{}/log", broker.url()), key.as_str().unwrap().trim().to_owned());
    let verified = broker.cli(&["audit", "verify", &url, "--key", &key, "--checkpoint", "last.checkpoint"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
