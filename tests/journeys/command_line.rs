//! What operators, workloads and auditors type, against a running broker.

use std::fs;
use std::process::Output;

use crate::harness::{Broker, OidcProvider, Setup, http, log};

fn text(output: &Output) -> (bool, String) {
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.success(), said + &complained)
}

fn keys(broker: &Broker, command: &str) -> (bool, String) {
    let ops = format!("http://{}", broker.ops_address());
    text(&broker.cli(&["keys", command, "--config", "tidegate.toml", "--ops", &ops, "--output", "json"]))
}

#[tokio::test]
async fn an_operator_rotates_and_the_next_key_is_published_before_it_signs() {
    let provider = OidcProvider::start();
    let broker = Setup::new().issuer("idp", provider.url(), "").jwt_grant("ledger").start();
    let before = broker.get("/.well-known/jwks.json").await.granted().body["keys"].clone();

    let (ok, said) = keys(&broker, "rotate");
    assert!(ok && said.contains("announced"), "{said}");
    let after = broker.get("/.well-known/jwks.json").await.granted().body["keys"].clone();
    assert_eq!((before.as_array().unwrap().len(), after.as_array().unwrap().len()), (1, 2));
    let issued = broker.exchange("ledger", &provider.token("es256").await).await.granted();
    let used = http::header(issued.text("/access_token"))["kid"].clone();
    assert_eq!(used, before[0]["kid"], "the new key does not sign yet");

    let (ok, said) = keys(&broker, "list");
    assert!(ok && said.contains("\"next\"") && said.contains("\"signing\""), "{said}");
    let created =
        log::entries(&broker).await.iter().filter(|entry| entry.json["type"] == "key.created").count();
    assert_eq!(created, 2);
}

#[tokio::test]
async fn whoever_cannot_read_the_key_encryption_key_cannot_rotate() {
    let provider = OidcProvider::start();
    let broker = Setup::new().issuer("idp", provider.url(), "").jwt_grant("ledger").start();
    fs::write(broker.folder().join("kek"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let (ok, said) = keys(&broker, "rotate");
    assert!(!ok && said.contains("401"), "{said}");
}

#[tokio::test]
async fn a_workload_fetches_a_token_in_every_format_and_a_refusal_says_why() {
    let provider = OidcProvider::start();
    let broker =
        Setup::new().issuer("idp", provider.url(), "replay = \"reusable\"").jwt_grant("ledger").start();
    fs::write(broker.folder().join("token"), format!("{}\n", provider.token("es256").await)).unwrap();
    let token = |grant: &str, format: &str| {
        let arguments =
            ["token", "--grant", grant, "--subject-token-file", "token", "--broker", broker.url()];
        text(&broker.cli(&[&arguments[..], &["--format", format]].concat()))
    };
    let (ok, raw) = token("ledger", "raw");
    assert!(ok && raw.split('.').count() == 3, "{raw}");
    let (ok, json) = token("ledger", "json");
    assert!(ok && json.contains("\"audit\""), "{json}");
    let (ok, env) = token("ledger", "env");
    assert!(ok && env.starts_with("export TIDEGATE_TOKEN="), "{env}");
    let (ok, refused) = token("payroll", "raw");
    assert!(!ok && refused.contains("invalid_target") && refused.contains("request"), "{refused}");
}

#[tokio::test]
async fn an_auditor_mirrors_proves_and_notices_a_change() {
    let provider = OidcProvider::start();
    let broker =
        Setup::new().issuer("idp", provider.url(), "replay = \"reusable\"").jwt_grant("ledger").start();
    broker.exchange("ledger", &provider.token("es256").await).await.granted();
    let key = broker.get("/log/key").await.granted().body.as_str().unwrap().trim().to_owned();
    let run = |arguments: &[&str]| text(&broker.cli(arguments));

    let (ok, said) = run(&["audit", "verify", broker.url(), "--key", &key, "--save", "saved"]);
    assert!(ok, "the broker's own URL is enough: {said}");
    let (ok, said) = run(&["audit", "export", broker.url(), "--to", "mirror"]);
    assert!(ok, "{said}");
    let (ok, said) = run(&["audit", "verify", "mirror", "--key", &key, "--checkpoint", "saved"]);
    assert!(ok, "{said}");
    let (ok, said) =
        run(&["audit", "prove", "mirror", "--index", "0", "--key", &key, "--out", "r", "--entry-out", "e"]);
    assert!(ok, "{said}");
    assert!(run(&["audit", "prove", "--check", "r", "--entry", "e", "--key", &key]).0);

    let bundles = broker.folder().join("mirror/tile/entries");
    let bundle = fs::read_dir(&bundles).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let bundle = fs::read_dir(bundle).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let changed = String::from_utf8_lossy(&fs::read(&bundle).unwrap()).contains("broker.started");
    assert!(changed);
    let bytes = fs::read(&bundle).unwrap();
    let place = bytes.windows(14).position(|window| window == b"broker.started").unwrap();
    let mut forged = bytes.clone();
    forged[place] ^= 1;
    fs::write(&bundle, forged).unwrap();
    let (ok, said) = run(&["audit", "verify", "mirror", "--key", &key]);
    assert!(!ok && said.contains("FAULT"), "{said}");
}
