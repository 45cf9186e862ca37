//! The life of an elevation over HTTP: refusals first, then the whole story.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::ask;
use crate::tokens::with;
use crate::world::World;

const UNKNOWN: &str = "elv-01a204b4-7a5e-7994-8652-29cf5b8dd4ce";

fn without_request_id(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test]
async fn a_stranger_cannot_tell_an_elevation_from_one_that_never_was() {
    let world = World::start().await;
    let id = world.requested("prod-ledger").await;
    let stranger = world.sign_in(&world.staff, "staff", "zoe", &["nobody"]);
    let refusals = async || world.entries_of("elevation.refused").await.len();
    for what in ["approve", "deny", "withdraw", "end", "revoke"] {
        let body =
            if ["deny", "revoke"].contains(&what) { json!({ "reason": "because I can" }) } else { json!({}) };
        let mut answers = Vec::new();
        for id in [id.as_str(), UNKNOWN] {
            let before = refusals().await;
            answers.push(world.act(&stranger, id, what, body.clone()).await);
            assert_eq!(
                refusals().await,
                before + 1,
                "{what} {id}: the log must not tell the two apart either"
            );
        }
        answers.extend([
            world.act(&stranger, "elv-1", what, body.clone()).await,
            world.act(&stranger, "..%2f..%00", what, body).await,
        ]);
        for answer in &answers {
            answer.problem(404, "not_found");
        }
        let names = |answer: &crate::world::Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
        assert!(answers.iter().all(|answer| names(answer) == names(&answers[0])), "{what}");
        let mut bodies = answers.into_iter().map(|answer| without_request_id(answer.body));
        let first = bodies.next().unwrap();
        assert!(bodies.all(|body| body == first), "{what}");
    }
    let mut shown = Vec::new();
    for id in [id.as_str(), UNKNOWN, "elv-1", "%ff"] {
        let answer = world.api(&stranger, "GET", &format!("/v1/elevations/{id}"), Value::Null).await;
        answer.problem(404, "not_found");
        shown.push(without_request_id(answer.body));
    }
    assert!(shown.iter().all(|body| *body == shown[0]));
    let listed = world.api(&stranger, "GET", "/v1/elevations", Value::Null).await.done();
    assert_eq!(listed["elevations"], json!([]));
    assert_eq!(world.shown(&id).await["version"], 1);
}

