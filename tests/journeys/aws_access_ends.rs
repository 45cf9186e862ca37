//! Promise 3 against `ministack`, which enforces session policies and time: credentials reach what the grant names, and
//! end with the grant's window, long before STS's own 900 seconds, with the broker dead.

use std::time::{Duration, SystemTime};

use crate::harness::aws::{Aws, Read};
use crate::harness::{OidcProvider, Setup};

/// Long enough for one start of Python on a busy machine.
const WINDOW: &str = "20s";

fn denied() -> Read {
    Read::Refused("AccessDenied".to_owned())
}

fn hello() -> Read {
    Read::Got("hello".to_owned())
}

#[tokio::test]
async fn bucket_outside_the_session_policy_is_refused_and_everything_after_the_window() {
    let (issuer, aws) = (OidcProvider::start(), Aws::ministack());
    let mut broker = Setup::new()
        .issuer("idp", issuer.url(), "")
        .aws_grant("orders-read", aws.role_arn(), "orders", WINDOW)
        .sts(aws.endpoint(), aws.broker_env())
        .start();
    let answer = broker.exchange("orders-read", &issuer.token("es256").await).await.granted();
    let credentials = &answer.body["aws"];
    broker.kill_9();

    assert_eq!(aws.read(credentials, ["orders", "ledger"]), [hello(), denied()]);
    // The role itself may read both: the refusal was the session policy's.
    assert_eq!(aws.read(aws.unscoped(), ["orders", "ledger"]), [hello(), hello()]);

    wait_until(answer.text("/aws/Expiration")).await;
    assert_eq!(aws.read(credentials, ["orders", "ledger"]), [denied(), denied()]);
    // And the end was the window's, not the stand-in's.
    assert_eq!(aws.read(aws.unscoped(), ["orders"]), [hello()]);
}

async fn wait_until(moment: &str) {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    let left = SystemTime::from(moment).duration_since(SystemTime::now()).unwrap_or_default();
    assert!(left < Duration::from_secs(30), "the window is seconds long, not {left:?}");
    tokio::time::sleep(left).await;
}
