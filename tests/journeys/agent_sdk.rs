//! An unmodified boto3 with two environment variables gets what its grant allows through the agent, is told why when policy
//! says no, and is cut off at the end: by the agent, and by AWS itself.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::harness::agent::Agent;
use crate::harness::aws::{Aws, Read};
use crate::harness::{Company, OidcProvider, Setup};

/// Long enough for one start of Python on a busy machine.
const WINDOW: &str = "20s";

#[tokio::test]
async fn boto3_reads_what_its_grant_names_and_nothing_after_the_end_with_the_broker_dead() {
    let (issuer, aws) = (OidcProvider::start(), Aws::ministack());
    let mut broker = Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("orders-read", aws.role_arn(), "orders", WINDOW)
        .sts(aws.endpoint(), aws.broker_env())
        .start();
    let agent = Agent::start(&broker, &issuer.token("es256").await, &[]);
    let mut boto3 = agent.boto3("orders-read", aws.endpoint());
    let first = boto3.read("orders");
    assert_eq!((&first["ok"], &first["body"]), (&json!(true), &json!("hello")), "{first}");
    assert_eq!(boto3.read("ledger")["code"], "AccessDenied");

    broker.kill_9();
    let given = agent.get("/aws/credentials/orders-read").await.granted();
    assert_eq!(boto3.read("orders")["ok"], true, "what lives is served");
    wait_until(given.text("/Expiration")).await;
    let after = boto3.read("orders");
    assert_eq!(
        (&after["ok"], &after["code"]),
        (&json!(false), &json!("CredentialRetrievalError")),
        "{after}"
    );
    assert!(
        after["error"].as_str().unwrap().contains("cannot be reached"),
        "a reason that can be read: {after}"
    );

    // Whoever kept a copy finds the door closed at AWS.
    let mut copy = given.body.clone();
    copy["SessionToken"] = copy["Token"].clone();
    assert_eq!(aws.read(&copy, ["orders"]), [Read::Refused("AccessDenied".to_owned())]);
}

#[tokio::test]
async fn a_denial_of_policy_is_shown_by_boto3_with_the_request_to_ask_about() {
    let (issuer, aws) = (OidcProvider::start(), Aws::moto());
    let broker = Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("orders-read", aws.role_arn(), "orders", "5m")
        .jwt_grant("ledger")
        .sts(aws.endpoint(), aws.broker_env())
        .policy("@id(\"nobody\")\nforbid (principal, action, resource);")
        .start();
    let agent = Agent::start(&broker, &issuer.token("es256").await, &[]);
    let told = agent.boto3("orders-read", aws.endpoint()).read("orders");
    let text = told["error"].as_str().unwrap();
    for part in ["invalid_target", "the policy does not permit it", "(request "] {
        assert!(text.contains(part), "{part}: {told}");
    }
    agent.hear("grant `orders-read`: the broker refused, nothing is served: invalid_target");
    // boto3 asked three times: the log has one refusal.
    let refused = crate::harness::log::entries(&broker).await;
    let refused = refused.iter().filter(|entry| entry.json["type"] == "credential.refused").count();
    assert_eq!(refused, 1);
}

const BREAK_GLASS: &str = r#"
@id("ask")
permit (principal is Tidegate::Person in Tidegate::Group::"vendor/oncall",
  action in [Tidegate::Action::"request", Tidegate::Action::"issue"], resource == Tidegate::Grant::"prod-admin");
@id("one")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource == Tidegate::Grant::"prod-admin")
when { context.approvals.count >= 1 };
@id("leads")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/leads", action in [Tidegate::Action::"approve", Tidegate::Action::"view"],
  resource is Tidegate::Elevation);
@id("own")
permit (principal is Tidegate::Person, action == Tidegate::Action::"view", resource is Tidegate::Elevation)
when { resource.requester == principal };
"#;

#[tokio::test]
async fn an_engineers_tools_work_through_the_agent_as_long_as_the_window_is_open() {
    let (aws, vendor, staff) = (Aws::ministack(), Company::start(), Company::start());
    vendor.hire("ann", &["oncall"]).await;
    staff.hire("lea", &["leads"]).await;
    let broker = Setup::new()
        .people("vendor", vendor.url(), "may_approve = false")
        .people("staff", staff.url(), "")
        .break_glass_aws("prod-admin", aws.role_arn(), "orders")
        .sts(aws.endpoint(), aws.broker_env())
        .policy(BREAK_GLASS)
        .start();
    let ann = vendor.token("ann").await;
    let agent = Agent::start(&broker, &ann, &[]);
    let mut boto3 = agent.boto3("prod-admin", aws.endpoint());
    let closed = boto3.read("orders");
    assert!(closed["error"].as_str().unwrap_or_default().contains("invalid_target"), "{closed}");

    let ask = json!({ "grant": "prod-admin", "duration": "25s", "reason": "orders are stuck" });
    let asked = broker.api("POST", "/v1/elevations", &ann, &ask).await;
    let path = format!("/v1/elevations/{}", asked.text("/id"));
    // What the agent remembers of its refusal passes in seconds; boto3 then asks anew.
    let open = broker.api("POST", &format!("{path}/approve"), &staff.token("lea").await, &json!({})).await;
    let ends_at = open.granted().text("/ends_at").to_owned();
    let inside = loop {
        let answer = boto3.read("orders");
        if answer["ok"] == true || moment(&ends_at) <= SystemTime::now() {
            break answer;
        }
    };
    assert_eq!(inside["body"], "hello", "{inside}");
    assert_eq!(boto3.read("ledger")["code"], "AccessDenied");

    wait_until(&ends_at).await;
    let after = boto3.read("orders");
    let text = after["error"].as_str().unwrap_or_default();
    assert!(after["ok"] == false && text.contains("invalid_target"), "the broker's own reason: {after}");
    let over = broker.api("GET", &path, &ann, &Value::Null).await.granted();
    assert_eq!(over.text("/state"), "expired");
}

fn moment(text: &str) -> SystemTime {
    SystemTime::from(text.parse::<jiff::Timestamp>().unwrap())
}

async fn wait_until(text: &str) {
    let left = moment(text).duration_since(SystemTime::now()).unwrap_or_default();
    assert!(left < Duration::from_secs(30), "the window is seconds long, not {left:?}");
    tokio::time::sleep(left).await;
}
