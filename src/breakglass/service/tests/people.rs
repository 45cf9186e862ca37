//! Who may decide, and who never.

use super::world::*;
use crate::breakglass::StateName;
use crate::breakglass::service::BreakGlassError;

#[tokio::test]
async fn the_requester_never_approves_their_own_request_even_where_policy_would_let_them() {
    let world = World::new().await;
    let eve = world.caller("customer|eve");
    let id = world.glass.request(&eve, new(), None).await.unwrap().elevation.id;
    let error = world.approve(&eve, id).await.unwrap_err();
    assert!(
        matches!(&error, BreakGlassError::Forbidden { code: "requester_cannot_decide", .. }),
        "{error:?}"
    );
    assert_eq!(world.last_refusal().await, ("approve".to_owned(), "requester_cannot_decide".to_owned()));
    // A token of yesterday is the same person.
    let old = crate::people::Caller { at: world.now(), ..world.caller("customer|eve") };
    assert!(world.approve(&old, id).await.is_err());
    assert!(matches!(
        world.glass.deny(&eve, id, "no".into(), None).await,
        Err(BreakGlassError::Forbidden { code: "requester_cannot_decide", .. })
    ));
    assert!(world.stored(id).await.approvals.is_empty());
}

#[tokio::test]
async fn an_alias_at_a_barred_issuer_does_not_approve_although_policy_names_its_group() {
    let world = World::new().await;
    let id = world.request().await.id;
    let alias = world.caller("vendor|bob");
    let error = world.approve(&alias, id).await.unwrap_err();
    assert!(matches!(&error, BreakGlassError::Forbidden { code: "issuer_may_not_approve", .. }), "{error:?}");
    let error = world.glass.deny(&alias, id, "no".into(), None).await.unwrap_err();
    assert_eq!(error.code(), "issuer_may_not_approve");
    assert_eq!(world.state(id).await, StateName::Requested);
}

#[tokio::test]
async fn an_issuer_that_was_barred_meanwhile_counts_no_more() {
    let world = World::new().await;
    let id = world.request().await.id;
    world.approve(&world.bob(), id).await.unwrap();
    // The door still lets Cyd through with a stale answer; the configuration of now decides.
    let world = world.restart_with(Start { customer_may_approve: false, ..Start::default() }).await;
    let outcome = world.approve(&world.cyd(), id).await.unwrap();
    assert_eq!(outcome.elevation.state_name(), StateName::Requested);
}

#[tokio::test]
async fn an_approver_group_that_is_emptied_mid_request_opens_nothing() {
    let world = World::new().await;
    let id = world.request().await.id;
    world.approve(&world.bob(), id).await.unwrap();
    world.set_policy(&POLICY.replace(
        r#"principal in Tidegate::Group::"customer/approvers" || principal in Tidegate::Group::"vendor/approvers" };
@id("two")"#,
        r#"principal.subject == "cyd" || principal.subject == "fay" };
@id("two")"#,
    ));
    let elevation = world.approve(&world.cyd(), id).await.unwrap().elevation;
    assert_eq!(elevation.state_name(), StateName::Requested, "Bob counts no longer");
    assert_eq!(elevation.approvals.len(), 2);
    let elevation = world.approve(&world.caller("customer|fay"), id).await.unwrap().elevation;
    assert_eq!(elevation.state_name(), StateName::Active);
    assert!(matches!(elevation.state, crate::breakglass::State::Active { quorum: 2, .. }));
}

#[tokio::test]
async fn people_who_may_see_and_not_decide_are_told_so_and_strangers_are_told_nothing() {
    let world = World::new().await;
    let id = world.request().await.id;
    let audrey = world.caller("customer|audrey");
    assert_eq!(world.approve(&audrey, id).await.unwrap_err().code(), "policy");
    let entry = world.last_entry().await;
    assert_eq!(entry["version"], 1);
    assert!(entry["policy"]["digest"].is_string());
    let sam = world.caller("customer|sam");
    assert!(matches!(world.approve(&sam, id).await, Err(BreakGlassError::NotFound)));
    assert!(matches!(world.glass.revoke(&sam, id, "no".into(), None).await, Err(BreakGlassError::NotFound)));
    assert_eq!(world.last_refusal().await, ("revoke".to_owned(), "not_visible".to_owned()));
    assert!(matches!(world.glass.withdraw(&sam, id, None).await, Err(BreakGlassError::NotFound)));
    assert!(matches!(world.glass.end(&sam, id, None).await, Err(BreakGlassError::NotFound)));
}

#[tokio::test]
async fn who_may_approve_only_a_shorter_version_may_deny_the_long_one() {
    let world = World::new().await;
    let id = world.request().await.id;
    let rule = r#"principal in Tidegate::Group::"customer/approvers" || "#;
    world.set_policy(&POLICY.replacen(
        &format!("when {{ {rule}"),
        r#"when { (principal.subject == "fay" && context.duration <= duration("30m")) || "#,
        1,
    ));
    // Bob may not even approve a second of it.
    assert_eq!(world.glass.deny(&world.bob(), id, "no".into(), None).await.unwrap_err().code(), "policy");
    let fay = world.caller("customer|fay");
    assert_eq!(world.approve(&fay, id).await.unwrap_err().code(), "policy");
    world.glass.deny(&fay, id, "no".into(), None).await.unwrap();
    assert_eq!(world.state(id).await, StateName::Denied);
    let entry = world.last_entry().await;
    assert_eq!(entry["policy"]["decided_by"], serde_json::json!(["customer/people.cedar#approve"]));
}

#[tokio::test]
async fn only_the_requester_withdraws_and_gives_back() {
    let world = World::new().await;
    let id = world.request().await.id;
    assert_eq!(world.glass.withdraw(&world.bob(), id, None).await.unwrap_err().code(), "not_the_requester");
    assert_eq!(world.glass.end(&world.bob(), id, None).await.unwrap_err().code(), "not_the_requester");
    assert_eq!(
        world.glass.withdraw(&world.ann(), id, None).await.unwrap().elevation.state_name(),
        StateName::Withdrawn
    );
}

#[tokio::test]
async fn whoever_approved_and_is_locked_by_now_does_not_count() {
    let world = World::new().await;
    let id = world.request().await.id;
    world.approve(&world.bob(), id).await.unwrap();
    lock(&world, &format!("principal:{}", world.bob().id())).await;
    let elevation = world.approve(&world.cyd(), id).await.unwrap().elevation;
    assert_eq!(elevation.state_name(), StateName::Requested);
    assert_eq!(world.approve(&world.bob(), id).await.unwrap_err().code(), "locked");
}

pub(super) async fn lock(world: &World, target: &str) -> crate::locks::Lock {
    let olga = world.caller("customer|olga");
    let new = crate::locks::service::NewLock {
        target: target.parse().unwrap(),
        reason: "an incident".to_owned(),
        ttl: None,
    };
    world.locks.set(&olga, new, None).await.unwrap().lock
}
