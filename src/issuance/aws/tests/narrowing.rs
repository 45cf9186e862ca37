//! Sessions that a caller's own policy narrows.

use super::*;
use crate::issuance::aws::{NarrowError, NarrowingFault};
use crate::secret::Fingerprint;

const OWN: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::orders/billing/2026/*"}}"#;

fn by<'a>(text: &'a str, order: AwsOrder<'a>) -> AwsOrder<'a> {
    AwsOrder { narrowing: Some(text), ..order }
}

#[tokio::test]
async fn a_policy_that_cannot_be_applied_makes_no_call() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let elsewhere = OWN.replace("billing", "payroll");
    for (text, fault) in [
        ("{}", NarrowingFault::Malformed),
        (elsewhere.as_str(), NarrowingFault::Inexpressible),
        (&" ".repeat(2049), NarrowingFault::TooLarge),
    ] {
        let error = recorded(&issuer, by(text, order(&permit, start()))).await.unwrap_err();
        let IssueError::Plan(PlanError::Narrowing(refused)) = &error else { panic!("{error}") };
        assert_eq!((refused.fault(), error.blame()), (fault, Blame::Request), "{error}");
    }
    assert_eq!(sts.calls(), 0);
}

#[tokio::test]
async fn a_session_policy_that_got_too_long_by_it_is_refused_with_its_length() {
    let sts = FakeSts::start(&[]).await;
    let resources: Vec<_> = (0..26).map(|n| format!("\"arn:aws:s3:::orders/billing/{n:040}\"")).collect();
    let text = OWN.replace("\"arn:aws:s3:::orders/billing/2026/*\"", &format!("[{}]", resources.join(",")));
    assert!(text.len() <= 2048, "{}", text.len());
    let permit = permit(SUBJECT, 600);
    let error = recorded(&sts.issuer(&clock()), by(&text, order(&permit, start()))).await.unwrap_err();
    assert!(
        matches!(error, IssueError::Plan(PlanError::Narrowing(NarrowError::SessionLength(n))) if n > 2048),
        "{error}"
    );
    assert_eq!(sts.calls(), 0);
}

#[tokio::test]
async fn what_aws_says_against_a_narrowed_policy_is_said_to_who_narrowed_it() {
    for (code, fault) in [
        ("MalformedPolicyDocument", NarrowingFault::Malformed),
        ("PackedPolicyTooLarge", NarrowingFault::TooLarge),
    ] {
        let sts = FakeSts::start(&[Says::Code(400, code)]).await;
        let permit = permit(SUBJECT, 600);
        let error = recorded(&sts.issuer(&clock()), by(OWN, order(&permit, start()))).await.unwrap_err();
        assert!(
            matches!(&error, IssueError::Plan(PlanError::Narrowing(refused)) if refused.fault() == fault),
            "{error}"
        );
        assert!(!error.public_text().contains("123456789012"), "{}", error.public_text());
    }
}

#[tokio::test]
async fn one_narrowed_session_is_never_served_for_another_policy() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let other = OWN.replace("2026", "2027");
    let same_meaning = OWN.replace("\"s3:*\"", "[\"s3:*\"]");
    let mut keys = std::collections::BTreeSet::new();
    for text in [None, Some(OWN), Some(other.as_str()), Some(same_meaning.as_str())] {
        let order = || AwsOrder { narrowing: text, ..order(&permit, start()) };
        let key = access_key(&recorded(&issuer, order()).await.unwrap());
        assert_eq!(access_key(&recorded(&issuer, order()).await.unwrap()), key, "the same text shares");
        keys.insert(key);
    }
    assert_eq!((keys.len(), sts.calls()), (4, 4));
}

#[tokio::test]
async fn what_both_allow_arrives_at_sts_and_the_text_is_on_record() {
    let sts = FakeSts::start(&[]).await;
    let permit = permit(SUBJECT, 600);
    let credential = recorded(&sts.issuer(&clock()), by(OWN, order(&permit, start()))).await.unwrap();
    insta::assert_snapshot!("narrowed_policy", sts.script.lock().unwrap().calls[0]["Policy"]);
    let CredentialFacts::Aws { narrowed_by, .. } = credential.facts() else { panic!("not AWS") };
    assert_eq!(*narrowed_by, Some(Fingerprint::of(OWN.as_bytes())));
}

#[tokio::test]
async fn a_session_under_an_elevation_is_narrowed_too() {
    let sts = FakeSts::start(&[]).await;
    let permit = permit_under('a', start().plus(Duration::from_mins(5)));
    recorded(&sts.issuer(&clock()), by(OWN, order(&permit, start()))).await.unwrap();
    assert!(sts.script.lock().unwrap().calls[0]["Policy"].contains("orders/billing/2026/*"));
}
