//! What short credentials cost through the agent: boto3 asks it anew for every request when less than ten minutes are left,
//! and holds all its threads meanwhile. Compared with plain static credentials in one process, in turn.

use serde_json::json;

use crate::harness::agent::Agent;
use crate::harness::aws::Aws;
use crate::harness::{OidcProvider, Setup};

const ROUNDS: usize = 7;

fn median(times: &serde_json::Value) -> f64 {
    let mut times: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[tokio::test]
async fn five_minute_credentials_cost_at_most_a_third_more_than_static_ones() {
    let (issuer, aws) = (OidcProvider::start(), Aws::ministack());
    let broker = Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("five-minutes", aws.role_arn(), "orders", "5m")
        .aws_grant("one-hour", aws.role_arn(), "orders", "1h")
        .sts(aws.endpoint(), aws.broker_env())
        .start();
    let token = issuer.token("es256").await;
    let hour = broker.exchange("one-hour", &token).await.granted();
    let agent = Agent::start(&broker, &token, &[]);
    let mut boto3 = agent.boto3("five-minutes", aws.endpoint());
    let times = boto3.tell(&json!({
        "compare": "orders", "with": hour.body["aws"], "threads": 8, "requests": 20, "rounds": ROUNDS,
    }));
    let (fixed, own) = (median(&times["static"]), median(&times["own"]));
    println!("8 x 20 requests: static {fixed:.3} s, through the agent {own:.3} s, ratio {:.2}", own / fixed);
    assert!(own <= 1.3 * fixed, "{times}");

    // All of it was one exchange, answered from memory.
    let entries = crate::harness::log::entries(&broker).await;
    let is_issue = |entry: &str| entry.contains("credential.issued") && entry.contains("five-minutes");
    assert_eq!(entries.iter().filter(|entry| is_issue(&entry.json.to_string())).count(), 1);
}
