//! Unmodified AWS SDKs at every door, against an AWS that enforces session policies and time: they read what the grant
//! names and nothing else, their users are told why they are refused, and they are cut off when the window ends.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::agent::Agent;
use crate::harness::aws::{Aws, Read};
use crate::harness::sdk::{Door, Kind, Said, Sdk};
use crate::harness::{Broker, Company, OidcProvider, Setup};

/// Long enough for every door's SDK to start on a busy machine; what needs no window is done while it is open.
const WINDOW: &str = "40s";

/// The workload may have one grant. The engineer may ask for another, which one lead opens.
const POLICY: &str = r#"
@id("worker")
permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"orders-read");
@id("ask")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/oncall",
  action in [Tidegate::Action::"request", Tidegate::Action::"issue"], resource == Tidegate::Grant::"orders-fix");
@id("one")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource)
when { context.approvals.count >= 1 };
@id("leads")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/leads",
  action in [Tidegate::Action::"approve", Tidegate::Action::"view"], resource);
"#;

/// A grant that exists and that policy gives nobody.
const PAYROLL: &str = "arn:aws:iam::000000000000:role/payroll";
/// What callers of `/sts` call the break-glass grant: its role is that of `orders-read`.
const FIX: &str = "arn:aws:iam::000000000000:role/orders-fix";

struct World {
    aws: Aws,
    staff: Company,
    workload: Who,
    engineer: Who,
    broker: Broker,
    _issuer: OidcProvider,
}

/// A token in two files, and the agent of who has it.
struct Who {
    token: PathBuf,
    agent: Agent,
}

impl Who {
    fn new(broker: &Broker, name: &str, token: &str) -> Self {
        let file = broker.folder().join(name);
        // A token with a line end is no header: SDKs refuse to send it to the container door.
        fs::write(file.with_extension("jwt"), token).unwrap();
        fs::write(file.with_extension("line"), format!("{token}\n")).unwrap();
        Self { agent: Agent::start(broker, token, &[]), token: file }
    }
}

impl World {
    async fn new() -> Self {
        let (aws, issuer, staff) = (Aws::ministack(), OidcProvider::start(), Company::start());
        staff.hire("ann", &["oncall"]).await;
        staff.hire("lea", &["leads"]).await;
        let broker = Setup::new()
            .issuer("idp", issuer.url(), "replay = \"reusable\"")
            .people("staff", staff.url(), "")
            .aws_grant("orders-read", aws.role_arn(), "orders", "5m")
            .aws_grant("payroll", PAYROLL, "ledger", "5m")
            .break_glass_aws("orders-fix", aws.role_arn(), "orders")
            .tables(&format!("sts_role_arn_alias = \"{FIX}\""))
            .sts(aws.endpoint(), aws.broker_env())
            .policy(POLICY)
            .start();
        let workload = Who::new(&broker, "workload", &issuer.token("es256").await);
        let engineer = Who::new(&broker, "engineer", &staff.token("ann").await);
        Self { aws, staff, broker, workload, engineer, _issuer: issuer }
    }

    /// Every door to the grant.
    fn doors(&self, grant: &str, role_arn: &str, who: &Who) -> [Door; 3] {
        let url = self.broker.url();
        [
            Door::container(url, grant, &who.token.with_extension("jwt")),
            Door::sts(url, role_arn, &who.token.with_extension("line")),
            Door::agent(&who.agent, grant),
        ]
    }

    /// Ann asks, Lea approves: when the window ends.
    async fn open_window(&self) -> String {
        let call = async |path: &str, who: &str, body: Value| {
            self.broker.api("POST", path, &self.staff.token(who).await, &body).await
        };
        let ask =
            json!({ "grant": "orders-fix", "duration": WINDOW, "reason": "orders are stuck, case 4711" });
        let asked = call("/v1/elevations", "ann", ask).await;
        let path = format!("/v1/elevations/{}/approve", asked.text("/id"));
        let open = call(&path, "lea", json!({})).await.granted();
        assert_eq!(open.text("/state"), "active");
        open.text("/ends_at").to_owned()
    }

    fn start(&self, kind: Kind, door: &Door) -> Sdk {
        Sdk::start(kind, self.aws.endpoint(), door)
    }
}

