//! `kill -9` at random points in 200 lives of elevations: no acknowledged decision is lost, and nothing ends twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::http::{self, Answer};
use crate::harness::log::{self, Entry};
use crate::harness::{Company, Setup, StoreKind, on_both_stores};

on_both_stores! {
    two_hundred_lives_under_kill_nine_lose_no_decision_and_end_once,
}

const LIVES: usize = 200;
const AT_ONCE: usize = 16;
/// A life that does not get on within this time is a lost one.
const PATIENCE: Duration = Duration::from_mins(2);

const POLICY: &str = r#"
@id("all")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/all",
  action in [Tidegate::Action::"request", Tidegate::Action::"approve", Tidegate::Action::"activate",
    Tidegate::Action::"issue", Tidegate::Action::"revoke", Tidegate::Action::"view"], resource)
unless { context has approvals && context.approvals.count < 1 };
"#;

const TERMINAL: [&str; 6] = ["denied", "withdrawn", "lapsed", "expired", "revoked", "ended"];

/// How a life goes on after its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Expire,
    End,
    Revoke,
    Deny,
    Withdraw,
}

/// What the client was told: it must be true for ever.
struct Told {
    id: String,
    decisions: Vec<&'static str>,
    jti: Option<String>,
    last: String,
}

struct Client {
    url: String,
    asker: String,
    decider: String,
}

