//! The whole story of break-glass over HTTP, with two companies' identity providers and an AWS that enforces: one approval
//! is not enough, two are, access works, and at the end of the window the same credentials are refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::aws::{Aws, Read};
use crate::harness::http::Answer;
use crate::harness::{Broker, Company, Setup, StoreKind, log, on_both_stores};

on_both_stores! {
    two_approvals_open_a_window_that_closes_by_itself,
}

/// Long enough for one start of Python on a busy machine, short enough to wait for.
const WINDOW: &str = "25s";

const POLICY: &str = r#"
@id("ask")
permit (principal is Tidegate::Person in Tidegate::Group::"vendor/oncall",
  action in [Tidegate::Action::"request", Tidegate::Action::"issue"], resource == Tidegate::Grant::"prod-admin");
@id("two")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource == Tidegate::Grant::"prod-admin")
when { context.approvals.count >= 2 };
@id("leads")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/leads",
  action in [Tidegate::Action::"approve", Tidegate::Action::"revoke", Tidegate::Action::"view"], resource);
@id("own")
permit (principal is Tidegate::Person, action == Tidegate::Action::"view", resource is Tidegate::Elevation)
when { resource.requester == principal };
"#;

struct World {
    aws: Aws,
    vendor: Company,
    staff: Company,
    broker: Broker,
}

impl World {
    async fn new(store: StoreKind) -> Self {
        let (aws, vendor, staff) = (Aws::ministack(), Company::start(), Company::start());
        vendor.hire("ann", &["oncall"]).await;
        // The vendor claims the customer's group for its own people: a group counts only with its issuer's name.
        vendor.hire("mallory", &["oncall", "leads", "staff/leads"]).await;
        for lead in ["lea", "leo"] {
            staff.hire(lead, &["leads"]).await;
        }
        let broker = Setup::new()
            .store(store)
            .people("vendor", vendor.url(), "may_approve = false")
            .people("staff", staff.url(), "")
            .break_glass_aws("prod-admin", aws.role_arn(), "orders")
            .sts(aws.endpoint(), aws.broker_env())
            .policy(POLICY)
            .start();
        Self { aws, vendor, staff, broker }
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        self.broker.api(method, path, token, &body).await
    }
}

fn refused_by_aws() -> Read {
    Read::Refused("AccessDenied".to_owned())
}

async fn two_approvals_open_a_window_that_closes_by_itself(store: StoreKind) {
    let world = World::new(store).await;
    let ann = world.vendor.token("ann").await;
    let ask = json!({ "grant": "prod-admin", "duration": WINDOW, "reason": "orders are stuck, case 4711", "ticket": "OPS-4711" });
    let asked = world.call("POST", "/v1/elevations", &ann, ask).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    assert_eq!((asked.text("/state"), asked.body["approvals_needed"].as_u64()), ("requested", Some(2)));
    let id = asked.text("/id").to_owned();
    let path = format!("/v1/elevations/{id}");

    nobody_lets_themselves_in(&world, &path, &ann).await;
    let lea = world.staff.token("lea").await;
    let once =
        world.call("POST", &format!("{path}/approve"), &lea, json!({ "comment": "go" })).await.granted();
    assert_eq!(once.text("/state"), "requested");
    // The same person once more is still one person, with a fresh token too.
    let again = world.staff.token("lea").await;
    assert_eq!(world.call("POST", &format!("{path}/approve"), &again, json!({})).await.status, 409);
    assert_ne!(world.broker.exchange("prod-admin", &ann).await.status, 200, "one approval is not enough");

    let leo = world.staff.token("leo").await;
    let open = world.call("POST", &format!("{path}/approve"), &leo, json!({})).await.granted();
    assert_eq!(open.text("/state"), "active");
    let answer = world.broker.exchange("prod-admin", &ann).await.granted();
    let credentials = &answer.body["aws"];
    assert_eq!(answer.text("/aws/Expiration"), open.text("/ends_at"), "to the second");
    assert_eq!(
        world.aws.read(credentials, ["orders", "ledger"]),
        [Read::Got("hello".to_owned()), refused_by_aws()]
    );

    until(open.text("/ends_at")).await;
    assert_eq!(world.aws.read(credentials, ["orders"]), [refused_by_aws()]);
    assert_ne!(world.broker.exchange("prod-admin", &ann).await.status, 200, "the window is over");
    let over = world.call("GET", &path, &ann, Value::Null).await.granted();
    assert_eq!(over.text("/state"), "expired");
    the_log_tells_it(&world.broker, &id).await;
}

/// The requester directly, and a colleague at a barred issuer who says that they are a lead.
async fn nobody_lets_themselves_in(world: &World, path: &str, ann: &str) {
    let mallory = world.vendor.token("mallory").await;
    for token in [ann, &mallory] {
        let answer = world.call("POST", &format!("{path}/approve"), token, json!({})).await;
        assert!([403, 404].contains(&answer.status), "{answer:?}");
    }
    assert_ne!(world.broker.exchange("prod-admin", ann).await.status, 200);
}

async fn until(moment: &str) {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    let left = moment.duration_since(jiff::Timestamp::now());
    assert!(left < jiff::SignedDuration::from_secs(30), "the window is seconds long");
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(50)).await;
}

/// Who, what and when, in the order in which it happened, and one end.
async fn the_log_tells_it(broker: &Broker, id: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let story = loop {
        let entries = log::entries(broker).await;
        let mut story: Vec<String> = Vec::new();
        for entry in &entries {
            let about = entry.json.pointer("/elevation/id").or_else(|| entry.json.get("elevation"));
            if about.and_then(Value::as_str) == Some(id) {
                story.push(entry.json["type"].as_str().unwrap().to_owned());
            }
        }
        if story.iter().any(|kind| kind == "elevation.expired") || std::time::Instant::now() > deadline {
            break story;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let changes: Vec<&str> = story
        .iter()
        .map(String::as_str)
        .filter(|kind| kind.starts_with("elevation.") && *kind != "elevation.ending")
        .collect();
    let expected = ["requested", "approved", "approved", "activated", "expired"];
    assert_eq!(changes, expected.map(|kind| format!("elevation.{kind}")), "{story:?}");
    assert_eq!(story.iter().filter(|kind| *kind == "credential.issued").count(), 1);
    broker.verify_log().await;
}