/// Does something at every door at once.
fn each<T: Send, U: Send>(of: impl IntoIterator<Item = T>, what: impl Fn(T) -> U + Sync) -> Vec<U> {
    let what = &what;
    std::thread::scope(|scope| {
        let threads: Vec<_> = of.into_iter().map(|one| scope.spawn(move || what(one))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn hello() -> Said {
    Said::Got("hello".to_owned())
}

/// What every door answers to a denial by policy, and in the words of an SDK that shows it.
const WHY: &str = "the grant does not exist or the policy does not permit it";

/// The whole life of one SDK at every door. `shows` is what its user can read of a refusal there.
async fn from_the_first_object_to_the_windows_end(kind: Kind, shows: impl Fn(&str) -> &'static str + Sync) {
    let world = World::new().await;
    let refused_for_a_reason = |door: &str, said: Said| {
        println!("{kind:?} {door}: {said:?}");
        let Said::Refused { message, .. } = said else { panic!("{kind:?} {door}: {said:?}") };
        assert!(message.contains(shows(door)), "{kind:?} {door}: {message}");
    };
    let ends = world.open_window().await;
    let inside = each(world.doors("orders-fix", FIX, &world.engineer), |door| {
        let mut sdk = world.start(kind, &door);
        assert_eq!(sdk.read("orders"), hello(), "{kind:?} {}", door.name);
        let keys = sdk.keys();
        (door.name, sdk, keys)
    });

    // While the window is open: what a workload may, and may not.
    each(world.doors("orders-read", world.aws.role_arn(), &world.workload), |door| {
        let mut sdk = world.start(kind, &door);
        assert_eq!(sdk.read("orders"), hello(), "{kind:?} {}", door.name);
        let said = sdk.read("ledger");
        let forbidden = matches!(&said, Said::Refused { code, .. } if code == "AccessDenied");
        assert!(forbidden, "{kind:?} {}: {said:?}", door.name);
        if door.name == "sts" {
            // `AWS_ENDPOINT_URL_STS` brings this call to the broker too.
            let said = sdk.whoami();
            let known = matches!(&said, Said::Got(arn) if arn.contains(":assumed-role/orders-read/"));
            assert!(known, "{kind:?}: {said:?}");
        }
    });
    each(world.doors("payroll", PAYROLL, &world.workload), |door| {
        refused_for_a_reason(door.name, world.start(kind, &door).read("ledger"));
    });
    // The agent says what an SDK may hide.
    let told = world.workload.agent.hear("payroll");
    assert!(told.contains(WHY), "{told}");

    until(&ends).await;
    each(inside, |(door, mut sdk, keys)| {
        refused_for_a_reason(door, sdk.read("orders"));
        // And not because the SDK was so kind as to ask again: AWS refuses the session that it had.
        if let Some(keys) = keys {
            assert_eq!(world.aws.read(&keys, ["orders"]), [Read::Refused("AccessDenied".to_owned())]);
        }
    });
    // The end was the window's: the role itself may still read.
    assert_eq!(world.aws.read(world.aws.unscoped(), ["orders"]), [Read::Got("hello".to_owned())]);
}

async fn until(moment: &str) {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    let left = moment.duration_since(jiff::Timestamp::now());
    assert!(left < jiff::SignedDuration::from_secs(60), "the window is seconds long");
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(50)).await;
}

#[tokio::test]
async fn boto3_reads_what_the_grant_names_until_the_window_ends_and_says_why_not() {
    from_the_first_object_to_the_windows_end(Kind::Boto3, |_| WHY).await;
}

#[tokio::test]
async fn aws_cli_1_reads_what_the_grant_names_until_the_window_ends_and_says_why_not() {
    from_the_first_object_to_the_windows_end(Kind::Cli, |_| WHY).await;
}

/// A caller's `Policy` takes away, at an AWS that enforces it, and never gives.
#[tokio::test]
async fn boto3_narrows_its_session_at_the_sts_door_and_never_widens_it() {
    let world = World::new().await;
    let token = world.workload.token.with_extension("line");
    let door = Door::sts(world.broker.url(), world.aws.role_arn(), &token);
    let mut sdk = world.start(Kind::Boto3, &door);
    for (pattern, bucket, refused) in [
        ("arn:aws:s3:::orders/hello.txt", "orders", None),
        ("*", "orders", None),
        ("*", "ledger", Some("AccessDenied")),
        ("arn:aws:s3:::orders/2026/*", "orders", Some("AccessDenied")),
        ("arn:aws:s3:::ledger/*", "ledger", Some("ValidationError")),
        ("orders", "orders", Some("MalformedPolicyDocument")),
    ] {
        let said = sdk.read_narrowed(pattern, bucket);
        match (&said, refused) {
            (Said::Got(body), None) => assert_eq!(body, "hello", "{pattern}"),
            (Said::Refused { code, .. }, Some(refused)) => assert_eq!(code, refused, "{pattern}: {said:?}"),
            _ => panic!("{pattern} {bucket}: {said:?}"),
        }
    }
}

/// Whatever a container door answers, this SDK shows nothing of it.
#[tokio::test]
async fn javascript_sdk_3_reads_what_the_grant_names_until_the_window_ends() {
    from_the_first_object_to_the_windows_end(Kind::JavaScript, |door| match door {
        "sts" => WHY,
        _ => "Could not load credentials from any providers",
    })
    .await;
}

/// Of a container door's answer this SDK shows the status.
#[tokio::test]
async fn rust_sdk_reads_what_the_grant_names_until_the_window_ends() {
    from_the_first_object_to_the_windows_end(Kind::Rust, |door| match door {
        "sts" => WHY,
        _ => "Non-success status from HTTP credential provider: StatusCode(403)",
    })
    .await;
}
