//! Replicas are replaced one after the other under load, while the schema grows under those that are not replaced yet: nobody
//! gets another answer than a credential, or a connection that was closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::cluster::ISSUER;
use crate::harness::http::{self, Answer};
use crate::harness::postgres::Postgres;
use crate::harness::{Broker, OidcProvider, Setup};

const CLIENTS: usize = 4;
/// Answers before the next replica is replaced: both serve meanwhile.
const BETWEEN: usize = 40;

/// What a later version's migration may do: it only adds, and says that programs of this version go on.
const NEXT_SCHEMA: &str = "ALTER TABLE lock ADD COLUMN note text; \
     CREATE TABLE of_the_next_version (id int PRIMARY KEY); \
     INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
     SELECT max(version) + 1, 'of the next version (serves ' || max(version) || ')', true, '\\x00', 0 FROM _sqlx_migrations";

/// What the clients met.
#[derive(Default)]
struct Met {
    over: AtomicBool,
    answers: AtomicUsize,
    closed: AtomicUsize,
}

async fn client(urls: Vec<String>, token: String, number: usize, met: Arc<Met>) {
    let (client, mut which) = (http::client(), number);
    let form = [
        ("grant_type", http::TOKEN_EXCHANGE),
        ("subject_token_type", http::JWT_TYPE),
        ("subject_token", token.as_str()),
        ("audience", "ledger"),
    ];
    while !met.over.load(Ordering::Relaxed) {
        let url = format!("{}/oauth2/token", urls[which % urls.len()]);
        if let Ok(answer) = Answer::to(client.post(url).form(&form)).await {
            assert_eq!(answer.status, 200, "refused while replicas are replaced: {}", answer.body);
            met.answers.fetch_add(1, Ordering::Relaxed);
        } else {
            // As a load balancer would: this one is going or gone, the other one serves.
            met.closed.fetch_add(1, Ordering::Relaxed);
            which += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn serve_a_while(met: &Met, of: &Broker) {
    let (before, since) = (met.answers.load(Ordering::Relaxed), Instant::now());
    while met.answers.load(Ordering::Relaxed) < before + BETWEEN {
        assert!(since.elapsed() < Duration::from_mins(1), "nobody is served\n{}", of.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_replaced_under_load_and_nobody_is_refused() {
    let (issuer, server) = (OidcProvider::start(), Postgres::builder().durable().start());
    let database = server.database();
    let start = || {
        let setup = Setup::new().issuer("idp", issuer.url(), "replay = \"reusable\"").jwt_grant("ledger");
        setup.named(ISSUER).shared(&server.url(&database)).start()
    };
    let mut replicas = [start(), start()];
    let (met, token) = (Arc::new(Met::default()), issuer.token("es256").await);
    let urls: Vec<String> = replicas.iter().map(|replica| replica.url().to_owned()).collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(urls.clone(), token.clone(), number, Arc::clone(&met))))
        .collect();

    serve_a_while(&met, &replicas[0]).await;
    for round in 0..replicas.len() {
        replicas[round].stop();
        if round == 0 {
            server.sql(&database, NEXT_SCHEMA);
        }
        serve_a_while(&met, &replicas[1 - round]).await;
        replicas[round].start_again();
        serve_a_while(&met, &replicas[round]).await;
    }
    met.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let (answers, closed) = (met.answers.load(Ordering::Relaxed), met.closed.load(Ordering::Relaxed));
    println!("{answers} answers, {closed} closed connections");
    for replica in &replicas {
        replica.verify_log().await;
    }
}
