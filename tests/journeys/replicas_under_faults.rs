//! Three replicas on PostgreSQL with a synchronous standby, under load, while one thing after another goes wrong. What
//! anybody was told must be true afterwards: each credential is on record exactly once, no single-use token was taken
//! twice, nothing was issued behind a lock or after a revocation, and nothing was activated or ended twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::chance::Chance;
use crate::harness::cluster::{Cluster, FAULTS};
use crate::harness::http::{self, Answer};
use crate::harness::log::{self, Entry};
use crate::harness::tokens::TestKey;
use crate::harness::{Company, Setup};

const REPLICAS: usize = 3;
/// Each fault twice.
const ROUNDS: usize = 20;
const EXCHANGERS: usize = 6;
/// What everybody knows a second later.
const A_SECOND: Duration = Duration::from_secs(1);
/// A call that gets no answer within this time has none.
const PATIENCE: Duration = Duration::from_mins(1);

const POLICY: &str = r#"
@id("workloads")
permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"ledger");
@id("people")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/all",
  action in [Tidegate::Action::"request", Tidegate::Action::"approve", Tidegate::Action::"activate",
    Tidegate::Action::"issue", Tidegate::Action::"revoke", Tidegate::Action::"view", Tidegate::Action::"lock"], resource)
unless { context has approvals && context.approvals.count < 1 };
"#;

fn setup(key: &TestKey, staff: &Company) -> Setup {
    Setup::new()
        .issuer("ci", "https://ci.test", "jwks_file = \"ci.json\"\nreplay = \"single-use\"")
        .file("ci.json", &json!({ "keys": [key.jwk()] }).to_string())
        .people("staff", staff.url(), "")
        .jwt_grant("ledger")
        .break_glass_jwt("repair")
        .policy(POLICY)
}

/// A credential that somebody received.
#[derive(Debug)]
struct Received {
    /// Of the token, or the elevation.
    from: String,
    subject: String,
    jti: String,
    index: u64,
    leaf_hash: String,
    asked: Instant,
}

/// From when to when nothing may be asked for successfully.
#[derive(Debug)]
struct Closed {
    from: Instant,
    until: Option<Instant>,
}

/// What everybody does and learns.
struct Story {
    urls: Vec<String>,
    key: TestKey,
    people: BTreeMap<&'static str, String>,
    over: AtomicBool,
    count: AtomicUsize,
}

impl Story {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn number(&self) -> usize {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// Good for one exchange.
    fn token(&self, subject: &str) -> (String, String) {
        let (jti, now) = (format!("t{}", self.number()), jiff::Timestamp::now().as_second());
        let claims = json!({ "iss": "https://ci.test", "aud": "tidegate", "sub": subject, "jti": jti,
            "iat": now, "nbf": now, "exp": now + 300 });
        (jti, self.key.token(&claims))
    }

    /// One exchange at one replica; `None` when nothing was given, for whatever reason.
    async fn exchange(&self, which: usize, token: &str, grant: &str, from: &str, subject: &str) -> Outcome {
        let form = [
            ("grant_type", http::TOKEN_EXCHANGE),
            ("subject_token_type", http::JWT_TYPE),
            ("subject_token", token),
            ("audience", grant),
        ];
        let asked = Instant::now();
        let request = http::client().post(format!("{}/oauth2/token", self.urls[which % REPLICAS]));
        match Answer::to(request.timeout(PATIENCE).form(&form)).await {
            Ok(answer) if answer.status == 200 => {
                let jti = http::claims(answer.text("/access_token"))["jti"].as_str().unwrap().to_owned();
                Outcome::Given(Received {
                    from: from.to_owned(),
                    subject: subject.to_owned(),
                    jti,
                    index: answer.body["audit"]["index"].as_u64().unwrap(),
                    leaf_hash: answer.text("/audit/leaf_hash").to_owned(),
                    asked,
                })
            }
            Ok(answer) if matches!(answer.status, 400 | 429) => Outcome::Refused,
            Ok(answer) if answer.status == 503 => Outcome::Unknown,
            Ok(answer) => panic!("an answer that nobody can use: {answer:?}"),
            Err(_) => Outcome::Unknown,
        }
    }

    /// The same call with the same key at one replica after the other, until one has an answer.
    async fn post(&self, which: usize, who: &str, path: &str, body: &Value) -> Answer {
        let (key, since) = (format!("key-{}", self.number()), Instant::now());
        let mut which = which;
        loop {
            let url = format!("{}{path}", self.urls[which % REPLICAS]);
            let request = http::client().post(url).bearer_auth(&self.people[who]).timeout(PATIENCE);
            let request = request.header("content-type", "application/json").header("idempotency-key", &key);
            match Answer::to(request.body(body.to_string())).await {
                // 202: in force in one replica's memory, and nowhere else yet.
                Ok(answer) if answer.status < 500 && answer.status != 202 => return answer,
                _ if since.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(50)).await,
                other => panic!("{path}: {other:?}"),
            }
            which += 1;
        }
    }
}

