//! The trusted issuer changes its keys, as issuers do.

use std::time::{Duration, Instant};

use crate::harness::{OidcProvider, Setup};

#[tokio::test]
async fn token_of_a_withdrawn_key_is_refused_once_the_new_key_was_seen() {
    let issuer = OidcProvider::start();
    let broker =
        Setup::new().issuer("idp", issuer.url(), "replay = \"reusable\"").jwt_grant("ledger").start();
    let old = issuer.token("es256").await;
    broker.exchange("ledger", &old).await.granted();

    issuer.rotate().await;
    let new = issuer.token("es256").await;
    // An unknown key is looked up, though not at every request: within the cool-down the answer may still be no.
    let deadline = Instant::now() + Duration::from_secs(90);
    while broker.exchange("ledger", &new).await.status != 200 {
        assert!(Instant::now() < deadline, "the new key was not picked up\n{}", broker.output());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }

    let refused = broker.exchange("ledger", &old).await;
    assert_eq!((refused.status, refused.text("/error")), (400, "invalid_request"), "{refused:?}");
}

#[tokio::test]
async fn known_keys_serve_while_the_issuer_is_down() {
    let issuer = OidcProvider::start();
    let broker = Setup::new().issuer("idp", issuer.url(), "").jwt_grant("ledger").start();
    let [first, second] = [issuer.token("es256").await, issuer.token("es256").await];
    broker.exchange("ledger", &first).await.granted();

    issuer.down().await;
    broker.exchange("ledger", &second).await.granted();
}
