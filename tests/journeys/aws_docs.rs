//! The policies in `docs/aws.md` and `docs/operations.md` are what a reader copies into IAM: a linter has nothing to say about them, and an IAM that
//! enforces them lets the broker in and nobody else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::aws::{Aws, Read};
use crate::harness::{Broker, OidcProvider, Setup, log, tools};

const PAGES: [&str; 2] = [include_str!("../../docs/aws.md"), include_str!("../../docs/operations.md")];
const MARK: &str = "<!-- policy: ";
/// `external_id` in the page's trust policy.
const EXTERNAL_ID: &str = "replace-with-your-own-external-id";

/// Every policy of the pages under its mark.
fn policies() -> BTreeMap<String, Value> {
    let policy = |part: &str| {
        let (name, rest) = part.split_once(" -->").unwrap();
        let block = rest.trim_start().strip_prefix("```json\n").and_then(|block| block.split_once("\n```"));
        let (block, _) = block.unwrap_or_else(|| panic!("no block of JSON after {name}"));
        (name.to_owned(), serde_json::from_str(block).unwrap_or_else(|why| panic!("{name}: {why}")))
    };
    PAGES.iter().flat_map(|page| page.split(MARK).skip(1)).map(policy).collect()
}

/// What cfn-lint found, by name.
fn lint(policies: &BTreeMap<String, Value>) -> BTreeMap<String, Vec<String>> {
    let (good, found) =
        tools::ask(&mut tools::python("lint_policies.py"), &serde_json::to_string(policies).unwrap());
    assert!(good, "cfn-lint did not run: {found}");
    serde_json::from_value(found).unwrap()
}

#[test]
fn a_linter_has_nothing_to_say_about_the_documented_policies() {
    let policies = policies();
    let names: Vec<_> = policies.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "broker-assume-role",
            "broker-end-sessions",
            "broker-kms",
            "key-broker",
            "trust-assume-role",
            "trust-web-identity"
        ]
    );
    let found = lint(&policies);
    assert!(found.values().all(Vec::is_empty), "{found:?}");
    assert_eq!(found.len(), policies.len(), "the template around them is clean too: {found:?}");
}

#[test]
fn the_linter_finds_each_planted_mistake() {
    let good = policies();
    // Where, what instead, and a word of what it must say.
    let mistakes = [
        ("trust-assume-role", "/Statement/0/Action", json!("sts:AssumeRol"), "assumerol"),
        ("trust-assume-role", "/Statement/0/Principal", json!({ "AWS": "tidegate" }), "tidegate"),
        ("trust-assume-role", "/Statement/1/Action/1", json!("sts:SetSourceIdentitty"), "setsourceidentitty"),
        ("trust-web-identity", "/Statement/0/Condition", json!({ "StringEqual": {} }), "StringEqual"),
        ("trust-web-identity", "/Statement/0/Effect", json!("Permit"), "Permit"),
        ("broker-assume-role", "/Statement/0/Action/1", json!("sts:TagSesion"), "tagsesion"),
        ("broker-assume-role", "/Statement/0/Resource/0", json!("arn:aws:s3:::orders"), "resource"),
        ("broker-end-sessions", "/Statement/0/Action/1", json!("iam:PutRolePolicies"), "putrolepolicies"),
        ("broker-kms", "/Statement/0/Action/0", json!("kms:Encript"), "encript"),
        ("key-broker", "/Statement/1/Principal", json!({ "AWS": "tidegate" }), "tidegate"),
        ("broker-end-sessions", "/Version", json!("2012-10-18"), "2012-10-18"),
    ];
    let planted = mistakes.iter().enumerate().map(|(number, (name, place, wrong, _))| {
        let mut policy = good[*name].clone();
        *policy.pointer_mut(place).unwrap_or_else(|| panic!("{name} has no {place}")) = wrong.clone();
        (format!("{name}-{number}"), policy)
    });
    let found = lint(&planted.collect());
    for (number, (name, place, wrong, word)) in mistakes.iter().enumerate() {
        let said = found[&format!("{name}-{number}")].join("\n");
        assert!(said.contains(word), "{name} {place} {wrong}: cfn-lint said {said:?}");
    }
}

/// The page's accounts and names, as they are in the emulator.
fn in_this_world(policy: &Value, aws: &Aws, broker: &str) -> Value {
    let account = aws.role_arn().split(':').nth(4).unwrap();
    let text = policy.to_string().replace("111122223333", account).replace("444455556666", account);
    serde_json::from_str(&text.replace("broker.example.com", broker)).unwrap()
}

