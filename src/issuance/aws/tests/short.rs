//! When calls to STS are short: by our own budget, or because AWS throttles or is away.

use std::num::NonZeroU32;

use super::*;
use crate::clock::ManualClock;
use crate::policy::Permit;

const MINUTE: Duration = Duration::from_mins(1);

fn at(permit: &Permit, clock: &ManualClock) -> AwsOrder<'static> {
    // The permits of a test live as long as it does.
    let permit: &'static Permit = Box::leak(Box::new(permit.clone()));
    order(permit, clock.now())
}

/// With so many calls a second.
fn limited(sts: &FakeSts, clock: &Arc<ManualClock>, per_second: u32) -> AwsIssuer {
    sts.issuer(clock).with_sts_rate(NonZeroU32::new(per_second))
}

fn newcomer(number: u32) -> Permit {
    permit(&format!("system:serviceaccount:billing:job-{number}"), 600)
}

fn paced(outcome: Result<Credential, IssueError>) -> Duration {
    let error = outcome.unwrap_err();
    let Blame::Pace(wait) = error.blame() else { panic!("{error}") };
    wait
}

#[tokio::test]
async fn a_newcomer_without_budget_costs_neither_a_call_nor_an_entry() {
    let sts = FakeSts::start(&[]).await;
    let (clock, mut entries) = (clock(), 0);
    let issuer = limited(&sts, &clock, 4);
    let mut outcomes = Vec::new();
    for number in 0..5 {
        let permit = newcomer(number);
        let intent = |_: &Plan| {
            entries += 1;
            async { Ok::<(), String>(()) }
        };
        outcomes.push(issuer.issue(order(&permit, clock.now()), intent).await);
    }
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3, "1 of 4 is kept for refreshes");
    assert_eq!((sts.calls(), entries), (3, 3));
    let error = outcomes.pop().unwrap().unwrap_err();
    assert!(matches!(error, IssueError::NoBudget { .. }), "{error}");
    assert_eq!(error.blame(), Blame::Pace(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    assert!(recorded(&issuer, at(&newcomer(4), &clock)).await.is_ok(), "and it was not held against anybody");
}

#[tokio::test]
async fn when_calls_are_short_a_refresh_goes_before_newcomers() {
    let sts = FakeSts::start(&[]).await;
    let clock = clock();
    let issuer = limited(&sts, &clock, 2);
    recorded(&issuer, at(&newcomer(0), &clock)).await.unwrap();
    clock.advance(5 * MINUTE);
    recorded(&issuer, at(&newcomer(1), &clock)).await.unwrap();
    paced(recorded(&issuer, at(&newcomer(2), &clock)).await);
    let refreshed = recorded(&issuer, at(&newcomer(0), &clock)).await.unwrap();
    assert_eq!((access_key(&refreshed).as_str(), is_cached(&refreshed)), ("ASIA3", false));
}

#[tokio::test]
async fn an_elevation_may_draw_on_what_is_kept() {
    let sts = FakeSts::start(&[]).await;
    let clock = clock();
    let issuer = limited(&sts, &clock, 2);
    recorded(&issuer, at(&newcomer(0), &clock)).await.unwrap();
    paced(recorded(&issuer, at(&newcomer(1), &clock)).await);
    assert!(recorded(&issuer, at(&permit_under('a', start().plus(MINUTE)), &clock)).await.is_ok());
    paced(recorded(&issuer, at(&permit_under('b', start().plus(MINUTE)), &clock)).await);
}

#[tokio::test]
async fn a_refresh_without_budget_is_answered_with_what_still_lives() {
    let sts = FakeSts::start(&[]).await;
    let clock = clock();
    let issuer = limited(&sts, &clock, 2);
    let permit = permit(SUBJECT, 600);
    recorded(&issuer, at(&permit, &clock)).await.unwrap();
    clock.advance(5 * MINUTE);
    for elevation in ['a', 'b'] {
        recorded(&issuer, at(&permit_under(elevation, clock.now().plus(MINUTE)), &clock)).await.unwrap();
    }
    let served = recorded(&issuer, at(&permit, &clock)).await.unwrap();
    assert_eq!((access_key(&served).as_str(), is_cached(&served)), ("ASIA1", true));
    assert_eq!(sts.calls(), 3);
    clock.advance(Duration::from_secs(1));
    assert_eq!(access_key(&recorded(&issuer, at(&permit, &clock)).await.unwrap()), "ASIA4");
}

/// Where STS gives nothing for a reason that passes, callers get what they have until a minute before its end.
#[tokio::test]
async fn while_sts_throttles_or_is_away_what_lives_is_served_until_a_minute_before_its_end() {
    let trouble = [
        Says::Code(400, "Throttling"),
        Says::Code(503, "ServiceUnavailable"),
        Says::Text(500, "<html>oops</html>"),
        Says::Text(200, "<AssumeRoleResponse><AssumeRoleResult><Credentials><Acc"),
        Says::Silence,
    ];
    for says in trouble {
        let mut script = vec![says; 30];
        script.insert(0, Says::Fine);
        let (sts, clock) = (FakeSts::start(&script).await, clock());
        // A quarter of it is how long the silence is listened to.
        let deadline =
            if matches!(says, Says::Silence) { MINUTE / 300 } else { FakeSts::settings().deadline };
        let issuer = sts.issuer_with(Settings { deadline, ..FakeSts::settings() }, &clock);
        let permit = permit(SUBJECT, 600);
        recorded(&issuer, at(&permit, &clock)).await.unwrap();
        for pause in [5 * MINUTE, Duration::from_millis(1), Duration::from_millis(239_999)] {
            clock.advance(pause);
            let served = recorded(&issuer, at(&permit, &clock)).await.unwrap();
            assert_eq!((access_key(&served).as_str(), is_cached(&served)), ("ASIA1", true), "{says:?}");
            assert_eq!(served.expires_at(), start().plus(10 * MINUTE));
        }
        clock.advance(Duration::from_millis(1));
        let late = recorded(&issuer, at(&permit, &clock)).await;
        let blame = late.unwrap_err().blame();
        let throttled = matches!(says, Says::Code(400, _));
        assert_eq!(matches!(blame, Blame::Pace(_)), throttled, "{says:?}");
        assert_eq!(blame == Blame::Service, !throttled, "{says:?}");
    }
}

#[tokio::test]
async fn what_aws_refuses_is_not_covered_up_by_what_still_lives() {
    let sts = FakeSts::start(&[Says::Fine, Says::Code(403, "AccessDenied"), Says::Text(500, "")]).await;
    let clock = clock();
    let (issuer, permit) = (sts.issuer(&clock), permit(SUBJECT, 600));
    recorded(&issuer, at(&permit, &clock)).await.unwrap();
    clock.advance(5 * MINUTE);
    let refused = recorded(&issuer, at(&permit, &clock)).await;
    assert!(matches!(refused, Err(IssueError::Refused { .. })), "{refused:?}");
    clock.advance(Duration::from_secs(5));
    let away = recorded(&issuer, at(&permit, &clock)).await;
    assert!(matches!(away, Err(IssueError::Unavailable(_))), "nor by anything later: {away:?}");
}

#[tokio::test]
async fn without_a_record_of_the_intent_nothing_stands_in() {
    let sts = FakeSts::start(&[]).await;
    let clock = clock();
    let (issuer, permit) = (sts.issuer(&clock), permit(SUBJECT, 600));
    recorded(&issuer, at(&permit, &clock)).await.unwrap();
    clock.advance(5 * MINUTE);
    let outcome = issuer.issue(at(&permit, &clock), |_| async { Err("audit storage is down") }).await;
    assert!(matches!(outcome, Err(IssueError::Unrecorded(_))));
}

#[tokio::test]
async fn what_ends_later_than_the_caller_may_stands_in_for_nothing() {
    let sts = FakeSts::start(&[Says::Fine, Says::Text(500, "")]).await;
    let clock = clock();
    let (issuer, permit) = (sts.issuer(&clock), permit(SUBJECT, 600));
    let later = AwsOrder { at: start().plus(Duration::from_secs(10)), ..at(&permit, &clock) };
    recorded(&issuer, later).await.unwrap();
    let outcome = recorded(&issuer, at(&permit, &clock)).await;
    assert!(matches!(outcome, Err(IssueError::Unavailable(_))), "{outcome:?}");
}

#[tokio::test]
async fn while_one_refreshes_the_others_do_not_wait() {
    let sts = FakeSts::start(&[Says::Fine, Says::Silence]).await;
    let clock = clock();
    let (issuer, permit) = (sts.issuer(&clock), permit(SUBJECT, 600));
    let first = ordered(&issuer, at(&permit, &clock)).await.unwrap();
    let receipt = Arc::new(Receipt::for_test(first.credential.request_id()));
    let Standing::Unrecorded(Some(turn)) = first.standing else { panic!("no turn") };
    turn.remember(&receipt);
    clock.advance(5 * MINUTE);
    let (called, calling) = tokio::sync::oneshot::channel();
    let refreshing = issuer.issue(at(&permit, &clock), |_| async {
        called.send(()).unwrap();
        std::future::pending::<Result<(), String>>().await
    });
    let others = async {
        calling.await.unwrap();
        let orders = (0..200).map(|_| AwsOrder { footing: Footing::Shared, ..at(&permit, &clock) });
        join_all(orders.map(|order| ordered(&issuer, order))).await
    };
    tokio::select! {
        _ = refreshing => panic!("it cannot end"),
        served = others => {
            let served: Vec<_> = served.into_iter().map(Result::unwrap).collect();
            assert!(served.iter().all(|made| matches!(&made.standing, Standing::Recorded(issue) if Arc::ptr_eq(issue, &receipt))));
        }
    }
}
