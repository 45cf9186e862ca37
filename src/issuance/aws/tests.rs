//! The issuer against a stand-in STS, through the real SDK.

use std::time::Duration;

use futures_util::future::join_all;

use super::fixtures::*;
use super::*;
use crate::audit::Receipt;
use crate::grants::AwsGrant;
use crate::issuance::error::Blame;

const SUBJECT: &str = "system:serviceaccount:billing:api";

fn opened(credential: Credential) -> OpenCredential {
    let receipt = Receipt::for_test(credential.request_id());
    credential.open(&receipt).unwrap()
}

mod deliveries;
mod elevations;
mod narrowing;
mod options;
mod short;
mod web_identity;

mod refusals {
    use super::*;

    #[tokio::test]
    async fn without_a_record_of_the_intent_sts_is_not_called() {
        let sts = FakeSts::start(&[]).await;
        let issuer = sts.issuer(&clock());
        let permit = permit(SUBJECT, 600);
        let outcome = issuer.issue(order(&permit, start()), |_| async { Err("audit storage is down") }).await;
        assert!(matches!(outcome, Err(IssueError::Unrecorded(_))));
        assert_eq!(sts.calls(), 0);
        assert!(
            recorded(&issuer, order(&permit, start())).await.is_ok(),
            "and the next caller is not held up"
        );
    }

    #[tokio::test]
    async fn what_aws_refuses_is_told_to_the_operator_and_not_to_the_caller() {
        let sts = FakeSts::start(&[Says::Code(403, "AccessDenied")]).await;
        let error = recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await.unwrap_err();
        assert!(error.to_string().contains("arn:aws:iam::123456789012:role/x"));
        assert!(!error.public_text().contains("arn:"));
        assert_eq!(error.blame(), Blame::Request);
    }

    #[tokio::test]
    async fn a_refusal_is_remembered_for_seconds_only() {
        let sts = FakeSts::start(&[Says::Code(403, "AccessDenied")]).await;
        let clock = clock();
        let issuer = sts.issuer(&clock);
        let permit = permit(SUBJECT, 600);
        let mut at = start();
        for _ in 0..3 {
            assert!(matches!(recorded(&issuer, order(&permit, at)).await, Err(IssueError::Refused { .. })));
            at = at.plus(Duration::from_secs(1));
        }
        assert_eq!(sts.calls(), 1);
        clock.set(start().plus(Duration::from_secs(5)));
        assert!(recorded(&issuer, order(&permit, clock.now())).await.is_ok());
    }

    #[tokio::test]
    async fn policies_that_are_too_large_when_packed_are_named() {
        for (code, words) in
            [("PackedPolicyTooLarge", "packed"), ("MalformedPolicyDocument", "session policy")]
        {
            let sts = FakeSts::start(&[Says::Code(400, code)]).await;
            let error =
                recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await.unwrap_err();
            assert!(matches!(&error, IssueError::Refused { code: told, .. } if told == code));
            assert!(error.public_text().contains(words), "{}", error.public_text());
        }
    }

    #[tokio::test]
    async fn throttling_without_end_asks_the_caller_to_slow_down() {
        let sts = FakeSts::start(&[Says::Code(400, "Throttling"); 20]).await;
        let error = recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await.unwrap_err();
        assert!(matches!(error.blame(), Blame::Pace(after) if after >= Duration::from_secs(1)), "{error}");
        assert_eq!(sts.calls(), 8);
    }

    #[tokio::test]
    async fn answers_that_make_no_sense_are_an_outage() {
        let nonsense = [
            Says::Text(200, "<AssumeRoleResponse><AssumeRoleResult><Credentials><Acc"),
            Says::Text(
                200,
                "<AssumeRoleResponse xmlns=\"x\"><AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>",
            ),
            Says::Text(200, "hello"),
            Says::Text(500, "<html>oops</html>"),
            Says::Code(503, "ServiceUnavailable"),
            Says::Code(403, "InvalidClientTokenId"),
            Says::Text(403, "<html>proxy</html>"),
            Says::Short(0),
        ];
        for says in nonsense {
            let sts = FakeSts::start(&[says]).await;
            let outcome = recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await;
            assert!(matches!(outcome, Err(IssueError::Unavailable(_))), "{says:?}: {outcome:?}");
            assert_eq!(sts.calls(), 1, "{says:?} is not retried");
        }
    }

