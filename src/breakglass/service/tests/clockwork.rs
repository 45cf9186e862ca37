//! What the clock does, also while the broker is down, and what happens when it goes backwards.

use std::time::Duration;

use super::world::*;
use crate::breakglass::service::{BreakGlassError, NewRequest, WindowError};
use crate::breakglass::{Change, State, StateName};
use crate::clock::Clock as _;
use crate::ids::ElevationId;

async fn count(world: &World, kind: &str) -> usize {
    world.told().await.iter().filter(|told| *told == kind).count()
}

#[tokio::test]
async fn a_whole_life_is_written_down_once_each_with_when_it_became_true() {
    let world = World::new().await;
    let active = world.active().await;
    let end = active.window().unwrap().ends_at;
    world.bench.clock.set(end.plus(Duration::from_secs(90)));
    world.glass.sweep().await;
    world.glass.sweep().await;
    let entry = world.last_entry().await;
    assert_eq!(entry["type"], "elevation.expired");
    assert_eq!(entry["became_true_at"], end.to_string());
    assert_eq!(entry["at"], world.now().to_string());
    assert_eq!(
        (&entry["elevation"]["version_before"], &entry["elevation"]["version"]),
        (&4.into(), &5.into())
    );
    assert!(entry.get("by").is_none());
    assert_eq!(world.told().await, ["requested", "approved", "approved", "activated", "expired"]);
    let stored = world.stored(active.id).await;
    assert_eq!(stored.history.last().unwrap().at, end);
    let waiting = world.store.waiting_messages().await.unwrap();
    assert_eq!(waiting, 5, "one message for each change");
}

#[tokio::test]
async fn the_entry_of_a_decision_names_who_what_and_which_policies() {
    let world = World::new().await;
    let id = world.request().await.id;
    let entry = world.last_entry().await;
    assert_eq!(entry["policy"]["decided_by"], serde_json::json!(["customer/people.cedar#request"]));
    assert_eq!(entry["elevation"]["approvals_needed"], 2);
    world.approve(&world.bob(), id).await.unwrap();
    let entry = world.last_entry().await;
    assert_eq!(entry["by"], serde_json::json!({"kind": "person", "issuer": "customer", "subject": "bob"}));
    assert_eq!(entry["policy"]["decided_by"], serde_json::json!(["customer/people.cedar#approve"]));
    world.approve(&world.cyd(), id).await.unwrap();
    let entry = world.last_entry().await;
    assert_eq!(entry["type"], "elevation.activated");
    assert_eq!(entry["policy"]["decided_by"], serde_json::json!(["customer/people.cedar#two"]));
    assert_eq!(world.stored(id).await.decided_policies, ["customer/people.cedar#two"]);
}

#[tokio::test]
async fn a_request_that_nobody_decides_lapses() {
    let world = World::new().await;
    let elevation = world.request().await;
    world.bench.clock.set(elevation.ask.expires_at.minus(Duration::from_millis(1)));
    world.glass.sweep().await;
    assert_eq!(world.state(elevation.id).await, StateName::Requested);
    world.bench.clock.set(elevation.ask.expires_at);
    world.glass.sweep().await;
    assert_eq!(world.state(elevation.id).await, StateName::Lapsed);
}

#[tokio::test]
async fn a_broker_that_was_down_loses_nothing_in_any_state() {
    let mut world = World::new().await;
    let start = world.now().plus(2 * HOUR);
    let requested = world.request().await;
    let approved = world.approved(NewRequest { not_before: Some(start), ..new() }).await;
    let active = world.active().await;
    let denied = world.request().await;
    world.glass.deny(&world.bob(), denied.id, "no".into(), None).await.unwrap();
    world = world.restart().await;
    assert_eq!(world.state(requested.id).await, StateName::Requested);
    assert_eq!(world.window(None).await.unwrap().elevation.id, active.id);
    world.approve(&world.bob(), requested.id).await.unwrap();
    // Down over the end of one and the beginning of the other.
    world.bench.clock.set(start);
    world = world.restart().await;
    world.glass.sweep().await;
    let states = [requested.id, approved.id, active.id, denied.id].map(|id| world.state(id));
    let states = futures_util::future::join_all(states).await;
    assert_eq!(states, [StateName::Lapsed, StateName::Active, StateName::Expired, StateName::Denied]);
    world = world.restart().await;
    world.glass.sweep().await;
    for kind in ["lapsed", "expired", "denied"] {
        assert_eq!(count(&world, kind).await, 1, "{kind}");
    }
    assert_eq!(count(&world, "activated").await, 2);
}

#[tokio::test]
async fn a_window_that_passed_while_the_broker_was_down_lapses_and_never_opens() {
    let world = World::new().await;
    let start = world.now().plus(HOUR);
    let approved = world.approved(NewRequest { not_before: Some(start), ..new() }).await;
    world.bench.clock.set(start.plus(HOUR).plus(MINUTE));
    let world = world.restart().await;
    assert_eq!(world.window(None).await, Err(WindowError::NoElevation));
    world.glass.sweep().await;
    assert!(matches!(world.stored(approved.id).await.state, State::Lapsed { window: Some(_), .. }));
    assert_eq!(world.last_entry().await["became_true_at"], start.plus(HOUR).to_string());
    assert_eq!(count(&world, "activated").await, 0);
}

