//! What stops everybody at the token endpoint: a lock, and a clock that cannot be right.

use std::time::Duration;

use tidegate::clock::{Clock as _, Moment};
use tidegate::entropy::SystemEntropy;
use tidegate::ids::{IssuerName, LockId, Subject};
use tidegate::locks::Lock;
use tidegate::principal::PrincipalId;

use crate::world::World;

const MONTH: Duration = Duration::from_hours(31 * 24);

/// Keeps a lock in the store of a broker that is down, and starts it again.
async fn lock(world: &mut World, target: &str, until: Option<Moment>) -> LockId {
    world.stop().await;
    let at = world.clock.now();
    let id = LockId::new(at, &SystemEntropy::new()).unwrap();
    let by =
        PrincipalId { issuer: IssuerName::new("people").unwrap(), subject: Subject::new("olga").unwrap() };
    let lock = Lock { id, target: target.parse().unwrap(), reason: "INC-7".to_owned(), by, at, until };
    let store = world.store().await;
    let mut unit = store.begin().await.unwrap();
    unit.put_lock(&lock).await.unwrap();
    unit.commit().await.unwrap();
    drop(store);
    world.run().await;
    id
}

#[tokio::test]
async fn a_locked_caller_sees_what_a_stranger_sees_and_the_record_names_the_lock() {
    for target in
        ["principal:cluster|system:serviceaccount:billing:app", "issuer:cluster", "grant:ledger-api", "all"]
    {
        let mut world = World::start().await;
        let id = lock(&mut world, target, None).await;
        let locked =
            world.exchange(&world.token("billing"), "ledger-api").await.refused(400, "invalid_target");
        let denied = world.exchange(&world.token("orders"), "ledger-api").await;
        assert_eq!(locked, denied.refused(400, "invalid_target"), "{target}");
        let entries = world.entries_of("credential.refused").await;
        assert_eq!(entries[0]["reason"], "locked");
        assert!(entries[0]["detail"].as_str().unwrap().contains(&id.to_string()), "{}", entries[0]);
        assert!(world.entries_of("credential.issued").await.is_empty());
        world.stop().await;
    }
}

#[tokio::test]
async fn a_lock_on_another_stops_nobody_else_and_one_that_ended_stops_nobody() {
    let mut world = World::start().await;
    lock(&mut world, "grant:orders-read", None).await;
    let until = world.clock.now().plus(Duration::from_mins(1));
    lock(&mut world, "all", Some(until)).await;
    world.exchange(&world.token("billing"), "ledger-api").await.refused(400, "invalid_target");
    world.clock.set(until);
    world.exchange(&world.token("billing"), "ledger-api").await.issued();
    world.exchange(&world.token("billing"), "orders-read").await.refused(400, "invalid_target");
    assert!(world.sts.calls().is_empty(), "STS is not asked for what is locked");
    world.stop().await;
}

#[tokio::test]
async fn a_refusal_by_a_lock_does_not_cost_a_single_use_token() {
    let mut world = World::start().await;
    let until = world.clock.now().plus(Duration::from_mins(1));
    lock(&mut world, "all", Some(until)).await;
    let token = world.token("billing");
    world.exchange(&token, "ledger-api").await.refused(400, "invalid_target");
    world.clock.set(until);
    world.exchange(&token, "ledger-api").await.issued();
    world.stop().await;
}

#[tokio::test]
async fn a_clock_that_stepped_back_issues_nothing_until_it_has_caught_up_even_after_a_restart() {
    let mut world = World::start().await;
    world.exchange(&world.token("billing"), "ledger-api").await.issued();
    let highest = world.clock.now();
    world.clock.set(highest.minus(MONTH));
    for _ in 0..2 {
        let answer = world.exchange(&world.token("billing"), "ledger-api").await;
        answer.refused(503, "temporarily_unavailable");
        world.restart().await;
    }
    let refused = world.entries_of("credential.refused").await;
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|entry| entry["reason"] == "clock"));
    assert_eq!(world.entries_of("credential.issued").await.len(), 1);
    world.clock.set(highest.minus(Duration::from_secs(30)));
    world.exchange(&world.token("billing"), "ledger-api").await.issued();
    world.clock.set(highest.plus(MONTH));
    world.exchange(&world.token("billing"), "ledger-api").await.issued();
    world.stop().await;
}
