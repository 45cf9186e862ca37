//! Asking why about an elevation that is there, and what refuses a request beside the policies: locks, and the rules that
//! stand in code. Who may not see an elevation learns nothing of it here either.

use serde_json::{Value, json};

use crate::world::World;

const MAY_EXPLAIN: &str = r#"
@id("explain")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/audit", action == Tidegate::Action::"explain", resource);
@id("explain-blind")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/blind", action == Tidegate::Action::"explain", resource);
"#;

const UNKNOWN: &str = "elv-01a204b4-7a5e-7994-8652-29cf5b8dd4ce";

async fn explainable() -> World {
    let world = World::start().await;
    world.write("policies/customer/explain.cedar", MAY_EXPLAIN);
    world.reload().await;
    world
}

impl World {
    /// What an auditor is told.
    async fn explained(&self, body: Value) -> Value {
        self.api(&self.staff("aud", "audit"), "POST", "/v1/explain", body).await.done()
    }

    async fn locked(&self, target: Value) -> Value {
        let body = json!({ "target": target, "reason": "something leaked; secret words" });
        self.api(&self.staff("lea", "leads"), "POST", "/v1/locks", body).await.done()
    }
}

fn findings(told: &Value) -> Vec<(&str, &str)> {
    let found = told["also_refused_by"].as_array().map(Vec::as_slice).unwrap_or_default();
    found.iter().map(|one| (one["by"].as_str().unwrap(), one["told"].as_str().unwrap())).collect()
}

fn ann() -> Value {
    json!({ "kind": "person", "issuer": "people", "subject": "ann", "groups": ["sre"] })
}

fn lead(name: &str) -> Value {
    json!({ "kind": "person", "issuer": "staff", "subject": name, "groups": ["leads"] })
}

