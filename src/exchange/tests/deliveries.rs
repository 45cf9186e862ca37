//! Answers from memory: no entry each, and no delivery that is not counted. Refusals first.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::world::{World, access_key, code};
use crate::audit::Receipt;
use crate::clock::Clock as _;
use crate::exchange::ledger::Delivery;
use crate::exchange::record::{ReplayClaims, Stop};
use crate::exchange::{Attempt, ExchangeError, ExchangeRequest, Fault, Issued};
use crate::federation::UnverifiedToken;
use crate::grants::Lifetime;
use crate::issuance::aws::fixtures::{self, FakeSts, Says};
use crate::locks::LockTarget;
use crate::locks::service::NewLock;
use crate::secret::Fingerprint;

const MINUTE: Duration = Duration::from_mins(1);

/// A stand-in STS whose sessions live as long as they are asked for, and the world that asks it.
async fn world() -> (FakeSts, World) {
    let (sts, clock) = (FakeSts::start(&vec![Says::Short(200_000); 1_000]).await, fixtures::clock());
    let issuer = sts.issuer(&clock);
    (sts, World::over(clock, Some(issuer)).await)
}

impl World {
    async fn issued(&self) -> usize {
        self.entries_of("credential.issued").await.len()
    }

    /// The entries about deliveries, without what every entry has.
    async fn delivered(&self) -> Vec<Value> {
        self.entries_of("credential.delivered").await.into_iter().map(|(_, entry)| entry).collect()
    }

    async fn app_from(&self, ip: &str) -> Issued {
        let ip: IpAddr = ip.parse().unwrap();
        let request =
            ExchangeRequest { source_ip: Some(ip), ..self.workload_asks("cluster", "app", "orders") };
        self.exchange.exchange(&request).await.unwrap()
    }
}

