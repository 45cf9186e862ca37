//! Who reaches the API and who does not, and what its answers have in common.

use serde_json::{Value, json};

use crate::tokens::TestKey;
use crate::world::World;

/// What an engineer asks for.
pub fn ask(grant: &str) -> Value {
    json!({ "grant": grant, "duration": "30m", "reason": "restore orders after INC-42" })
}

impl World {
    /// A request of Ann's; gives its id.
    pub async fn requested(&self, grant: &str) -> String {
        let asked = self.api(&self.engineer("ann"), "POST", "/v1/elevations", ask(grant)).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        asked.body["id"].as_str().unwrap().to_owned()
    }

    /// The same, approved by two leads.
    pub async fn opened(&self, grant: &str) -> String {
        let id = self.requested(grant).await;
        for lead in ["lea", "lou"] {
            self.act(&self.staff(lead, "leads"), &id, "approve", json!({})).await.done();
        }
        id
    }

    /// `POST /v1/elevations/{id}/{what}`
    pub async fn act(&self, token: &str, id: &str, what: &str, body: Value) -> crate::world::Answer {
        self.api(token, "POST", &format!("/v1/elevations/{id}/{what}"), body).await
    }

    pub async fn shown(&self, id: &str) -> Value {
        self.api(&self.staff("lea", "leads"), "GET", &format!("/v1/elevations/{id}"), Value::Null)
            .await
            .done()
    }
}

#[tokio::test]
async fn nobody_without_a_persons_valid_token_gets_in() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let whoami = || world.http.get(world.url("/v1/whoami"));
    let none = crate::world::Answer::of(whoami().send().await.unwrap()).await;
    none.problem(401, "missing_token");
    assert_eq!(none.headers["www-authenticate"], "Bearer realm=\"tidegate\"");
    let basic = crate::world::Answer::of(whoami().basic_auth("ann", Some("x")).send().await.unwrap()).await;
    basic.problem(401, "missing_token");
    let forged = world.sign_in(&TestKey::fresh_p256("staff-1"), "staff", "lea", &["leads"]);
    let answer = world.api(&forged, "GET", "/v1/whoami", Value::Null).await;
    assert!(answer.problem(401, "invalid_token").contains("signature"));
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.starts_with("Bearer realm=\"tidegate\", error=\"invalid_token\", error_description=\"")
    );
    let old = world.staff("lea", "leads");
    world.clock.advance(std::time::Duration::from_hours(1));
    world.api(&old, "GET", "/v1/whoami", Value::Null).await.problem(401, "invalid_token");
    let workload = world.token("billing");
    world.api(&workload, "GET", "/v1/whoami", Value::Null).await.problem(403, "workload_token");
    let twice = whoami().bearer_auth(world.engineer("ann")).bearer_auth(world.engineer("ann"));
    crate::world::Answer::of(twice.send().await.unwrap()).await.problem(401, "invalid_token");
    let in_query = format!("/v1/whoami?access_token={}", world.engineer("ann"));
    crate::world::Answer::of(world.http.get(world.url(&in_query)).send().await.unwrap())
        .await
        .problem(401, "missing_token");
    assert_eq!(world.entries().await.len(), before, "nobody was identified, nothing was written");
}

#[tokio::test]
async fn an_address_that_keeps_sending_bad_tokens_has_to_wait_also_with_a_good_one() {
    let world = World::start_with("rate_per_ip = 1\nburst_per_ip = 2").await;
    let forged = world.sign_in(&TestKey::fresh_p256("staff-1"), "staff", "lea", &["leads"]);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(world.api(&forged, "GET", "/v1/whoami", Value::Null).await.status);
    }
    assert_eq!(answers, [401, 401, 401, 429]);
    let answer = world.api(&world.staff("lea", "leads"), "GET", "/v1/whoami", Value::Null).await;
    answer.problem(429, "slow_down");
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn one_person_over_their_rate_slows_down_and_others_do_not() {
    let world = World::start_with("rate_per_principal = 1\nburst_per_principal = 2").await;
    let ann = world.engineer("ann");
    for _ in 0..2 {
        world.api(&ann, "GET", "/v1/whoami", Value::Null).await.done();
    }
    let answer = world.api(&ann, "GET", "/v1/whoami", Value::Null).await;
    answer.problem(429, "slow_down");
    assert_eq!(answer.headers["retry-after"], "1");
    world.api(&world.engineer("bea"), "GET", "/v1/whoami", Value::Null).await.done();
}

