//! An elevation that ends early takes its AWS sessions along: the Deny that IAM gets, against `ministack`.
//!
//! What this cannot show: `ministack` does not know `aws:SourceIdentity`, so our document alone hits nobody there. That one
//! elevation's Deny leaves another's sessions alone rests on AWS's word about that key. What it does show: IAM takes the
//! document as it is meant, its date refuses sessions issued before and no later ones (in a copy without the other key),
//! and lifting removes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tidegate::clock::Moment;
use tidegate::grants::{AwsGrant, BreakGlass, Grant, GrantKind, Lifetime, LifetimeCaps, RoleArn};
use tidegate::ids::{ElevationId, GrantName};
use tidegate::issuance::aws::{EndError, EndOrder, EndSettings, SessionEnder};
use tidegate::secret::Fingerprint;

use crate::harness::aws::{Aws, Read};

fn grant(role: &str) -> Grant {
    let lifetime = Lifetime::from_seconds(600).unwrap();
    Grant {
        name: GrantName::new("prod-admin").unwrap(),
        version: Fingerprint::of(b"1"),
        kind: GrantKind::Aws(Arc::new(AwsGrant::new(RoleArn::new(role).unwrap(), None))),
        caps: LifetimeCaps { default: lifetime, max: lifetime },
        break_glass: Some(BreakGlass { max_duration: Duration::from_hours(1) }),
        labels: BTreeSet::new(),
        sets: BTreeSet::new(),
    }
}

fn ender(aws: &Aws) -> SessionEnder {
    let settings = EndSettings {
        region: Some("eu-central-1".to_owned()),
        iam_endpoint: Some(aws.endpoint().to_owned()),
        ..EndSettings::default()
    };
    let (id, secret) = aws.administrator();
    SessionEnder::with_credentials(
        settings,
        aws_credential_types::Credentials::new(id, secret, None, None, "test"),
    )
    .unwrap()
}

fn now() -> Moment {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Moment::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap())
}

fn order(grant: &Grant, number: u8, since: Moment) -> EndOrder<'_> {
    let elevation: ElevationId = format!("elv-01900000-0000-7000-8000-00000000000{number}").parse().unwrap();
    EndOrder { grant, elevation, since, until: since.plus(Duration::from_hours(1)) }
}

fn hello() -> [Read; 1] {
    [Read::Got("hello".to_owned())]
}

const POLICY: &str = "tidegate-end-01900000-0000-7000-8000-000000000001";

#[tokio::test]
async fn sessions_issued_before_the_end_are_refused_until_the_deny_is_lifted() {
    let aws = Aws::ministack();
    let (ender, role) = (ender(&aws), grant(aws.role_arn()));
    assert_eq!(aws.read(aws.unscoped(), ["orders"]), hello());

    // Ended an hour ago: the session of this test is younger than that and is not hit.
    ender.deny(&order(&role, 1, now().minus(Duration::from_hours(1)))).await.unwrap();
    aws.enforce_without_source_identity(POLICY);
    assert_eq!(aws.read(aws.unscoped(), ["orders"]), hello());

    // Ended now: the session is older. Asking again replaces the document of the same name.
    let over = now();
    ender.deny(&order(&role, 1, over)).await.unwrap();
    ender.deny(&order(&role, 2, over)).await.unwrap();
    let kept = aws.session_ends();
    let condition = &kept[POLICY]["Statement"][0]["Condition"];
    let issued_before: Moment =
        condition["DateLessThan"]["aws:TokenIssueTime"].as_str().unwrap().parse().unwrap();
    assert!(issued_before >= over);
    assert_eq!(condition["StringEquals"]["aws:SourceIdentity"], "elv-01900000-0000-7000-8000-000000000001");
    aws.enforce_without_source_identity(POLICY);
    assert_eq!(aws.read(aws.unscoped(), ["orders"]), [Read::Refused("AccessDenied".to_owned())]);

    // Lifted: ours is gone and the other elevation's stays. Twice is no error.
    for _ in 0..2 {
        ender.lift(&order(&role, 1, over)).await.unwrap();
    }
    let left = aws.session_ends();
    let left: Vec<_> = left.as_object().unwrap().keys().cloned().collect();
    assert_eq!(left, [POLICY.replace("0000001", "0000002")]);
    aws.forget_copy();
    assert_eq!(aws.read(aws.unscoped(), ["orders"]), hello());
}

#[tokio::test]
async fn a_role_of_the_same_name_in_our_own_account_is_not_mistaken_for_another_accounts() {
    let aws = Aws::ministack();
    let elsewhere = aws.role_arn().replace("::000000000000:", "::123456789012:");
    assert_ne!(elsewhere, aws.role_arn());
    let grant = grant(&elsewhere);
    let refused = ender(&aws).deny(&order(&grant, 1, now())).await.unwrap_err();
    assert_eq!(refused, EndError::OtherRole { found: aws.role_arn().to_owned() });
    assert_eq!(aws.session_ends(), serde_json::json!({}));
}