fn counts(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["count"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_single_use_token_is_taken_by_an_entry_of_its_own_each_time() {
    let (sts, world) = world().await;
    let first = world.workload_asks("ci", "app", "orders");
    world.exchange.exchange(&first).await.unwrap();
    assert_eq!(code(world.exchange.exchange(&first).await), "replayed");
    for _ in 0..3 {
        world.exchange.exchange(&world.workload_asks("ci", "app", "orders")).await.unwrap();
    }
    let issued = world.entries_of("credential.issued").await;
    let cached: Vec<_> = issued.iter().map(|(_, entry)| &entry["credential"]["cached"]).collect();
    assert_eq!(cached, [false, true, true, true]);
    world.exchange.record_all_deliveries().await;
    assert!(world.delivered().await.is_empty());
    assert_eq!(sts.calls(), 1);
}

#[tokio::test]
async fn on_behalf_of_somebody_each_answer_has_an_entry_that_says_so() {
    let (sts, world) = world().await;
    world.app().await.unwrap();
    for _ in 0..2 {
        let mut request = world.workload_asks("cluster", "app", "orders");
        let actor = world.workload_token("cluster", "robot", request.request_id);
        request.actor_token = Some(UnverifiedToken::new(actor));
        world.exchange.exchange(&request).await.unwrap();
    }
    world.app().await.unwrap();
    let issued = world.entries_of("credential.issued").await;
    let actors: Vec<_> = issued.iter().map(|(_, entry)| &entry["actor"]["subject"]).collect();
    let robot = json!("system:serviceaccount:billing:robot");
    assert_eq!(actors, [&Value::Null, &robot, &robot]);
    world.exchange.record_all_deliveries().await;
    assert_eq!(counts(&world.delivered().await), [1]);
    assert_eq!(sts.calls(), 1);
}

#[tokio::test]
async fn what_policy_denies_meanwhile_is_not_delivered() {
    let (_sts, world) = world().await;
    world.app().await.unwrap();
    world.new_policies("permit(principal, action, resource) unless { principal.subject like \"*:app\" };");
    assert_eq!(code(world.app().await), "policy_denied");
    world.exchange.record_all_deliveries().await;
    assert!(world.delivered().await.is_empty());
}

/// Between the decision and the delivery, that is: the session was asked for under policies that decide no more.
#[tokio::test]
async fn what_policies_permitted_that_went_out_of_force_meanwhile_is_not_delivered() {
    let (_sts, world) = world().await;
    world.app().await.unwrap();
    let (request, exchange) = (world.workload_asks("cluster", "app", "orders"), &world.exchange);
    let caller = exchange.identify(&request, world.now()).await.unwrap();
    let attempt = Attempt { request: &request, caller: &caller, approvers: &[], at: world.now() };
    let target = exchange.resolve(attempt).await.unwrap();
    let permit = exchange.decide(attempt, &target).unwrap();
    let replay = ReplayClaims::of(&caller);
    let made = exchange.issue(attempt, &permit, &replay).await.unwrap();
    world.new_policies("permit(principal, action, resource) unless { principal.subject like \"*:app\" };");
    let stop = exchange.open(attempt, &permit, made, &replay).await.unwrap_err();
    assert!(matches!(stop, Stop::Failed(Fault::Policy)), "{stop:?}");
    world.exchange.record_all_deliveries().await;
    assert!(world.delivered().await.is_empty());
}

#[tokio::test]
async fn under_policies_that_are_loaded_anew_one_entry_is_made_and_the_next_stand_on_it() {
    let (sts, world) = world().await;
    let before = world.app().await.unwrap().receipt.index();
    world.app().await.unwrap();
    world.new_policies("@id(\"new\") permit(principal, action, resource);");
    let after = world.app().await.unwrap().receipt.index();
    assert!(after > before);
    for _ in 0..3 {
        assert_eq!(world.app().await.unwrap().receipt.index(), after);
    }
    assert_eq!((world.issued().await, sts.calls()), (2, 1));
    world.exchange.record_deliveries().await;
    let old = world.delivered().await;
    assert_eq!(counts(&old), [1], "none will come on the old entry: it is told at once");
    world.exchange.record_all_deliveries().await;
    let delivered = world.delivered().await;
    assert_eq!(counts(&delivered), [1, 3]);
    let issues: Vec<_> = delivered.iter().map(|entry| &entry["credential"]["issue_index"]).collect();
    assert_eq!(issues, [&json!(before), &json!(after)]);
    assert_ne!(delivered[0]["policy"]["digest"], delivered[1]["policy"]["digest"]);
    assert_eq!(delivered[1]["policy"]["decided_by"], json!(["customer/a.cedar#new"]));
}

/// After the gate, and before the credential is opened.
#[tokio::test]
async fn a_lock_that_comes_at_the_last_moment_stops_the_delivery() {
    let (_sts, world) = world().await;
    world.app().await.unwrap();
    let (request, exchange) = (world.workload_asks("cluster", "app", "orders"), &world.exchange);
    let caller = exchange.identify(&request, world.now()).await.unwrap();
    let attempt = Attempt { request: &request, caller: &caller, approvers: &[], at: world.now() };
    exchange.gate(attempt).unwrap();
    let target = exchange.resolve(attempt).await.unwrap();
    let lock = NewLock { target: LockTarget::All, reason: "stop".to_owned(), ttl: None };
    world.locks.set(&world.caller("staff", "lead"), lock, None).await.unwrap();
    let replay = ReplayClaims::of(&caller);
    let stopped = exchange.issue_while_it_stands(attempt, target, &replay).await.unwrap_err();
    assert_eq!(code(Err(exchange.write_down(attempt, &replay, stopped).await)), "locked");
    exchange.record_all_deliveries().await;
    assert!(world.delivered().await.is_empty(), "it is not counted either");
}

#[tokio::test]
async fn while_the_log_cannot_be_written_nothing_is_delivered_and_afterwards_everything_is() {
    let (sts, world) = world().await;
    world.app().await.unwrap();
    world.app().await.unwrap();
    world.make_sick();
    // Nobody knows yet: what is delivered is still counted.
    world.app().await.unwrap();
    world.exchange.record_all_deliveries().await;
    for _ in 0..2 {
        let outcome = world.app().await;
        assert!(matches!(outcome, Err(ExchangeError::Failed(Fault::Audit))), "{outcome:?}");
    }
    world.heal();
    world.app().await.unwrap();
    world.app().await.unwrap();
    world.exchange.record_all_deliveries().await;
    let delivered = counts(&world.delivered().await);
    assert_eq!(delivered.iter().sum::<u64>(), 3, "{delivered:?}: two before, one after");
    assert_eq!((world.issued().await, sts.calls()), (2, 1), "the entry that showed that it works again");
}

#[tokio::test]
async fn a_summary_that_could_not_be_written_is_written_once_however_often_it_is_tried() {
    let (_sts, world) = world().await;
    world.app().await.unwrap();
    world.app().await.unwrap();
    {
        // Whether it became durable is not known to whoever was stopped here.
        let mut writing = Box::pin(world.exchange.record_all_deliveries());
        assert!(futures_util::poll!(writing.as_mut()).is_pending());
    }
    for _ in 0..3 {
        world.exchange.record_deliveries().await;
    }
    assert_eq!(counts(&world.delivered().await), [1]);
    world.app().await.unwrap();
    world.make_sick();
    for _ in 0..3 {
        world.exchange.record_all_deliveries().await;
    }
    world.heal();
    for _ in 0..3 {
        world.exchange.record_deliveries().await;
    }
    assert_eq!(counts(&world.delivered().await), [1, 1]);
}

#[tokio::test]
async fn an_issue_that_was_not_recorded_stands_for_nobody() {
    let (sts, world) = world().await;
    let (request, exchange) = (world.workload_asks("cluster", "app", "orders"), &world.exchange);
    let caller = exchange.identify(&request, world.now()).await.unwrap();
    let attempt = Attempt { request: &request, caller: &caller, approvers: &[], at: world.now() };
    let target = exchange.resolve(attempt).await.unwrap();
    let permit = exchange.decide(attempt, &target).unwrap();
    let replay = ReplayClaims::of(&caller);
    let made = exchange.issue(attempt, &permit, &replay).await.unwrap();
    world.make_sick();
    let outcome = exchange.open(attempt, &permit, made, &replay).await;
    assert!(outcome.is_err());
    world.heal();
    let next = world.app().await.unwrap();
    let issued = world.entries_of("credential.issued").await;
    assert_eq!(issued.len(), 1);
    assert_eq!((issued[0].0, &issued[0].1["credential"]["cached"]), (next.receipt.index(), &json!(true)));
    assert_eq!(sts.calls(), 1);
}

/// The book is bounded: beyond that everybody makes an entry as if nothing were held.
#[tokio::test]
async fn what_cannot_be_counted_any_more_has_an_entry_each() {
    let (_sts, world) = world().await;
    world.app().await.unwrap();
    let (request, exchange) = (world.workload_asks("cluster", "app", "orders"), &world.exchange);
    let caller = exchange.identify(&request, world.now()).await.unwrap();
    let attempt = Attempt { request: &request, caller: &caller, approvers: &[], at: world.now() };
    let target = exchange.resolve(attempt).await.unwrap();
    let delivery = Delivery {
        principal: &caller.principal,
        permit: &exchange.decide(attempt, &target).unwrap(),
        access_key_id: "ASIA",
        fingerprint: Fingerprint::of(b"session"),
        expires_at: world.now().plus(MINUTE),
        source_ip: None,
        at: world.now(),
    };
    let issue = |index: u64| Arc::new(Receipt::for_test_at(request.request_id, 1_000_000 + index));
    (1..20_000).for_each(|index| exchange.ledger.count(&issue(index), &delivery));
    world.app().await.unwrap();
    assert_eq!(world.issued().await, 1, "the last one that has room");
    for _ in 0..2 {
        world.app().await.unwrap();
    }
    assert_eq!(world.issued().await, 3);
    exchange.record_all_deliveries().await;
    world.app().await.unwrap();
    assert_eq!((world.issued().await, exchange.ledger.unrecorded()), (3, 1), "and there is room again");
}

#[tokio::test]
async fn a_thousand_deliveries_of_one_credential_are_one_call_and_one_entry_with_their_number() {
    let (sts, world) = world().await;
    let first = world.app().await.unwrap();
    let (size, request) = (world.log_size(), world.workload_asks("cluster", "app", "orders"));
    for _ in 0..1_000 {
        let again = world.exchange.exchange(&request).await.unwrap();
        assert_eq!(access_key(&again), access_key(&first));
        assert_eq!(again.receipt.index(), first.receipt.index());
    }
    assert_eq!((sts.calls(), world.log_size()), (1, size));
    world.pass(10 * MINUTE);
    for _ in 0..3 {
        world.exchange.record_deliveries().await;
    }
    assert_eq!(world.log_size(), size + 1);
    let issue = &world.entries_of("credential.issued").await[0];
    let delivered = world.delivered().await.pop().unwrap();
    assert_eq!(delivered["count"], 1_000);
    assert_eq!(delivered["request_id"], issue.1["request_id"], "one credential has one id");
    for field in ["principal", "grant", "policy"] {
        assert_eq!(delivered[field], issue.1[field], "{field}");
    }
    let told = json!({
        "kind": "aws", "access_key_id": access_key(&first), "issue_index": issue.0,
        "sha256": issue.1["credential"]["sha256"], "expires_at": issue.1["credential"]["expires_at"],
    });
    assert_eq!(delivered["credential"], told);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_callers_at_once_one_is_issued_the_credential_and_the_others_are_counted() {
    let (sts, world) = world().await;
    let world = Arc::new(world);
    let callers = (0..200).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.app().await.unwrap() })
    });
    let served: Vec<_> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!((sts.calls(), world.issued().await), (1, 1));
    assert!(served.iter().all(|issued| access_key(issued) == "ASIA1"));
    let index = served[0].receipt.index();
    assert!(served.iter().all(|issued| issued.receipt.index() == index));
    world.exchange.record_all_deliveries().await;
    assert_eq!(counts(&world.delivered().await), [199]);
}

