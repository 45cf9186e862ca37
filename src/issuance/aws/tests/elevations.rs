//! Sessions under an elevation: its name on them, its end, and nothing shared.

use super::*;
use crate::grants::{Position, Template};

fn end() -> crate::clock::Moment {
    start().plus(Duration::from_hours(1))
}

#[tokio::test]
async fn a_break_glass_permit_without_an_elevation_makes_no_call() {
    let sts = FakeSts::start(&[]).await;
    let permit = permit_for(&grant(aws_grant(), true), SUBJECT, 600);
    let refusal = recorded(&sts.issuer(&clock()), order(&permit, start())).await.unwrap_err();
    assert!(matches!(refusal, IssueError::Plan(PlanError::NoElevation)), "{refusal}");
    assert_eq!(refusal.blame(), Blame::Service);
    assert_eq!(sts.calls(), 0);
}

#[tokio::test]
async fn a_window_that_is_over_makes_no_call() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.issuer(&clock());
    for over in [start(), start().plus(Duration::from_millis(999))] {
        let outcome = recorded(&issuer, order(&permit_under('a', over), start())).await;
        assert!(
            matches!(outcome, Err(IssueError::Plan(PlanError::Limit(LimitError::Ended(_))))),
            "{over}: {outcome:?}"
        );
    }
    assert_eq!(sts.calls(), 0);
}

#[tokio::test]
async fn a_grant_whose_own_tag_has_the_elevations_name_is_refused() {
    let sts = FakeSts::start(&[]).await;
    let forged = Template::parse("elv-none", Position::TagValue).unwrap();
    let aws = aws_grant().with_tags(vec![("Tidegate:Elevation".to_owned(), forged)], vec![]).unwrap();
    let used = *permit_under('a', end()).elevation().unwrap();
    let permit = permit_for(&grant(aws, true), SUBJECT, 600).under(used);
    let outcome = recorded(&sts.issuer(&clock()), order(&permit, start())).await;
    assert!(
        matches!(outcome, Err(IssueError::Plan(PlanError::Limit(LimitError::TagTwice(_))))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn the_elevations_tags_count_towards_the_limit_of_aws() {
    let sts = FakeSts::start(&[]).await;
    let value = || Template::parse("v", Position::TagValue).unwrap();
    let with = |number| {
        let tags = (0..number).map(|n| (format!("t{n}"), value())).collect();
        let used = *permit_under('a', end()).elevation().unwrap();
        permit_for(&grant(aws_grant().with_tags(tags, vec![]).unwrap(), true), SUBJECT, 600).under(used)
    };
    let issuer = sts.issuer(&clock());
    assert!(recorded(&issuer, order(&with(48), start())).await.is_ok());
    let outcome = recorded(&issuer, order(&with(49), start())).await;
    assert!(
        matches!(outcome, Err(IssueError::Plan(PlanError::Limit(LimitError::TagCount(51))))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_elevation_shares_a_session_with_nobody_not_even_with_itself() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.issuer(&clock());
    for number in 1..=2 {
        let credential = recorded(&issuer, order(&permit_under('a', end()), start())).await.unwrap();
        assert_eq!(access_key(&credential), format!("ASIA{number}"));
        assert!(!is_cached(&credential));
    }
}

#[tokio::test]
async fn two_elevations_of_one_person_on_one_role_share_no_cloud_state() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.issuer(&clock());
    for elevation in ['a', 'b'] {
        recorded(&issuer, order(&permit_under(elevation, end()), start())).await.unwrap();
    }
    let calls = sts.script.lock().unwrap().calls.clone();
    assert_eq!(calls.len(), 2);
    for field in ["SourceIdentity", "RoleSessionName"] {
        assert_ne!(calls[0][field], calls[1][field], "{field}");
    }
    for (call, id) in calls.iter().zip(['a', 'b']) {
        assert_eq!(call["SourceIdentity"], format!("elv-01a203ff-4cee-7102-8304-05060708090{id}"));
        assert!(call["RoleSessionName"].starts_with("ann@vendor.example-"), "{call:?}");
        assert!(!call.keys().any(|key| key.starts_with("TransitiveTagKeys")), "{call:?}");
    }
}

#[tokio::test]
async fn the_session_ends_with_the_window_to_the_second() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.issuer(&clock());
    let ends_at = start().plus(Duration::from_millis(42_900));
    let credential = recorded(&issuer, order(&permit_under('a', ends_at), start())).await.unwrap();
    assert_eq!(credential.expires_at(), start().plus(Duration::from_secs(42)));
    let policy = sts.script.lock().unwrap().calls[0]["Policy"].clone();
    assert!(policy.contains("2026-11-22T16:03:54Z"), "{policy}");
    // A subject token that ends earlier still counts.
    let earlier = Some(start().plus(Duration::from_secs(7)));
    let permit = permit_under('a', ends_at);
    let order = AwsOrder { exact_end: earlier, ..order(&permit, start()) };
    assert_eq!(Some(recorded(&issuer, order).await.unwrap().expires_at()), earlier);
}

#[tokio::test]
async fn sts_is_asked_in_the_elevations_name() {
    let sts = FakeSts::start(&[]).await;
    recorded(&sts.issuer(&clock()), order(&permit_under('a', end()), start())).await.unwrap();
    insta::assert_json_snapshot!("assume_role_under_an_elevation", sts.script.lock().unwrap().calls[0]);
}
