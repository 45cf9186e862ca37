//! AWS credentials through the token endpoint, against a stand-in STS that misbehaves on demand.

use std::time::Duration;

use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn credentials_end_by_their_own_session_policy_and_are_scoped_to_the_caller() {
    let world = World::start().await;
    let issued = world.exchange(&world.token("billing"), "orders-read").await.issued();
    assert_eq!(issued["token_type"], "N_A");
    assert_eq!(issued["issued_token_type"], "urn:tidegate:params:oauth:token-type:aws-credentials");
    assert_eq!(issued["access_token"], issued["aws"]["SessionToken"]);
    assert_eq!(issued["expires_in"], 600);
    assert_eq!(issued["aws"]["PackedPolicySize"], 7, "in percent, as STS gave it");
    let end = issued["aws"]["Expiration"].as_str().unwrap();
    let call = &world.sts.calls()[0];
    let policy: Value = serde_json::from_str(&call["Policy"]).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], "arn:aws:s3:::orders/billing/*");
    let denies = policy["Statement"].as_array().unwrap();
    assert!(denies.iter().any(|deny| deny["Condition"]["DateGreaterThanEquals"]["aws:CurrentTime"] == end));
    assert_eq!(call["DurationSeconds"], "900", "STS gives no less");
    assert!(call.contains_key("SourceIdentity"));
}

#[tokio::test]
async fn the_intent_is_in_the_log_before_the_call_and_no_secret_ever() {
    let world = World::start().await;
    let issued = world.exchange(&world.token("billing"), "orders-read").await.issued();
    let entries = world.entries().await;
    let place = |kind: &str| entries.iter().position(|entry| entry["type"] == kind).unwrap();
    assert!(place("aws.assume_role.requested") < place("credential.issued"));
    let intent = &entries[place("aws.assume_role.requested")];
    assert_eq!([&intent["mode"], &intent["region"]], ["assume_role", "eu-central-1"]);
    let text = serde_json::to_string(&entries).unwrap();
    for secret in ["SecretAccessKey", "SessionToken"] {
        assert!(!text.contains(issued["aws"][secret].as_str().unwrap()), "{secret}");
    }
    assert!(text.contains(issued["aws"]["AccessKeyId"].as_str().unwrap()), "CloudTrail joins on it");
}

#[tokio::test]
async fn throttling_is_answered_with_slow_down_and_does_not_use_the_token_up() {
    let world = World::start().await;
    world.sts.fail(Some((400, "Throttling")));
    let token = world.token("billing");
    let answer = world.exchange(&token, "orders-read").await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.refused(429, "slow_down");
    world.sts.fail(None);
    world.clock.advance(Duration::from_secs(30));
    world.exchange(&token, "orders-read").await.issued();
}

#[tokio::test]
async fn a_refusal_of_aws_names_no_account_to_the_caller() {
    let world = World::start().await;
    world.sts.fail(Some((403, "AccessDenied")));
    let told = world.exchange(&world.token("billing"), "orders-read").await.refused(400, "invalid_target");
    assert!(!told.contains("123456789012") && !told.contains("role"), "{told}");
    let entry = world.entries_of("credential.refused").await.pop().unwrap();
    assert!(entry["detail"].as_str().unwrap().contains("AccessDenied"));
}

#[tokio::test]
async fn an_unavailable_sts_is_our_fault_and_gives_the_token_back() {
    let world = World::start().await;
    world.sts.fail(Some((500, "InternalFailure")));
    let token = world.token("billing");
    world.exchange(&token, "orders-read").await.refused(503, "temporarily_unavailable");
    world.sts.fail(None);
    world.clock.advance(Duration::from_secs(30));
    world.exchange(&token, "orders-read").await.issued();
}

#[tokio::test]
async fn many_callers_of_one_workload_make_one_call_and_another_workload_its_own() {
    let world = World::start().await;
    world.sts.slow(Duration::from_millis(200));
    let tokens: Vec<String> = (0..40).map(|_| world.token("billing")).collect();
    let answers =
        futures_util::future::join_all(tokens.iter().map(|token| world.exchange(token, "orders-read"))).await;
    let keys: std::collections::BTreeSet<String> =
        answers.into_iter().map(|answer| answer.issued()["aws"]["AccessKeyId"].to_string()).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(world.sts.calls().len(), 1);
    assert_eq!(world.entries_of("aws.assume_role.requested").await.len(), 1);
    assert_eq!(world.entries_of("credential.issued").await.len(), 40);
}

#[tokio::test]
async fn a_delivery_names_the_entry_of_its_issue_and_keeps_its_own_request_id() {
    let world = World::start().await;
    let token = world.reusable("billing");
    let first = world.exchange(&token, "orders-read").await.issued();
    let size = world.entries().await.len();
    for _ in 0..20 {
        let answer = world.exchange(&token, "orders-read").await;
        let own = answer.headers["x-request-id"].to_str().unwrap().to_owned();
        let again = answer.issued();
        assert_eq!((&again["audit"], &again["aws"]), (&first["audit"], &first["aws"]));
        assert_eq!(again["request_id"], own);
        assert_ne!(again["request_id"], first["request_id"]);
    }
    assert_eq!((world.sts.calls().len(), world.entries().await.len()), (1, size));
    let metrics = world.http.get(world.ops("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        "tidegate_credential_deliveries_total 20",
        "tidegate_credentials_issued_total{kind=\"aws\"} 1",
        "tidegate_credential_cache_total{outcome=\"hit\"} 20",
        "tidegate_credential_cache_total{outcome=\"miss\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_stop_writes_down_first_what_was_delivered() {
    let mut world = World::start().await;
    let token = world.reusable("billing");
    for _ in 0..4 {
        world.exchange(&token, "orders-read").await.issued();
    }
    world.restart().await;
    world.exchange(&token, "orders-read").await.issued();
    let entries = world.entries().await;
    let place = |kind: &str| entries.iter().position(|entry| entry["type"] == kind).unwrap();
    let delivered = place("credential.delivered");
    assert!(delivered < place("broker.stopped"));
    assert_eq!(entries[delivered]["count"], 3);
    assert_eq!(entries[delivered]["credential"]["issue_index"], place("credential.issued"));
    assert_eq!(entries[delivered]["sources"], serde_json::json!([{ "ip": "127.0.0.1", "count": 3 }]));
    assert_eq!(world.sts.calls().len(), 2, "nothing is kept over a restart");
}

#[tokio::test]
async fn what_was_delivered_is_written_down_by_itself_when_the_credential_ends() {
    let world = World::start().await;
    for _ in 0..2 {
        world.exchange(&world.reusable("billing"), "orders-read").await.issued();
    }
    world.clock.advance(Duration::from_mins(10));
    world.has_written("credential.delivered").await;
    assert_eq!(world.entries_of("credential.delivered").await[0]["count"], 1);
}

#[tokio::test]
async fn the_cache_gives_nothing_past_its_end() {
    let world = World::start().await;
    let first = world.exchange(&world.token("billing"), "orders-read").await.issued();
    world.clock.advance(Duration::from_secs(200));
    let second = world.exchange(&world.token("billing"), "orders-read").await.issued();
    assert_eq!(first["aws"]["AccessKeyId"], second["aws"]["AccessKeyId"]);
    assert_eq!(second["expires_in"], 400);
    world.clock.advance(Duration::from_secs(200));
    let third = world.exchange(&world.token("billing"), "orders-read").await.issued();
    assert_ne!(
        first["aws"]["AccessKeyId"], third["aws"]["AccessKeyId"],
        "more than half of its life is gone"
    );
    assert_eq!(third["expires_in"], 600);
}
