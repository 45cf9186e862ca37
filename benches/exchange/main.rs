//! Exchanges per second with durable audit on, beside a bare reference in the same run.
//!
//! `cargo bench --bench exchange` prints a table. Machines are noisy, so rounds of the broker and of the reference
//! alternate and the ratio is what counts. `--quick` does a tenth; `--es256`, `--rs256`, `--policies`, `--shadow`, `--reload`
//! and `--stores` measure only that; `--profile` measures the broker alone. Both are processes of their own.

#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    clippy::format_push_string,
    clippy::semicolon_if_nothing_returned,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a bench"
)]
#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::cast_precision_loss, reason = "a bench")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::panic, reason = "a bench")]

mod broker;
#[allow(dead_code, reason = "the harness has more than a bench needs")]
#[path = "../../tests/harness/certificates.rs"]
mod certificates;
mod load;
mod policies;
#[allow(dead_code, reason = "the harness has more than a bench needs")]
#[path = "../../tests/harness/postgres.rs"]
mod postgres;
mod reference;
mod server;
mod stores;
mod tokens;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use load::{Outcome, Requests};
use server::{Kind, Server};
use tokens::Issuer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const OTHERS: [usize; 4] = [10, 100, 1_000, 10_000];

struct Plan {
    per_round: usize,
    minted: usize,
}

fn main() {
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    tidegate::server::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut plan = Plan { per_round: if has("--quick") { 500 } else { 5_000 }, minted: 0 };
    runtime.block_on(async {
        if server::serve_if_asked().await {
            return;
        }
        if has("--profile") {
            return only_the_broker(&mut plan).await;
        }
        let all =
            !["--es256", "--rs256", "--policies", "--shadow", "--reload", "--stores"].into_iter().any(has);
        if all || has("--es256") {
            against_reference(&Issuer::es256(), &mut plan).await;
        }
        if all || has("--rs256") {
            against_reference(&Issuer::rs256(), &mut plan).await;
        }
        if all || has("--policies") {
            policies_about_others(&mut plan).await;
        }
        if all || has("--shadow") {
            policies::shadow(&mut plan).await;
        }
        if all || has("--reload") {
            policies::reload(&mut plan).await;
        }
        if all || has("--stores") {
            stores::compare(&Issuer::es256(), &mut plan).await;
        }
    });
}

/// For a profiler: 100,000 exchanges at 64 connections and nothing beside them.
async fn only_the_broker(plan: &mut Plan) {
    let (issuer, folder) = (Issuer::es256(), tempfile::tempdir().expect("a folder"));
    broker::lay_out(folder.path(), &issuer, 0);
    let broker = Server::start(Kind::Broker, folder.path());
    for _ in 0..20 {
        let outcome = round(&broker, &issuer, plan, 5_000, 64, None).await;
        println!(
            "{:.0}/s, p50/p99 {} ms, {:?} of processor time each",
            outcome.per_second,
            spread(&outcome),
            outcome.cpu
        );
    }
    println!("resident memory of the broker: {} MiB", broker.resident_mib());
}

/// The first table: broker and reference in alternating rounds at 1, 16 and 64 connections.
async fn against_reference(issuer: &Issuer, plan: &mut Plan) {
    let folder = tempfile::tempdir().expect("a folder");
    broker::lay_out(folder.path(), issuer, 0);
    let broker = Server::start(Kind::Broker, folder.path());
    let bare = Server::start(Kind::Reference, folder.path());
    let idle = broker.resident_mib();
    println!(
        "\n{} in, ES256 out; {} exchanges a round, {ROUNDS} rounds each, median",
        issuer.algorithm(),
        plan.per_round
    );
    println!(
        "{:>5} {:>12} {:>12} {:>7} {:>18} {:>18}",
        "conns", "broker/s", "bare/s", "ratio", "broker p50/p99 ms", "bare p50/p99 ms"
    );
    for connections in [1, 16, 64] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let count = if connections == 1 { plan.per_round / 5 } else { plan.per_round };
            ours.push(round(&broker, issuer, plan, count, connections, None).await);
            theirs.push(round(&bare, issuer, plan, count, connections, None).await);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{connections:>5} {:>12.0} {:>12.0} {:>7.2} {:>18} {:>18}",
            ours.per_second,
            theirs.per_second,
            ours.per_second / theirs.per_second,
            spread(&ours),
            spread(&theirs)
        );
        if connections == 64 {
            println!("      processor time for each: broker {:?}, bare {:?}", ours.cpu, theirs.cpu);
            at_half_load(&broker, &bare, issuer, plan, ours.per_second / 2.0).await;
        }
    }
    let after = broker.resident_mib();
    println!(
        "      resident memory of the broker: {idle} MiB when idle, {after} MiB after {} exchanges",
        plan.minted / 2
    );
}

