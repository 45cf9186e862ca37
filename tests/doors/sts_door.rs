//! `POST /sts`, the door behind `AWS_ENDPOINT_URL_STS`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tokens::TestKey;
use crate::world::World;

pub const ROLE: &str = "arn:aws:iam::123456789012:role/orders-read";

/// STS's answer: XML, always.
pub struct Spoken {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Spoken {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.unwrap();
        assert_eq!(headers["content-type"], "text/xml", "{body}");
        assert_eq!(headers["cache-control"], "no-store");
        let spoken = Self { status, headers, body };
        assert_eq!(spoken.headers["x-request-id"].to_str().unwrap(), spoken.text("RequestId"));
        spoken
    }

    pub fn find(&self, element: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{element}>"))?;
        Some(rest.split_once(&format!("</{element}>")).unwrap().0)
    }

    pub fn text(&self, element: &str) -> &str {
        self.find(element).ok_or((element, &self.body)).unwrap()
    }

    /// The document with what is different every time taken out.
    pub fn shape(&self) -> String {
        self.body.replace(self.text("RequestId"), "[request id]").replace("><", ">\n<")
    }

    /// Refused with this code; nothing that looks like a credential in it. Gives its text.
    pub fn refused(self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.text("Code")), (status, code), "{}", self.body);
        assert_eq!(self.text("Type"), if status < 500 { "Sender" } else { "Receiver" });
        for secret in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Arn"] {
            assert_eq!(self.find(secret), None);
        }
        let passes = [429, 503].contains(&status) || code == "IDPCommunicationError";
        assert_eq!(self.headers.contains_key("retry-after"), passes, "whoever may come again is told when");
        self.text("Message").to_owned()
    }

    pub fn issued(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }
}

impl World {
    pub async fn sts_door(&self, form: &[(&str, &str)]) -> Spoken {
        Spoken::of(self.http.post(self.url("/sts")).form(form).send().await.unwrap()).await
    }

    pub async fn assume(&self, token: &str, more: &[(&str, &str)]) -> Spoken {
        self.sts_door(&[&assume(token, ROLE)[..], more].concat()).await
    }
}

/// In the order of boto3.
fn assume<'a>(token: &'a str, role: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", "botocore-session-1795363392"),
        ("WebIdentityToken", token),
    ]
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_an_invalid_identity_token_and_leaves_no_entry() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let forged = TestKey::fresh_p256("cluster-1").token(&world.claims("billing", &json!({})));
    let foreign = world.token_with("billing", &json!({ "iss": "https://evil.example.com" }));
    let shapeless = world.token_with("billing", &json!({ "kubernetes.io": 1 }));
    for token in [forged.as_str(), &foreign, &shapeless, "rubbish", "<a>&amp;"] {
        world.assume(token, &[]).await.refused(400, "InvalidIdentityToken");
    }
    assert_eq!(world.entries().await.len(), before);
}

#[tokio::test]
async fn what_a_newer_token_would_mend_has_a_code_of_its_own() {
    let world = World::start().await;
    let at = world.seconds();
    let changes =
        [json!({ "exp": at - 60, "iat": at - 120, "nbf": null }), json!({ "iat": at - 3_700, "nbf": null })];
    for changes in changes {
        let token = world.token_with("billing", &changes);
        world.assume(&token, &[]).await.refused(400, "ExpiredTokenException");
    }
    let token = world.token("billing");
    world.assume(&token, &[]).await.issued();
    let told = world.assume(&token, &[]).await.refused(400, "ExpiredTokenException");
    assert!(told.contains("presented before"), "{told}");
}

