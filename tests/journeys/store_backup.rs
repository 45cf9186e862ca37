//! Backup and restore with the tools that people use, and what an older backup looks like.

use std::fs;
use std::process::{Command, Output};

use crate::harness::postgres::program;
use crate::harness::{Broker, OidcProvider, Setup, StoreKind, http, log, on_both_stores};

on_both_stores! { an_older_backup_is_noticed_and_a_good_one_goes_on }

fn text(output: &Output) -> (bool, String) {
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.success(), said + &complained)
}

fn must(command: &mut Command) {
    let (ok, said) = text(&command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")));
    assert!(ok, "{command:?}: {said}");
}

/// `tidegate store status` against the checkpoint that was saved.
fn status(broker: &Broker) -> (bool, String) {
    text(&broker.cli(&["store", "status", "--config", "tidegate.toml", "--checkpoint", "last.checkpoint"]))
}

async fn save_checkpoint(broker: &Broker) {
    let note = http::client().get(format!("{}/log/checkpoint", broker.url())).send().await.unwrap();
    fs::write(broker.folder().join("last.checkpoint"), note.text().await.unwrap()).unwrap();
}

/// `tidegate audit verify` against the checkpoint that was saved.
async fn verify(broker: &Broker) -> (bool, String) {
    let key = broker.get("/log/key").await.granted().body;
    let (url, key) = (format!("{}/log", broker.url()), key.as_str().unwrap().trim().to_owned());
    text(&broker.cli(&["audit", "verify", &url, "--key", &key, "--checkpoint", "last.checkpoint"]))
}

/// While the broker runs, as `docs/operations.md` says.
fn back_up(broker: &Broker, name: &str) {
    let to = broker.folder().join(name);
    if broker.postgres().is_some() {
        let mut dump = pg(broker, "pg_dump");
        must(dump.args(["--format=custom", "--dbname", &database(broker), "--file"]).arg(to));
    } else {
        let database = broker.folder().join("tidegate.db");
        must(Command::new("sqlite3").arg(database).arg(format!("VACUUM INTO '{}'", to.display())));
    }
}

/// With the broker stopped.
fn restore(broker: &Broker, name: &str) {
    let from = broker.folder().join(name);
    let Some(server) = broker.postgres() else {
        let file = |suffix: &str| broker.folder().join(format!("tidegate.db{suffix}"));
        for old in ["-wal", "-shm"] {
            let _ = fs::remove_file(file(old));
        }
        fs::copy(from, file("")).unwrap();
        return;
    };
    let (old, new) = (server.url(&database(broker)), server.database());
    let mut load = pg(broker, "pg_restore");
    load.args(["--exit-on-error", "--no-owner", "--role=tidegate", "--dbname", &new]);
    must(load.arg(from));
    let config = broker.folder().join("tidegate.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace(&old, &server.url(&new))).unwrap();
}

fn database(broker: &Broker) -> String {
    let config = fs::read_to_string(broker.folder().join("tidegate.toml")).unwrap();
    let url = config.lines().find(|line| line.starts_with("url = \"postgres:")).unwrap();
    url.trim_end_matches('"').rsplit('/').next().unwrap().to_owned()
}

fn pg(broker: &Broker, name: &str) -> Command {
    let server = broker.postgres().unwrap();
    let mut command = Command::new(program(name));
    command.arg("--host").arg(server.file("s")).arg(format!("--port={}", server.port()));
    command.arg("--username=postgres");
    command
}

async fn an_older_backup_is_noticed_and_a_good_one_goes_on(store: StoreKind) {
    let issuer = OidcProvider::start();
    let setup = Setup::new().store(store).issuer("idp", issuer.url(), "replay = \"reusable\"");
    let mut broker = setup.jwt_grant("ledger").start();
    let token = issuer.token("es256").await;
    broker.exchange("ledger", &token).await.granted();
    back_up(&broker, "older");
    // More than a start records by itself.
    for _ in 0..12 {
        broker.exchange("ledger", &token).await.granted();
    }
    save_checkpoint(&broker).await;
    let signed = log::size(&broker).await;
    back_up(&broker, "good");
    broker.exchange("ledger", &token).await.granted();
    let (ok, said) = status(&broker);
    assert!(ok && said.contains(&format!("begins with the saved checkpoint of {signed} entries")), "{said}");
    broker.stop();

    restore(&broker, "good");
    let (ok, said) = status(&broker);
    assert!(ok, "{said}");
    broker.start_again();
    let published = broker.get("/.well-known/jwks.json").await.granted().body;
    assert_eq!(published["keys"].as_array().unwrap().len(), 1, "{published}");
    broker.exchange("ledger", &token).await.granted();
    let (ok, said) = verify(&broker).await;
    assert!(ok, "{said}");
    broker.stop();

    restore(&broker, "older");
    let (ok, said) = status(&broker);
    assert!(!ok && said.contains("THIS STORE IS A RESTORED OLDER BACKUP"), "{said}");
    assert!(said.contains(&format!("the saved checkpoint {signed}")), "{said}");
    broker.start_again();
    let (ok, said) = verify(&broker).await;
    assert!(!ok && said.contains("truncated"), "{said}");
    while log::size(&broker).await <= signed {
        broker.exchange("ledger", &token).await.granted();
    }
    let (ok, said) = status(&broker);
    assert!(!ok && said.contains("ANOTHER HISTORY THAN THE ONE THAT WAS SIGNED"), "{said}");
    let (ok, said) = verify(&broker).await;
    assert!(!ok && said.contains("rewritten"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_file_without_its_write_ahead_log_is_noticed() {
    let issuer = OidcProvider::start();
    let mut broker =
        Setup::new().issuer("idp", issuer.url(), "replay = \"reusable\"").jwt_grant("ledger").start();
    let token = issuer.token("es256").await;
    for _ in 0..3 {
        broker.exchange("ledger", &token).await.granted();
    }
    save_checkpoint(&broker).await;
    broker.kill_9();
    let copy = |from: &str, to: &str| {
        let _ = fs::copy(broker.folder().join(from), broker.folder().join(to)).unwrap();
    };
    copy("tidegate.db", "alone.db");
    copy("tidegate.db", "both.db");
    copy("tidegate.db-wal", "both.db-wal");
    let status =
        |url: &str| text(&broker.cli(&["store", "status", "--url", url, "--checkpoint", "last.checkpoint"]));
    let (ok, said) = status("sqlite:alone.db");
    assert!(!ok, "{said}");
    let (ok, said) = status("sqlite:both.db");
    assert!(ok, "{said}");
}
