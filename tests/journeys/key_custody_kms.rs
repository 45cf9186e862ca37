//! The key-encryption key in AWS KMS, at a stand-in that checks identities, key policies, key states and the encryption
//! context: KMS is asked at start and at a change, and a broker that does not get its key starts nothing new.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::aws::Aws;
use crate::harness::relay::Relay;
use crate::harness::{Broker, OidcProvider, Setup, StoreKind, http, log};

struct World {
    issuer: OidcProvider,
    aws: Aws,
    relay: Relay,
    arn: String,
}

impl World {
    async fn start() -> (Self, Broker) {
        Self::with(Setup::new()).await
    }

    async fn with(setup: Setup) -> (Self, Broker) {
        let (issuer, aws) = (OidcProvider::start(), Aws::ministack());
        let relay = Relay::start(aws.endpoint(), Duration::ZERO).await;
        let arn = aws.kms_key();
        let keys = format!("kek_kms = \"{arn}\"\nkms_endpoint = \"{}\"", relay.url());
        let broker = setup
            .issuer("idp", issuer.url(), "replay = \"reusable\"")
            .jwt_grant("ledger")
            .kek(&keys, aws.broker_env())
            .start();
        (Self { issuer, aws, relay, arn }, broker)
    }

    /// The `kid` of a token that was just issued.
    async fn signer(&self, broker: &Broker) -> Value {
        let issued = broker.exchange("ledger", &self.issuer.token("es256").await).await.granted();
        http::header(issued.text("/access_token"))["kid"].clone()
    }

    /// `Encrypt` and `Decrypt`.
    fn calls(&self) -> (usize, usize) {
        (self.relay.calls("TrentService.Encrypt"), self.relay.calls("TrentService.Decrypt"))
    }
}

fn keys(broker: &Broker, command: &str) -> (bool, String) {
    let ops = format!("http://{}", broker.ops_address());
    let output = broker
        .command(&["keys", command, "--config", "tidegate.toml", "--ops", &ops, "--output", "json"])
        .output()
        .unwrap();
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
    assert!(keks.iter().all(|kek| *kek == keks[0]), "{said}");
    keks[0].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn kms_is_asked_at_start_and_never_for_a_token_and_the_keys_outlive_kill_nine() {
    let (world, mut broker) = World::start().await;
    assert_eq!(world.calls(), (1, 1), "wrapped, and opened again to be sure");
    let signer = world.signer(&broker).await;
    for _ in 0..20 {
        assert_eq!(world.signer(&broker).await, signer);
    }
    assert_eq!(world.calls(), (1, 1));
    world.relay.cut(true);
    assert_eq!(world.signer(&broker).await, signer, "a KMS that is away stops nothing");
    world.relay.cut(false);

    broker.kill_9();
    broker.start_again();
    assert_eq!(world.calls(), (1, 2));
    assert_eq!(world.signer(&broker).await, signer);
    let jwks = broker.get("/.well-known/jwks.json").await.granted().body;
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1, "{jwks}");
    broker.verify_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kms_that_is_away_says_no_or_has_another_key_starts_nothing_and_loses_nothing() {
    let (world, mut broker) = World::start().await;
    let (signer, kek) = (world.signer(&broker).await, sealed_under(&broker));
    let other = world.aws.kms_key();
    broker.stop();

    world.aws.kms_do("disable", &world.arn);
    let why = broker.does_not_start();
    assert!(why.contains(&world.arn) && why.contains("is disabled: enable it"), "{why}");
    world.aws.kms_do("enable", &world.arn);

    broker.reconfigure(&world.arn, &other);
    let why = broker.does_not_start();
    assert!(why.contains(&format!("`{}` wrapped", world.arn)) && why.contains(&kek), "{why}");
    broker.reconfigure(&other, &world.arn);

    broker.reconfigure("origin = \"broker.test/tidegate\"", "origin = \"other.test/tidegate\"");
    let why = broker.does_not_start();
    assert!(why.contains("for another `audit.origin`"), "{why}");
    broker.reconfigure("origin = \"other.test/tidegate\"", "origin = \"broker.test/tidegate\"");

    let nobody = format!("{}-000000000000", world.arn.rsplit_once('-').unwrap().0);
    broker.reconfigure(&format!("kek_kms = \"{}\"", world.arn), &format!("kek_kms = \"{nobody}\""));
    let why = broker.does_not_start();
    assert!(why.contains("put that ARN back"), "{why}");
    broker.reconfigure(&nobody, &world.arn);

    world.relay.cut(true);
    let since = Instant::now();
    let why = broker.does_not_start();
    assert!(why.contains("AWS KMS gave no answer to kms:Decrypt"), "{why}");
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    world.relay.cut(false);
    assert_eq!(world.calls().0, 1, "no other key was made");

    broker.start_again();
    assert_eq!((world.signer(&broker).await, sealed_under(&broker)), (signer, kek));
    broker.stop();
    world.aws.kms_do("deny", &world.arn);
    let why = broker.does_not_start();
    assert!(
        why.contains("denies kms:Decrypt") && why.contains("`tidegate:origin` = `broker.test/tidegate`"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_kms_does_not_allow_leaves_a_store_that_can_begin_later() {
    let (world, mut broker) = World::with(Setup::new().store(StoreKind::Sqlite)).await;
    broker.stop();
    let denied = world.aws.kms_key();
    world.aws.kms_do("deny", &denied);
    broker.reconfigure(&world.arn, &denied);
    broker.reconfigure("sqlite:tidegate.db", "sqlite:second.db");
    let why = broker.does_not_start();
    assert!(why.contains("denies kms:Encrypt"), "{why}");
    broker.reconfigure(&denied, &world.arn);
    broker.start_again();
    world.signer(&broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_changes_under_kms_and_moves_away_from_it_while_the_broker_serves() {
    let (world, mut broker) = World::start().await;
    let (signer, first) = (world.signer(&broker).await, sealed_under(&broker));

    let (ok, said) = keys(&broker, "rotate-kek");
    assert!(ok && said.contains("\"kms\"") && said.contains(&first), "{said}");
    let second = sealed_under(&broker);
    assert_ne!(second, first);
    assert_eq!(world.signer(&broker).await, signer);
    let entries = log::entries(&broker).await;
    let resealed = entries.iter().find(|entry| entry.json["type"] == "key.resealed").unwrap();
    assert_eq!(resealed.json["kms_key"], world.arn.as_str());
    broker.kill_9();
    broker.start_again();
    assert_eq!((world.signer(&broker).await, sealed_under(&broker)), (signer.clone(), second.clone()));

    let kms = format!("kek_kms = \"{}\"", world.arn);
    broker.stop();
    broker.reconfigure(&kms, &format!("kek_file = \"kek\"\nprevious_{kms}"));
    broker.start_again();
    assert_eq!(sealed_under(&broker), second, "a start changes nothing");
    let (ok, said) = keys(&broker, "rotate-kek");
    assert!(ok && said.contains("\"file\""), "{said}");
    broker.stop();
    let endpoint = format!("kms_endpoint = \"{}\"", world.relay.url());
    broker.reconfigure(&format!("previous_{kms}\n{endpoint}"), "");
    world.relay.cut(true);
    broker.start_again();
    assert_eq!(world.signer(&broker).await, signer);
    assert_ne!(sealed_under(&broker), second);
    broker.verify_log().await;
}
