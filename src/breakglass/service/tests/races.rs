//! Two people at the same instant, and the moment at which something ends.

use std::sync::Arc;
use std::time::Duration;

use super::people::lock;
use super::world::*;
use crate::audit::{Effect, Event, Overtaken, RecordError, Submission};
use crate::breakglass::service::BreakGlassError;
use crate::breakglass::{State, StateName};
use crate::store::ElevationGuard;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_approvers_at_the_same_instant_both_count() {
    let world = World::new().await;
    for _ in 0..10 {
        let id = world.request().await.id;
        let (bob, cyd) = (world.bob(), world.cyd());
        let (one, two) = tokio::join!(world.approve(&bob, id), world.approve(&cyd, id));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        let stored = world.stored(id).await;
        assert_eq!((stored.approvals.len(), stored.state_name()), (2, StateName::Active));
        world.glass.end(&world.ann(), id, None).await.unwrap();
    }
    let told = world.told().await;
    assert_eq!(told.iter().filter(|kind| *kind == "activated").count(), 10);
    assert_eq!(told.iter().filter(|kind| *kind == "approved").count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_approval_and_a_withdrawal_at_the_same_instant_the_record_tells_one_story() {
    let world = Arc::new(World::new().await);
    for _ in 0..10 {
        let id = world.request().await.id;
        let (bob, ann) = (world.bob(), world.ann());
        let (approval, withdrawal) =
            tokio::join!(world.approve(&bob, id), world.glass.withdraw(&ann, id, None));
        withdrawal.unwrap();
        if let Err(error) = approval {
            assert!(matches!(error, BreakGlassError::Conflict { .. }), "{error:?}");
        }
        let stored = world.stored(id).await;
        assert_eq!(stored.state_name(), StateName::Withdrawn);
        assert_eq!(stored.version, 2 + u64::try_from(stored.approvals.len()).unwrap());
    }
}

#[tokio::test]
async fn at_the_very_moment_of_expiry_nobody_approves_and_one_millisecond_before_one_does() {
    let world = World::new().await;
    let elevation = world.request().await;
    world.bench.clock.set(elevation.ask.expires_at.minus(Duration::from_millis(1)));
    world.approve(&world.bob(), elevation.id).await.unwrap();
    world.bench.clock.set(elevation.ask.expires_at);
    let error = world.approve(&world.cyd(), elevation.id).await.unwrap_err();
    assert!(matches!(&error, BreakGlassError::Conflict { code: "too_late", .. }), "{error:?}");
    assert_eq!(world.stored(elevation.id).await.approvals.len(), 1);
}

#[tokio::test]
async fn a_decision_that_was_made_in_time_and_is_durable_too_late_does_not_count() {
    let world = World::new().await;
    let elevation = world.request().await;
    world.approve(&world.bob(), elevation.id).await.unwrap();
    let cyd = world.cyd();
    // The request came in time; the commit does not.
    world.bench.clock.set(elevation.ask.expires_at);
    let error = world.approve(&cyd, elevation.id).await.unwrap_err();
    assert!(matches!(&error, BreakGlassError::Conflict { code: "too_late", .. }), "{error:?}");
    assert_eq!(world.stored(elevation.id).await.approvals.len(), 1);
}

#[tokio::test]
async fn a_revocation_overtakes_a_mint_in_flight() {
    let world = World::new().await;
    let active = world.active().await;
    let window = world.window(None).await.unwrap();
    world.glass.revoke(&world.bob(), active.id, "an incident".into(), None).await.unwrap();
    let guard = ElevationGuard {
        id: window.elevation.id,
        version: window.elevation.version,
        before: window.elevation.ends_at,
    };
    let event = Event::BrokerStopped { reason: "stands for a mint".to_owned() };
    let mint = Submission::new(world.ann().request_id, event).with(vec![Effect::RequireElevation(guard)]);
    assert_eq!(world.log.record(mint).await.unwrap_err(), RecordError::Overtaken(Overtaken::Change));
    assert!(world.window(None).await.is_err());
    assert!(!world.glass.is_live(active.id, world.now()).await.unwrap());
}

#[tokio::test]
async fn an_approval_between_a_lock_and_its_commit_is_refused() {
    let world = World::new().await;
    let id = world.request().await.id;
    let bob = world.bob();
    let target = format!("elevation:{id}");
    let (answer, _) = tokio::join!(biased_late(&world, &bob, id), lock(&world, &target));
    // A lock that comes while the commit is under way finds the entry written: it stands, and nobody is told yes.
    let written = world.stored(id).await.approvals.len();
    match answer.unwrap_err().code() {
        "locked" => assert_eq!(written, 0),
        "unavailable" => assert_eq!(written, 1),
        other => panic!("{other}"),
    }
    assert_eq!(world.approve(&world.cyd(), id).await.unwrap_err().code(), "locked");
}

/// Lets the lock come into force first, which it does before it waits for the log.
async fn biased_late(
    world: &World,
    caller: &crate::people::Caller,
    id: crate::ids::ElevationId,
) -> Result<crate::breakglass::service::Outcome, BreakGlassError> {
    tokio::task::yield_now().await;
    world.approve(caller, id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_mints_at_the_opening_activate_once() {
    let world = World::new().await;
    let start = world.now().plus(10 * MINUTE);
    let new = crate::breakglass::service::NewRequest { not_before: Some(start), ..new() };
    let approved = world.approved(new).await;
    assert!(matches!(approved.state, State::Approved { .. }));
    world.bench.clock.set(start);
    let (one, two) = tokio::join!(world.window(None), world.window(None));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two);
    assert_eq!(world.told().await.iter().filter(|kind| *kind == "activated").count(), 1);
}