#[tokio::test]
async fn a_window_that_policy_keeps_closed_opens_as_soon_as_policy_lets_it_and_ends_as_planned() {
    let world = World::new().await;
    let start = world.now().plus(MINUTE);
    let approved = world.approved(NewRequest { not_before: Some(start), ..new() }).await;
    world.set_policy(&POLICY.replace("count >= 2", "count >= 3"));
    world.bench.clock.set(start.plus(MINUTE));
    world.glass.sweep().await;
    world.glass.sweep().await;
    assert_eq!(world.state(approved.id).await, StateName::Approved);
    world.set_policy(POLICY);
    world.glass.sweep().await;
    let stored = world.stored(approved.id).await;
    assert_eq!(stored.state_name(), StateName::Active);
    assert_eq!(stored.window(), approved.window());
}

#[tokio::test]
async fn many_that_stay_due_keep_nobody_from_their_turn() {
    let settings =
        crate::breakglass::Settings { open_per_person: 1_000, open_per_grant: 1_000, ..Default::default() };
    let world = World::with(crate::audit::tests::Bench::new(), Start { settings, ..Start::default() }).await;
    let start = world.now().plus(MINUTE);
    for _ in 0..110 {
        world.approved(NewRequest { not_before: Some(start), ..new() }).await;
    }
    world.set_policy(&POLICY.replace("count >= 2", "count >= 3"));
    world.advance(2 * MINUTE);
    let late = world.request().await;
    world.bench.clock.set(start.plus(HOUR).minus(MINUTE));
    assert_eq!(world.state(late.id).await, StateName::Requested);
    world.glass.withdraw(&world.ann(), late.id, None).await.unwrap();
    let short = world.ask(NewRequest { not_before: None, ..new() }).await.unwrap();
    let deadline = short.ask.expires_at;
    assert!(deadline > start.plus(HOUR));
    world.bench.clock.set(start.plus(HOUR).minus(Duration::from_secs(1)));
    world.glass.sweep().await;
    assert_eq!(count(&world, "lapsed").await, 0);
    world.bench.clock.set(deadline);
    world.glass.sweep().await;
    assert_eq!(count(&world, "lapsed").await, 111);
}

#[tokio::test]
async fn the_end_is_announced_five_minutes_and_one_minute_before() {
    let world = World::new().await;
    let active = world.active().await;
    let end = active.window().unwrap().ends_at;
    let mut announced = Vec::new();
    for before in [301, 300, 299, 61, 60, 59, 1] {
        world.bench.clock.set(end.minus(Duration::from_secs(before)));
        world.glass.sweep().await;
        announced.push(count(&world, "ending").await);
    }
    assert_eq!(announced, [0, 1, 1, 1, 2, 2, 2]);
    let warned =
        world.stored(active.id).await.history.iter().filter(|line| line.event == Change::Warned).count();
    assert_eq!(warned, 2);
    // A mint goes on beside it.
    world.window(None).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_steps_back_begins_nothing_and_still_stops_everything() {
    let world = World::new().await;
    let (waiting, mine, other) =
        (world.request().await.id, world.request().await.id, world.request().await.id);
    let (active, revoked) = (world.active().await, world.active().await);
    let before = world.now();
    world.window(Some(active.id)).await.unwrap();
    world.bench.clock.set(before.minus(Duration::from_hours(31 * 24)));
    for error in
        [world.ask(new()).await.unwrap_err(), world.approve(&world.bob(), waiting).await.unwrap_err()]
    {
        assert!(matches!(error, BreakGlassError::Unavailable(_)), "{error:?}");
        assert_eq!(world.last_refusal().await.1, "clock_rollback");
    }
    assert!(matches!(world.window(Some(active.id)).await, Err(WindowError::Unavailable(_))));
    world.glass.deny(&world.bob(), other, "no".into(), None).await.unwrap();
    world.glass.withdraw(&world.ann(), mine, None).await.unwrap();
    world.glass.end(&world.ann(), active.id, None).await.unwrap();
    world.glass.revoke(&world.bob(), revoked.id, "no".into(), None).await.unwrap();
    // It recovers by itself.
    world.bench.clock.set(before);
    world.approve(&world.bob(), waiting).await.unwrap();
}

#[tokio::test]
async fn what_had_ended_stays_ended_when_the_clock_steps_back() {
    let world = World::new().await;
    let active = world.active().await;
    let end = active.window().unwrap().ends_at;
    world.bench.clock.set(end);
    assert_eq!(world.window(None).await, Err(WindowError::NoElevation));
    world.bench.clock.set(end.minus(10 * MINUTE));
    assert!(matches!(world.window(None).await, Err(WindowError::Unavailable(_))));
    // Even the sweeper knows that it has been later.
    world.glass.sweep().await;
    assert_eq!(world.state(active.id).await, StateName::Expired);
}

#[tokio::test]
async fn a_narrow_step_back_is_time_synchronisation() {
    let world = World::new().await;
    let id: ElevationId = world.active().await.id;
    world.bench.clock.set(world.bench.clock.now().plus(Duration::from_secs(20)));
    world.window(Some(id)).await.unwrap();
    world.bench.clock.set(world.bench.clock.now().minus(Duration::from_secs(15)));
    world.window(Some(id)).await.unwrap();
}
