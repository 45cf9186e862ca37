//! An auditor asks a running broker why somebody else is let in or not, with the command line and a token of their own
//! provider's; whoever is not permitted to ask is told nothing, and nothing secret is in any answer or in the log.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Broker, Company, Setup, StoreKind, log, on_both_stores};

on_both_stores! {
    an_auditor_is_told_why_and_nobody_else_is,
    an_elevation_is_explained_by_its_id_with_the_lock_that_stops_it,
}

const POLICY: &str = r#"
@id("ask")
permit (principal is Tidegate::Person in Tidegate::Group::"vendor/oncall",
  action in [Tidegate::Action::"request", Tidegate::Action::"issue"], resource == Tidegate::Grant::"prod-ledger");
@id("no-longer-than-two-hours")
forbid (principal, action == Tidegate::Action::"request", resource) when { context.duration > duration("2h") };
@id("two")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource) when { context.approvals.count >= 2 };
@id("leads")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/leads",
  action in [Tidegate::Action::"approve", Tidegate::Action::"view", Tidegate::Action::"lock"], resource);
@id("auditors")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/audit",
  action in [Tidegate::Action::"explain", Tidegate::Action::"view"], resource);
"#;

/// The broker, and everybody's token in a file of their name beside it.
struct World {
    broker: Broker,
    _companies: [Company; 2],
    tokens: Vec<String>,
}

impl World {
    async fn new(store: StoreKind) -> Self {
        let (vendor, staff) = (Company::start(), Company::start());
        let broker = Setup::new()
            .store(store)
            .people("vendor", vendor.url(), "may_approve = false")
            .people("staff", staff.url(), "")
            .break_glass_jwt("prod-ledger")
            .policy(POLICY)
            .start();
        let mut tokens = Vec::new();
        for (company, name, groups) in [
            (&vendor, "ann", &["oncall"][..]),
            (&staff, "lea", &["leads"][..]),
            (&staff, "leo", &["leads"][..]),
            (&staff, "aud", &["audit"][..]),
            (&staff, "zoe", &[][..]),
        ] {
            company.hire(name, groups).await;
            let token = company.token(name).await;
            fs::write(broker.folder().join(name), format!("{token}\n")).unwrap();
            tokens.push(token);
        }
        Self { broker, _companies: [vendor, staff], tokens }
    }

    fn token(&self, name: &str) -> String {
        fs::read_to_string(self.broker.folder().join(name)).unwrap().trim().to_owned()
    }

    /// `tidegate policy explain` by that person.
    fn explain(&self, by: &str, request: &[&str]) -> Output {
        let who = ["policy", "explain", "--broker", self.broker.url(), "--subject-token-file", by];
        let output = self.broker.cli(&[&who[..], &["--grant", "prod-ledger"], request].concat());
        self.holds_no_secret(&text(&output).1);
        output
    }

    fn json(&self, by: &str, request: &[&str]) -> (Option<i32>, Value) {
        let output = self.explain(by, &[request, &["--output", "json"]].concat());
        let (code, said) = text(&output);
        (code, serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")))
    }

    /// Header, claims and signature of nobody's token.
    fn holds_no_secret(&self, said: &str) {
        for part in self.tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 20) {
            assert!(!said.contains(part), "`{part:.12}…` stands in: {said}");
        }
    }

    async fn entries(&self) -> Vec<Value> {
        log::entries(&self.broker).await.into_iter().map(|entry| entry.json).collect()
    }
}

fn text(output: &Output) -> (Option<i32>, String) {
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.code(), said + &complained)
}

const ANN: [&str; 7] = ["--person", "--issuer", "vendor", "--subject", "ann", "--group", "oncall"];