#[tokio::test]
async fn a_person_learns_who_they_are_and_what_they_may_ask_for() {
    let world = World::start().await;
    let me = world.api(&world.engineer("ann"), "GET", "/v1/whoami", Value::Null).await.done();
    assert_eq!(
        (&me["issuer"], &me["subject"], &me["may_approve"]),
        (&json!("people"), &json!("ann"), &json!(false))
    );
    assert_eq!((&me["name"], &me["groups"]), (&json!("ann of people"), &json!(["sre"])));
    let grants = world.api(&world.engineer("ann"), "GET", "/v1/grants", Value::Null).await.done();
    let requestable: Vec<_> =
        grants["grants"].as_array().unwrap().iter().filter(|grant| grant["may_request"] == true).collect();
    let names: Vec<&Value> = requestable.iter().map(|grant| &grant["name"]).collect();
    assert_eq!(names, ["prod-admin", "prod-ledger"]);
    assert!(requestable.iter().all(|grant| grant["approvals_needed"] == 2));
    assert_eq!(requestable[0]["max_duration"], "4h");
    let nobody = world.sign_in(&world.staff, "staff", "zoe", &[]);
    let grants = world.api(&nobody, "GET", "/v1/grants", Value::Null).await.done();
    assert_eq!(grants["grants"].as_array().map(Vec::len), Some(0), "{grants}");
}

#[tokio::test]
async fn only_an_auditor_reads_the_log_here_and_every_entry_has_its_proof() {
    let world = World::start().await;
    let id = world.requested("prod-ledger").await;
    let paths = ["/v1/audit/entries", "/v1/audit/entries/0/proof"];
    for path in paths {
        let lead = world.staff("lea", "leads");
        world.api(&lead, "GET", path, Value::Null).await.problem(403, "policy");
    }
    assert!(world.entries_of("elevation.refused").await.iter().any(|entry| entry["attempted"] == "audit"));
    let auditor = world.staff("ada", "audit");
    let page = world.api(&auditor, "GET", "/v1/audit/entries?from=1&limit=3", Value::Null).await.done();
    let indexes: Vec<&Value> =
        page["entries"].as_array().unwrap().iter().map(|entry| &entry["index"]).collect();
    assert_eq!((indexes, &page["next_from"]), (vec![&json!(1), &json!(2), &json!(3)], &json!(4)));
    let size = page["size"].as_u64().unwrap();
    let entries = world.api(&auditor, "GET", "/v1/audit/entries?limit=256", Value::Null).await.done();
    let entries = entries["entries"].as_array().unwrap();
    assert_eq!(entries.len() as u64, size);
    let asked = entries.iter().find(|entry| entry["entry"]["type"] == "elevation.requested").unwrap();
    assert_eq!(asked["entry"]["elevation"]["id"], id.as_str());
    let path = format!("/v1/audit/entries/{}/proof", asked["index"]);
    let proof = world.api(&auditor, "GET", &path, Value::Null).await.done();
    assert_eq!(proof["leaf_hash"], asked["leaf_hash"]);
    let key = world.running().verifier_key().parse().unwrap();
    let parsed = tidegate::audit::proof::TlogProof::parse(proof["proof"].as_str().unwrap()).unwrap();
    let checkpoint = parsed.verify(&world.raw_entry(parsed.index).await, &key).unwrap();
    assert_eq!(checkpoint.size, size);
    for bad in ["x", "-1", "99999999999999999999", &size.to_string()] {
        let path = format!("/v1/audit/entries/{bad}/proof");
        world.api(&auditor, "GET", &path, Value::Null).await.problem(404, "not_found");
    }
    let beyond =
        world.api(&auditor, "GET", "/v1/audit/entries?from=18446744073709551615", Value::Null).await.done();
    assert_eq!(beyond["entries"], json!([]));
    for bad in ["from=-1", "from=+1", "limit=0", "limit=257", "limit=1&limit=1", "size=1"] {
        let path = format!("/v1/audit/entries?{bad}");
        world.api(&auditor, "GET", &path, Value::Null).await.problem(400, "invalid_request");
    }
}