    #[tokio::test]
    async fn half_an_answer_shows_nobody_its_secret() {
        let cut_off =
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>hunter2</SecretAccessKey>";
        let odd = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
                   <SecretAccessKey>hunter2</SecretAccessKey><Expiration>hunter2</Expiration></Credentials>";
        for (status, text) in [(200, cut_off), (200, odd), (500, cut_off), (403, odd)] {
            let sts = FakeSts::start(&[Says::Text(status, text)]).await;
            let error =
                recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await.unwrap_err();
            assert!(!format!("{error} {error:?} {}", error.public_text()).contains("hunter2"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn silence_ends_at_the_time_out() {
        let sts = FakeSts::start(&[Says::Silence]).await;
        let settings = Settings { attempt_timeout: Duration::from_millis(50), ..FakeSts::settings() };
        let issuer = sts.issuer_with(settings, &clock());
        let outcome = recorded(&issuer, order(&permit(SUBJECT, 600), start())).await;
        assert!(matches!(outcome, Err(IssueError::Unavailable(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn limits_are_checked_before_anything_is_recorded_or_called() {
        let sts = FakeSts::start(&[]).await;
        let settings = Settings { chained: true, ..FakeSts::settings() };
        let issuer = sts.issuer_with(settings, &clock());
        let permit = permit(SUBJECT, 3601);
        let outcome = issuer
            .issue(order(&permit, start()), |_| async {
                panic!("recorded");
                #[expect(unreachable_code, reason = "gives the type")]
                Ok::<(), String>(())
            })
            .await;
        let text = outcome.unwrap_err().public_text();
        assert!(text.contains("3601") && text.contains("3600"), "{text}");
        assert_eq!(sts.calls(), 0);
    }
}

mod single_flight {
    use super::*;

    #[tokio::test]
    async fn two_hundred_callers_for_one_cold_credential_make_one_call() {
        let sts = FakeSts::start(&[]).await;
        let issuer = sts.issuer(&clock());
        let permit = permit(SUBJECT, 600);
        let all = join_all((0..200).map(|_| recorded(&issuer, order(&permit, start())))).await;
        assert_eq!(sts.calls(), 1);
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert!(all.iter().all(|credential| access_key(credential) == "ASIA1"));
        assert_eq!(all.iter().filter(|credential| !is_cached(credential)).count(), 1);
    }

    #[tokio::test]
    async fn two_hundred_callers_for_a_refused_credential_make_one_call() {
        let sts = FakeSts::start(&[Says::Code(403, "AccessDenied"); 200]).await;
        let issuer = sts.issuer(&clock());
        let permit = permit(SUBJECT, 600);
        let all = join_all((0..200).map(|_| recorded(&issuer, order(&permit, start())))).await;
        assert!(all.iter().all(|outcome| matches!(outcome, Err(IssueError::Refused { .. }))));
        assert_eq!(sts.calls(), 1);
    }

    #[tokio::test]
    async fn another_caller_never_gets_it() {
        let sts = FakeSts::start(&[]).await;
        let issuer = sts.issuer(&clock());
        let permits = [
            permit(SUBJECT, 600),
            permit("system:serviceaccount:billing:other", 600),
            permit(SUBJECT, 601),
            permit_for(&grant(AwsGrant { session_policy: None, ..aws_grant() }, false), SUBJECT, 600),
            permit_for(&grant(AwsGrant { allow_assume_role: true, ..aws_grant() }, false), SUBJECT, 600),
        ];
        let mut keys = std::collections::BTreeSet::new();
        for permit in &permits {
            keys.insert(access_key(&recorded(&issuer, order(permit, start())).await.unwrap()));
        }
        let elsewhere = AwsOrder { attributes: &Namespace("payroll"), ..order(&permits[0], start()) };
        keys.insert(access_key(&recorded(&issuer, elsewhere).await.unwrap()));
        let bounded = AwsOrder {
            exact_end: Some(start().plus(Duration::from_secs(599))),
            ..order(&permits[0], start())
        };
        keys.insert(access_key(&recorded(&issuer, bounded).await.unwrap()));
        assert_eq!(keys.len(), 7, "{keys:?}");
    }

    #[tokio::test]
    async fn a_leader_who_goes_away_leaves_the_way_free() {
        let sts = FakeSts::start(&[]).await;
        let issuer = sts.issuer(&clock());
        let permit = permit(SUBJECT, 600);
        let (called, calling) = tokio::sync::oneshot::channel();
        let leader = issuer.issue(order(&permit, start()), |_| async {
            called.send(()).unwrap();
            std::future::pending::<Result<(), String>>().await
        });
        tokio::select! {
            _ = leader => panic!("it cannot end"),
            seen = calling => seen.unwrap(),
        }
        assert_eq!(access_key(&recorded(&issuer, order(&permit, start())).await.unwrap()), "ASIA1");
    }

    #[tokio::test]
    async fn a_leader_who_was_not_recorded_does_not_fail_those_who_wait() {
        let sts = FakeSts::start(&[]).await;
        let issuer = sts.issuer(&clock());
        let permit = permit(SUBJECT, 600);
        let (fail, failing) = tokio::sync::oneshot::channel::<()>();
        let leader = issuer.issue(order(&permit, start()), |_| async {
            failing.await.unwrap();
            Err("not recorded")
        });
        let waiter = async {
            fail.send(()).unwrap();
            recorded(&issuer, order(&permit, start())).await
        };
        let (leader, waiter) = tokio::join!(leader, waiter);
        assert!(matches!(leader, Err(IssueError::Unrecorded(_))));
        assert_eq!(access_key(&waiter.unwrap()), "ASIA1");
    }
}

mod ends {
    use super::*;

    #[tokio::test]
    async fn a_session_is_served_again_until_half_its_life_is_over() {
        let sts = FakeSts::start(&[]).await;
        let issuer = sts.issuer(&clock());
        let permit = permit(SUBJECT, 600);
        let served = async |seconds| {
            let at = start().plus(Duration::from_secs(seconds));
            access_key(&recorded(&issuer, order(&permit, at)).await.unwrap())
        };
        assert_eq!(served(0).await, "ASIA1");
        assert_eq!(served(299).await, "ASIA1");
        assert_eq!(served(300).await, "ASIA2");
    }

    #[tokio::test]
    async fn a_session_that_ends_later_than_the_caller_may_is_not_served() {
        let sts = FakeSts::start(&[]).await;
        let issuer = sts.issuer(&clock());
        let permit = permit(SUBJECT, 600);
        let later = start().plus(Duration::from_secs(10));
        assert_eq!(access_key(&recorded(&issuer, order(&permit, later)).await.unwrap()), "ASIA1");
        let earlier = recorded(&issuer, order(&permit, start())).await.unwrap();
        assert_eq!(access_key(&earlier), "ASIA2");
        assert_eq!(earlier.expires_at(), start().plus(Duration::from_mins(10)));
    }

    #[tokio::test]
    async fn an_exact_end_is_never_passed() {
        let sts = FakeSts::start(&[]).await;
        let permit = permit(SUBJECT, 600);
        let end = start().plus(Duration::from_millis(42_900));
        let bounded = AwsOrder { exact_end: Some(end), ..order(&permit, start()) };
        let credential = recorded(&sts.issuer(&clock()), bounded).await.unwrap();
        assert_eq!(credential.expires_at(), start().plus(Duration::from_secs(42)));
        let policy = sts.script.lock().unwrap().calls[0]["Policy"].clone();
        assert!(policy.contains(&credential.expires_at().to_string()), "{policy}");
    }

    #[tokio::test]
    async fn an_end_that_is_over_makes_no_call() {
        let sts = FakeSts::start(&[]).await;
        let permit = permit(SUBJECT, 600);
        let bounded = AwsOrder { exact_end: Some(start()), ..order(&permit, start()) };
        let outcome = recorded(&sts.issuer(&clock()), bounded).await;
        assert!(
            matches!(outcome, Err(IssueError::Plan(PlanError::Limit(LimitError::Ended(_))))),
            "{outcome:?}"
        );
        assert_eq!(sts.calls(), 0);
    }

    #[tokio::test]
    async fn when_aws_ends_earlier_the_caller_is_told_so() {
        let sts = FakeSts::start(&[Says::Short(300)]).await;
        let credential =
            recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await.unwrap();
        assert_eq!(credential.expires_at(), start().plus(Duration::from_mins(5)));
    }
}

#[tokio::test]
async fn issuing_may_move_between_threads() {
    fn movable<T: Send>(future: T) -> T {
        future
    }
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let issuing = issuer.issue(order(&permit, start()), |_| async { Ok::<(), String>(()) });
    movable(issuing).await.unwrap();
}

#[tokio::test]
async fn throttling_that_passes_is_waited_out() {
    let sts =
        FakeSts::start(&[Says::Code(400, "Throttling"), Says::Code(429, "TooManyRequestsException")]).await;
    let credential = recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await.unwrap();
    assert_eq!(access_key(&credential), "ASIA3");
}

#[tokio::test]
async fn sts_is_asked_for_exactly_this() {
    let sts = FakeSts::start(&[]).await;
    recorded(&sts.issuer(&clock()), order(&permit(SUBJECT, 600), start())).await.unwrap();
    insta::assert_json_snapshot!("assume_role", sts.script.lock().unwrap().calls[0]);
}

#[tokio::test]
async fn the_credential_opens_with_its_receipt_and_says_what_is_public() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.issuer(&clock());
    let permit = permit(SUBJECT, 600);
    let mut intent = None;
    let credential = issuer
        .issue(order(&permit, start()), |plan| {
            intent = Some((plan.role_arn().to_owned(), plan.session_name().to_owned(), plan.ends_at()));
            async { Ok::<(), String>(()) }
        })
        .await
        .unwrap()
        .credential;
    let CredentialFacts::Aws { role_arn, session_name, packed_policy_percent, .. } =
        credential.facts().clone()
    else {
        panic!("not AWS")
    };
    assert_eq!(intent, Some((role_arn, session_name, credential.expires_at())));
    assert_eq!(packed_policy_percent, Some(7));
    let OpenCredential::Aws { secret_access_key, session_token, .. } = opened(credential) else {
        panic!("not AWS")
    };
    assert_eq!((secret_access_key.expose(), session_token.expose()), ("secret-1", "token-1"));
}
