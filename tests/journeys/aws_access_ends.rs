//! Promise 3 against `ministack`, which enforces session policies and time: credentials reach what the grant names, and
//! end with the grant's window, long before STS's own 900 seconds, with the broker dead.

use std::time::{Duration, SystemTime};

use crate::harness::aws::{Aws, Read};
use crate::harness::{OidcProvider, Setup, http};

/// Long enough for two starts of Python on a busy machine.
const WINDOW: &str = "25s";

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

    let presigned = aws.presign(credentials, ["orders", "ledger"]);
    assert_eq!(fetch(&presigned).await, [200, 403], "a presigned URL can do what its signer may");
    assert_eq!(aws.read(credentials, ["orders", "ledger"]), [hello(), denied()]);
    // The role itself may read both: the refusal was the session policy's.
    assert_eq!(aws.read(aws.unscoped(), ["orders", "ledger"]), [hello(), hello()]);

    wait_until(answer.text("/aws/Expiration")).await;
    assert_eq!(aws.read(credentials, ["orders", "ledger"]), [denied(), denied()]);
    assert_eq!(fetch(&presigned).await, [403, 403], "it is judged when it is used, not when it was signed");
    // And the end was the window's, not the stand-in's.
    assert_eq!(aws.read(aws.unscoped(), ["orders"]), [hello()]);
}

/// What whoever has the URLs is answered: no key, no SDK.
async fn fetch(urls: &[String; 2]) -> [u16; 2] {
    let mut answers = [0; 2];
    for (answer, url) in answers.iter_mut().zip(urls) {
        *answer = http::client().get(url).send().await.unwrap().status().as_u16();
    }
    answers
}

async fn wait_until(moment: &str) {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    let left = SystemTime::from(moment).duration_since(SystemTime::now()).unwrap_or_default();
    assert!(left < Duration::from_secs(30), "the window is seconds long, not {left:?}");
    tokio::time::sleep(left).await;
}
