//! The cases beside the shipped policies: whoever is refused there is told the nearest request that would be permitted.

use std::path::Path;

use super::*;

/// The grants of the configuration reference, as policy sees them.
fn grant(name: &str) -> Json {
    let (kind, break_glass) = match name {
        "ledger-api" => ("jwt", false),
        "ledger-repair" => ("jwt", true),
        "orders-read" => ("aws", false),
        "prod-admin" => ("aws", true),
        other => panic!("no grant {other}"),
    };
    let sets: &[&str] = if break_glass { &["break-glass"] } else { &[] };
    let mut grant = json!({ "name": name, "kind": kind, "break_glass": break_glass, "sets": sets });
    if kind == "aws" {
        grant["account"] = json!("123456789012");
    }
    grant
}

/// A case as facts, and what it expects.
fn of_case(case: &Json) -> (String, String, Facts) {
    let text = |name: &str| case[name].as_str().map(str::to_owned);
    let action = text("do").unwrap_or_else(|| "issue".to_owned());
    let who = |caller: &Json, person: bool| {
        let mut who = caller.clone();
        let person = person || who["person"].as_bool() == Some(true);
        who.as_object_mut().unwrap().remove("person");
        who["kind"] = json!(if person { "person" } else { "workload" });
        who
    };
    let ann = json!({ "issuer": "vendor", "subject": "ann", "groups": ["oncall"] });
    let requester = case.get("requester").unwrap_or(&ann);
    let elevation = json!({
        "id": "elv-01a203ff-4cee-7102-8304-05060708090a", "requester": who(requester, true), "duration": "1h",
        "reason": "the ledger stands still",
    });
    let mut asked = json!({ "action": action });
    match action.as_str() {
        "issue" => {
            asked["ttl"] = case["ttl"].clone();
            asked["scopes"] = case.get("scopes").cloned().unwrap_or_else(|| json!([]));
            if let Some(open) = case.get("elevation") {
                asked["elevation"] = json!({
                    "id": elevation["id"], "version": 3, "approvals": open["approvals"],
                    "starts_at": "2026-11-22T16:00:00Z", "ends_at": "2026-11-22T17:00:00Z",
                });
            }
        }
        "activate" => {
            let count = case["approvals"].as_u64().unwrap_or_default();
            asked["approvals"] = json!({ "count": count });
        }
        "approve" | "revoke" | "view" => asked["elevation"] = elevation,
        _ => {}
    }
    if matches!(action.as_str(), "request" | "approve" | "activate") {
        asked["duration"] = case["duration"].clone();
    }
    let amr = case["auth"].get("amr").or(case.get("amr")).cloned().unwrap_or_else(|| json!([]));
    let facts = json!({
        "at": "2026-11-22T16:00:00Z",
        "principal": who(&case["principal"], action != "issue"),
        "grant": grant(case["grant"].as_str().unwrap()),
        "source_ip": case["source_ip"],
        "auth": { "issued_at": "2026-11-22T16:00:00Z", "amr": amr },
        "asked": asked,
    });
    let facts = serde_json::from_value(facts).unwrap_or_else(|error| panic!("{case}: {error}"));
    (text("name").unwrap(), text("expect").unwrap(), facts)
}

fn cases() -> Vec<(String, String, Facts)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().filter(|path| !path.ends_with("world.toml"));
    let cases = texts.flat_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        toml::from_str::<Json>(&text).unwrap()["case"].as_array().unwrap().clone()
    });
    cases.map(|case| of_case(&case)).collect()
}

fn shipped() -> PolicySets {
    PolicySets::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap()
}

#[test]
fn every_refused_case_is_told_its_nearest_miss_and_it_was_tried() {
    let sets = shipped();
    let mut told = String::new();
    let mut refused = 0;
    for (name, expect, facts) in cases() {
        let explanation = explain(&sets, &world(), &facts).unwrap();
        let permitted = explanation.decision == Verdict::Permit;
        assert_eq!(permitted, expect == "permit", "{name}: {explanation:?}");
        if permitted {
            continue;
        }
        refused += 1;
        let nearest = explanation.nearest.unwrap_or_else(|| panic!("no way was found for: {name}"));
        assert!(nearest.verified, "{name}: {nearest:?}");
        let changes: Vec<_> = nearest.changes.iter().map(|change| change.say.as_str()).collect();
        told.push_str(&format!("{name}: {}\n", changes.join("; ")));
    }
    assert!(refused >= 20, "only {refused} refused cases were found");
    insta::assert_snapshot!(told);
}

/// Nothing is suggested that is not needed: without any one of the changes the request is still refused.
#[test]
fn no_suggested_change_is_idle() {
    let sets = shipped();
    let world = world();
    let judge = Judge { sets: &sets, world: &world, beyond: true };
    for (name, expect, facts) in cases().into_iter().filter(|case| case.1 != "permit") {
        let way = nearest::way(judge, &facts).unwrap_or_else(|| panic!("{name}: {expect}"));
        let permits = |way: &change::Way| {
            let changed = edit::after(way, &facts, &world);
            changed.is_some_and(|changed| judge.look(&changed).unwrap().permitted())
        };
        assert!(permits(&way), "{name}");
        for at in 0..way.0.len() {
            let mut shorter = way.clone();
            shorter.0.remove(at);
            assert!(!permits(&shorter), "{name}: {way:?}");
        }
    }
}

#[test]
fn how_many_must_approve_is_told_for_break_glass() {
    let sets = shipped();
    for (name, _, facts) in cases() {
        let needed = explain(&sets, &world(), &facts).unwrap().approvals_needed;
        let asks = facts.principal.kind == crate::policy::facts::PrincipalKind::Person;
        if facts.grant.break_glass && asks {
            assert_eq!(needed, Some(ApprovalsNeeded::AtLeast(2)), "{name}");
        } else {
            assert_eq!(needed, None, "{name}");
        }
    }
}