enum Outcome {
    Given(Received),
    Refused,
    Unknown,
}

/// One token at two replicas at once, and at the third when neither has given anything.
async fn exchanger(story: Arc<Story>, number: usize) -> Vec<Received> {
    let mut received = Vec::new();
    let mut which = number;
    while story.goes_on() {
        which += 1;
        let subject = if number == 0 { "mallory".to_owned() } else { format!("workload-{number}") };
        let (jti, token) = story.token(&subject);
        let ask = async |which| story.exchange(which, &token, "ledger", &jti, &subject).await;
        let (one, other) = tokio::join!(ask(which), ask(which + 1));
        let before = received.len();
        let mut refused = false;
        for outcome in [one, other] {
            match outcome {
                Outcome::Given(credential) => received.push(credential),
                Outcome::Refused => refused = true,
                Outcome::Unknown => {}
            }
        }
        if received.len() == before && !refused {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Outcome::Given(credential) = ask(which + 2).await {
                received.push(credential);
            }
        }
    }
    received
}

/// Elevations one after the other: two approve at once at two replicas, the requester mints everywhere, and it is revoked.
async fn engineer(story: Arc<Story>) -> (Vec<Received>, BTreeMap<String, Closed>) {
    let (mut received, mut ended) = (Vec::new(), BTreeMap::new());
    while story.goes_on() {
        let which = story.number();
        let ask = json!({ "grant": "repair", "duration": "1m", "reason": "something is broken again" });
        let asked = story.post(which, "ann", "/v1/elevations", &ask).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        let id = asked.text("/id").to_owned();
        let (approve, yes) = (format!("/v1/elevations/{id}/approve"), json!({}));
        let approvals = tokio::join!(
            story.post(which, "lea", &approve, &yes),
            story.post(which + 1, "max", &approve, &yes)
        );
        let statuses = [approvals.0.status, approvals.1.status];
        assert!(
            statuses.contains(&200) && statuses.iter().all(|status| [200, 409].contains(status)),
            "{statuses:?}"
        );
        for step in 0..REPLICAS {
            let token = &story.people["ann"];
            if let Outcome::Given(credential) =
                story.exchange(which + step, token, "repair", &id, "ann").await
            {
                received.push(credential);
            }
        }
        let revoke = json!({ "reason": "it is done" });
        let revoked = story.post(which + 2, "lea", &format!("/v1/elevations/{id}/revoke"), &revoke).await;
        assert!([200, 409].contains(&revoked.status), "{revoked:?}");
        ended.insert(id.clone(), Closed { from: Instant::now(), until: None });
        for step in 0..REPLICAS {
            let token = &story.people["ann"];
            if let Outcome::Given(credential) =
                story.exchange(which + step, token, "repair", &id, "ann").await
            {
                received.push(credential);
            }
        }
    }
    (received, ended)
}

/// Locks mallory out and lets them in again.
async fn operator(story: Arc<Story>) -> Vec<Closed> {
    let mut closed = Vec::new();
    while story.goes_on() {
        let which = story.number();
        let lock = json!({ "target": { "principal": "ci|mallory" }, "reason": "they behave strangely" });
        let set = story.post(which, "lea", "/v1/locks", &lock).await;
        assert_eq!(set.status, 201, "{}", set.body);
        let from = Instant::now();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let until = Instant::now();
        lift(&story, which + 1, set.text("/id")).await;
        closed.push(Closed { from, until: Some(until) });
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    closed
}

async fn lift(story: &Story, mut which: usize, id: &str) {
    let since = Instant::now();
    loop {
        let url = format!("{}/v1/locks/{id}", story.urls[which % REPLICAS]);
        let request = http::client().delete(url).bearer_auth(&story.people["lea"]).timeout(PATIENCE);
        match Answer::to(request).await {
            // 404: an earlier try did it, and its answer was lost.
            Ok(answer) if answer.status < 300 && answer.status != 202 || answer.status == 404 => return,
            _ if since.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(50)).await,
            other => panic!("{id} is not lifted: {other:?}"),
        }
        which += 1;
    }
}

