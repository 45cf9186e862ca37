//! One replica of several: what it may decide from memory, and what a commit tells it.

use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use crate::audit::{Effect, NewPolicySet, Submission};
use crate::clock::{Clock as _, FRESH_FOR, Heard};
use crate::exchange::record::ReplayClaims;
use crate::exchange::{Attempt, ExchangeError, Fault};
use crate::issuance::aws::fixtures::{self, FakeSts, Says};
use crate::policy::service::record::loaded_event;
use crate::policy::{Origin, PolicyDigests};
use crate::secret::Fingerprint;

/// With an STS and memory of what others did that is a moment old.
async fn world() -> (FakeSts, World) {
    let (sts, clock) = (FakeSts::start(&vec![Says::Short(200_000); 100]).await, fixtures::clock());
    let (issuer, heard) = (sts.issuer(&clock), Heard::among_others(Arc::clone(&clock) as _));
    let world = World::hearing(clock, Some(issuer), heard).await;
    world.hear();
    (sts, world)
}

impl World {
    fn hear(&self) {
        self.heard.mark(self.clock.uptime());
    }

    fn waits_for_policies(&self) -> usize {
        self.policy.waiting()
    }

    /// Another replica lets other policies decide.
    async fn publish(&self, digest: Fingerprint) {
        let set = NewPolicySet { from: None, digest, text: "texts".to_owned() };
        let request_id = self.workload_asks("cluster", "app", "orders").request_id;
        let digests = PolicyDigests { both: digest, customer: digest, vendor: None };
        let event = loaded_event(&Origin { digests, entities: None, bundle: None });
        let published = Submission::new(request_id, event).with(vec![Effect::PublishPolicy(Box::new(set))]);
        self.exchange.services.audit.record(published).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_delivered_from_memory_that_is_over_a_second_old() {
    let (sts, world) = world().await;
    let issue = world.app().await.unwrap().receipt.index();
    world.pass(FRESH_FOR);
    assert_eq!(world.app().await.unwrap().receipt.index(), issue, "a second is young enough");
    world.pass(Duration::from_millis(1));
    let own = world.app().await.unwrap().receipt.index();
    assert!(own > issue, "an entry of its own: the commit has seen every lock");
    assert_eq!(sts.calls(), 1);
    world.hear();
    assert_eq!(world.app().await.unwrap().receipt.index(), issue, "counted on the entry of the issue again");
}

#[tokio::test]
async fn memory_that_grows_old_between_the_decision_and_the_delivery_is_unavailable() {
    let (_sts, world) = world().await;
    world.app().await.unwrap();
    let (request, exchange) = (world.workload_asks("cluster", "app", "orders"), &world.exchange);
    let caller = exchange.identify(&request, world.now()).await.unwrap();
    let attempt = Attempt { request: &request, caller: &caller, at: world.now() };
    let target = exchange.resolve(attempt).await.unwrap();
    let permit = exchange.decide(attempt, &target).unwrap();
    let replay = ReplayClaims::of(&caller);
    let made = exchange.issue(attempt, &permit, &replay).await.unwrap();
    world.pass(FRESH_FOR * 2);
    let stop = exchange.open(attempt, &permit, made, &replay).await.unwrap_err();
    let told = exchange.write_down(attempt, &replay, stop.into()).await;
    assert_eq!(told, ExchangeError::Failed(Fault::Stale));
}

#[tokio::test]
async fn nothing_is_issued_under_policies_that_another_replica_put_out_of_force() {
    let (_sts, world) = world().await;
    world.publish(Fingerprint::of(b"of another")).await;
    let outcome = world.app().await;
    assert!(matches!(outcome, Err(ExchangeError::Failed(Fault::Policy))), "{outcome:?}");
    assert!(world.entries_of("credential.issued").await.is_empty());
    assert_eq!(world.entries_of("credential.refused").await[0].1["reason"], "policy");
}

#[tokio::test]
async fn who_came_while_policies_changed_is_decided_on_by_the_new_ones() {
    let (_sts, world) = world().await;
    let other = "@id(\"new\") permit(principal, action, resource);";
    let digest = {
        // What another replica has read.
        let there = World::start().await;
        there.new_policies(other);
        there.policy.digest()
    };
    world.publish(digest).await;
    let arriving = async {
        // The first try is refused, and waits.
        while world.waits_for_policies() == 0 {
            tokio::task::yield_now().await;
        }
        world.new_policies(other);
    };
    let (issued, ()) = tokio::join!(world.app(), arriving);
    issued.unwrap();
    let entry = &world.entries_of("credential.issued").await[0].1;
    assert_eq!(entry["policy"]["digest"], digest.to_string());
    assert_eq!(entry["policy"]["decided_by"][0], "customer/a.cedar#new");
}
