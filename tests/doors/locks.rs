//! Freezing over HTTP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::ask;
use crate::world::World;

fn lock(target: Value) -> Value {
    json!({ "target": target, "reason": "INC-42 is suspicious" })
}

#[tokio::test]
async fn a_target_is_exactly_one_thing_and_the_reason_is_given() {
    let world = World::start().await;
    let lea = world.staff("lea", "leads");
    for body in [
        json!({ "target": { "all": true } }),
        json!({ "reason": "no target" }),
        lock(json!({})),
        lock(json!("all")),
        lock(json!([null, null, null, null, true])),
        lock(json!({ "all": false })),
        lock(json!({ "all": true, "grant": "prod-ledger" })),
        lock(json!({ "role": "x" })),
        lock(json!({ "principal": "ann" })),
        json!({ "target": { "all": true }, "reason": "x", "ttl": 60 }),
        json!({ "target": { "all": true }, "reason": "x", "until": "2036-01-01T00:00:00Z" }),
    ] {
        world.api(&lea, "POST", "/v1/locks", body.clone()).await.problem(400, "invalid_body");
    }
    assert!(world.entries_of("lock.set").await.is_empty());
}

#[tokio::test]
async fn who_may_not_lock_sees_no_locks_sets_none_and_lifts_none() {
    let world = World::start().await;
    let lea = world.staff("lea", "leads");
    let set = world.api(&lea, "POST", "/v1/locks", lock(json!({ "grant": "prod-ledger" }))).await;
    assert_eq!(set.status, 201, "{}", set.body);
    let id = set.body["id"].as_str().unwrap().to_owned();
    for token in [world.engineer("ann"), world.staff("vic", "viewers")] {
        world
            .api(&token, "POST", "/v1/locks", lock(json!({ "all": true })))
            .await
            .problem(403, "policy_denied");
        assert_eq!(world.api(&token, "GET", "/v1/locks", Value::Null).await.done()["locks"], json!([]));
        let mine = world.api(&token, "DELETE", &format!("/v1/locks/{id}"), Value::Null).await;
        mine.problem(404, "not_found");
        let none = "/v1/locks/lck-01a204b4-7a5e-7994-8652-29cf5b8dd4ce";
        let unknown = world.api(&token, "DELETE", none, Value::Null).await;
        assert_eq!(unknown.problem(404, "not_found"), mine.problem(404, "not_found"));
        world.api(&token, "DELETE", "/v1/locks/x", Value::Null).await.problem(404, "not_found");
    }
    assert_eq!(world.entries_of("lock.set").await.len(), 1);
}

#[tokio::test]
async fn the_same_freeze_twice_is_one_and_another_under_its_key_is_refused() {
    let world = World::start().await;
    let (lea, key) = (world.staff("lea", "leads"), [("idempotency-key", "9a1b")]);
    let set =
        async |token: &str, target| world.api_with(token, "POST", "/v1/locks", lock(target), &key).await;
    let (first, again) = tokio::join!(
        set(&lea, json!({ "grant": "prod-ledger" })),
        set(&lea, json!({ "grant": "prod-ledger" }))
    );
    assert_eq!((first.status, again.status), (201, 201), "{} {}", first.body, again.body);
    assert_eq!(first.body, again.body);
    assert_eq!(first.headers["location"], again.headers["location"]);
    set(&lea, json!({ "all": true })).await.problem(422, "idempotency_key_reused");
    let lou = set(&world.staff("lou", "leads"), json!({ "grant": "prod-ledger" })).await;
    assert_ne!(lou.body["id"], first.body["id"], "a key belongs to one person");
    assert_eq!(world.entries_of("lock.set").await.len(), 2);
    let path = format!("/v1/locks/{}", first.body["id"].as_str().unwrap());
    world.api(&lea, "DELETE", &path, Value::Null).await.done();
    set(&lea, json!({ "grant": "prod-ledger" })).await.problem(409, "lock_is_over");
    let locks = world.api(&lea, "GET", "/v1/locks", Value::Null).await.done();
    assert_eq!(locks["locks"].as_array().map(Vec::len), Some(1), "a late repeat freezes nothing again");
    let twice = [("idempotency-key", "1"), ("idempotency-key", "2")];
    let refused = world.api_with(&lea, "POST", "/v1/locks", lock(json!({ "all": true })), &twice).await;
    refused.problem(400, "idempotency_key");
}

#[tokio::test]
async fn a_lock_stops_minting_requesting_and_approving_at_once_and_lifting_it_lets_them_go_on() {
    let world = World::start().await;
    let (ann, lea) = (world.engineer("ann"), world.staff("lea", "leads"));
    let waiting = world.requested("prod-ledger").await;
    let id = world.opened("prod-ledger").await;
    for target in [
        json!({ "principal": "people|ann" }),
        json!({ "issuer": "people" }),
        json!({ "grant": "prod-ledger" }),
        json!({ "elevation": id }),
        json!({ "all": true }),
    ] {
        let named = format!("elevation {id}");
        let mut form = world.form(&ann, "prod-ledger");
        form.push(("elevation", &id));
        world.post(&form).await.issued();
        let set = world.api(&lea, "POST", "/v1/locks", lock(target.clone())).await;
        assert_eq!(set.status, 201, "{named} {}", set.body);
        assert_eq!(set.body["target"], target);
        assert_eq!(set.headers["location"], format!("/v1/locks/{}", set.body["id"].as_str().unwrap()));
        world.post(&form).await.refused(400, "invalid_target");
        if target.get("elevation").is_none() {
            world.api(&ann, "POST", "/v1/elevations", ask("prod-ledger")).await.problem(403, "locked");
        }
        if target.get("grant").is_some() || target.get("all").is_some() {
            world.act(&lea, &waiting, "approve", json!({})).await.problem(403, "locked");
        }
        let locks = world.api(&lea, "GET", "/v1/locks", Value::Null).await.done();
        assert_eq!(locks["locks"].as_array().map(Vec::len), Some(1));
        let path = format!("/v1/locks/{}", set.body["id"].as_str().unwrap());
        world.api(&lea, "DELETE", &path, Value::Null).await.done();
        world.api(&lea, "DELETE", &path, Value::Null).await.problem(404, "not_found");
    }
    let mut form = world.form(&ann, "prod-ledger");
    form.push(("elevation", &id));
    world.post(&form).await.issued();
}

#[tokio::test]
async fn a_lock_with_a_time_ends_by_itself_and_survives_a_restart_before() {
    let mut world = World::start().await;
    let body = json!({ "target": { "grant": "ledger-api" }, "reason": "INC-42", "ttl": "5m" });
    let set = world.api(&world.staff("lea", "leads"), "POST", "/v1/locks", body).await.done();
    assert!(set["until"].is_string());
    world.restart().await;
    world.exchange(&world.token("billing"), "ledger-api").await.refused(400, "invalid_target");
    world.clock.advance(Duration::from_mins(5));
    world.exchange(&world.token("billing"), "ledger-api").await.issued();
}
