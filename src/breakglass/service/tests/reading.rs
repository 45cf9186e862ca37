//! What may be seen.

use std::collections::BTreeSet;
use std::time::Duration;

use super::world::*;
use crate::breakglass::StateName;
use crate::breakglass::service::{BreakGlassError, List, NewRequest};
use crate::ids::GrantName;

fn list() -> List {
    List { limit: 50, ..List::default() }
}

#[tokio::test]
async fn a_list_has_what_the_caller_may_see_newest_first_in_pages() {
    let world = World::new().await;
    let mut mine = Vec::new();
    for _ in 0..3 {
        world.advance(Duration::from_secs(1));
        mine.push(world.request().await.id);
    }
    world.glass.request(&world.caller("vendor|dan"), new(), None).await.unwrap();
    let seen = |page: crate::breakglass::service::Page| {
        page.elevations.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    mine.reverse();
    assert_eq!(seen(world.glass.list(&world.ann(), list()).await.unwrap()), mine);
    assert_eq!(seen(world.glass.list(&world.bob(), list()).await.unwrap()).len(), 4);
    assert!(seen(world.glass.list(&world.caller("customer|sam"), list()).await.unwrap()).is_empty());
    let page = world.glass.list(&world.ann(), List { limit: 2, ..list() }).await.unwrap();
    let rest = world.glass.list(&world.ann(), List { before: page.next, ..list() }).await.unwrap();
    assert_eq!(rest.next, None);
    assert_eq!([seen(page), seen(rest)].concat(), mine);
    let grant = Some(GrantName::new(OTHER).unwrap());
    assert!(seen(world.glass.list(&world.ann(), List { grant, ..list() }).await.unwrap()).is_empty());
}

#[tokio::test]
async fn states_are_listed_with_the_time_in_them() {
    let world = World::new().await;
    let active = world.active().await;
    let states = |name| List { states: BTreeSet::from([name]), ..list() };
    assert_eq!(world.glass.list(&world.ann(), states(StateName::Active)).await.unwrap().elevations.len(), 1);
    // Nobody has swept.
    world.bench.clock.set(active.window().unwrap().ends_at);
    assert!(world.glass.list(&world.ann(), states(StateName::Active)).await.unwrap().elevations.is_empty());
    assert_eq!(world.glass.list(&world.ann(), states(StateName::Expired)).await.unwrap().elevations.len(), 1);
}

#[tokio::test]
async fn grants_are_offered_to_whom_policy_gives_them() {
    let world = World::new().await;
    let offers = world.glass.grants(&world.ann());
    let names: Vec<_> =
        offers.iter().map(|offer| (offer.grant.name.as_str(), offer.approvals_needed)).collect();
    // The grant's longest is four hours; policy lets Ann have two.
    assert_eq!(names, [(GRANT, Some(2)), (OTHER, Some(2))]);
    assert!(world.glass.grants(&world.caller("customer|sam")).is_empty());
    world.set_policy(&format!(r#"{POLICY} permit(principal == Tidegate::Person::"customer|sam", action == Tidegate::Action::"issue", resource);"#));
    let offers = world.glass.grants(&world.caller("customer|sam"));
    assert_eq!(offers.len(), 1, "break-glass is never issued at once");
    assert!(!offers[0].may_request && offers[0].grant.name.as_str() == OPEN);
}

#[tokio::test]
async fn the_whole_log_is_the_auditors() {
    let world = World::new().await;
    world.glass.may_audit(&world.caller("customer|audrey")).await.unwrap();
    let error = world.glass.may_audit(&world.bob()).await.unwrap_err();
    assert!(matches!(error, BreakGlassError::Forbidden { code: "policy", .. }));
    assert_eq!(world.last_refusal().await, ("audit".to_owned(), "policy".to_owned()));
}

#[tokio::test]
async fn the_stream_tells_each_only_what_they_may_see_and_can_be_resumed() {
    let world = World::new().await;
    let from = world.log.size();
    let active = world.active().await;
    world
        .glass
        .request(&world.caller("vendor|dan"), NewRequest { duration: 2 * MINUTE, ..new() }, None)
        .await
        .unwrap();
    world.approve(&world.caller("customer|sam"), active.id).await.unwrap_err();
    let page = world.glass.events(&world.ann(), from, 100).await.unwrap();
    let names: Vec<&str> = page.events.iter().map(|news| news.event.as_str()).collect();
    assert_eq!(
        names,
        ["elevation.requested", "elevation.approved", "elevation.approved", "elevation.activated"]
    );
    assert_eq!(page.next, world.log.size());
    assert!(page.events.iter().all(|news| news.elevation.id == active.id));
    assert_eq!(world.glass.events(&world.bob(), from, 100).await.unwrap().events.len(), 5);
    assert!(world.glass.events(&world.caller("customer|sam"), from, 100).await.unwrap().events.is_empty());
    let first = world.glass.events(&world.ann(), from, 3).await.unwrap();
    assert_eq!(first.events.len(), 3);
    let rest = world.glass.events(&world.ann(), first.next, 100).await.unwrap();
    assert_eq!(rest.events.len(), 1);
    let none = world.glass.events(&world.ann(), u64::MAX, 100).await.unwrap();
    assert_eq!((none.events.len(), none.next), (0, world.log.size()));
}