#[tokio::test]
async fn an_unknown_role_a_denied_one_and_one_without_an_elevation_look_the_same_and_are_recorded_apart() {
    let world = World::start().await;
    let mut told = Vec::new();
    for role in ["no-such-role", "orders-read", "vendor-break-glass"] {
        let arn = format!("arn:aws:iam::123456789012:role/{role}");
        let spoken = world.sts_door(&assume(&world.token("web"), &arn)).await;
        told.push((spoken.shape(), spoken.refused(403, "AccessDenied")));
    }
    told.dedup();
    assert_eq!(told.len(), 1);
    insta::assert_snapshot!(told[0].0, @r#"
    <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <Error>
    <Type>Sender</Type>
    <Code>AccessDenied</Code>
    <Message>the grant does not exist or the policy does not permit it</Message>
    </Error>
    <RequestId>[request id]</RequestId>
    </ErrorResponse>
    "#);
    let recorded: Vec<(Value, Value)> = world
        .entries_of("credential.refused")
        .await
        .iter()
        .map(|entry| (entry["reason"].clone(), entry["grant"]["name"].clone()))
        .collect();
    assert_eq!(
        recorded,
        [
            (json!("unknown_grant"), json!("arn:aws:iam::123456789012:role/no-such-role")),
            (json!("policy_denied"), json!("orders-read")),
            (json!("no_elevation"), json!("prod-admin")),
        ]
    );
    assert!(world.sts.calls().is_empty());
}

#[tokio::test]
async fn every_malformed_request_is_answered_in_the_dialect_of_sts() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let token = world.token("billing");
    let good = assume(&token, ROLE);
    let without = |name: &str| good.iter().copied().filter(|pair| pair.0 != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| [without(name), vec![(name, value)]].concat();
    let and = |name: &'static str, value: &'static str| [good.to_vec(), vec![(name, value)]].concat();
    let long = Box::leak(" ".repeat(2_049).into_boxed_str());
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("no action", without("Action")),
        ("an empty action", with("Action", "")),
        ("another action", with("Action", "AssumeRole")),
        ("an action with markup", with("Action", "<b>Get&amp;")),
        ("two actions", and("Action", "GetCallerIdentity")),
        ("no version", without("Version")),
        ("another version", with("Version", "2010-05-08")),
        ("no role", without("RoleArn")),
        ("no arn", with("RoleArn", "orders-read")),
        ("a user", with("RoleArn", "arn:aws:iam::123456789012:user/x")),
        ("an arn with markup", with("RoleArn", "arn:aws:iam::123456789012:role/<b>\"x\"")),
        ("no session name", without("RoleSessionName")),
        ("a session name with a space", with("RoleSessionName", "a b")),
        ("a session name of one", with("RoleSessionName", "a")),
        (
            "a long session name",
            with("RoleSessionName", "a2345678901234567890123456789012345678901234567890123456789012345"),
        ),
        ("no token", without("WebIdentityToken")),
        ("a short duration", and("DurationSeconds", "899")),
        ("a long duration", and("DurationSeconds", "43201")),
        ("no number", and("DurationSeconds", "+900")),
        ("a managed policy", and("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess")),
        ("a provider", and("ProviderId", "graph.facebook.com")),
        ("a long policy", and("Policy", long)),
        ("a tag", and("Tags.member.1.Key", "k")),
        ("caller identity of a role", vec![good[1], good[2], ("Action", "GetCallerIdentity")]),
        ("caller identity without a version", vec![("Action", "GetCallerIdentity")]),
    ];
    let mut answers = String::new();
    for (name, form) in cases {
        let spoken = world.sts_door(&form).await;
        let (status, code) = (spoken.status, spoken.text("Code").to_owned());
        answers.push_str(&format!("{name}: {status} {code}: {}\n", spoken.refused(status, &code)));
    }
    insta::assert_snapshot!("sts_dialect", answers);
    assert_eq!(world.entries().await.len(), before, "nobody was identified");
}