#[tokio::test]
async fn who_may_explain_and_may_not_see_an_elevation_cannot_tell_it_from_none_and_leaves_an_entry() {
    let world = explainable().await;
    let id = world.requested("prod-ledger").await;
    let blind = world.staff("bo", "blind");
    let mut answers = Vec::new();
    for id in [id.as_str(), UNKNOWN] {
        let body = json!({ "grant": "prod-ledger", "elevation": id });
        let answer = world.api(&blind, "POST", "/v1/explain", body).await;
        answers.push(answer.problem(404, "not_found"));
    }
    assert_eq!(answers[0], answers[1]);
    let refused = world.entries_of("elevation.refused").await;
    let shown: Vec<_> =
        refused.iter().map(|entry| (&entry["attempted"], &entry["target"], &entry["reason"])).collect();
    assert_eq!(
        shown,
        [
            (&json!("explain"), &json!(id), &json!("not_visible")),
            (&json!("explain"), &json!(UNKNOWN), &json!("unknown_elevation")),
        ]
    );
    // Whoever may not even explain is not told of the grant.
    let body = json!({ "grant": "prod-ledger", "elevation": id });
    world.api(&world.staff("lea", "leads"), "POST", "/v1/explain", body).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_named_elevation_is_not_described_as_well() {
    let world = explainable().await;
    let id = world.requested("prod-ledger").await;
    let aud = world.staff("aud", "audit");
    for (more, words) in [
        (json!({ "approvals": { "count": 2 } }), "`approvals` are those of the elevation"),
        (json!({ "action": "activate", "duration": "5m" }), "`duration` is that of the elevation"),
        (json!({ "action": "lock" }), "`elevation` does not belong to action `lock`"),
        (
            json!({ "action": "request", "principal": ann() }),
            "`elevation` does not belong to action `request`",
        ),
        (json!({ "grant": "prod-admin" }), "is for grant `prod-ledger`"),
        (json!({ "action": "approve" }), "say who asks"),
    ] {
        let body = crate::tokens::with(json!({ "grant": "prod-ledger", "elevation": id }), &more);
        let told = world.api(&aud, "POST", "/v1/explain", body).await.problem(400, "question");
        assert!(told.contains(words), "{more}: {told}");
    }
}

/// From the request to its end: what is told is what the broker does.
#[tokio::test]
async fn an_elevation_is_explained_as_it_stands() {
    let world = explainable().await;
    let id = world.requested("prod-ledger").await;
    let ask = |more: Value| crate::tokens::with(json!({ "grant": "prod-ledger", "elevation": id }), &more);

    // The requester's credential, before anybody approved.
    let waiting = world.explained(ask(json!({}))).await;
    assert_eq!((&waiting["decision"], &waiting["principal"]), (&json!("deny"), &json!("people|ann")));
    assert_eq!(findings(&waiting), [("elevation", "the elevation is requested")]);
    let lea = ask(json!({ "action": "approve", "principal": lead("lea") }));
    let lea_may = world.explained(lea.clone()).await;
    assert_eq!(lea_may["decision"], "permit", "{lea_may}");
    assert!(findings(&lea_may).is_empty(), "{lea_may}");
    let own = world.explained(ask(json!({ "action": "approve", "principal": ann() }))).await;
    assert!(
        own["rules"].as_array().unwrap().iter().any(|rule| rule.as_str().unwrap().contains("themselves"))
    );

    // One approval is not enough, and one person approves once.
    world.act(&world.staff("lea", "leads"), &id, "approve", json!({})).await.done();
    let again = world.explained(lea).await;
    assert_eq!(findings(&again), [("elevation", "you have approved this request already")]);
    let opens = world.explained(ask(json!({ "action": "activate" }))).await;
    assert_eq!((&opens["decision"], &opens["approvals_needed"]), (&json!("deny"), &json!({ "at_least": 2 })));

    world.act(&world.staff("lou", "leads"), &id, "approve", json!({})).await.done();
    let open = world.explained(ask(json!({}))).await;
    assert_eq!(open["decision"], "permit", "{open}");
    assert!(findings(&open).is_empty(), "{open}");
    let bea = json!({ "kind": "person", "issuer": "people", "subject": "bea", "groups": ["sre"] });
    let others = world.explained(ask(json!({ "principal": bea }))).await;
    assert_eq!(others["decision"], "permit", "policies of this world do not ask whose it is");
    assert!(findings(&others)[0].1.contains("somebody else's"), "{others}");
    let late = world.explained(ask(json!({ "action": "approve", "principal": lead("liv") }))).await;
    assert_eq!(findings(&late), [("elevation", "the elevation is active")]);

    // Whoever approved may do so no longer: the broker asks again at each credential, and so does this.
    world.write("policies/customer/no-lou.cedar", "@id(\"no-lou\") forbid (principal, action == Tidegate::Action::\"approve\", resource) when { principal.subject == \"lou\" };");
    world.reload().await;
    let lost = world.explained(ask(json!({}))).await;
    assert!(findings(&lost).contains(&("elevation", "the approvals do not suffice any more")), "{lost}");
    world.exchange(&world.engineer("ann"), "prod-ledger").await.refused(400, "invalid_target");
}

#[tokio::test]
async fn locks_that_are_in_force_now_are_told_without_their_reasons() {
    let world = explainable().await;
    let id = world.opened("prod-ledger").await;
    let ask = || json!({ "grant": "prod-ledger", "elevation": id });
    assert!(findings(&world.explained(ask()).await).is_empty());
    let mut set = Vec::new();
    let mut locked = async |target: Value| {
        set.push(world.locked(target).await["id"].as_str().unwrap().to_owned());
        set.clone()
    };
    let first = locked(json!({ "principal": "people|ann" })).await;
    let told = world.explained(ask()).await;
    assert_eq!(told["decision"], "permit", "policies still do");
    let found = findings(&told);
    assert_eq!((found.len(), found[0].0), (1, "lock"), "{found:?}");
    assert!(found[0].1.contains(&first[0]), "{found:?}");
    // Under a lock on the grant or on the elevation no approval counts either.
    for target in [json!({ "grant": "prod-ledger" }), json!({ "elevation": id })] {
        locked(target).await;
    }
    let set = locked(json!({ "grant": "prod-admin" })).await;
    let told = world.explained(ask()).await;
    let found = findings(&told);
    let named: Vec<bool> =
        set.iter().map(|lock| found.iter().any(|(_, told)| told.contains(lock.as_str()))).collect();
    assert_eq!(named, [true, true, true, false], "the last is about another grant: {found:?}");
    assert!(!told.to_string().contains("secret words"));
    world.exchange(&world.engineer("ann"), "prod-ledger").await.refused(400, "invalid_target");
    // To take away, nobody is stopped.
    let revoke =
        json!({ "grant": "prod-ledger", "elevation": id, "action": "revoke", "principal": lead("lea") });
    assert!(findings(&world.explained(revoke).await).is_empty());
    // Somebody else's request for the same grant: only the grant's.
    let request = json!({ "grant": "prod-ledger", "action": "request", "principal":
        { "kind": "person", "issuer": "people", "subject": "bea", "groups": ["sre"] } });
    assert_eq!(findings(&world.explained(request).await).len(), 1);
}

#[tokio::test]
async fn rules_that_stand_in_code_are_told_of_what_is_described() {
    let world = explainable().await;
    let long = json!({ "grant": "prod-ledger", "action": "request", "principal": ann(), "duration": "3h" });
    let told = world.explained(long).await;
    assert_eq!(told["decision"], "permit", "policies of this world have no limit");
    assert_eq!(
        findings(&told),
        [("breakglass", "`duration` must be at most 2h: that is the grant's longest")]
    );
    assert_eq!(
        told["not_looked_at"],
        json!(["rate limits", "the reason and the ticket", "how many elevations are open"])
    );
    let one = json!({ "grant": "prod-admin", "principal": ann(), "approvals": { "count": 1 } });
    let told = world.explained(one).await;
    assert_eq!(told["decision"], "permit");
    assert!(findings(&told)[0].1.contains("asked again at each credential"), "{told}");
    let over = json!({ "grant": "prod-admin", "principal": ann(),
        "elevation": { "approvals": 2, "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T01:00:00Z" } });
    assert_eq!(
        findings(&world.explained(over).await),
        [("breakglass", "the elevation is not open at that moment")]
    );
    let program = json!({ "kind": "workload", "issuer": "cluster", "subject": "system:serviceaccount:billing:app",
        "kubernetes": { "namespace": "billing", "service_account": "app" } });
    let told = world
        .explained(json!({ "grant": "prod-admin", "principal": program, "approvals": { "count": 2 } }))
        .await;
    assert_eq!(findings(&told), [("breakglass", "only people have elevations")]);
    let told =
        world.explained(json!({ "grant": "ledger-api", "principal": program, "scopes": ["other"] })).await;
    assert!(findings(&told)[0].1.contains("does not have every scope"), "{told}");
}