/// The same load for both, in alternating rounds: half of what the broker reached. What the reference's slowest wait
/// for is the disk and the machine.
async fn at_half_load(broker: &Server, bare: &Server, issuer: &Issuer, plan: &mut Plan, load: f64) {
    let interval = Some(Duration::from_secs_f64(64.0 / load));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(round(broker, issuer, plan, plan.per_round, 64, interval).await);
        theirs.push(round(bare, issuer, plan, plan.per_round, 64, interval).await);
    }
    let tails = |rounds: &[Outcome]| {
        let each: Vec<_> =
            rounds.iter().map(|round| format!("{:.1}", round.p99.as_secs_f64() * 1e3)).collect();
        each.join(" ")
    };
    println!(
        "      at half of that load ({load:.0}/s), p99 of each round: broker {}, bare {}",
        tails(&ours),
        tails(&theirs)
    );
    let (ours, theirs) = (median_tail(ours), median_tail(theirs));
    println!("      of which the median, p50/p99: broker {} ms, bare {} ms", spread(&ours), spread(&theirs));
}

/// The second table: what policies about other grants cost.
async fn policies_about_others(plan: &mut Plan) {
    let issuer = Issuer::es256();
    println!("\nES256, 16 connections, policies about other grants");
    println!("{:>8} {:>12} {:>12} {:>22}", "policies", "start s", "exchanges/s", "cost against the first");
    let mut first = None;
    for others in OTHERS {
        let folder = tempfile::tempdir().expect("a folder");
        let started = std::time::Instant::now();
        broker::lay_out(folder.path(), &issuer, others);
        let broker = Server::start(Kind::Broker, folder.path());
        let start = started.elapsed();
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(round(&broker, &issuer, plan, plan.per_round, 16, None).await);
        }
        let outcome = median(rounds);
        let first = *first.get_or_insert(outcome.per_second);
        println!(
            "{others:>8} {:>12.2} {:>12.0} {:>22.2}",
            start.as_secs_f64(),
            outcome.per_second,
            first / outcome.per_second
        );
    }
}

async fn round(
    server: &Server,
    issuer: &Issuer,
    plan: &mut Plan,
    count: usize,
    connections: usize,
    interval: Option<Duration>,
) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs().cast_signed();
    let first = plan.minted;
    plan.minted += count;
    let forms = (first..first + count).map(|number| form(&issuer.token(number, now - 1)));
    let outcome = load::run(server, Requests::new(server.address, forms), connections, interval).await;
    assert_eq!(outcome.refused, 0, "every exchange must succeed");
    outcome
}

fn form(token: &str) -> String {
    format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=ledger-api\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token={token}"
    )
}

fn median(mut rounds: Vec<Outcome>) -> Outcome {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds.swap_remove(rounds.len() / 2)
}

fn median_tail(mut rounds: Vec<Outcome>) -> Outcome {
    rounds.sort_by_key(|round| round.p99);
    rounds.swap_remove(rounds.len() / 2)
}

fn spread(outcome: &Outcome) -> String {
    format!("{:.2}/{:.2}", outcome.p50.as_secs_f64() * 1e3, outcome.p99.as_secs_f64() * 1e3)
}