#[tokio::test]
async fn what_is_no_form_is_refused_in_xml_too() {
    let world = World::start().await;
    let post = |path: &str| world.http.post(world.url(path));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let cases = [
        (post("/sts").body("Action=GetCallerIdentity"), 400, "the content type must be"),
        (post("/sts").header(form.0, "application/json").body("{}"), 400, "the content type must be"),
        (post("/sts").header(form.0, form.1).body("Action=%ff"), 400, "not UTF-8"),
        (post("/sts").header(form.0, form.1).body("a".repeat(70_000)), 413, "larger than 65536"),
        (post("/sts?Action=GetCallerIdentity").header(form.0, form.1), 400, "belong in the body"),
    ];
    for (request, status, part) in cases {
        let told = Spoken::of(request.send().await.unwrap()).await.refused(status, "ValidationError");
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn an_address_whose_tokens_do_not_verify_waits() {
    let world = World::start_with("rate_per_ip = 1\nburst_per_ip = 1").await;
    for _ in 0..2 {
        world.assume("rubbish", &[]).await.refused(400, "InvalidIdentityToken");
    }
    world.assume(&world.token("billing"), &[]).await.refused(429, "Throttling");
}

#[tokio::test]
async fn a_principal_over_its_rate_is_told_to_come_again() {
    let world = World::start_with("rate_per_principal = 1\nburst_per_principal = 1").await;
    world.assume(&world.token("billing"), &[]).await.issued();
    world.assume(&world.token("billing"), &[]).await.refused(429, "Throttling");
}

#[tokio::test]
async fn an_outage_is_503_and_a_refusal_of_aws_names_nothing() {
    let world = World::start().await;
    world.sts.fail(Some((500, "InternalFailure")));
    world.assume(&world.token("billing"), &[]).await.refused(503, "ServiceUnavailable");
    world.clock.advance(Duration::from_secs(30));
    world.sts.fail(Some((403, "AccessDenied")));
    let told = world.assume(&world.token("billing"), &[]).await.refused(403, "AccessDenied");
    assert!(!told.contains("123456789012") && !told.contains("role"), "{told}");
}

#[tokio::test]
async fn an_issuer_whose_keys_are_away_is_the_one_fault_that_sts_has_a_word_for() {
    let mut world = World::start().await;
    world.stop().await;
    let settings = world.read("tidegate.toml").replace(
        "jwks_file = \"cluster.json\"",
        "jwks_url = \"http://127.0.0.1:9/jwks\"\nallow_private_network = true",
    );
    world.write("tidegate.toml", &settings);
    world.run().await;
    world.assume(&world.token("billing"), &[]).await.refused(400, "IDPCommunicationError");
}

#[tokio::test]
async fn the_answer_has_the_shape_of_sts_and_its_entry_was_durable_first() {
    let world = World::start().await;
    let spoken = world.assume(&world.token("billing"), &[]).await.issued();
    insta::assert_snapshot!("sts_assumed", spoken.shape());
    let entry = world.entries_of("credential.issued").await.pop().unwrap();
    assert_eq!(entry["credential"]["access_key_id"], spoken.text("AccessKeyId"));
    assert_eq!(entry["credential"]["session_name"], spoken.text("Arn").rsplit('/').next().unwrap());
    assert_eq!(entry["credential"]["source_identity"], spoken.text("SourceIdentity"));
    assert_eq!(entry["request_id"], spoken.text("RequestId"));
    assert!(!entry.to_string().contains("botocore-session"), "who it is comes from the token alone");
    let call = &world.sts.calls()[0];
    assert_eq!(call["RoleArn"], ROLE);
    assert!(!call["RoleSessionName"].contains("botocore"));
}

#[tokio::test]
async fn the_slash_that_some_sdks_append_and_any_order_of_parameters_make_no_difference() {
    let world = World::start().await;
    let token = world.token("billing");
    let mut form = assume(&token, ROLE);
    form.reverse();
    let response = world.http.post(world.url("/sts/")).form(&form).send().await.unwrap();
    Spoken::of(response).await.issued();
    let token = format!("{}\r\n", world.token("billing"));
    world.assume(&token, &[]).await.issued();
}

#[tokio::test]
async fn the_end_is_the_truth_whatever_the_sdk_asked_for() {
    let world = World::start().await;
    for (asked, end) in [
        (None, "2026-11-22T16:13:12Z"),
        (Some("900"), "2026-11-22T16:18:12Z"),
        (Some("43200"), "2026-11-22T17:03:12Z"),
    ] {
        let more: Vec<_> = asked.map(|asked| ("DurationSeconds", asked)).into_iter().collect();
        let spoken = world.assume(&world.token("billing"), &more).await.issued();
        assert_eq!(spoken.text("Expiration"), end, "{asked:?}");
    }
}

#[tokio::test]
async fn a_grant_with_an_alias_is_found_by_it_and_its_role_is_nobodys() {
    let mut world = World::start().await;
    world.stop().await;
    let alias = "arn:aws:iam::123456789012:role/billing-orders";
    let line = format!("role_arn = \"{ROLE}\"");
    let settings =
        world.read("tidegate.toml").replace(&line, &format!("{line}\nsts_role_arn_alias = \"{alias}\""));
    world.write("tidegate.toml", &settings);
    world.run().await;
    world.assume(&world.token("billing"), &[]).await.refused(403, "AccessDenied");
    let spoken = world.sts_door(&assume(&world.token("billing"), alias)).await.issued();
    assert!(spoken.text("Arn").starts_with("arn:aws:sts::123456789012:assumed-role/orders-read/"));
    assert_eq!(world.sts.calls()[0]["RoleArn"], ROLE, "what is assumed stays the role");
}

#[tokio::test]
async fn a_lock_on_the_grant_stops_it_here_too() {
    let world = World::start().await;
    let lead = world.staff("lea", "leads");
    let target = json!({ "target": { "grant": "orders-read" }, "reason": "INC-42 is suspicious" });
    world.api(&lead, "POST", "/v1/locks", target).await.done();
    world.assume(&world.token("billing"), &[]).await.refused(403, "AccessDenied");
    assert_eq!(world.entries_of("credential.refused").await[0]["reason"], "locked");
}

#[tokio::test]
async fn the_callers_one_open_elevation_is_used_and_nobody_elses() {
    let world = World::start().await;
    let role = "arn:aws:iam::123456789012:role/vendor-break-glass";
    let id = world.opened("prod-admin").await;
    let bea = world.engineer("bea");
    world.sts_door(&assume(&bea, role)).await.refused(403, "AccessDenied");
    let ann = world.engineer("ann");
    let spoken = world.sts_door(&assume(&ann, role)).await.issued();
    assert_eq!(spoken.text("SourceIdentity"), id);
}
