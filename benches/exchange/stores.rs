//! What PostgreSQL costs beside SQLite, and what a second replica brings: the same load on each, in alternating rounds.

use std::path::Path;

use tempfile::TempDir;

use crate::load::Outcome;
use crate::postgres::Postgres;
use crate::server::{Kind, Server};
use crate::tokens::Issuer;
use crate::{Plan, ROUNDS, broker, median, round, spread};

const CONNECTIONS: usize = 64;

/// Brokers with one configuration: on SQLite alone, on PostgreSQL alone, on PostgreSQL as two.
pub async fn compare(issuer: &Issuer, plan: &mut Plan) {
    let database = Postgres::builder().durable().start();
    let (one, two) = (database.url(&database.database()), database.url(&database.database()));
    let folders: Vec<TempDir> = (0..4).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let start = |place: usize, store: &str| {
        let folder = folders[place].path();
        broker::lay_out_on(folder, issuer, 0, store);
        // Replicas have the same key-encryption key.
        if place == 3 {
            copy_kek(folders[2].path(), folder);
        }
        Server::start(Kind::Broker, folder)
    };
    let (sqlite, postgres) = (start(0, "sqlite:tidegate.db"), start(1, &one));
    let replicas = [start(2, &two), start(3, &two)];
    let mut outcomes: [Vec<Outcome>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let count = plan.per_round;
        outcomes[0].push(round(&sqlite, issuer, plan, count, CONNECTIONS, None).await);
        outcomes[1].push(round(&postgres, issuer, plan, count, CONNECTIONS, None).await);
        outcomes[2].push(both(&replicas, issuer, plan, count).await);
    }
    println!(
        "\nES256 on each store; {} exchanges a round at {CONNECTIONS} connections, {ROUNDS} rounds each, median; {} cores",
        plan.per_round,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    println!("{:<28} {:>12} {:>7} {:>12}", "store", "exchanges/s", "ratio", "p50/p99 ms");
    let [first, ..] = outcomes.each_ref().map(|rounds| middle(rounds));
    for (name, rounds) in ["SQLite", "PostgreSQL", "PostgreSQL, two replicas"].into_iter().zip(outcomes) {
        let outcome = median(rounds);
        let (rate, ratio) = (outcome.per_second, outcome.per_second / first);
        println!("{name:<28} {rate:>12.0} {ratio:>7.2} {:>12}", spread(&outcome));
    }
}

fn middle(rounds: &[Outcome]) -> f64 {
    let mut rates: Vec<f64> = rounds.iter().map(|round| round.per_second).collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Half of the load on each, at the same time.
async fn both(replicas: &[Server; 2], issuer: &Issuer, plan: &mut Plan, count: usize) -> Outcome {
    let (mut first, mut second) = (Plan { ..*plan }, Plan { minted: plan.minted + count / 2, ..*plan });
    let (one, other) = tokio::join!(
        round(&replicas[0], issuer, &mut first, count / 2, CONNECTIONS / 2, None),
        round(&replicas[1], issuer, &mut second, count / 2, CONNECTIONS / 2, None)
    );
    plan.minted += count;
    Outcome {
        per_second: one.per_second + other.per_second,
        p50: one.p50.max(other.p50),
        p99: one.p99.max(other.p99),
        cpu: (one.cpu + other.cpu) / 2,
        refused: one.refused + other.refused,
    }
}

fn copy_kek(from: &Path, to: &Path) {
    std::fs::copy(from.join("kek"), to.join("kek")).expect("the key-encryption key");
}