async fn an_auditor_is_told_why_and_nobody_else_is(store: StoreKind) {
    let world = World::new(store).await;
    let before = world.entries().await.len();

    // Somebody who is not permitted to ask. They cannot tell a grant from none, and leave an entry.
    let request = [&["--action", "request", "--duration", "1h"], &ANN[..]].concat();
    let (code, told) = text(&world.explain("zoe", &request));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("policy decides who may `explain` a grant") && !told.contains("cedar"), "{told}");
    let entries = world.entries().await;
    let refused = entries.last().unwrap();
    assert_eq!((&refused["type"], &refused["attempted"]), (&json!("elevation.refused"), &json!("explain")));
    assert_eq!((&refused["by"]["subject"], &refused["reason"]), (&json!("zoe"), &json!("policy")));
    assert_eq!(entries.len(), before + 1);

    // A request that is permitted, and one that is refused.
    let (code, told) = text(&world.explain("aud", &request));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("permit\n  vendor|ann asks for `request` on `prod-ledger`"), "{told}");
    assert!(told.contains("Not looked at: rate limits"), "{told}");
    let long = [&["--action", "request", "--duration", "3h"], &ANN[..]].concat();
    let (code, told) = text(&world.explain("aud", &long));
    assert_eq!(code, Some(1), "{told}");
    for words in
        ["deny: ", "#no-longer-than-two-hours forbids it", "context.duration = 3h", "duration at most 2h"]
    {
        assert!(told.contains(words), "`{words}` is not in: {told}");
    }
    let (code, shown) = world.json("aud", &long);
    assert_eq!((code, &shown["decision"]), (Some(1), &json!("deny")));
    assert_eq!(shown["nearest"]["changes"][0]["say"], "duration at most 2h");

    // By their own token, which is read and not spent.
    let by_token = ["--action", "request", "--duration", "1h", "--token-file", "ann"];
    let (code, shown) = world.json("aud", &by_token);
    assert_eq!((code, &shown["principal"]), (Some(0), &json!("vendor|ann")), "{shown}");
    assert_eq!(world.entries().await.len(), before + 1, "an answer leaves no entry");
    let ask = json!({ "grant": "prod-ledger", "duration": "1h", "reason": "the ledger stands still" });
    let asked = world.broker.api("POST", "/v1/elevations", &world.token("ann"), &ask).await;
    assert_eq!(asked.status, 201, "what was explained is so: {}", asked.body);
    let ask = json!({ "grant": "prod-ledger", "duration": "3h", "reason": "the ledger stands still" });
    let asked = world.broker.api("POST", "/v1/elevations", &world.token("ann"), &ask).await;
    assert_eq!(asked.status, 403, "what was explained is so: {}", asked.body);

    for entry in world.entries().await {
        world.holds_no_secret(&entry.to_string());
    }
    world.holds_no_secret(&world.broker.output());
    world.broker.verify_log().await;
}

async fn an_elevation_is_explained_by_its_id_with_the_lock_that_stops_it(store: StoreKind) {
    let world = World::new(store).await;
    let ask = json!({ "grant": "prod-ledger", "duration": "1h", "reason": "the ledger stands still" });
    let asked = world.broker.api("POST", "/v1/elevations", &world.token("ann"), &ask).await;
    let id = asked.text("/id").to_owned();
    let elevation = ["--elevation", &id];

    let (code, told) = text(&world.explain("aud", &elevation));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("- the elevation is requested"), "{told}");
    for lead in ["lea", "leo"] {
        let path = format!("/v1/elevations/{id}/approve");
        world.broker.api("POST", &path, &world.token(lead), &json!({})).await.granted();
    }
    let (code, shown) = world.json("aud", &elevation);
    assert_eq!((code, &shown["principal"]), (Some(0), &json!("vendor|ann")), "{shown}");
    assert!(shown.get("also_refused_by").is_none(), "{shown}");
    world.broker.exchange("prod-ledger", &world.token("ann")).await.granted();

    let lock =
        json!({ "target": { "principal": "vendor|ann" }, "reason": "her laptop is lost", "ttl": "1h" });
    let locked = world.broker.api("POST", "/v1/locks", &world.token("lea"), &lock).await;
    assert_eq!(locked.status, 201, "{}", locked.body);
    let (code, told) = text(&world.explain("aud", &elevation));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.starts_with("permit\n") && told.contains("It is refused all the same:"), "{told}");
    assert!(told.contains(locked.text("/id")) && !told.contains("laptop"), "{told}");
    assert_eq!(world.broker.exchange("prod-ledger", &world.token("ann")).await.status, 400);

    // Who may explain nothing, and an id that nothing has.
    let (code, told) = text(&world.explain("zoe", &elevation));
    assert!(code == Some(1) && !told.contains("vendor"), "{told}");
    let unknown = ["--elevation", "elv-01a204b4-7a5e-7994-8652-29cf5b8dd4ce"];
    assert_eq!(text(&world.explain("aud", &unknown)).0, Some(1));
    for entry in world.entries().await {
        world.holds_no_secret(&entry.to_string());
    }
}
