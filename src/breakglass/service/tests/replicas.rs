//! Several replicas look at the same elevations at the same moment.

use std::sync::Arc;

use super::cloud::start;
use super::world::*;
use crate::audit::tests::Bench;
use crate::breakglass::StateName;
use crate::issuance::aws::end_sessions_tests::FakeIam;

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
