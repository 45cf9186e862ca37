//! What policies cost that are tried out beside those that decide, and what a reload of ten thousand costs those who ask
//! meanwhile.

use std::time::Duration;

use crate::load::Outcome;
use crate::server::{Kind, Server};
use crate::tokens::Issuer;
use crate::{Plan, ROUNDS, broker, median, median_tail, round, spread};

const MANY: usize = 10_000;
/// So that there is always one under way.
const RELOAD_EVERY: Duration = Duration::from_millis(200);

/// The same broker with and without a candidate set, in alternating rounds.
pub async fn shadow(plan: &mut Plan) {
    let issuer = Issuer::es256();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [plain, shadowing] = &folders;
    broker::lay_out(plain.path(), &issuer, 0);
    broker::lay_out(shadowing.path(), &issuer, 0);
    broker::try_out(shadowing.path());
    let (plain, shadowing) =
        (Server::start(Kind::Broker, plain.path()), Server::start(Kind::Broker, shadowing.path()));
    println!("\nShadow mode: ES256, {} exchanges a round, {ROUNDS} rounds each, median", plan.per_round);
    for connections in [16, 64] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(round(&plain, &issuer, plan, plan.per_round, connections, None).await);
            with.push(round(&shadowing, &issuer, plan, plan.per_round, connections, None).await);
        }
        let (without, with) = (median(without), median(with));
        println!(
            "{connections:>5} connections: {:.0}/s without, {:.0}/s with: {:.2} times; processor time {:?} and {:?}: \
             {:.2} times; p50/p99 {} and {} ms",
            without.per_second,
            with.per_second,
            without.per_second / with.per_second,
            without.cpu,
            with.cpu,
            with.cpu.as_secs_f64() / without.cpu.as_secs_f64(),
            spread(&without),
            spread(&with)
        );
    }
    for name in ["evaluations", "differences", "dropped"] {
        println!("      {name}: {}", shadowing.metric(&format!("tidegate_policy_shadow_{name}_total")).await);
    }
}

/// Rounds at the same moderate load, with and without reloads one after the other.
pub async fn reload(plan: &mut Plan) {
    let (issuer, folder) = (Issuer::es256(), tempfile::tempdir().expect("a folder"));
    broker::lay_out(folder.path(), &issuer, MANY);
    let server = Server::start(Kind::Broker, folder.path());
    let top = round(&server, &issuer, plan, plan.per_round, 64, None).await;
    println!("\n{MANY} policies, ES256: {:.0}/s at 64 connections", top.per_second);
    for share in [4.0, 2.0] {
        let interval = Some(Duration::from_secs_f64(64.0 * share / top.per_second));
        let (mut before, mut during, mut reloads) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..ROUNDS {
            before.push(round(&server, &issuer, plan, plan.per_round, 64, interval).await);
            let done = server.metric("tidegate_policy_reloads_total").await;
            during.push(while_reloading(&server, folder.path(), &issuer, plan, interval).await);
            reloads += server.metric("tidegate_policy_reloads_total").await - done;
        }
        println!(
            "  at 1/{share} of it, p99 of each round: {} before, {} ms during {reloads} reloads",
            tails(&before),
            tails(&during)
        );
        let (before, during) = (median_tail(before), median_tail(during));
        println!(
            "  of which the median, p50/p99: {} and {} ms: {:.2} times",
            spread(&before),
            spread(&during),
            during.p99.as_secs_f64() / before.p99.as_secs_f64()
        );
    }
}

async fn while_reloading(
    server: &Server,
    folder: &std::path::Path,
    issuer: &Issuer,
    plan: &mut Plan,
    interval: Option<Duration>,
) -> Outcome {
    let count = plan.per_round;
    let load = round(server, issuer, plan, count, 64, interval);
    tokio::pin!(load);
    let mut version = 0_u64;
    loop {
        tokio::select! {
            outcome = &mut load => return outcome,
            () = tokio::time::sleep(RELOAD_EVERY) => {
                version += 1;
                broker::change(folder, version);
                server.reload();
            }
        }
    }
}

fn tails(rounds: &[Outcome]) -> String {
    let each: Vec<_> = rounds.iter().map(|round| format!("{:.1}", round.p99.as_secs_f64() * 1e3)).collect();
    each.join(" ")
}