#[tokio::test]
async fn nobody_lets_themselves_or_their_own_company_in() {
    let world = World::start().await;
    let id = world.requested("prod-ledger").await;
    world
        .act(&world.engineer("ann"), &id, "approve", json!({}))
        .await
        .problem(403, "requester_cannot_decide");
    // Another one of the vendor's, who may not even look.
    world.act(&world.engineer("bea"), &id, "approve", json!({})).await.problem(404, "not_found");
    // A viewer of the customer's: sees it, and is no approver.
    let viewer = world.staff("vic", "viewers");
    world.api(&viewer, "GET", &format!("/v1/elevations/{id}"), Value::Null).await.done();
    world.act(&viewer, &id, "approve", json!({})).await.problem(403, "policy");
    world.act(&viewer, &id, "revoke", json!({ "reason": "no need for it" })).await.problem(403, "policy");
    assert_eq!(world.shown(&id).await["approvals"], json!([]));
    let refused = world.entries_of("elevation.refused").await;
    assert!(refused.iter().any(|entry| entry["attempted"] == "approve" && entry["by"]["subject"] == "ann"));
    world
        .act(&world.staff("lea", "leads"), &id, "withdraw", json!({}))
        .await
        .problem(403, "not_the_requester");
    let lead = world.sign_in(&world.people, "people", "lee", &["sre", "leads"]);
    world.act(&lead, &id, "approve", json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_change_that_comes_too_late_is_told_how_things_stand() {
    let world = World::start().await;
    let id = world.requested("prod-ledger").await;
    let (lea, lou) = (world.staff("lea", "leads"), world.staff("lou", "leads"));
    world.act(&lea, &id, "approve", json!({ "comment": "ok" })).await.done();
    let twice = world.act(&lea, &id, "approve", json!({})).await;
    twice.problem(409, "approved_already");
    assert_eq!(twice.body["current"], world.shown(&id).await);
    let denied = world.act(&lou, &id, "deny", json!({ "reason": "not today, please" })).await.done();
    assert_eq!((&denied["state"], &denied["version"]), (&json!("denied"), &json!(3)));
    for (token, what, body) in [
        (world.staff("liv", "leads"), "approve", json!({})),
        (world.engineer("ann"), "withdraw", json!({})),
        (world.engineer("ann"), "end", json!({})),
        (lou.clone(), "revoke", json!({ "reason": "make sure of it" })),
        (lou.clone(), "deny", json!({ "reason": "make sure of it" })),
    ] {
        let answer = world.act(&token, &id, what, body).await;
        answer.problem(409, "wrong_state");
        assert_eq!(answer.body["current"]["state"], "denied", "{what}");
        assert_eq!(answer.body["current"]["id"], id.as_str());
    }
}

#[tokio::test]
async fn a_request_that_waited_too_long_has_lapsed_for_everybody_at_that_moment() {
    let world = World::start().await;
    let id = world.requested("prod-ledger").await;
    let ends: tidegate::clock::Moment =
        world.shown(&id).await["request_expires_at"].as_str().unwrap().parse().unwrap();
    world.clock.advance(ends.since(tidegate::clock::Moment::from_unix_seconds(world.seconds())));
    assert_eq!(world.shown(&id).await["state"], "lapsed");
    let late = world.act(&world.staff("lea", "leads"), &id, "approve", json!({})).await;
    assert_eq!((late.status, &late.body["current"]["state"]), (409, &json!("lapsed")), "{}", late.body);
}

#[tokio::test]
async fn an_approver_narrows_and_the_narrowest_stands() {
    let world = World::start().await;
    let id = world.requested("prod-ledger").await;
    let (lea, lou) = (world.staff("lea", "leads"), world.staff("lou", "leads"));
    for wider in [json!({ "duration": "31m" }), json!({ "scope": "ledger.read ledger.other" })] {
        world.act(&lea, &id, "approve", wider).await.problem(400, "approval_widens");
    }
    let narrowed = json!({ "duration": "10m", "scope": "ledger.read", "comment": "reading will do" });
    let first = world.act(&lea, &id, "approve", narrowed).await.done();
    assert_eq!((&first["state"], &first["approvals_needed"]), (&json!("requested"), &json!(2)));
    let opened = world.act(&lou, &id, "approve", json!({})).await.done();
    assert_eq!(opened["state"], "active");
    assert_eq!((&opened["requested_duration"], &opened["duration"]), (&json!("30m"), &json!("10m")));
    assert_eq!(opened["scope"], "ledger.read");
    let approval = &opened["approvals"][0];
    assert_eq!((&approval["issuer"], &approval["subject"]), (&json!("staff"), &json!("lea")));
    assert_eq!((&approval["comment"], &approval["duration"]), (&json!("reading will do"), &json!("10m")));
    assert_eq!(approval["name"], "lea of staff");
    let (starts, ends) = (opened["starts_at"].as_str().unwrap(), opened["ends_at"].as_str().unwrap());
    let moment = |text: &str| text.parse::<tidegate::clock::Moment>().unwrap();
    assert_eq!(moment(ends).since(moment(starts)), Duration::from_mins(10));
    assert!(starts.ends_with('Z') && ends.ends_with('Z'));
}

#[tokio::test]
async fn the_same_request_twice_is_one_and_another_under_its_key_is_refused() {
    let world = World::start().await;
    let (ann, key) = (world.engineer("ann"), [("idempotency-key", "7f3c")]);
    let request = async |body| world.api_with(&ann, "POST", "/v1/elevations", body, &key).await;
    let first = request(ask("prod-ledger")).await;
    let again = request(ask("prod-ledger")).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body["id"], again.body["id"]);
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(world.entries_of("elevation.requested").await.len(), 1);
    request(ask("prod-admin")).await.problem(422, "idempotency_key_reused");
    let bea = world.engineer("bea");
    let other = world.api_with(&bea, "POST", "/v1/elevations", ask("prod-ledger"), &key).await.done();
    assert_ne!(other["id"], first.body["id"], "a key belongs to one person");

    let id = first.body["id"].as_str().unwrap();
    let lea = world.staff("lea", "leads");
    let path = format!("/v1/elevations/{id}/approve");
    for _ in 0..2 {
        let approved = world.api_with(&lea, "POST", &path, json!({ "comment": "fine" }), &key).await.done();
        assert_eq!(approved["approvals"].as_array().map(Vec::len), Some(1));
    }
    let changed = world.api_with(&lea, "POST", &path, json!({ "comment": "not so fine" }), &key).await;
    changed.problem(422, "idempotency_key_reused");
    assert_eq!(world.entries_of("elevation.approved").await.len(), 1);
}

#[tokio::test]
async fn pages_have_every_elevation_once_newest_first() {
    let world = World::start().await;
    let mut made = Vec::new();
    for grant in ["prod-ledger", "prod-admin", "prod-ledger", "prod-admin", "prod-ledger"] {
        made.push(world.requested(grant).await);
        world.clock.advance(Duration::from_secs(1));
    }
    let ann = world.engineer("ann");
    let get = async |query: &str| {
        world.api(&ann, "GET", &format!("/v1/elevations{query}"), Value::Null).await.done()
    };
    let ids = |page: &Value| -> Vec<String> {
        let list = page["elevations"].as_array().unwrap().iter();
        list.map(|elevation| elevation["id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = get(&query).await;
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    let newest_first: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(seen, newest_first);
    world.act(&ann, &made[0], "withdraw", Value::Null).await.done();
    assert_eq!(ids(&get("?state=withdrawn,active").await), [made[0].clone()]);
    assert_eq!(ids(&get("?grant=prod-admin&limit=100").await), [made[3].clone(), made[1].clone()]);
    assert_eq!(ids(&get("?grant=no-such-grant").await), [""; 0]);
    let bea = world.api(&world.engineer("bea"), "GET", "/v1/elevations", Value::Null).await.done();
    assert_eq!(bea["elevations"], json!([]), "others see nothing of it");
}

#[tokio::test]
async fn the_whole_story() {
    let world = World::start().await;
    let ann = world.engineer("ann");
    let body = with(ask("prod-ledger"), &json!({ "ticket": "INC-42", "scope": "ledger.read" }));
    let asked = world.api(&ann, "POST", "/v1/elevations", body).await;
    let id = asked.body["id"].as_str().unwrap().to_owned();
    assert_eq!(asked.headers["location"], format!("/v1/elevations/{id}"));
    let requested = asked.done();
    insta::assert_json_snapshot!("elevation_requested", with(requested, &json!({ "id": "elv-…" })));
    world.exchange(&ann, "prod-ledger").await.refused(400, "invalid_target");
    let first = world.act(&world.staff("lea", "leads"), &id, "approve", json!({})).await.done();
    assert_eq!(first["state"], "requested");
    world.exchange(&ann, "prod-ledger").await.refused(400, "invalid_target");
    let opened =
        world.act(&world.staff("lou", "leads"), &id, "approve", json!({ "duration": "2m" })).await.done();
    assert_eq!(opened["state"], "active");
    let issued = world.exchange(&ann, "prod-ledger").await.issued();
    assert_eq!(issued["expires_in"], 120, "the credential ends with the window");
    assert_eq!(issued["scope"], "ledger.read");
    world.exchange(&world.engineer("bea"), "prod-ledger").await.refused(400, "invalid_target");

    world.clock.advance(Duration::from_secs(119));
    assert_eq!(world.exchange(&world.engineer("ann"), "prod-ledger").await.issued()["expires_in"], 1);
    world.clock.advance(Duration::from_secs(1));
    world.exchange(&world.engineer("ann"), "prod-ledger").await.refused(400, "invalid_target");
    assert_eq!(world.shown(&id).await["state"], "expired", "whether or not that is written down yet");
    world.act(&world.engineer("ann"), &id, "end", Value::Null).await.problem(409, "too_late");
    let by_id =
        |entries: Vec<Value>| entries.iter().filter(|entry| entry["elevation"]["id"] == id.as_str()).count();
    assert_eq!(by_id(world.entries_of("credential.issued").await), 2);
    assert_eq!(by_id(world.entries_of("elevation.activated").await), 1);
}

#[tokio::test]
async fn aws_credentials_are_made_under_an_elevation_and_end_with_it() {
    let world = World::start().await;
    let ann = world.engineer("ann");
    let id = world.opened("prod-admin").await;
    let ends = world.shown(&id).await["ends_at"].clone();
    let issued = world.exchange(&ann, "prod-admin").await.issued();
    assert_eq!(issued["issued_token_type"], "urn:tidegate:params:oauth:token-type:aws-credentials");
    let call = world.sts.calls().pop().unwrap();
    assert_eq!(call["SourceIdentity"], id);
    let expiration: tidegate::clock::Moment = issued["aws"]["Expiration"].as_str().unwrap().parse().unwrap();
    assert!(expiration <= ends.as_str().unwrap().parse().unwrap(), "{expiration} is not after {ends}");
    assert!(call["Policy"].contains("aws:CurrentTime"));
    world
        .act(&world.staff("lea", "leads"), &id, "revoke", json!({ "reason": "enough of that" }))
        .await
        .done();
    world.exchange(&ann, "prod-admin").await.refused(400, "invalid_target");
}

#[tokio::test]
async fn what_was_given_back_withdrawn_or_revoked_issues_nothing_any_more() {
    let world = World::start().await;
    let ann = world.engineer("ann");
    for (token, what, body, state) in [
        (ann.clone(), "end", Value::Null, "ended"),
        (world.staff("lea", "leads"), "revoke", json!({ "reason": "enough of that" }), "revoked"),
    ] {
        let id = world.opened("prod-ledger").await;
        world.exchange(&ann, "prod-ledger").await.issued();
        let over = world.act(&token, &id, what, body).await.done();
        assert_eq!(over["state"], state);
        world.exchange(&ann, "prod-ledger").await.refused(400, "invalid_target");
        assert_eq!(over["history"].as_array().unwrap().last().unwrap()["event"], state);
    }
}
