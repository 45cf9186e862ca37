//! Several replicas look at the same elevations at the same moment.

use std::sync::Arc;

use super::cloud::start;
use super::world::*;
use crate::audit::tests::Bench;
use crate::breakglass::StateName;
use crate::breakglass::service::{NewRequest, WindowError};
use crate::issuance::aws::end_sessions_tests::FakeIam;
use crate::locks::service::NewLock;

impl World {
    /// How often the log tells this.
    async fn times(&self, kind: &str) -> usize {
        let rows = self.store.entries(0, 10_000).await.unwrap();
        let is_it = |bytes: &[u8]| {
            serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["type"] == format!("elevation.{kind}")
        };
        rows.iter().filter(|row| is_it(&row.bytes)).count()
    }

    async fn messages(&self) -> u64 {
        self.store.waiting_messages().await.unwrap()
    }
}

/// A lock that another replica sets; the one of `world` has not heard of it.
async fn lock_elsewhere(world: &World, target: &str) {
    let elsewhere = world.beside(None).await;
    let new = NewLock { target: target.parse().unwrap(), reason: "an incident".to_owned(), ttl: None };
    elsewhere.services.locks.set(&world.caller("customer|olga"), new, None).await.unwrap();
}

#[tokio::test]
async fn no_window_opens_on_an_approval_of_somebody_whom_another_replica_has_locked() {
    for target in ["principal:customer|bob", "issuer:customer"] {
        let world = World::new().await;
        let start = world.now().plus(10 * MINUTE);
        let waiting = world.approved(NewRequest { not_before: Some(start), ..new() }).await;
        world.bench.clock.set(start);
        lock_elsewhere(&world, target).await;
        assert_eq!(world.window(None).await, Err(WindowError::QuorumLost(waiting.id)), "{target}");
        world.glass.sweep().await;
        assert_eq!(world.state(waiting.id).await, StateName::Approved);
        assert_eq!(world.times("activated").await, 0);
    }
}

#[tokio::test]
async fn an_approval_does_not_count_with_one_of_somebody_whom_another_replica_has_locked() {
    let world = World::new().await;
    let id = world.request().await.id;
    world.approve(&world.bob(), id).await.unwrap();
    lock_elsewhere(&world, "principal:customer|bob").await;
    let after = world.approve(&world.cyd(), id).await.unwrap().elevation;
    assert_eq!((after.state_name(), after.approvals.len()), (StateName::Requested, 2));
    assert_eq!(world.times("approved").await, 2, "what counts for nothing is not written twice");
    let opened = world.approve(&world.caller("customer|fay"), id).await.unwrap().elevation;
    assert_eq!(opened.state_name(), StateName::Active, "two are left");
}

#[tokio::test]
async fn without_an_approver_who_was_locked_elsewhere_the_others_may_suffice() {
    let world = World::new().await;
    let three = POLICY.replace("context.approvals.count >= 2", "context.approvals.count >= 3");
    world.set_policy(&three);
    let start = world.now().plus(10 * MINUTE);
    let id = world.approved(NewRequest { not_before: Some(start), ..new() }).await.id;
    world.approve(&world.caller("customer|fay"), id).await.unwrap();
    world.set_policy(POLICY);
    world.bench.clock.set(start);
    lock_elsewhere(&world, "principal:customer|bob").await;
    let window = world.window(None).await.unwrap();
    assert_eq!((window.elevation.approvals, window.approvers), (2, vec![id_of("cyd"), id_of("fay")]));
}

fn id_of(subject: &str) -> crate::principal::PrincipalId {
    id("customer", subject)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_clock_has_made_true_is_written_once_and_told_once() {
    let world = World::new().await;
    let (two, three) = (world.beside(None).await, world.beside(None).await);
    let active = world.active().await;
    let waiting = world.request().await;
    let (opened, before) = (world.times("activated").await, world.messages().await);
    let window = active.window().unwrap();
    world.bench.clock.set(window.ends_at.max(waiting.ask.expires_at));
    tokio::join!(world.glass.sweep(), two.sweep(), three.sweep());
    tokio::join!(world.glass.sweep(), two.sweep(), three.sweep());
    assert_eq!(world.stored(active.id).await.state_name(), StateName::Expired);
    assert_eq!(world.stored(waiting.id).await.state_name(), StateName::Lapsed);
    let told = (world.times("expired").await, world.times("lapsed").await, world.times("activated").await);
    assert_eq!(told, (1, 1, opened));
    assert_eq!(world.messages().await, before + 2);
}

#[tokio::test]
async fn one_replica_ends_sessions_at_aws_and_another_goes_on_when_it_is_gone() {
    let iam = FakeIam::start(&[]).await;
    let world = World::with(Bench::new(), start(&iam)).await;
    let two = world.beside(Some(iam.ender())).await;
    let puts = || iam.calls().iter().filter(|call| call.starts_with("PutRolePolicy")).count();
    let first = world.active().await;
    world.glass.revoke(&world.bob(), first.id, "an incident".into(), None).await.unwrap();
    tokio::join!(world.glass.end_sessions(), two.end_sessions());
    tokio::join!(two.end_sessions(), world.glass.end_sessions());
    assert_eq!((puts(), world.times("sessions_end.asked").await), (1, 1));
    assert_eq!(world.times("sessions_end.confirmed").await, 1);
    let second = world.active().await;
    world.glass.revoke(&world.bob(), second.id, "another".into(), None).await.unwrap();
    two.end_sessions().await;
    assert_eq!(puts(), 1, "it is not its turn");
    world.advance(MINUTE);
    two.end_sessions().await;
    assert_eq!(puts(), 2, "the one whose turn it was is gone");
    world.glass.end_sessions().await;
    assert_eq!((puts(), world.times("sessions_end.confirmed").await), (2, 2));
}

#[tokio::test]
async fn what_another_replica_opened_can_be_stopped_here_while_the_store_is_sick() {
    let world = World::new().await;
    let two = Arc::new(world.beside(None).await);
    let active = world.active().await;
    let over = world.active().await;
    two.catch_up(world.store.pulse().await.unwrap().marks.elevations).await.unwrap();
    assert!(two.recall(active.id).is_some() && two.recall(over.id).is_some());
    world.glass.revoke(&world.bob(), over.id, "enough".into(), None).await.unwrap();
    two.catch_up(world.store.pulse().await.unwrap().marks.elevations).await.unwrap();
    assert_eq!(two.recall(over.id), None, "what is over elsewhere is not open here");
    assert_eq!(two.recall(active.id).unwrap().version, active.version);
}