/// The clock goes on while they come: sessions are replaced, credentials end, and summaries are written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_is_counted_also_when_the_credential_ends_meanwhile() {
    let (sts, world) = world().await;
    let (world, tried, served) = (Arc::new(world), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let callers = (0..200).map(|_| {
        let (world, tried, served) = (Arc::clone(&world), Arc::clone(&tried), Arc::clone(&served));
        tokio::spawn(async move {
            for _ in 0..5 {
                // One that came when its credential was over is told so, and is not counted.
                if world.app().await.is_ok() {
                    served.fetch_add(1, Ordering::Relaxed);
                }
                tried.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    for minute in 1..=40 {
        while tried.load(Ordering::Relaxed) < minute * 25 {
            tokio::task::yield_now().await;
        }
        world.pass(MINUTE);
        world.exchange.record_deliveries().await;
    }
    join_all(callers).await.into_iter().for_each(Result::unwrap);
    world.exchange.record_all_deliveries().await;
    let (issued, delivered) = (world.issued().await as u64, counts(&world.delivered().await));
    assert_eq!(
        issued + delivered.iter().sum::<u64>(),
        served.load(Ordering::Relaxed),
        "{issued} {delivered:?}"
    );
    assert!(issued <= sts.calls() as u64, "no issue without a call");
    assert!(issued > 1 && delivered.len() > 1, "{issued} {delivered:?}");
}

#[tokio::test]
async fn what_lives_for_hours_is_told_of_every_quarter_of_an_hour() {
    let (sts, world) = world().await;
    let mut request = world.workload_asks("cluster", "app", "orders");
    request.lifetime = Some(Lifetime::from_seconds(43_200).unwrap());
    world.exchange.exchange(&request).await.unwrap();
    let mut told = Vec::new();
    for minute in 1..=45 {
        world.pass(MINUTE);
        let fresh = world.workload_asks("cluster", "app", "orders");
        let request = ExchangeRequest { lifetime: request.lifetime, ..fresh };
        world.exchange.exchange(&request).await.unwrap();
        world.exchange.record_deliveries().await;
        if world.delivered().await.len() > told.len() {
            told.push(minute);
        }
    }
    assert_eq!(told, [16, 32]);
    world.exchange.record_all_deliveries().await;
    let delivered = world.delivered().await;
    assert_eq!(counts(&delivered), [16, 16, 13]);
    assert_eq!(sts.calls(), 1);
    let time = |entry: &Value, field: &str| entry[field].as_str().unwrap().parse().unwrap();
    let (one, next): (crate::clock::Moment, crate::clock::Moment) =
        (time(&delivered[0], "last_at"), time(&delivered[1], "first_at"));
    assert_eq!(next.since(one), MINUTE);
}

#[tokio::test]
async fn what_was_replaced_is_told_of_at_the_next_look() {
    let (sts, world) = world().await;
    for _ in 0..2 {
        world.app().await.unwrap();
        world.app().await.unwrap();
        world.exchange.record_deliveries().await;
        world.pass(5 * MINUTE);
    }
    assert_eq!(sts.calls(), 2);
    assert_eq!(counts(&world.delivered().await), [1], "the second one is still served");
}

#[tokio::test]
async fn eight_addresses_are_named_and_the_rest_is_counted_together() {
    let (_sts, world) = world().await;
    world.app_from("192.0.2.0").await;
    for _ in 0..2 {
        for host in 1..=10 {
            world.app_from(&format!("192.0.2.{host}")).await;
        }
        world.app_from("2001:db8::1").await;
    }
    world.app().await.unwrap();
    world.exchange.record_all_deliveries().await;
    let entry = world.delivered().await.pop().unwrap();
    assert_eq!(entry["count"], 23);
    let named: Vec<_> = (1..=8).map(|host| json!({ "ip": format!("192.0.2.{host}"), "count": 2 })).collect();
    assert_eq!((&entry["sources"], &entry["other_sources"]), (&json!(named), &json!(7)));
    assert!(entry.get("source_ip").is_none() && entry.get("token").is_none());
}

#[tokio::test]
async fn each_caller_and_grant_has_a_count_of_its_own() {
    let (sts, world) = world().await;
    for (account, grant, times) in [("app", "orders", 3), ("app", "parcels", 4), ("job", "orders", 5)] {
        for _ in 0..times {
            world.exchange.exchange(&world.workload_asks("cluster", account, grant)).await.unwrap();
        }
    }
    world.exchange.record_all_deliveries().await;
    let mut told: Vec<_> = world
        .delivered()
        .await
        .iter()
        .map(|entry| {
            let subject =
                entry["principal"]["subject"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
            (subject, entry["grant"]["name"].as_str().unwrap().to_owned(), entry["count"].as_u64().unwrap())
        })
        .collect();
    told.sort();
    let expected = [("app", "orders", 2), ("app", "parcels", 3), ("job", "orders", 4)];
    assert_eq!(told, expected.map(|(who, grant, count)| (who.to_owned(), grant.to_owned(), count)));
    assert_eq!(sts.calls(), 3);
}

#[tokio::test]
async fn a_caller_is_told_how_long_the_credential_still_lives() {
    let (_sts, world) = world().await;
    assert_eq!(world.app().await.unwrap().expires_in.seconds(), 600);
    world.clock.advance(Duration::from_millis(100_500));
    let again = world.app().await.unwrap();
    assert_eq!(again.expires_in.seconds(), 500);
    assert_eq!(again.credential.expires_at().since(world.clock.now()).as_millis(), 499_500);
}
