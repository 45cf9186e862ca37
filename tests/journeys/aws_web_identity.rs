//! A broker without an AWS identity: it signs a token for each call, and AWS believes it.
//!
//! `ministack` alone cannot show this: of a token it reads the claims for the trust policy and checks nothing else, and it
//! forgets the session policy of `AssumeRoleWithWebIdentity`. Our front before it has `PyJWT` check the token by the broker's
//! published keys, puts the call to `ministack` for its verdict on the trust policy, and has the session made by its
//! `AssumeRole`, which enforces policies and time. That AWS itself takes our token rests on AWS's documentation of it.

use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::harness::aws::Read;
use crate::harness::web_identity::{ACTIONS, AUDIENCE, WebIdentitySts};
use crate::harness::{Broker, OidcProvider, Setup, http, log};

const SUBJECT: &str = "grant:orders-read";

fn denied() -> Read {
    Read::Refused("AccessDenied".to_owned())
}

fn hello() -> Read {
    Read::Got("hello".to_owned())
}

/// A place where a credential chain would look, and which notices when somebody does.
struct Decoy(TcpListener);

impl Decoy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// What makes AWS's clients look there: container credentials, and the instance's metadata.
    fn env(&self) -> [(&'static str, String); 4] {
        let url = format!("http://{}", self.0.local_addr().unwrap());
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/credentials")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "decoy".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url),
        ]
    }

    fn nobody_came(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

fn keyless(issuer: &OidcProvider, sts: &WebIdentitySts, decoy: &Decoy) -> Setup {
    Setup::new().issuer("idp", issuer.url(), "").log_level("debug").sts_as(
        sts.endpoint(),
        decoy.env(),
        "mode = \"web_identity\"",
    )
}

/// The last refusal in the log.
async fn refusal(broker: &Broker) -> Value {
    let entries = log::entries(broker).await;
    let refused = entries.into_iter().rfind(|entry| entry.json["type"] == "credential.refused");
    refused.expect("a refusal is recorded").json
}

#[tokio::test]
async fn a_broker_without_an_aws_identity_issues_sessions_that_are_scoped_and_end() {
    let (issuer, sts, decoy) = (OidcProvider::start(), WebIdentitySts::start(), Decoy::start());
    let mut broker = keyless(&issuer, &sts, &decoy)
        .aws_grant("orders-read", sts.aws().role_arn(), "orders", "20s")
        .tables("session_tags = { team = \"orders\" }\ntransitive_tags = [\"team\"]")
        .start();
    sts.register(broker.url()).await;
    sts.trust(broker.url(), SUBJECT, &ACTIONS).await;
    let answer = broker.exchange("orders-read", &issuer.token("es256").await).await.granted();
    let credentials = &answer.body["aws"];

    let [call] = <[Value; 1]>::try_from(sts.seen().await).unwrap();
    token_is_as_aws_wants_it(&call, &broker);
    record_joins_the_call(&broker, &call).await;
    assert!(decoy.nobody_came(), "nothing looked for an AWS identity");

    assert!(!broker.stop().contains("eyJ"), "no token is in the output at debug level");
    assert_eq!(sts.aws().read(credentials, ["orders", "ledger"]), [hello(), denied()]);
    // The role itself may read both: the refusal was the session policy's.
    assert_eq!(sts.aws().read(sts.aws().unscoped(), ["orders", "ledger"]), [hello(), hello()]);
    wait_until(answer.text("/aws/Expiration")).await;
    assert_eq!(sts.aws().read(credentials, ["orders", "ledger"]), [denied(), denied()]);
    assert_eq!(sts.aws().read(sts.aws().unscoped(), ["orders"]), [hello()]);
}

/// The control for the decoy.
#[tokio::test]
async fn a_broker_with_an_aws_identity_looks_for_it_where_the_decoy_stands() {
    let (issuer, decoy) = (OidcProvider::start(), Decoy::start());
    let broker = Setup::new()
        .issuer("idp", issuer.url(), "")
        .aws_grant("orders-read", "arn:aws:iam::000000000000:role/orders-read", "orders", "20s")
        .sts_as("http://127.0.0.1:9", decoy.env(), "mode = \"assume_role\"")
        .start();
    assert!(decoy.nobody_came(), "not before it must");
    let answer = broker.exchange("orders-read", &issuer.token("es256").await).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(!decoy.nobody_came());
}

/// What `PyJWT` found, after it had checked the signature by the broker's published keys.
fn token_is_as_aws_wants_it(call: &Value, broker: &Broker) {
    let claims = &call["claims"];
    assert_eq!(call["signed"], false, "the call carries no signature of an AWS identity");
    assert_eq!((&call["header"]["alg"], &call["header"]["typ"]), (&json!("ES256"), &json!("JWT")));
    assert_eq!(
        [&claims["iss"], &claims["aud"], &claims["sub"]],
        [&json!(broker.url()), &json!(AUDIENCE), &json!(SUBJECT)]
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    let tags = json!({ "principal_tags": { "team": ["orders"] }, "transitive_tag_keys": ["team"] });
    assert_eq!(claims["https://aws.amazon.com/tags"], tags);
}

async fn record_joins_the_call(broker: &Broker, call: &Value) {
    let entries = log::entries(broker).await;
    let of = |kind: &str| entries.iter().position(|entry| entry.json["type"] == kind).unwrap();
    let (intent, issued) = (of("aws.assume_role.requested"), of("credential.issued"));
    assert!(intent < issued, "the intent comes first");
    let intent = &entries[intent].json;
    assert_eq!((&intent["mode"], &intent["region"]), (&json!("web_identity"), &json!("eu-central-1")));
    assert_eq!(intent["session_name"], call["form"]["RoleSessionName"]);
    assert_eq!(intent["source_identity"], call["claims"]["https://aws.amazon.com/source_identity"]);
}

#[tokio::test]
async fn whom_iam_does_not_trust_gets_nothing_and_the_operator_hears_why() {
    let (issuer, sts, decoy) = (OidcProvider::start(), WebIdentitySts::start(), Decoy::start());
    let broker = keyless(&issuer, &sts, &decoy)
        .aws_grant("orders-read", sts.aws().role_arn(), "orders", "20s")
        .tables("session_tags = { team = \"orders\" }")
        .start();
    // Each with a lifetime of its own: what AWS says is remembered for seconds.
    let ask = async |seconds: &str| {
        let token = issuer.token("es256").await;
        let more = [("expires_in", seconds)];
        broker.try_exchange(&http::client(), "orders-read", &token, &more).await.unwrap()
    };
    let refused = |answer: http::Answer| (answer.status, answer.text("/error").to_owned());

    // No OIDC provider in IAM: nothing that a caller could do about it.
    assert_eq!(refused(ask("20").await), (503, "temporarily_unavailable".to_owned()));
    let detail = refusal(&broker).await["detail"].to_string();
    assert!(detail.contains("InvalidIdentityToken") && detail.contains("OIDC provider in IAM"), "{detail}");

    // A role for another grant, and one that does not let its sessions be tagged or named.
    sts.register(broker.url()).await;
    for (seconds, subject, actions) in [
        ("21", "grant:ledger-read", &ACTIONS[..]),
        ("22", SUBJECT, &ACTIONS[..1]),
        ("23", SUBJECT, &ACTIONS[..2]),
    ] {
        sts.trust(broker.url(), subject, actions).await;
        assert_eq!(refused(ask(seconds).await), (400, "invalid_target".to_owned()));
        let detail = refusal(&broker).await["detail"].to_string();
        assert!(detail.contains("AccessDenied") && detail.contains("sts:SetSourceIdentity"), "{detail}");
    }
    sts.trust(broker.url(), SUBJECT, &ACTIONS).await;
    ask("24").await.granted();
    assert!(decoy.nobody_came());
}

#[tokio::test]
async fn managed_policies_bound_the_session_and_the_end_holds() {
    let (issuer, sts, decoy) = (OidcProvider::start(), WebIdentitySts::start(), Decoy::start());
    let arn = sts.managed_policy("read-orders", "arn:aws:s3:::orders/*").await;
    let grant = format!(
        "[[grants]]\nname = \"orders-read\"\nkind = \"aws\"\nrole_arn = \"{}\"\npolicy_arns = [\"{arn}\"]\ndefault_ttl = \"20s\"",
        sts.aws().role_arn()
    );
    let mut broker = keyless(&issuer, &sts, &decoy).tables(&grant).start();
    sts.register(broker.url()).await;
    sts.trust(broker.url(), SUBJECT, &ACTIONS).await;
    let answer = broker.exchange("orders-read", &issuer.token("es256").await).await.granted();
    broker.kill_9();
    let credentials = &answer.body["aws"];
    assert_eq!(sts.aws().read(credentials, ["orders", "ledger"]), [hello(), denied()]);
    wait_until(answer.text("/aws/Expiration")).await;
    assert_eq!(sts.aws().read(credentials, ["orders"]), [denied()]);
}

async fn wait_until(moment: &str) {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    let left = SystemTime::from(moment).duration_since(SystemTime::now()).unwrap_or_default();
    assert!(left < Duration::from_secs(30), "the window is seconds long, not {left:?}");
    tokio::time::sleep(left).await;
}
