//! What a mint stands on, decided again each time.

use super::people::lock;
use super::world::*;
use crate::breakglass::service::{NewRequest, WindowError};
use crate::breakglass::{State, StateName};
use crate::ids::GrantName;

#[tokio::test]
async fn there_is_no_window_before_quorum_at_the_end_or_for_another_grant_or_person() {
    let world = World::new().await;
    let id = world.request().await.id;
    assert_eq!(world.window(None).await, Err(WindowError::NoElevation));
    world.approve(&world.bob(), id).await.unwrap();
    assert_eq!(world.window(Some(id)).await, Err(WindowError::NoElevation));
    let active = world.approve(&world.cyd(), id).await.unwrap().elevation;
    let window = world.window(None).await.unwrap();
    assert_eq!(window.elevation.id, id);
    assert_eq!((window.elevation.version, window.elevation.approvals), (active.version, 2));
    assert_eq!(world.window_of(&world.ann(), OTHER, None).await, Err(WindowError::NoElevation));
    assert_eq!(world.window_of(&world.ann(), OTHER, Some(id)).await, Err(WindowError::NoElevation));
    assert_eq!(
        world.window_of(&world.caller("vendor|dan"), GRANT, Some(id)).await,
        Err(WindowError::NoElevation)
    );
    assert_eq!(
        world.window_of(&world.caller("customer|ann"), GRANT, Some(id)).await,
        Err(WindowError::NoElevation)
    );
    world.bench.clock.set(window.elevation.ends_at);
    assert_eq!(world.window(None).await, Err(WindowError::NoElevation));
    assert_eq!(world.window(Some(id)).await, Err(WindowError::NoElevation));
}

#[tokio::test]
async fn of_two_open_windows_one_must_be_named() {
    let world = World::new().await;
    let first = world.active().await;
    let second = world.approved(NewRequest { duration: 30 * MINUTE, ..new() }).await;
    assert_eq!(world.window(None).await, Err(WindowError::Ambiguous));
    assert_eq!(world.window(Some(second.id)).await.unwrap().elevation.id, second.id);
    // Two ends, each its own: the shorter one does not cut the longer one.
    world.advance(30 * MINUTE);
    world.glass.sweep().await;
    assert_eq!(world.state(second.id).await, StateName::Expired);
    assert_eq!(world.window(Some(second.id)).await, Err(WindowError::NoElevation));
    let window = world.window(None).await.unwrap();
    assert_eq!((window.elevation.id, window.elevation.ends_at), (first.id, first.window().unwrap().ends_at));
}

#[tokio::test]
async fn a_grant_that_changed_after_it_was_approved_is_not_issued() {
    let world = World::new().await;
    let active = world.active().await;
    let waiting = world.request().await;
    let mut start = Start::default();
    start.grants[0] = grant(GRANT, true, &["read", "write", "root"]);
    let world = world.restart_with(start).await;
    assert_eq!(world.window(None).await, Err(WindowError::GrantChanged(active.id)));
    assert_eq!(world.approve(&world.bob(), waiting.id).await.unwrap_err().code(), "grant_changed");
    // It can still be stopped.
    world.glass.revoke(&world.bob(), active.id, "changed".into(), None).await.unwrap();
}

#[tokio::test]
async fn a_grant_that_is_gone_leaves_history_to_its_requester_and_the_auditor() {
    let world = World::new().await;
    let active = world.active().await;
    let mut start = Start::default();
    start.grants.remove(0);
    let world = world.restart_with(start).await;
    assert!(world.glass.show(&world.bob(), active.id).await.is_err());
    world.glass.show(&world.caller("customer|audrey"), active.id).await.unwrap();
    world.glass.end(&world.ann(), active.id, None).await.unwrap();
}

#[tokio::test]
async fn approvers_who_lost_the_right_close_an_open_window() {
    let world = World::new().await;
    let active = world.active().await;
    world.set_policy(&POLICY.replace("context.approvals.count >= 2", "context.approvals.count >= 3"));
    assert_eq!(world.window(None).await, Err(WindowError::QuorumLost(active.id)));
    world.set_policy(POLICY);
    world.window(None).await.unwrap();
    lock(&world, "principal:customer|bob").await;
    assert_eq!(world.window(None).await, Err(WindowError::QuorumLost(active.id)));
}

#[tokio::test]
async fn locks_on_the_person_the_grant_and_the_elevation_close_it() {
    let world = World::new().await;
    let active = world.active().await;
    for target in [
        format!("elevation:{}", active.id),
        format!("grant:{GRANT}"),
        "principal:vendor|ann".to_owned(),
        "issuer:vendor".to_owned(),
    ] {
        let held = lock(&world, &target).await;
        assert_eq!(world.window(None).await, Err(WindowError::Locked), "{target}");
        world.locks.lift(&world.caller("customer|olga"), held.id).await.unwrap();
        world.window(None).await.unwrap();
    }
}

#[tokio::test]
async fn an_extension_begins_when_the_first_ends() {
    let world = World::new().await;
    let first = world.active().await;
    let end = first.window().unwrap().ends_at;
    let next = world.approved(NewRequest { not_before: Some(end), ..new() }).await;
    assert!(matches!(next.state, State::Approved { window } if window.starts_at == end));
    assert_eq!(world.window(None).await.unwrap().elevation.id, first.id);
    world.bench.clock.set(end);
    assert_eq!(world.window(None).await.unwrap().elevation.id, next.id);
}

#[tokio::test]
async fn revoked_withdrawn_and_given_back_windows_are_closed() {
    let world = World::new().await;
    let given_back = world.active().await.id;
    world.glass.end(&world.ann(), given_back, None).await.unwrap();
    assert_eq!(world.window(Some(given_back)).await, Err(WindowError::NoElevation));
    let start = world.now().plus(MINUTE);
    let later = || NewRequest { not_before: Some(start), ..new() };
    let (withdrawn, revoked) = (world.approved(later()).await.id, world.approved(later()).await.id);
    world.glass.withdraw(&world.ann(), withdrawn, None).await.unwrap();
    world.glass.revoke(&world.bob(), revoked, "no".into(), None).await.unwrap();
    world.bench.clock.set(start);
    assert_eq!(world.window(None).await, Err(WindowError::NoElevation));
}

#[tokio::test]
async fn each_grant_has_its_own_windows() {
    let world = World::new().await;
    world.active().await;
    let other = world.approved(NewRequest { grant: GrantName::new(OTHER).unwrap(), ..new() }).await;
    assert_eq!(world.window_of(&world.ann(), OTHER, None).await.unwrap().elevation.id, other.id);
}
