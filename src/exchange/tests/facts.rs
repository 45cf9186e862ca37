//! What the log says that decisions were made on. With it every one of them can be made again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, code};
use crate::breakglass::service::{Approve, BreakGlassError, NewRequest};
use crate::ids::GrantName;
use crate::locks::LockTarget;
use crate::locks::service::NewLock;
use crate::policy::Facts;

const HOUR: Duration = Duration::from_hours(1);

/// The types of the entries that rest on policy, each of which was decided again with the same outcome by the same policies.
async fn decided_again(world: &World) -> BTreeSet<String> {
    let sets = world.policy.sets();
    let rests_on_policy = |entry: &Value| entry.get("policy").is_some();
    let mut types = BTreeSet::new();
    for entry in world.entries().await.into_iter().filter(rests_on_policy) {
        assert_eq!(entry["policy"]["digest"], sets.digest().to_string(), "{entry}");
        let kind = entry["type"].as_str().unwrap().to_owned();
        let questions = match &entry["facts"] {
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        let mut names = BTreeSet::new();
        let mut answer = |question: Value| {
            let facts: Facts =
                serde_json::from_value(question).unwrap_or_else(|why| panic!("{why}: {entry}"));
            let (yes, by) = match sets.decide(&facts) {
                Ok(decided) => (true, decided.decided_by().to_vec()),
                Err(denial) => (false, denial.decided_by),
            };
            names.extend(by.iter().map(ToString::to_string));
            yes
        };
        let allowed = questions.into_iter().all(&mut answer);
        assert_eq!(allowed, !kind.ends_with(".refused"), "{entry}");
        assert_eq!(json!(names), entry["policy"]["decided_by"], "{entry}");
        types.insert(kind);
    }
    types
}

fn repair(duration: Duration) -> NewRequest {
    NewRequest {
        grant: GrantName::new("repair").unwrap(),
        duration,
        reason: "the ledger stands still".to_owned(),
        ticket: Some("OPS-1".to_owned()),
        not_before: None,
        scope: None,
    }
}

#[tokio::test]
async fn every_entry_that_rests_on_policy_can_be_decided_again() {
    let world = World::start().await;
    world.new_policies(
        r#"permit(principal, action in [Tidegate::Action::"request", Tidegate::Action::"activate"], resource)
        unless { principal.subject == "eve" };
        @id("issue") permit(principal, action == Tidegate::Action::"issue", resource)
        when { context.now >= context.auth.issued_at && context.ttl <= duration("2m") };
        @id("eve") forbid(principal, action, resource) when { principal.subject == "eve" };
        @id("leads") permit(principal in Tidegate::Group::"staff/leads", action in [Tidegate::Action::"approve",
        Tidegate::Action::"view", Tidegate::Action::"revoke", Tidegate::Action::"lock"], resource);"#,
    );
    let (vera, lead, eve) =
        (world.caller("vendor", "ann"), world.caller("staff", "lead"), world.caller("vendor", "eve"));
    let open = world.elevation(HOUR, None).await;
    world.ann(|_| {}).await.unwrap();
    assert_eq!(code(world.exchange.exchange(&world.asks("eve", "ledger")).await), "policy_denied");
    world.exchange.exchange(&world.workload_asks("cluster", "app", "ledger")).await.unwrap();
    world.break_glass.request(&eve, repair(HOUR), None).await.unwrap_err();
    world.revoke(open.id).await;
    let again = world.break_glass.request(&vera, repair(HOUR), None).await.unwrap().elevation;
    let stranger = world.caller("staff", "eve");
    let refused = world.break_glass.approve(&stranger, again.id, Approve::default(), None);
    assert!(matches!(refused.await, Err(BreakGlassError::Forbidden { .. } | BreakGlassError::NotFound)));
    world.break_glass.deny(&lead, again.id, "not now".to_owned(), None).await.unwrap();
    for target in [LockTarget::All, LockTarget::Grant(GrantName::new("ledger").unwrap())] {
        let new = || NewLock { target: target.clone(), reason: "look first".to_owned(), ttl: None };
        world.locks.set(&eve, new(), None).await.unwrap_err();
        let set = world.locks.set(&lead, new(), None).await.unwrap();
        world.locks.lift(&lead, set.lock.id).await.unwrap();
    }
    let expected = [
        "credential.issued",
        "credential.refused",
        "elevation.requested",
        "elevation.approved",
        "elevation.activated",
        "elevation.revoked",
        "elevation.denied",
        "elevation.refused",
        "lock.set",
        "lock.lifted",
    ];
    assert_eq!(decided_again(&world).await, expected.map(str::to_owned).into());
}

/// A policy that caps lifetimes is asked again with shorter ones; the refusal is about the first question.
#[tokio::test]
async fn a_refusals_facts_are_of_the_question_whose_answer_is_written() {
    let world = World::start().await;
    world.new_policies(
        r#"permit(principal, action, resource);
        @id("never") forbid(principal, action == Tidegate::Action::"issue", resource)
        when { context.ttl > duration("0s") };"#,
    );
    assert_eq!(code(world.exchange.exchange(&world.asks("ann", "ledger")).await), "policy_denied");
    let facts = &world.last_entry().await["facts"];
    assert_eq!((&facts["asked"]["action"], &facts["asked"]["ttl"]), (&json!("issue"), &json!("5m")));
    decided_again(&world).await;
}

#[tokio::test]
async fn values_of_a_token_that_may_be_worth_something_are_not_in_the_log() {
    let world = World::start().await;
    let planted = [
        "jti",
        "nonce",
        "at_hash",
        "c_hash",
        "s_hash",
        "sid",
        "session_state",
        "session_id",
        "uti",
        "aio",
        "rh",
        "origin_jti",
        "event_id",
        "txn",
    ];
    let change = |claims: &mut Value| {
        for name in planted {
            claims[name] = json!(format!("worth-something-{name}"));
        }
        claims["department"] = json!("platform");
    };
    world.exchange.exchange(&world.asks_with("ann", "ledger", change)).await.unwrap();
    let refused = world.exchange.exchange(&world.asks_with("eve", "ledger", change)).await;
    assert_eq!(code(refused), "policy_denied");
    let entries = world.entries().await;
    let whole = serde_json::to_string(&entries).unwrap();
    assert!(!whole.contains("worth-something"), "{whole}");
    let tags = |entry: &Value| entry["facts"]["principal"]["tags"].clone();
    let both: Vec<_> = entries.iter().rev().take(2).map(tags).collect();
    assert_eq!(both, [json!({"department": ["platform"]}), json!({"department": ["platform"]})]);
}

/// No token that is taken is too large for its facts.
#[tokio::test]
async fn the_facts_of_a_caller_in_very_many_groups_are_kept() {
    let world = World::start().await;
    let groups: Vec<String> = (0..380).map(|number| format!("a-group-of-a-company-{number}")).collect();
    let many = |claims: &mut Value| claims["groups"] = json!(groups);
    world.exchange.exchange(&world.asks_with("ann", "ledger", many)).await.unwrap();
    let entry = world.last_entry().await;
    assert_eq!(entry["type"], "credential.issued");
    assert_eq!(entry["facts"]["principal"]["groups"].as_array().unwrap().len(), groups.len());
}
