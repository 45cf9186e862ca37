//! What a grant says for itself: another STS, an external id, managed policies.

use super::*;
use crate::grants::{PolicyArn, Region, StsRoute};

fn managed(names: &[&str]) -> Vec<PolicyArn> {
    let arn = |name: &&str| {
        PolicyArn::for_role(&format!("arn:aws:iam::123456789012:policy/{name}"), &aws_grant().role_arn)
    };
    names.iter().map(|name| arn(name).unwrap()).collect()
}

/// The one call that is made for such a grant.
async fn asked(aws: AwsGrant) -> std::collections::BTreeMap<String, String> {
    let sts = FakeSts::start(&[]).await;
    let permit = permit_for(&grant(aws, false), SUBJECT, 600);
    recorded(&sts.issuer(&clock()), order(&permit, start())).await.unwrap();
    sts.script.lock().unwrap().calls[0].clone()
}

async fn refused(aws: AwsGrant, narrowing: Option<&str>) -> IssueError {
    let sts = FakeSts::start(&[]).await;
    let permit = permit_for(&grant(aws, false), SUBJECT, 600);
    let order = AwsOrder { narrowing, ..order(&permit, start()) };
    let refusal = recorded(&sts.issuer(&clock()), order).await.unwrap_err();
    assert_eq!(sts.calls(), 0);
    refusal
}

#[tokio::test]
async fn a_callers_policy_beside_managed_ones_is_refused() {
    let policy =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    let aws = AwsGrant { policy_arns: managed(&["a"]), ..aws_grant() };
    let refusal = refused(aws, Some(policy)).await;
    assert!(matches!(refusal, IssueError::Plan(PlanError::Narrowing(NarrowError::Managed))), "{refusal}");
    assert_eq!(refusal.blame(), Blame::Request);
}

#[tokio::test]
async fn managed_policies_count_towards_the_2048_characters() {
    let names: Vec<String> = (0..10).map(|n| format!("{n:0>128}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let refusal = refused(AwsGrant { policy_arns: managed(&names), ..aws_grant() }, None).await;
    assert!(
        matches!(refusal, IssueError::Plan(PlanError::Limit(LimitError::PoliciesLength(_)))),
        "{refusal}"
    );
}

#[tokio::test]
async fn an_sts_that_has_no_client_is_not_replaced_by_another() {
    let region = Region::new("eu-west-3").unwrap();
    let elsewhere = AwsGrant { sts: StsRoute { region, endpoint: None }, ..aws_grant() };
    let refusal = refused(elsewhere, None).await;
    assert!(matches!(&refusal, IssueError::Unavailable(why) if why.contains("eu-west-3")), "{refusal}");
}

#[tokio::test]
async fn beside_managed_policies_the_inline_one_allows_nothing_of_its_own() {
    let aws = AwsGrant { policy_arns: managed(&["a", "teams/b"]), session_policy: None, ..aws_grant() };
    let call = asked(aws).await;
    assert_eq!(call["PolicyArns.member.1.arn"], "arn:aws:iam::123456789012:policy/a");
    assert_eq!(call["PolicyArns.member.2.arn"], "arn:aws:iam::123456789012:policy/teams/b");
    let policy = &call["Policy"];
    assert!(!policy.contains("Allow"), "an Allow of everything would make them pointless: {policy}");
    assert!(policy.contains("TidegateEnd") && policy.contains("TidegateNoOutliving"), "{policy}");
}

#[tokio::test]
async fn the_grants_own_statements_stand_beside_managed_policies() {
    let call = asked(AwsGrant { policy_arns: managed(&["a"]), ..aws_grant() }).await;
    assert!(call["Policy"].contains("arn:aws:s3:::orders/billing/*"), "{}", call["Policy"]);
    assert!(!call["Policy"].contains("TidegateRole"), "{}", call["Policy"]);
}

#[tokio::test]
async fn each_grant_gives_its_own_external_id() {
    let call = asked(AwsGrant { external_id: Some("acme-7".into()), ..aws_grant() }).await;
    assert_eq!(call["ExternalId"], "acme-7");
    assert!(!asked(aws_grant()).await.contains_key("ExternalId"));
}

#[tokio::test]
async fn tags_are_transitive_only_when_asked() {
    let tag = crate::grants::Template::parse("v", crate::grants::Position::TagValue).unwrap();
    let tags = || vec![("team".to_owned(), tag.clone())];
    let call = asked(aws_grant().with_tags(tags(), vec!["team".into()]).unwrap()).await;
    assert_eq!(call["TransitiveTagKeys.member.1"], "team");
    let call = asked(aws_grant().with_tags(tags(), vec![]).unwrap()).await;
    assert!(!call.keys().any(|key| key.starts_with("TransitiveTagKeys")), "{call:?}");
}

#[tokio::test]
async fn each_grant_is_issued_by_the_sts_that_it_names() {
    let (one, other) = (FakeSts::start(&[]).await, FakeSts::start(&[]).await);
    let entropy = Arc::new(crate::entropy::SystemEntropy::new());
    let routes = [one.route(), other.route()];
    let clients = StsClients::new(routes.clone(), broker(), FakeSts::settings(), entropy).unwrap();
    let issuer = AwsIssuer::new(clients, clock());
    for (sts, route) in [&one, &other].into_iter().zip(routes) {
        let permit = permit_for(&grant(AwsGrant { sts: route, ..aws_grant() }, false), SUBJECT, 600);
        let credential = recorded(&issuer, order(&permit, start())).await.unwrap();
        assert_eq!(sts.calls(), 1);
        assert!(!is_cached(&credential), "what another STS gave is not served");
    }
}

#[tokio::test]
async fn what_the_grant_says_for_itself_is_never_served_to_another() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.issuer(&clock());
    let mut keys = std::collections::BTreeSet::new();
    for aws in [
        aws_grant(),
        AwsGrant { external_id: Some("acme-7".into()), ..aws_grant() },
        AwsGrant { external_id: Some("acme-8".into()), ..aws_grant() },
        AwsGrant { policy_arns: managed(&["a"]), ..aws_grant() },
        AwsGrant { policy_arns: managed(&["a", "b"]), ..aws_grant() },
        AwsGrant { sts: sts.route(), ..aws_grant() },
    ] {
        let permit = permit_for(&grant(aws, false), SUBJECT, 600);
        keys.insert(access_key(&recorded(&issuer, order(&permit, start())).await.unwrap()));
    }
    assert_eq!(keys.len(), 6, "{keys:?}");
}