impl Client {
    /// Asks until there is an answer; the same request with the same key, however often the broker dies meanwhile.
    async fn post(&self, token: &str, path: &str, key: &str, body: &Value) -> Answer {
        let since = Instant::now();
        loop {
            let request = http::client().post(format!("{}{path}", self.url)).bearer_auth(token);
            let request = request.header("content-type", "application/json").header("idempotency-key", key);
            match Answer::to(request.body(body.to_string())).await {
                Ok(answer) if answer.status < 500 => return answer,
                Ok(_) | Err(_) if since.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    async fn state(&self, id: &str) -> Value {
        let since = Instant::now();
        loop {
            let request =
                http::client().get(format!("{}/v1/elevations/{id}", self.url)).bearer_auth(&self.asker);
            match Answer::to(request).await {
                Ok(answer) if answer.status == 200 => return answer.body,
                Ok(answer) if answer.status < 500 => panic!("{id} is lost: {answer:?}"),
                _ if since.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(30)).await,
                other => panic!("{id}: {other:?}"),
            }
        }
    }

    /// One credential, if the broker is up and the window still open.
    async fn mint(&self, id: &str) -> Option<String> {
        let form = [
            ("grant_type", http::TOKEN_EXCHANGE),
            ("subject_token_type", http::JWT_TYPE),
            ("subject_token", &self.asker),
            ("audience", "ledger"),
            ("elevation", id),
        ];
        let request = http::client().post(format!("{}/oauth2/token", self.url)).form(&form);
        let answer = Answer::to(request).await.ok().filter(|answer| answer.status == 200)?;
        Some(http::claims(answer.text("/access_token"))["jti"].as_str()?.to_owned())
    }

    async fn live(&self, number: usize, fate: Fate) -> Told {
        let ask = json!({ "grant": "ledger", "duration": "1s", "reason": format!("life number {number}") });
        let asked = self.post(&self.asker, "/v1/elevations", &format!("ask-{number}"), &ask).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        let id = asked.text("/id").to_owned();
        let mut told = Told { id: id.clone(), decisions: vec!["requested"], jti: None, last: String::new() };
        match fate {
            Fate::Deny => self.decide(&mut told, &self.decider, "deny", "denied", number).await,
            Fate::Withdraw => self.decide(&mut told, &self.asker, "withdraw", "withdrawn", number).await,
            Fate::Expire | Fate::End | Fate::Revoke => {
                self.decide(&mut told, &self.decider, "approve", "approved", number).await;
                told.jti = if number.is_multiple_of(2) { self.mint(&id).await } else { None };
            }
        }
        match fate {
            Fate::End => self.decide(&mut told, &self.asker, "end", "ended", number).await,
            Fate::Revoke => self.decide(&mut told, &self.decider, "revoke", "revoked", number).await,
            Fate::Expire | Fate::Deny | Fate::Withdraw => {}
        }
        let since = Instant::now();
        loop {
            self.state(&id).await["state"].as_str().unwrap().clone_into(&mut told.last);
            if TERMINAL.contains(&told.last.as_str()) {
                return told;
            }
            assert!(since.elapsed() < PATIENCE, "{id} stays {}", told.last);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A decision that came too late because the broker was down is a refusal, and no decision.
    async fn decide(&self, told: &mut Told, by: &str, verb: &str, event: &'static str, number: usize) {
        let body =
            if matches!(verb, "deny" | "revoke") { json!({ "reason": "a random life" }) } else { json!({}) };
        let path = format!("/v1/elevations/{}/{verb}", told.id);
        let answer = self.post(by, &path, &format!("{verb}-{number}"), &body).await;
        match answer.status {
            200 => told.decisions.push(event),
            409 => {}
            other => panic!("{verb}: {other} {}", answer.body),
        }
    }
}

async fn two_hundred_lives_under_kill_nine_lose_no_decision_and_end_once(store: StoreKind) {
    let staff = Company::start();
    for sub in ["ann", "lea"] {
        staff.hire(sub, &["all"]).await;
    }
    let mut broker = Setup::new()
        .store(store)
        .people("staff", staff.url(), "")
        .break_glass_jwt("ledger")
        .tables("[breakglass]\nmax_open_per_person = 1000\nmax_open_per_grant = 1000")
        .policy(POLICY)
        .limits("rate_per_ip = 100000\nburst_per_ip = 100000\nrate_per_principal = 100000\nburst_per_principal = 100000\n")
        .start();
    let client = Arc::new(Client {
        url: broker.url().to_owned(),
        asker: staff.token("ann").await,
        decider: staff.token("lea").await,
    });
    let (next, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(work(Arc::clone(&client), Arc::clone(&next), Arc::clone(&done))))
        .collect();
    let kills = kill_now_and_then(&mut broker, &done).await;
    let mut told = Vec::new();
    for worker in workers {
        told.extend(worker.await.unwrap());
    }
    assert_eq!(told.len(), LIVES);
    assert!(kills >= 5, "only {kills} kills");
    check(&told, &entries_with_every_end(&broker, &told).await);
    broker.verify_log().await;
}

async fn work(client: Arc<Client>, next: Arc<AtomicUsize>, done: Arc<AtomicUsize>) -> Vec<Told> {
    let fates = [Fate::Expire, Fate::End, Fate::Revoke, Fate::Deny, Fate::Withdraw];
    let mut all = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= LIVES {
            return all;
        }
        all.push(client.live(number, fates[number % fates.len()]).await);
        done.fetch_add(1, Ordering::SeqCst);
    }
}

/// Kills at moments that nobody planned; each start gets a little while to work.
async fn kill_now_and_then(broker: &mut crate::harness::Broker, done: &AtomicUsize) -> usize {
    let mut kills = 0;
    while done.load(Ordering::SeqCst) < LIVES {
        let noise = u64::from(
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos(),
        );
        tokio::time::sleep(Duration::from_millis(300 + noise % 1_500)).await;
        if done.load(Ordering::SeqCst) >= LIVES {
            break;
        }
        broker.kill_9();
        broker.start_again();
        kills += 1;
    }
    kills
}

/// What the clock has ended is shown at once and written down within a second or so.
async fn entries_with_every_end(broker: &crate::harness::Broker, told: &[Told]) -> Vec<Entry> {
    let since = Instant::now();
    loop {
        let entries = log::entries(broker).await;
        let is_written = |life: &&Told| {
            entries.iter().any(|entry| {
                entry.json["type"] == format!("elevation.{}", life.last)
                    && entry.json.pointer("/elevation/id").and_then(Value::as_str) == Some(&life.id)
            })
        };
        if told.iter().filter(is_written).count() == told.len() || since.elapsed() > Duration::from_secs(30) {
            return entries;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn check(told: &[Told], entries: &[Entry]) {
    let mut stories: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in entries {
        let kind = entry.json["type"].as_str().unwrap();
        if let Some(id) = entry.json.pointer("/elevation/id").and_then(Value::as_str) {
            stories.entry(id).or_default().push(kind);
        }
    }
    for life in told {
        let story = stories.get(life.id.as_str()).unwrap_or_else(|| panic!("{} has no story", life.id));
        let count = |event: &str| story.iter().filter(|kind| **kind == format!("elevation.{event}")).count();
        for decision in &life.decisions {
            assert_eq!(count(decision), 1, "{}: {decision} in {story:?}", life.id);
        }
        let ends: usize = TERMINAL.iter().map(|state| count(state)).sum();
        assert_eq!((ends, count(&life.last)), (1, 1), "{} ended as {}: {story:?}", life.id, life.last);
        assert!(count("requested") == 1 && count("activated") <= 1, "{}: {story:?}", life.id);
    }
    for jti in told.iter().filter_map(|life| life.jti.as_ref()) {
        assert_eq!(
            entries
                .iter()
                .filter(|entry| entry.json.pointer("/credential/jti").and_then(Value::as_str) == Some(jti))
                .count(),
            1
        );
    }
    let ids: std::collections::BTreeSet<&str> = told.iter().map(|life| life.id.as_str()).collect();
    assert_eq!(ids.len(), LIVES, "a repeated request made a second elevation");
    assert_eq!(stories.len(), LIVES, "an elevation that nobody was told of");
}
