//! The broker is stopped for a minute while an agent holds live credentials: no call of an SDK fails, the agent says so, and
//! it goes on by itself when the broker is back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::agent::Agent;
use crate::harness::aws::Aws;
use crate::harness::{OidcProvider, Setup};

/// Renewed after 60 to 72 s, so the minute without a broker is around that.
const LIFE: &str = "2m";
const OUTAGE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_minute_without_the_broker_costs_no_call() {
    let (issuer, aws) = (OidcProvider::start(), Aws::ministack());
    let mut broker = Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("orders-read", aws.role_arn(), "orders", LIFE)
        .sts(aws.endpoint(), aws.broker_env())
        .start();
    let agent = Agent::start(&broker, &issuer.token("es256").await, &[]);
    let mut boto3 = agent.boto3("orders-read", aws.endpoint());
    let first = boto3.read("orders");
    assert_eq!(first["ok"], true, "{first}");

    boto3.begin(&json!({ "keep_reading": "orders", "seconds": 95 }));
    tokio::time::sleep(Duration::from_secs(14)).await;
    broker.stop();
    tokio::time::sleep(OUTAGE).await;
    agent.hear("grant `orders-read`: not renewed: the broker at");
    let away = agent.get("/healthz").await.granted();
    assert_eq!((away.text("/status"), away.text("/grants/0/state")), ("degraded", "live"));
    assert!(away.text("/grants/0/last_error").contains("cannot be reached"), "{away:?}");
    broker.start_again();
    agent.hear("grant `orders-read`: well again");
    assert_eq!(agent.get("/healthz").await.granted().text("/status"), "ok");

    let kept = boto3.end();
    assert_eq!(kept["failures"], Value::Array(Vec::new()), "{kept}");
    assert!(kept["reads"].as_u64().unwrap() > 50, "{kept}");
    // The old one until the broker was back, then the new one, and nothing between.
    assert_eq!((&kept["keys"][0], kept["keys"].as_array().unwrap().len()), (&first["key"], 2), "{kept}");
}
