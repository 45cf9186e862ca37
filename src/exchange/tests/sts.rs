//! Many callers at once, and an STS that misbehaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::world::{World, access_key};
use crate::exchange::{ExchangeError, Fault, Issued, Refusal};
use crate::issuance::aws::Settings;
use crate::issuance::aws::fixtures::{self, FakeSts, Says};

const CALLERS: usize = 200;

async fn world(says: &[Says], change: impl FnOnce(Settings) -> Settings) -> (FakeSts, Arc<World>) {
    let (sts, clock) = (FakeSts::start(says).await, fixtures::clock());
    let issuer = sts.issuer_with(change(FakeSts::settings()), &clock);
    (sts, Arc::new(World::over(clock, Some(issuer)).await))
}

/// All of these service accounts in turn, at once.
async fn storm(
    world: &Arc<World>,
    accounts: &'static [&'static str],
) -> Vec<(&'static str, Result<Issued, ExchangeError>)> {
    let callers = (0..CALLERS).map(|number| {
        let (world, account) = (Arc::clone(world), accounts[number % accounts.len()]);
        tokio::spawn(async move {
            (account, world.exchange.exchange(&world.workload_asks("cluster", account, "orders")).await)
        })
    });
    join_all(callers).await.into_iter().map(Result::unwrap).collect()
}

/// Whatever STS says to the first call, it says to every one of these callers; there are few calls, and then it works again.
#[tokio::test(flavor = "multi_thread")]
async fn what_sts_says_to_one_of_two_hundred_callers_is_told_to_all_of_them() {
    let half =
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>hunter2</SecretAccessKey>";
    let trouble = [
        (Says::Code(400, "Throttling"), 8, "provider_throttled"),
        (Says::Silence, 1, "sts"),
        (Says::Text(200, half), 1, "sts"),
        (Says::Text(500, half), 1, "sts"),
        (Says::Code(503, "ServiceUnavailable"), 1, "sts"),
        (Says::Code(403, "InvalidClientTokenId"), 1, "sts"),
        (Says::Code(403, "AccessDenied"), 1, "scoping"),
    ];
    for (says, calls, expected) in trouble {
        let attempt_timeout = Duration::from_millis(if matches!(says, Says::Silence) { 200 } else { 20_000 });
        let (sts, world) = world(&vec![says; calls], |usual| Settings { attempt_timeout, ..usual }).await;
        for (_, outcome) in storm(&world, &["app"]).await {
            let error = outcome.expect_err("nothing was given");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
            let code = match error {
                ExchangeError::Refused(refusal) => refusal.code(),
                ExchangeError::Failed(fault) => fault.code(),
            };
            assert_eq!(code, expected, "{says:?}");
        }
        assert_eq!(sts.calls(), calls, "{says:?}");
        let refused = world.entries_of("credential.refused").await;
        assert_eq!(refused.len(), CALLERS, "each of them is on record");
        world.pass(Duration::from_secs(10));
        assert!(world.app().await.is_ok(), "{says:?} is over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_that_passes_is_waited_for_by_all() {
    let (sts, world) = world(&[Says::Code(400, "Throttling"); 3], |usual| usual).await;
    let served = storm(&world, &["app"]).await;
    assert!(served.iter().all(|(_, outcome)| access_key(outcome.as_ref().unwrap()) == "ASIA4"));
    assert_eq!(sts.calls(), 4);
    assert_eq!(world.entries_of("aws.assume_role.requested").await.len(), 1);
}

/// Four accounts, a third of STS's answers nonsense: whoever gets a credential gets the one that STS made for them.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_the_credential_of_another() {
    let accounts = &["app", "job", "web", "cron"];
    let says =
        [Says::Text(200, "hello"), Says::Fine, Says::Code(503, "ServiceUnavailable"), Says::Fine, Says::Fine];
    let (sts, world) = world(&says, |usual| usual).await;
    let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..2 {
        for (account, outcome) in storm(&world, accounts).await {
            match outcome {
                Ok(issued) => _ = keys.entry(account).or_default().insert(access_key(&issued).to_owned()),
                Err(error) => assert!(matches!(error, ExchangeError::Failed(Fault::Sts(_))), "{error:?}"),
            }
        }
        world.pass(Duration::from_secs(2));
    }
    assert_eq!(keys.keys().copied().collect::<BTreeSet<_>>(), accounts.iter().copied().collect());
    let calls = sts.script.lock().unwrap().calls.clone();
    for (account, keys) in keys {
        assert_eq!(keys.len(), 1, "{account}");
        for key in keys {
            let number: usize = key.trim_start_matches("ASIA").parse().unwrap();
            let source = &calls[number - 1]["SourceIdentity"];
            assert!(
                source.contains(&format!("billing-{account}-")),
                "{key} was made for {source}, not {account}"
            );
        }
    }
}

#[tokio::test]
async fn over_our_own_budget_a_newcomer_is_asked_to_come_again_and_says_why_in_the_record() {
    let (sts, clock) = (FakeSts::start(&[]).await, fixtures::clock());
    let issuer = sts.issuer(&clock).with_sts_rate(std::num::NonZeroU32::new(2));
    let world = World::over(clock, Some(issuer)).await;
    world.app().await.unwrap();
    let request = world.workload_asks("cluster", "job", "orders");
    let outcome = world.exchange.exchange(&request).await;
    let told = Refusal::StsBudget(Duration::from_secs(1));
    assert_eq!(outcome.unwrap_err(), ExchangeError::Refused(told));
    let entry = world.last_entry().await;
    assert_eq!((&entry["type"], &entry["reason"]), (&"credential.refused".into(), &"provider_budget".into()));
    assert_eq!((sts.calls(), world.entries_of("aws.assume_role.requested").await.len()), (1, 1));
    world.pass(Duration::from_secs(1));
    world.exchange.exchange(&request).await.unwrap();
}

/// A refresh that is throttled: the held session goes out as a delivery, under the entry of its issue.
#[tokio::test]
async fn while_sts_throttles_a_session_that_lives_is_delivered_and_counted() {
    let mut says = vec![Says::Code(400, "Throttling"); 8];
    says.insert(0, Says::Fine);
    let (sts, world) = world(&says, |usual| usual).await;
    let first = world.app().await.unwrap();
    world.pass(Duration::from_mins(5));
    for _ in 0..10 {
        let again = world.app().await.unwrap();
        assert_eq!((access_key(&again), again.receipt.index()), (access_key(&first), first.receipt.index()));
        assert_eq!(again.expires_in.seconds(), 300);
    }
    assert_eq!(sts.calls(), 9, "that it throttles is remembered");
    world.exchange.record_all_deliveries().await;
    let delivered = world.entries_of("credential.delivered").await;
    assert_eq!(delivered.iter().map(|(_, entry)| entry["count"].as_u64().unwrap()).collect::<Vec<_>>(), [10]);
}
