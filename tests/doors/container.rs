//! `GET /aws/credentials/{grant}`, the door behind `AWS_CONTAINER_CREDENTIALS_FULL_URI`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tokens::TestKey;
use crate::world::{Answer, World};

impl World {
    /// Asks as an SDK does: the token as it is in its file.
    pub async fn container(&self, token: &str, grant_and_query: &str) -> Answer {
        self.container_with(grant_and_query, &[("authorization", token)]).await
    }

    pub async fn container_with(&self, grant_and_query: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.get(self.url(&format!("/aws/credentials/{grant_and_query}")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }
}

impl Answer {
    /// Refused in this door's dialect; nothing that looks like a credential in it. Gives its text.
    fn refused_as(self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers["x-request-id"].to_str().ok(), self.body["request_id"].as_str());
        assert_eq!(self.body.as_object().unwrap().len(), 3, "{}", self.body);
        let retry = self.headers.contains_key("retry-after");
        assert_eq!(retry, [429, 503].contains(&status), "whoever may come again is told when");
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
        self.body["message"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_request_without_a_token_is_told_so_in_plain_text_and_costs_nobody_anything() {
    let world = World::start_with("rate_per_ip = 1\nburst_per_ip = 1").await;
    let before = world.entries().await.len();
    for headers in [&[][..], &[("authorization", "")][..]] {
        for _ in 0..5 {
            let url = world.url("/aws/credentials/orders-read");
            let mut request = world.http.get(url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"tidegate\"");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            let told = answer.text().await.unwrap();
            assert!(told.contains("needs the workload's OIDC token in the `Authorization` header"), "{told}");
            assert!(
                told.contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") && told.ends_with('\n'),
                "{told}"
            );
        }
    }
    world.container(&world.token("billing"), "orders-read").await.issued();
    assert_eq!(world.entries_of("credential.refused").await.len(), 0);
    assert_eq!(world.entries().await.len(), before + 2);
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_401_and_leaves_no_entry() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let forged = TestKey::fresh_p256("cluster-1").token(&world.claims("billing", &json!({})));
    let foreign = world.token_with("billing", &json!({ "iss": "https://evil.example.com" }));
    let shapeless = world.token_with("billing", &json!({ "kubernetes.io": 1 }));
    let mut told = String::new();
    for (name, token) in [
        ("forged", forged.as_str()),
        ("foreign", &foreign),
        ("shapeless", &shapeless),
        ("rubbish", "rubbish"),
        ("basic", "Basic YTpi"),
        ("bearer of nothing", "Bearer"),
        ("two tokens in one", "Bearer a, Bearer b"),
    ] {
        let text = world.container(token, "orders-read").await.refused_as(401, "InvalidIdentityToken");
        told.push_str(&format!("{name}: {text}\n"));
    }
    let old = world.token_with(
        "billing",
        &json!({ "exp": world.seconds() - 60, "nbf": null, "iat": world.seconds() - 120 }),
    );
    let text = world.container(&old, "orders-read").await.refused_as(401, "ExpiredToken");
    told.push_str(&format!("expired: {text}\n"));
    insta::assert_snapshot!("container_tokens", told);
    assert_eq!(world.entries().await.len(), before);
}

#[tokio::test]
async fn an_address_whose_tokens_do_not_verify_waits() {
    let world = World::start_with("rate_per_ip = 1\nburst_per_ip = 1").await;
    for _ in 0..2 {
        world.container("rubbish", "orders-read").await.refused_as(401, "InvalidIdentityToken");
    }
    world.container(&world.token("billing"), "orders-read").await.refused_as(429, "ThrottlingException");
}

#[tokio::test]
async fn unknown_denied_and_of_another_kind_look_the_same_and_are_recorded_apart() {
    let world = World::start().await;
    let mut told = Vec::new();
    for grant in ["no-such-grant", "orders-read", "ledger-api", "prod-admin", "NO%2FSUCH%20grant", "%ff"] {
        told.push(world.container(&world.token("web"), grant).await.refused_as(403, "AccessDenied"));
    }
    told.dedup();
    assert_eq!(told, ["the grant does not exist or the policy does not permit it"]);
    let reasons: Vec<Value> =
        world.entries_of("credential.refused").await.iter().map(|entry| entry["reason"].clone()).collect();
    assert_eq!(reasons, ["unknown_grant", "policy_denied", "policy_denied", "no_elevation"]);
    let permitted = world.container(&world.token("billing"), "ledger-api").await;
    insta::assert_snapshot!(permitted.refused_as(400, "ValidationError"), @"the requested token type does not fit the grant");
    assert!(world.sts.calls().is_empty());
}

#[tokio::test]
async fn every_malformed_request_is_answered_in_this_doors_dialect() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let token = world.token("billing");
    let mut told = String::new();
    for query in [
        "x=1",
        "expires_in=60&expires_in=60",
        "expires_in=0",
        "expires_in=1h",
        "expires_in=%2B60",
        "expires_in=604801",
        "elevation=rubbish",
        "scope=a",
        "audience=orders-read",
        "expires_in=%ff",
    ] {
        let answer = world.container(&token, &format!("orders-read?{query}")).await;
        told.push_str(&format!("{query}: {}\n", answer.refused_as(400, "ValidationError")));
    }
    let twice = [("authorization", token.as_str()), ("authorization", token.as_str())];
    let text = world.container_with("orders-read", &twice).await.refused_as(400, "ValidationError");
    told.push_str(&format!("two headers: {text}\n"));
    insta::assert_snapshot!("container_dialect", told);
    assert_eq!(world.entries().await.len(), before, "nobody was identified");
}

#[tokio::test]
async fn a_head_request_issues_nothing() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let url = world.url("/aws/credentials/orders-read");
    let answer = world.http.head(url).header("authorization", world.token("billing")).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!((world.entries().await.len(), world.sts.calls().len()), (before, 0));
}

#[tokio::test]
async fn a_replayed_token_is_told_to_be_replaced() {
    let world = World::start().await;
    let token = world.token("billing");
    world.container(&token, "orders-read").await.issued();
    world.container(&token, "orders-read").await.refused_as(401, "ExpiredToken");
    assert_eq!(world.entries_of("credential.refused").await[0]["reason"], "replayed");
}

#[tokio::test]
async fn a_principal_over_its_rate_is_told_to_come_again() {
    let world = World::start_with("rate_per_principal = 1\nburst_per_principal = 1").await;
    world.container(&world.token("billing"), "orders-read").await.issued();
    world.container(&world.token("billing"), "orders-read").await.refused_as(429, "ThrottlingException");
}

#[tokio::test]
async fn an_outage_is_503_and_a_refusal_of_aws_is_not() {
    let world = World::start().await;
    let ask = async || world.container(&world.token("billing"), "orders-read").await;
    world.sts.fail(Some((500, "InternalFailure")));
    ask().await.refused_as(503, "ServiceUnavailable");
    world.clock.advance(Duration::from_secs(30));
    world.sts.fail(Some((403, "AccessDenied")));
    let told = ask().await.refused_as(403, "AccessDenied");
    assert!(!told.contains("123456789012") && !told.contains("role"), "{told}");
}

#[tokio::test]
async fn an_sdk_gets_what_it_reads_and_the_entry_was_durable_first() {
    let world = World::start().await;
    let answer = world.container(&world.token("billing"), "orders-read").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let issued = answer.issued();
    assert_eq!(
        issued,
        json!({
            "AccessKeyId": "ASIATEST000000000001", "SecretAccessKey": "s3cr3t", "Token": "session-1",
            "Expiration": "2026-11-22T16:13:12Z", "RoleArn": "arn:aws:iam::123456789012:role/orders-read",
        })
    );
    let entry = world.entries_of("credential.issued").await.pop().unwrap();
    assert_eq!(entry["credential"]["access_key_id"], issued["AccessKeyId"]);
    assert_eq!(entry["credential"]["expires_at"], issued["Expiration"]);
    assert_eq!(entry["grant"]["name"], "orders-read");
}

#[tokio::test]
async fn the_token_may_come_raw_or_as_bearer_with_white_space_around_it() {
    let world = World::start().await;
    for form in ["{}", "Bearer {}", "bearer {}", "BEARER  {} ", " {}\t"] {
        let header = form.replace("{}", &world.token("billing"));
        world.container(&header, "orders-read").await.issued();
    }
}

#[tokio::test]
async fn a_shorter_life_is_honoured_and_a_longer_one_is_cut_to_the_cap() {
    let world = World::start().await;
    for (asked, end) in [("60", "2026-11-22T16:04:12Z"), ("604800", "2026-11-22T17:03:12Z")] {
        let query = format!("orders-read?expires_in={asked}");
        let issued = world.container(&world.token("billing"), &query).await.issued();
        assert_eq!(issued["Expiration"], end);
    }
}

#[tokio::test]
async fn an_elevation_opens_its_grant_here_too_for_its_requester_and_under_its_own_name_only() {
    let world = World::start().await;
    let ask = async |name: &str, path: &str| world.container(&world.engineer(name), path).await;
    ask("ann", "prod-admin").await.refused_as(403, "AccessDenied");
    let id = world.opened("prod-admin").await;
    let named = format!("prod-admin?elevation={id}");
    ask("bea", &named).await.refused_as(403, "AccessDenied");
    let another = format!("prod-admin?elevation={}", world.opened("prod-ledger").await);
    ask("ann", &another).await.refused_as(403, "AccessDenied");
    for path in ["prod-admin", &named] {
        let issued = ask("ann", path).await.issued();
        assert_eq!(issued["RoleArn"], "arn:aws:iam::123456789012:role/vendor-break-glass");
    }
    assert_eq!(world.entries_of("credential.issued").await.pop().unwrap()["elevation"]["id"], id.as_str());
    let text = world.container(&world.token("billing"), &format!("orders-read?elevation={id}")).await;
    insta::assert_snapshot!(text.refused_as(400, "ValidationError"), @"the grant is no break-glass grant; leave `elevation` out");
}
