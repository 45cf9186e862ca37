//! What short credentials cost through the agent: boto3 asks it anew for every request when less than ten minutes are left,
//! and holds all its threads meanwhile. Compared with plain static credentials in one process, in turn.
//!
//! The requests go to `moto`, where one takes some 3 to 6 ms, which is still faster than a real S3. To ask at all costs boto3 0.4 ms
//! of Python under one lock; beside the 1.6 ms of a request to `ministack` that alone is a factor of 1.45, measured with a
//! responder that does nothing (docs/performance.md).

use serde_json::json;

use crate::harness::agent::Agent;
use crate::harness::aws::Aws;
use crate::harness::{OidcProvider, Setup, http, log};

const ROUNDS: usize = 7;

fn median(times: &serde_json::Value) -> f64 {
    let mut times: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[tokio::test]
async fn five_minute_credentials_cost_at_most_a_third_more_than_static_ones() {
    let (issuer, aws) = (OidcProvider::start(), Aws::moto());
    let broker = Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("orders-read", aws.role_arn(), "orders", "5m")
        .sts(aws.endpoint(), aws.broker_env())
        .start();
    let token = issuer.token("es256").await;
    let an_hour = [("expires_in", "3600")];
    let hour = broker.try_exchange(&http::client(), "orders-read", &token, &an_hour).await.unwrap().granted();
    let agent = Agent::start(&broker, &token, &[]);
    let mut boto3 = agent.boto3("orders-read", aws.endpoint());
    let times = boto3.tell(&json!({
        "compare": "orders", "with": hour.body["aws"], "threads": 8, "requests": 20, "rounds": ROUNDS,
    }));
    let (fixed, own) = (median(&times["static"]), median(&times["own"]));
    println!("8 x 20 requests: static {fixed:.3} s, through the agent {own:.3} s, ratio {:.2}", own / fixed);
    assert!(own <= 1.3 * fixed, "{times}");

    // All of it was one exchange, answered from memory.
    let entries = log::entries(&broker).await;
    assert_eq!(entries.iter().filter(|entry| entry.json["type"] == "credential.issued").count(), 2);
}
