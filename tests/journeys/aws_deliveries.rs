//! SDKs ask again and again, and many at once. STS is called once, and the log tells how often the credential went out
//! without growing with it. A relay in front of STS counts the calls.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::aws::Aws;
use crate::harness::http::{self, Answer};
use crate::harness::relay::Relay;
use crate::harness::tokens::{TestKey, jwks};
use crate::harness::{Broker, Setup, log};

const CLUSTER: &str = "https://cluster.example.com";

const POLICY: &str = r#"
@id("billing")
permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource)
when { principal has kubernetes && principal.kubernetes.namespace == "billing" };
"#;

struct World {
    _aws: Aws,
    relay: Relay,
    broker: Broker,
    key: TestKey,
}

impl World {
    /// A cluster's issuer whose keys are in a file, and an STS whose calls take `hold` longer.
    async fn new(ttl: &str, hold: Duration) -> Self {
        let aws = Aws::moto();
        let relay = Relay::start(aws.endpoint(), hold).await;
        let key = TestKey::p256("cluster-1");
        let profile = "profile = \"kubernetes\"\naudiences = [\"tidegate\"]\nalgorithms = [\"ES256\"]";
        let broker = Setup::new()
            .tables(&format!(
                "[[issuers]]\nname = \"cluster\"\nurl = \"{CLUSTER}\"\n{profile}\njwks_file = \"cluster.json\""
            ))
            .file("cluster.json", &jwks(&[&key]))
            .aws_grant("orders-read", aws.role_arn(), "orders", ttl)
            .sts(relay.url(), aws.broker_env())
            .policy(POLICY)
            .start();
        Self { _aws: aws, relay, broker, key }
    }

    /// What a pod finds in its file: the same token for an hour.
    fn token(&self) -> String {
        let at = jiff::Timestamp::now().as_second();
        self.key.token(&json!({
            "iss": CLUSTER, "aud": ["tidegate"], "iat": at, "nbf": at, "exp": at + 3600,
            "sub": "system:serviceaccount:billing:invoicer",
            "kubernetes.io": { "namespace": "billing", "serviceaccount": { "name": "invoicer", "uid": "u-1" } },
        }))
    }

    /// `count` requests of an SDK for its credentials, all at once: the answers.
    async fn ask(&self, token: &str, count: usize) -> Vec<Answer> {
        let url = format!("{}/aws/credentials/orders-read", self.broker.url());
        let client = http::client();
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..count {
            asked.spawn(Answer::to(client.get(&url).header("authorization", token)));
        }
        asked.join_all().await.into_iter().map(|answer| answer.unwrap().granted()).collect()
    }

    /// Entries about this credential, by type.
    async fn entries(&self, kind: &str, access_key_id: &str) -> Vec<Value> {
        let entries = log::entries(&self.broker).await.into_iter().map(|entry| entry.json);
        entries.filter(|entry| entry["type"] == kind && entry.to_string().contains(access_key_id)).collect()
    }
}

fn keys(answers: &[Answer]) -> BTreeSet<&str> {
    answers.iter().map(|answer| answer.text("/AccessKeyId")).collect()
}

#[tokio::test]
async fn two_hundred_callers_at_once_of_a_cold_credential_are_one_call_of_sts() {
    let world = World::new("10m", Duration::from_millis(1500)).await;
    let answers = world.ask(&world.token(), 200).await;
    assert_eq!((answers.len(), keys(&answers).len()), (200, 1), "all have the same credential");
    assert_eq!(world.relay.calls("AssumeRole"), 1);
    let metrics = world.broker.ops("/metrics").await.body;
    assert!(metrics.as_str().unwrap().contains("tidegate_sts_calls_total{outcome=\"ok\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_thousand_deliveries_are_one_call_of_sts_and_two_entries_that_count_them() {
    let mut world = World::new("10m", Duration::ZERO).await;
    let token = world.token();
    let mut delivered = Vec::new();
    for _ in 0..20 {
        delivered.extend(world.ask(&token, 50).await);
    }
    let found: Vec<String> = keys(&delivered).into_iter().map(str::to_owned).collect();
    assert_eq!((delivered.len(), found.len(), world.relay.calls("AssumeRole")), (1000, 1, 1));

    // What was counted is written down when the credential ends, or, as here, before the broker does.
    world.broker.stop();
    world.broker.start_again();
    let issued = world.entries("credential.issued", &found[0]).await;
    assert_eq!(issued.len(), 1, "recorded once: {issued:?}");
    let counted = world.entries("credential.delivered", &found[0]).await;
    assert_eq!(counted.len(), 1, "one summary: {counted:?}");
    // The first delivery is the issue itself.
    assert_eq!(counted[0]["count"], 999, "{counted:?}");
    world.broker.verify_log().await;
}
