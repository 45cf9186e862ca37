//! While nothing can be written: what gives access stops, what takes it away works.

use super::world::*;
use crate::breakglass::StateName;
use crate::breakglass::service::{BreakGlassError, WindowError};

#[tokio::test]
async fn a_revocation_holds_at_once_and_is_written_down_once_when_the_store_recovers() {
    let world = World::new().await;
    let active = world.active().await;
    world.make_sick();
    assert!(matches!(world.ask(new()).await, Err(BreakGlassError::Unavailable(_))));
    let at = world.now();
    for _ in 0..2 {
        let outcome = world.glass.revoke(&world.bob(), active.id, "an incident".into(), None).await.unwrap();
        assert!(!outcome.recorded);
        assert_eq!(outcome.elevation.state_name(), StateName::Revoked);
    }
    assert_eq!(world.window(None).await, Err(WindowError::Locked));
    world.advance(MINUTE);
    world.glass.sweep().await;
    assert_eq!(world.window(None).await, Err(WindowError::Locked), "still sick");
    world.heal();
    assert_eq!(world.window(None).await, Err(WindowError::Locked), "recovered, and not written down yet");
    world.glass.sweep().await;
    let entry = world.last_entry().await;
    assert_eq!((&entry["type"], &entry["note"]), (&"elevation.revoked".into(), &"an incident".into()));
    assert_eq!(entry["became_true_at"], at.to_string());
    assert_eq!(entry["by"]["subject"], "bob");
    world.glass.sweep().await;
    assert_eq!(world.told().await.iter().filter(|kind| *kind == "revoked").count(), 1);
    assert_eq!(world.window(None).await, Err(WindowError::NoElevation), "the lock went with its reason");
    let lock = crate::locks::LockTarget::Elevation(active.id);
    assert!(
        world.locks.list(&world.caller("customer|olga")).unwrap().iter().all(|view| view.lock.target != lock)
    );
}

#[tokio::test]
async fn a_denial_holds_at_once_too() {
    let world = World::new().await;
    let id = world.request().await.id;
    world.make_sick();
    assert!(!world.glass.deny(&world.bob(), id, "no".into(), None).await.unwrap().recorded);
    world.heal();
    assert_eq!(world.approve(&world.cyd(), id).await.unwrap_err().code(), "locked");
    world.glass.sweep().await;
    assert_eq!(world.state(id).await, StateName::Denied);
    assert!(matches!(world.approve(&world.cyd(), id).await, Err(BreakGlassError::Conflict { .. })));
}

#[tokio::test]
async fn nobody_whom_policy_does_not_let_stops_anything_because_the_store_is_sick() {
    let world = World::new().await;
    let active = world.active().await;
    world.make_sick();
    for who in ["customer|sam", "customer|audrey", "vendor|ann"] {
        let error = world.glass.revoke(&world.caller(who), active.id, "haha".into(), None).await.unwrap_err();
        assert!(matches!(error, BreakGlassError::Unavailable(_)), "{who}: {error:?}");
    }
    world.heal();
    world.window(None).await.unwrap();
}

#[tokio::test]
async fn what_the_clock_ended_meanwhile_is_expired_and_not_revoked() {
    let world = World::new().await;
    let active = world.active().await;
    world.make_sick();
    world.glass.revoke(&world.bob(), active.id, "an incident".into(), None).await.unwrap();
    world.bench.clock.set(active.window().unwrap().ends_at);
    world.heal();
    world.glass.sweep().await;
    assert_eq!(world.state(active.id).await, StateName::Expired);
    world.glass.sweep().await;
    let told = world.told().await;
    assert_eq!(told.iter().filter(|kind| matches!(kind.as_str(), "expired" | "revoked")).count(), 1);
}

#[tokio::test]
async fn a_broker_that_just_started_can_stop_what_it_has_not_seen_itself() {
    let world = World::new().await;
    let active = world.active().await;
    let world = world.restart().await;
    world.glass.remember_open().await.unwrap();
    world.make_sick();
    assert!(!world.glass.end(&world.ann(), active.id, None).await.unwrap().recorded);
}
