//! Promise 2 under `kill -9`: what a client received is on record, and the record verifies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Broker, OidcProvider, Setup, StoreKind, http, log, on_both_stores};

on_both_stores! {
    every_token_that_a_client_received_is_on_record_after_kill_nine,
}

const CLIENTS: usize = 16;
/// Enough that the log's writer is in the middle of its groups.
const ENOUGH: usize = 300;

async fn every_token_that_a_client_received_is_on_record_after_kill_nine(store: StoreKind) {
    let issuer = OidcProvider::start();
    let setup = Setup::new().store(store).issuer("idp", issuer.url(), "replay = \"reusable\"");
    let mut broker = setup.jwt_grant("ledger").start();
    let token = issuer.token("es256").await;

    let received = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            tokio::spawn(exchange_until_it_dies(
                broker.url().to_owned(),
                token.clone(),
                Arc::clone(&received),
            ))
        })
        .collect();
    wait_for(&received, &broker).await;
    broker.kill_9();
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.await.unwrap());
    }
    assert!(answers.len() >= ENOUGH);

    broker.start_again();
    let entries = log::entries(&broker).await;
    for answer in &answers {
        let index = usize::try_from(answer["audit"]["index"].as_u64().unwrap()).unwrap();
        let entry =
            entries.get(index).unwrap_or_else(|| panic!("entry {index} of {} is lost", entries.len()));
        assert_eq!(answer["audit"]["leaf_hash"], entry.leaf_hash, "entry {index}");
        let jti = http::claims(answer["access_token"].as_str().unwrap())["jti"].as_str().unwrap().to_owned();
        assert!(
            entry.json.to_string().contains(&jti),
            "entry {index} is about another token: {}",
            entry.json
        );
    }
    broker.verify_log().await;
    broker.exchange("ledger", &token).await.granted();
}

async fn wait_for(received: &AtomicUsize, broker: &Broker) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while received.load(Ordering::Relaxed) < ENOUGH {
        assert!(
            Instant::now() < deadline,
            "{} answers only\n{}",
            received.load(Ordering::Relaxed),
            broker.output()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything that one client received whole.
async fn exchange_until_it_dies(url: String, token: String, received: Arc<AtomicUsize>) -> Vec<Value> {
    let client = http::client();
    let form = [
        ("grant_type", http::TOKEN_EXCHANGE),
        ("subject_token_type", http::JWT_TYPE),
        ("subject_token", &token),
        ("audience", "ledger"),
    ];
    let mut answers = Vec::new();
    loop {
        match http::Answer::to(client.post(format!("{url}/oauth2/token")).form(&form)).await {
            Ok(answer) if answer.status == 200 => answers.push(answer.body),
            Ok(other) => panic!("refused under load: {other:?}"),
            Err(_) => return answers,
        }
        received.fetch_add(1, Ordering::Relaxed);
    }
}
