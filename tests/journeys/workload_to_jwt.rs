//! A workload's token from a real issuer becomes a JWT that a resource server accepts, and leaves a record.

use serde_json::json;

use crate::harness::{Broker, OidcProvider, Setup, StoreKind, clients, log, on_both_stores};

on_both_stores! {
    presented_token_is_refused_the_second_time,
    resource_server_refuses_the_jwt_for_another_audience,
    workload_token_becomes_a_jwt_that_pyjwt_verifies,
    issued_jwt_is_on_record_and_the_record_verifies,
}

fn broker_trusting(issuer: &OidcProvider, store: StoreKind) -> Broker {
    Setup::new().store(store).issuer("idp", issuer.url(), "").jwt_grant("ledger").start()
}

async fn presented_token_is_refused_the_second_time(store: StoreKind) {
    let issuer = OidcProvider::start();
    let broker = broker_trusting(&issuer, store);
    let token = issuer.token("es256").await;
    broker.exchange("ledger", &token).await.granted();

    let again = broker.exchange("ledger", &token).await;
    assert_eq!((again.status, again.text("/error")), (400, "invalid_request"), "{again:?}");
}

async fn resource_server_refuses_the_jwt_for_another_audience(store: StoreKind) {
    let issuer = OidcProvider::start();
    let broker = broker_trusting(&issuer, store);
    let answer = broker.exchange("ledger", &issuer.token("es256").await).await.granted();

    let checked =
        clients::verify_with_pyjwt(broker.url(), "https://payroll.internal", answer.text("/access_token"));
    assert!(checked.unwrap_err()["error"].as_str().unwrap().contains("InvalidAudienceError"));
}

async fn workload_token_becomes_a_jwt_that_pyjwt_verifies(store: StoreKind) {
    let issuer = OidcProvider::start();
    let broker = broker_trusting(&issuer, store);
    for algorithm in ["es256", "rs256", "eddsa"] {
        let answer = broker.exchange("ledger", &issuer.token(algorithm).await).await.granted();
        assert_eq!(answer.text("/token_type"), "Bearer");
        // Whole seconds, rounded down: a client never trusts a token for longer than it lives.
        assert!(
            matches!(answer.body["expires_in"].as_u64(), Some(299 | 300)),
            "{}",
            answer.body["expires_in"]
        );

        let checked =
            clients::verify_with_pyjwt(broker.url(), "https://ledger.internal", answer.text("/access_token"));
        let claims = &checked.unwrap_or_else(|why| panic!("{algorithm}: {why}"))["claims"];
        assert_eq!(claims["tidegate"]["grant"], "ledger");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    }
}

async fn issued_jwt_is_on_record_and_the_record_verifies(store: StoreKind) {
    let issuer = OidcProvider::start();
    let broker = broker_trusting(&issuer, store);
    let subject_token = issuer.token("es256").await;
    let answer = broker.exchange("ledger", &subject_token).await.granted();

    let entries = log::entries(&broker).await;
    let index = usize::try_from(answer.body["audit"]["index"].as_u64().unwrap()).unwrap();
    let entry = &entries[index];
    assert_eq!(entry.json["type"], "credential.issued");
    assert_eq!(json!(entry.leaf_hash), answer.body["audit"]["leaf_hash"]);
    let text = entry.json.to_string();
    for secret in [subject_token.as_str(), answer.text("/access_token")] {
        assert!(!text.contains(secret.rsplit('.').next().unwrap()), "the log must hold no token");
    }
    broker.verify_log().await;
}