impl Closed {
    /// Asked for when everybody must have known.
    fn forbids(&self, received: &Received) -> bool {
        received.asked > self.from + A_SECOND && self.until.is_none_or(|until| received.asked < until)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_was_told_is_true_whatever_went_wrong() {
    let (key, staff) = (TestKey::p256("ci"), Company::start());
    let mut people = BTreeMap::new();
    for sub in ["ann", "lea", "max"] {
        staff.hire(sub, &["all"]).await;
        people.insert(sub, staff.token(sub).await);
    }
    let mut cluster = Cluster::start(REPLICAS, || setup(&key, &staff)).await;
    let story =
        Story { urls: cluster.urls(), key, people, over: AtomicBool::new(false), count: AtomicUsize::new(0) };
    let story = Arc::new(story);
    let exchangers: Vec<_> =
        (0..EXCHANGERS).map(|number| tokio::spawn(exchanger(Arc::clone(&story), number))).collect();
    let engineer = tokio::spawn(engineer(Arc::clone(&story)));
    let operator = tokio::spawn(operator(Arc::clone(&story)));

    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut chance = Chance::new(seed);
    for round in 0..ROUNDS {
        let (fault, which) = (FAULTS[round % FAULTS.len()], chance.below(REPLICAS));
        let since = Instant::now();
        cluster.suffer(fault, which).await;
        cluster.recovers().await;
        println!(
            "round {round}: {fault:?} ({which}), well again after {:.1} s",
            since.elapsed().as_secs_f64()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    story.over.store(true, Ordering::Relaxed);
    let (mut received, ended) = engineer.await.unwrap();
    let closed = operator.await.unwrap();
    for exchanger in exchangers {
        received.extend(exchanger.await.unwrap());
    }
    println!("{} credentials, {} elevations, {} locks", received.len(), ended.len(), closed.len());
    assert!(received.len() > 100 && ended.len() > 5 && closed.len() > 5);

    cluster.recovers().await;
    let entries = log::entries(&cluster.replicas[0]).await;
    each_is_on_record_once(&received, &entries);
    no_token_was_taken_twice(&received, &entries);
    nothing_was_given_behind_a_lock(&received, &closed);
    nothing_was_given_after_a_revocation(&received, &ended);
    each_change_of_an_elevation_is_told_once(&entries);
    for replica in &cluster.replicas {
        replica.verify_log().await;
    }
}

fn each_is_on_record_once(received: &[Received], entries: &[Entry]) {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if entry.json["type"] == "credential.issued" {
            let jti = entry.json["credential"]["jti"].as_str().unwrap_or_default().to_owned();
            places.entry(jti).or_default().push(index);
        }
    }
    for credential in received {
        let index = usize::try_from(credential.index).unwrap();
        assert_eq!(places.get(&credential.jti), Some(&vec![index]), "{credential:?}");
        assert_eq!(entries[index].leaf_hash, credential.leaf_hash, "{credential:?}");
    }
}

/// Nor issued twice without anybody receiving it: the record has at most one credential for each token.
fn no_token_was_taken_twice(received: &[Received], entries: &[Entry]) {
    let mut tokens = BTreeSet::new();
    for credential in received.iter().filter(|credential| credential.subject != "ann") {
        assert!(tokens.insert(&credential.from), "{credential:?}");
    }
    let mut subjects = BTreeSet::new();
    let issued = entries.iter().filter(|entry| entry.json["type"] == "credential.issued");
    for entry in issued.filter(|entry| entry.json["principal"]["issuer"] == "ci") {
        let token = entry.json["token"]["sha256"].as_str().unwrap().to_owned();
        assert!(subjects.insert(token), "{}", entry.json);
    }
}

fn nothing_was_given_behind_a_lock(received: &[Received], closed: &[Closed]) {
    for credential in received.iter().filter(|credential| credential.subject == "mallory") {
        let lock = closed.iter().find(|lock| lock.forbids(credential));
        assert!(lock.is_none(), "{credential:?} behind {lock:?}");
    }
}

fn nothing_was_given_after_a_revocation(received: &[Received], ended: &BTreeMap<String, Closed>) {
    for credential in received.iter().filter(|credential| credential.subject == "ann") {
        let end = &ended[&credential.from];
        assert!(!end.forbids(credential), "{credential:?} after {end:?}");
    }
}

fn each_change_of_an_elevation_is_told_once(entries: &[Entry]) {
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    let mut over: BTreeSet<String> = BTreeSet::new();
    for entry in entries {
        let kind = entry.json["type"].as_str().unwrap();
        let Some(event) = kind.strip_prefix("elevation.") else { continue };
        let Some(id) = entry.json["elevation"]["id"].as_str() else { continue };
        if ["activated", "expired", "revoked", "ended", "lapsed"].contains(&event) {
            assert!(told.insert((id.to_owned(), event.to_owned())), "twice: {}", entry.json);
            let is_end = event != "activated";
            assert!(!over.contains(id), "after its end: {}", entry.json);
            if is_end {
                over.insert(id.to_owned());
            }
        }
    }
    assert!(told.iter().any(|(_, event)| event == "activated"));
}
