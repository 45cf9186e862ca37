//! The key-encryption key in files: changed while the broker serves, and under `kill -9`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Broker, OidcProvider, Setup, http};

/// Enough for the kill to come before, in the middle and after.
const ROUNDS: u32 = 16;

fn start(issuer: &OidcProvider) -> Broker {
    Setup::new().issuer("idp", issuer.url(), "replay = \"reusable\"").jwt_grant("ledger").start()
}

fn arguments(broker: &Broker, command: &str) -> Vec<String> {
    let ops = format!("http://{}", broker.ops_address());
    ["keys", command, "--config", "tidegate.toml", "--ops", &ops, "--output", "json"]
        .map(str::to_owned)
        .into()
}

fn keys(broker: &Broker, command: &str) -> (bool, String) {
    let arguments = arguments(broker, command);
    let output = broker.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.success(), said + &complained)
}

/// What seals the kept keys: one answer for all of them.
fn sealed_under(broker: &Broker) -> String {
    let (ok, said) = keys(broker, "list");
    assert!(ok, "{said}");
    let listed: Value = serde_json::from_str(&said).unwrap();
    let keks: Vec<&str> = listed.as_array().unwrap().iter().map(|key| key["kek"].as_str().unwrap()).collect();
    assert!(
        keks.iter().all(|kek| *kek == keks[0]),
        "some are sealed under one and some under the other: {said}"
    );
    keks[0].to_owned()
}

fn write_kek(broker: &Broker, name: &str, text: &str, mode: u32) {
    let path = broker.folder().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

async fn signer(broker: &Broker, token: &str) -> Value {
    let issued = broker.exchange("ledger", token).await.granted();
    http::header(issued.text("/access_token"))["kid"].clone()
}

const NEXT: &str = "bmV4dC10aWRlZ2F0ZS10ZXN0LWtleS1lbmNyeXB0LWs=";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_under_load_fails_no_request_and_the_old_key_opens_nothing_afterwards() {
    let issuer = OidcProvider::start();
    let (mut broker, token) = (start(&issuer), issuer.token("es256").await);
    let (signed_before, old) = (signer(&broker, &token).await, sealed_under(&broker));

    let (ok, said) = keys(&broker, "rotate-kek");
    assert!(!ok && said.contains("seals everything already"), "{said}");
    broker.stop();
    broker.reconfigure("kek_file = \"kek\"", "kek_file = \"next\"\nprevious_kek_file = \"kek\"");
    write_kek(&broker, "next", NEXT, 0o644);
    assert!(broker.does_not_start().contains("0644"));
    write_kek(&broker, "next", NEXT, 0o600);
    let kept = fs::read(broker.folder().join("kek")).unwrap();
    write_kek(&broker, "kek", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0o600);
    let why = broker.does_not_start();
    assert!(why.contains(&format!("sealed under the key-encryption key {old}")), "a wrong old one: {why}");
    write_kek(&broker, "kek", NEXT, 0o600);
    assert!(broker.does_not_start().contains("are the same key"));
    write_kek(&broker, "kek", std::str::from_utf8(&kept).unwrap(), 0o600);

    broker.start_again();
    broker.hear("tidegate keys rotate-kek");
    assert_eq!(sealed_under(&broker), old, "a start changes nothing");
    let load = tokio::spawn(exchange_for(broker.url().to_owned(), token.clone(), Duration::from_secs(2)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (ok, said) = keys(&broker, "rotate-kek");
    assert!(ok && said.contains(&old), "{said}");
    assert!(load.await.unwrap() > 10, "nobody asked meanwhile");
    let new = sealed_under(&broker);
    assert_ne!(new, old);

    broker.kill_9();
    broker.reconfigure("\nprevious_kek_file = \"kek\"", "");
    broker.start_again();
    assert_eq!((signer(&broker, &token).await, sealed_under(&broker)), (signed_before, new.clone()));
    broker.stop();
    broker.reconfigure("kek_file = \"next\"", "kek_file = \"kek\"");
    let why = broker.does_not_start();
    assert!(why.contains(&new) && why.contains("put the right one back"), "{why}");
    broker.reconfigure("kek_file = \"kek\"", "kek_file = \"next\"");
    broker.start_again();
    broker.verify_log().await;
}

/// The files that a round changes from and to, and what the configuration says of them.
struct Change {
    files: [&'static str; 2],
    lines: String,
}

impl Change {
    /// Starts the broker with both, and asks it to change over.
    fn ask(&mut self, broker: &mut Broker) -> std::process::Child {
        broker.kill_9();
        let wanted = format!("kek_file = \"{}\"\nprevious_kek_file = \"{}\"", self.files[1], self.files[0]);
        broker.reconfigure(&self.lines, &wanted);
        self.lines = wanted;
        broker.start_again();
        let arguments = arguments(broker, "rotate-kek");
        let mut command = broker.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

/// Kills are spread from the moment of asking to well after an undisturbed answer, so that some come before the commit and
/// some after it, whatever the machine.
#[tokio::test]
async fn kill_nine_during_a_change_leaves_old_seals_or_new_ones_and_never_both() {
    let issuer = OidcProvider::start();
    let (mut broker, token) = (start(&issuer), issuer.token("es256").await);
    write_kek(&broker, "next", NEXT, 0o600);
    let (signed_before, first) = (signer(&broker, &token).await, sealed_under(&broker));
    let mut change = Change { files: ["kek", "next"], lines: "kek_file = \"kek\"".to_owned() };
    let mut asked = change.ask(&mut broker);
    let since = Instant::now();
    assert!(asked.wait().unwrap().success());
    let usual = since.elapsed();
    change.files.swap(0, 1);
    let (mut from, mut to, mut changed) = (sealed_under(&broker), first, 0);
    assert_ne!(from, to);
    for round in 0..ROUNDS {
        let mut asked = change.ask(&mut broker);
        tokio::time::sleep(usual * 2 * round / (ROUNDS - 1)).await;
        broker.kill_9();
        asked.wait().unwrap();
        broker.start_again();
        let now = sealed_under(&broker);
        if now != from {
            assert_eq!(now, to, "a third key");
            changed += 1;
            (from, to) = (now, from);
            change.files.swap(0, 1);
        }
        assert_eq!(signer(&broker, &token).await, signed_before, "round {round}");
    }
    println!(
        "{changed} of {ROUNDS} changes were committed before the kill; undisturbed, one takes {usual:?}"
    );
    assert!((1..ROUNDS).contains(&changed), "{changed} of {ROUNDS}: the kills came too early or too late");
    broker.verify_log().await;
}

/// Every request must be answered with a token; how many were.
async fn exchange_for(url: String, token: String, span: Duration) -> usize {
    let (client, since, mut answers) = (http::client(), Instant::now(), 0);
    while since.elapsed() < span {
        let form = [
            ("grant_type", http::TOKEN_EXCHANGE),
            ("subject_token_type", http::JWT_TYPE),
            ("subject_token", &token),
            ("audience", "ledger"),
        ];
        http::Answer::to(client.post(format!("{url}/oauth2/token")).form(&form)).await.unwrap().granted();
        answers += 1;
    }
    answers
}
