//! What is wrong with a request of the API before anybody decides about it. Nothing is changed, nothing is written.

use serde_json::{Value, json};

use crate::api::ask;
use crate::world::{Answer, World};

/// Sends the bytes as they are.
async fn raw(world: &World, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = world.http.post(world.url(path)).bearer_auth(world.engineer("ann"));
    Answer::of(request.header("content-type", kind).body(body).send().await.unwrap()).await
}

fn with(changes: Value) -> String {
    crate::tokens::with(ask("prod-ledger"), &changes).to_string()
}

#[tokio::test]
async fn a_body_that_is_not_exactly_what_the_door_takes_is_refused_in_words() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let long = "x".repeat(5_000);
    let cases = [
        ("no body", String::new()),
        ("no JSON", "grant=prod-ledger".to_owned()),
        ("an array", "[\"prod-ledger\", \"30m\", \"restore orders\", null, null, null]".to_owned()),
        ("a string", "\"prod-ledger\"".to_owned()),
        ("two values", format!("{} {{}}", ask("prod-ledger"))),
        ("an unknown member", with(json!({ "durations": "30m" }))),
        ("a long unknown member", with(json!({ long.clone(): 1 }))),
        ("a member twice", "{\"grant\": \"prod-ledger\", \"grant\": \"prod-admin\"}".to_owned()),
        ("no grant", with(json!({ "grant": null }))),
        ("a grant that is no name", with(json!({ "grant": "Prod Ledger" }))),
        ("no duration", with(json!({ "duration": null }))),
        ("a bare number", with(json!({ "duration": "30" }))),
        ("a number", with(json!({ "duration": 1800 }))),
        ("a local time", with(json!({ "not_before": "2026-11-22T14:00:00" }))),
        ("an empty scope", with(json!({ "scope": "" }))),
        ("a scope with a quote", with(json!({ "scope": "a\"b" }))),
        ("a list for a text", with(json!({ "reason": ["restore orders"] }))),
        ("half a character", "{\"grant\": \"prod-ledger\", \"reason\": \"\\ud83d\"}".to_owned()),
    ];
    let mut answers = String::new();
    for (name, body) in cases {
        let told = raw(&world, "/v1/elevations", "application/json", body).await.problem(400, "invalid_body");
        assert!(told.len() <= 400, "{name}: {told}");
        answers.push_str(&format!("{name}: {}\n", told.replace(&long, "…").replace(&"x".repeat(200), "…")));
    }
    insta::assert_snapshot!("bodies", answers);
    assert_eq!(world.entries().await.len(), before);
}

#[tokio::test]
async fn another_content_type_and_ten_mebibytes_are_refused() {
    let world = World::start().await;
    let good = ask("prod-ledger").to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        raw(&world, "/v1/elevations", kind, good.clone()).await.problem(415, "content_type");
    }
    let huge = vec![b' '; 10 * 1024 * 1024];
    let request = world.http.post(world.url("/v1/elevations")).bearer_auth(world.engineer("ann"));
    // The broker stops reading: the client may meet the closed connection before the answer.
    if let Ok(answer) = request.header("content-type", "application/json").body(huge).send().await {
        Answer::of(answer).await.problem(413, "too_large");
    }
    let over = format!("{}{}", " ".repeat(64 * 1024), good);
    raw(&world, "/v1/elevations", "application/json", over).await.problem(413, "too_large");
    assert!(world.entries_of("elevation.requested").await.is_empty());
}

#[tokio::test]
async fn markup_and_control_characters_are_kept_as_text() {
    let world = World::start().await;
    let reason = "</script><script>alert('\u{202e}')</script> \u{1b}[31m \u{0}\r\n`$(id)` 🦀";
    let body = crate::tokens::with(ask("prod-ledger"), &json!({ "reason": reason, "ticket": "<INC>\"42\"" }));
    let asked = world.api(&world.engineer("ann"), "POST", "/v1/elevations", body).await.done();
    assert_eq!((&asked["reason"], &asked["ticket"]), (&json!(reason), &json!("<INC>\"42\"")));
    let path = format!("/v1/elevations/{}", asked["id"].as_str().unwrap());
    let request = world.http.get(world.url(&path)).bearer_auth(world.engineer("ann"));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let text = response.text().await.unwrap();
    assert!(!text.contains(|c: char| c.is_ascii_control()), "JSON escapes control characters");
    let entry = world.entries_of("elevation.requested").await.pop().unwrap();
    assert_eq!(entry["elevation"]["reason"], reason);
}

#[tokio::test]
async fn a_query_has_each_parameter_once_and_no_other() {
    let world = World::start().await;
    let ann = world.engineer("ann");
    for bad in [
        "states=active",
        "state=open",
        "state=active,",
        "state=active&state=denied",
        "grant=A%20B",
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=%ff",
    ] {
        let path = format!("/v1/elevations?{bad}");
        world.api(&ann, "GET", &path, Value::Null).await.problem(400, "invalid_request");
    }
    for bad in ["x", "ZWx2LTE", "%00"] {
        let path = format!("/v1/elevations?cursor={bad}");
        world.api(&ann, "GET", &path, Value::Null).await.problem(400, "invalid_cursor");
    }
    for path in ["/v1/whoami?x=1", "/v1/grants?x=1", "/v1/locks?x=1", "/v1/events?from=0"] {
        world.api(&ann, "GET", path, Value::Null).await.problem(400, "invalid_request");
    }
    world
        .api(&ann, "POST", "/v1/elevations?dry_run=true", ask("prod-ledger"))
        .await
        .problem(400, "invalid_request");
}

#[tokio::test]
async fn a_key_for_repeating_is_visible_ascii_and_given_once() {
    let world = World::start().await;
    let ann = world.engineer("ann");
    let long = "k".repeat(256);
    for bad in ["", "a b", "\u{e4}", &long] {
        let headers = [("idempotency-key", bad)];
        let answer = world.api_with(&ann, "POST", "/v1/elevations", ask("prod-ledger"), &headers).await;
        answer.problem(400, "idempotency_key");
    }
    let headers = [("idempotency-key", "a"), ("idempotency-key", "a")];
    let answer = world.api_with(&ann, "POST", "/v1/elevations", ask("prod-ledger"), &headers).await;
    answer.problem(400, "idempotency_key");
    assert!(world.entries_of("elevation.requested").await.is_empty());
}
