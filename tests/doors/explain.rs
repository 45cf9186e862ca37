//! Asking why, over HTTP: who may, what they are told, and what everybody else learns, which is nothing.

use serde_json::{Value, json};

use crate::world::World;

const MAY_EXPLAIN: &str = r#"
@id("explain")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/audit", action == Tidegate::Action::"explain", resource)
unless { resource == Tidegate::Grant::"orders-read" };
"#;

fn workload(namespace: &str) -> Value {
    json!({
        "kind": "workload", "issuer": "cluster", "subject": format!("system:serviceaccount:{namespace}:app"),
        "kubernetes": { "namespace": namespace, "service_account": "app" },
    })
}

async fn explainable() -> World {
    let world = World::start().await;
    world.write("policies/customer/explain.cedar", MAY_EXPLAIN);
    world.reload().await;
    world
}

/// Of any grant, one that is not there included, and of one that somebody else may be told about.
#[tokio::test]
async fn who_may_not_ask_cannot_tell_a_grant_from_none_and_leaves_an_entry() {
    let world = explainable().await;
    let (lea, aud) = (world.staff("lea", "leads"), world.staff("aud", "audit"));
    let body = |grant: &str| json!({ "grant": grant, "principal": workload("billing") });
    let mut told = Vec::new();
    for (token, grant) in
        [(&lea, "ledger-api"), (&lea, "no-such-grant"), (&aud, "orders-read"), (&aud, "no-such-grant")]
    {
        told.push(world.api(token, "POST", "/v1/explain", body(grant)).await.problem(404, "not_found"));
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    let refused = world.entries_of("elevation.refused").await;
    let shown: Vec<_> = refused
        .iter()
        .map(|entry| {
            (
                entry["attempted"].as_str().unwrap(),
                entry["grant"].as_str().unwrap(),
                entry["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("explain", "ledger-api", "policy"),
            ("explain", "no-such-grant", "unknown_grant"),
            ("explain", "orders-read", "policy"),
            ("explain", "no-such-grant", "unknown_grant"),
        ]
    );
}

#[tokio::test]
async fn what_makes_no_question_is_refused_in_words() {
    let world = explainable().await;
    let aud = world.staff("aud", "audit");
    let good = json!({ "grant": "ledger-api", "principal": workload("billing") });
    for (changes, code, words) in [
        (json!({ "grants": "x" }), "invalid_body", "unknown field"),
        (json!({ "principal": null }), "question", "either `principal` or `token`"),
        (json!({ "token": "a.b.c" }), "question", "either `principal` or `token`"),
        (json!({ "action": "fly" }), "question", "`fly` is no action"),
        (json!({ "action": "approve" }), "question", "`elevation.requester` is missing"),
        (json!({ "action": "lock", "ttl": "5m" }), "question", "`ttl` does not belong to action `lock`"),
        (json!({ "duration": "5m" }), "question", "`duration` does not belong to action `issue`"),
        (json!({ "elevation": 7 }), "invalid_body", "an elevation's id, or an object"),
        (json!({ "elevation": { "requestor": "ann" } }), "invalid_body", "unknown field `requestor`"),
        (json!({ "elevation": "elv-1" }), "invalid_body", "an elevation's id"),
        (json!({ "ttl": 300 }), "invalid_body", "invalid type"),
        (json!({ "approvals": { "count": 2 } }), "question", "is not for break-glass"),
        (
            json!({ "principal": { "kind": "workload", "issuer": "cluster" } }),
            "invalid_body",
            "missing field",
        ),
        (json!({ "principal": null, "token": "a.b.c" }), "subject_token", "the token was not accepted"),
    ] {
        let mut body = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let told = world.api(&aud, "POST", "/v1/explain", body).await.problem(400, code);
        assert!(told.contains(words), "{changes}: {told}");
    }
}

#[tokio::test]
async fn a_refusal_is_explained_with_the_nearest_miss() {
    let world = explainable().await;
    let aud = world.staff("aud", "audit");
    let body = json!({ "grant": "short-lived", "principal": workload("shop"), "ttl": "10m" });
    let answer = world.api(&aud, "POST", "/v1/explain", body).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let told = answer.done();
    assert_eq!(
        (&told["decision"], &told["reason"]),
        (&json!("deny"), &json!("no customer policy permits it"))
    );
    let part = &told["authors"][0]["missed"][0]["parts"][0];
    assert_eq!(part["source"], "context.ttl <= duration(\"2m\")");
    assert_eq!(part["found"], json!([{ "place": "context.ttl", "value": "10m" }]));
    assert_eq!(told["nearest"]["changes"][0]["say"], "ttl at most 2m");
    assert_eq!(told["nearest"]["verified"], true);
}

/// What another grant's policies say is not told with this one.
#[tokio::test]
async fn nothing_is_told_of_policies_about_other_grants() {
    let world = explainable().await;
    let aud = world.staff("aud", "audit");
    let person = json!({ "kind": "person", "issuer": "staff", "subject": "x" });
    let asked = json!({ "grant": "ledger-api", "action": "issue", "principal": person });
    let text = world.api(&aud, "POST", "/v1/explain", asked).await.done().to_string();
    assert!(text.contains("main.cedar#billing-jwt"), "{text}");
    for other in ["billing-aws", "everyone-break-glass", "prod-admin", "#short"] {
        assert!(!text.contains(other), "{other}: {text}");
    }
}

#[tokio::test]
async fn a_token_is_read_and_not_spent_and_is_nowhere_in_the_answer() {
    let world = explainable().await;
    let aud = world.staff("aud", "audit");
    let token = world.token("shop");
    let ask = || json!({ "grant": "ledger-api", "token": token.clone() });
    let before = world.entries().await.len();
    for _ in 0..2 {
        let told = world.api(&aud, "POST", "/v1/explain", ask()).await.done();
        assert_eq!(told["decision"], "deny");
        assert_eq!(told["principal"], "cluster|system:serviceaccount:shop:app");
        let text = told.to_string();
        assert!(token.split('.').all(|part| !text.contains(part)), "{text}");
    }
    assert_eq!(world.entries().await.len(), before, "an answer leaves nothing");
    let both = json!({ "grant": "ledger-api", "token": token, "auth": { "amr": ["mfa"] } });
    world.api(&aud, "POST", "/v1/explain", both).await.problem(400, "question");
    // It still buys what it bought before.
    let mine = world.token("billing");
    let told =
        world.api(&aud, "POST", "/v1/explain", json!({ "grant": "ledger-api", "token": mine })).await.done();
    assert_eq!(told["decision"], "permit", "{told}");
    let bought = world.exchange(&mine, "ledger-api").await;
    assert_eq!(bought.status, 200, "{}", bought.body);
}

#[tokio::test]
async fn break_glass_is_explained_with_its_rules_and_the_approvals_that_it_needs() {
    let world = explainable().await;
    let aud = world.staff("aud", "audit");
    let ann = json!({ "kind": "person", "issuer": "people", "subject": "ann", "groups": ["sre"] });
    let alone = json!({ "grant": "prod-ledger", "principal": ann });
    let told = world.api(&aud, "POST", "/v1/explain", alone).await.done();
    assert!(told["rules"][0].as_str().unwrap().contains("without an active elevation"), "{told}");
    assert_eq!(told["nearest"]["changes"][0]["say"], "have an active elevation with 2 approvals");
    assert_eq!(told["approvals_needed"], json!({ "at_least": 2 }));
    let open = json!({ "grant": "prod-ledger", "principal": ann, "approvals": { "count": 2 } });
    assert_eq!(world.api(&aud, "POST", "/v1/explain", open).await.done()["decision"], "permit");
    let own = json!({ "grant": "prod-ledger", "action": "approve", "principal": ann, "elevation": { "requester": ann } });
    let told = world.api(&aud, "POST", "/v1/explain", own).await.done();
    assert_eq!(told["rules"].as_array().map(Vec::len), Some(2), "{told}");
}