/// Makes the documented roles: the broker's environment, and a stranger's.
fn roles(aws: &Aws, trust: &Value, broker: Option<&Value>) -> (Vec<(&'static str, String)>, Value) {
    let (id, secret) = aws.administrator();
    let given = json!({ "trust": trust, "broker": broker }).to_string();
    let (good, made) =
        tools::ask(tools::python("documented_roles.py").args([aws.endpoint(), id, secret]), &given);
    assert!(good, "{made}");
    let names = [
        ("AWS_ACCESS_KEY_ID", "/broker/AccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "/broker/SecretAccessKey"),
        ("AWS_SESSION_TOKEN", "/broker/SessionToken"),
    ];
    let env = names.into_iter().filter_map(|(name, at)| Some((name, made.pointer(at)?.as_str()?.to_owned())));
    (env.collect(), made["stranger"].clone())
}

fn setup(issuer: &OidcProvider, aws: &Aws) -> Setup {
    Setup::new()
        .issuer("idp", issuer.url(), "replay = \"reusable\"")
        .aws_grant("orders-read", aws.role_arn(), "orders", "10m")
        .tables("session_tags = { subject = \"{principal.subject}\" }")
}

async fn reads_orders(broker: &Broker, issuer: &OidcProvider, aws: &Aws) -> bool {
    let answer = broker.exchange("orders-read", &issuer.token("es256").await).await;
    if answer.status != 200 {
        println!("{answer:?}");
        return false;
    }
    assert_eq!(aws.read(&answer.body["aws"], ["orders"]), [Read::Got("hello".to_owned())]);
    true
}

#[tokio::test]
async fn the_documented_trust_lets_the_broker_in_by_its_role_and_external_id_alone() {
    let (issuer, aws) = (OidcProvider::start(), Aws::ministack());
    let page = policies();
    let [trust, own] =
        ["trust-assume-role", "broker-assume-role"].map(|name| in_this_world(&page[name], &aws, "unused"));
    let (env, stranger) = roles(&aws, &trust, Some(&own));
    let start = |external_id: &str| {
        let more = format!("external_id = \"{external_id}\"");
        setup(&issuer, &aws).sts_as(aws.endpoint(), env.clone(), &more).start()
    };
    assert!(reads_orders(&start(EXTERNAL_ID), &issuer, &aws).await);
    assert!(!reads_orders(&start("another-external-id"), &issuer, &aws).await, "the external id counts");
    assert!(!assumes(&aws, &stranger), "who is not the broker is not let in");
}

/// Does the AWS CLI get a session of the role with these keys and the right external id?
fn assumes(aws: &Aws, keys: &Value) -> bool {
    let mut command = tools::in_venv("aws");
    command.args(["sts", "assume-role", "--role-session-name", "stranger", "--role-arn", aws.role_arn()]);
    command.args([
        "--external-id",
        EXTERNAL_ID,
        "--endpoint-url",
        aws.endpoint(),
        "--region",
        "eu-central-1",
    ]);
    for (name, at) in [("AWS_ACCESS_KEY_ID", "AccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey")] {
        command.env(name, keys[at].as_str().unwrap());
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || said.contains("(AccessDenied)"), "{said}");
    output.status.success()
}

#[tokio::test]
async fn the_documented_trust_lets_one_grant_of_a_broker_without_an_aws_identity_in() {
    let (issuer, aws) = (OidcProvider::start(), Aws::ministack());
    let alias = "sts_role_arn_alias = \"arn:aws:iam::000000000000:role/orders-other\"";
    let broker = setup(&issuer, &aws)
        .aws_grant("orders-other", aws.role_arn(), "orders", "10m")
        .tables(alias)
        .sts_as(aws.endpoint(), [], "mode = \"web_identity\"")
        .start();
    let host = broker.url().strip_prefix("http://").unwrap();
    let trust = in_this_world(&policies()["trust-web-identity"], &aws, host);
    roles(&aws, &trust, None);
    assert!(reads_orders(&broker, &issuer, &aws).await);
    let other = broker.exchange("orders-other", &issuer.token("es256").await).await;
    assert_eq!((other.status, other.text("/error")), (400, "invalid_target"), "the subject counts");
    let entries = log::entries(&broker).await;
    let refusal = entries.iter().rfind(|entry| entry.json["type"] == "credential.refused").unwrap();
    let told = refusal.json["detail"].as_str().unwrap();
    assert!(told.contains("sts:AssumeRoleWithWebIdentity"), "AWS is who refused it: {told}");
}
