//! What the file may say, and that flattening it changes no answer.

use std::collections::BTreeSet;

use cedar_policy::{Context, Entities, EvalResult, Expression, Request, eval_expression};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::policy::fault::LoadError;
use crate::policy::tests::{group, member};

fn read(text: &str) -> Result<Relations, LoadError> {
    Relations::read(text, &Vocabulary::new().unwrap())
}

fn owned(grant: &str, owner: &str) -> Value {
    let owner = json!({ "__entity": { "type": "Tidegate::Group", "id": owner } });
    json!({ "uid": { "type": "Tidegate::Grant", "id": grant }, "attrs": { "owner": owner }, "parents": [] })
}

fn of(entities: &[Value]) -> Relations {
    read(&json!(entities).to_string()).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(entities: &[Value]) -> String {
    read(&json!(entities).to_string()).map(drop).unwrap_err().to_string()
}

#[test]
fn what_is_no_list_of_entities_is_refused_with_its_place() {
    for (text, place) in [
        ("", "entities.json:1:1: "),
        ("{}", "entities.json:1:"),
        ("[\n  {\"uid\": 1}\n]", "entities.json:2:"),
        (
            "[\n{\"uid\": {\"type\": \"Tidegate::Group\", \"id\": \"a\"}, \"attrs\": {},\n  \"parrents\": []}]",
            "entities.json:3:",
        ),
        (
            "[{\"uid\": {\"type\": \"Tidegate::Group\", \"id\": \"a\"}, \"attrs\": {}}]",
            "missing field `parents`",
        ),
        (
            "[{\"uid\": {\"type\": \"Tidegate::Group\", \"id\": \"a\", \"id\": \"b\"}, \"attrs\": {}, \"parents\": []}]",
            "duplicate field",
        ),
        ("[] []", "trailing characters"),
    ] {
        let why = read(text).map(drop).unwrap_err().to_string();
        assert!(why.contains(place), "{text}: {why}");
    }
}

#[test]
fn unknown_kinds_of_entities_are_refused() {
    for kind in ["Issuer", "GrantSet", "Elevation", "Action", "Grupp"] {
        assert!(refusal(&[member(kind, "a", &[])]).contains("is not taken here"), "{kind}");
    }
    let bare = json!({ "uid": { "type": "Group", "id": "a" }, "attrs": {}, "parents": [] });
    assert!(refusal(&[bare]).contains("`Group` is not taken here"));
    let nameless = json!({ "uid": { "type": "Tidegate::Group" }, "attrs": {}, "parents": [] });
    assert!(refusal(&[nameless]).contains("named by `type` and `id`"));
}

#[test]
fn attributes_that_would_promise_something_are_refused() {
    let mut person = member("Person", "staff|ann", &[]);
    person["attrs"]["email"] = json!("ann@example.com");
    assert!(refusal(&[person]).contains("unknown field `email`"));
    let mut group = group("a", &[]);
    group["attrs"]["owner"] = json!({ "type": "Tidegate::Group", "id": "a" });
    assert!(refusal(&[group]).contains("only grants have one"));
    let mut tagged = member("Workload", "ci|w", &[]);
    tagged["tags"] = json!({ "team": ["a"] });
    assert!(refusal(&[tagged]).contains("unknown field `tags`"));
}

#[test]
fn circles_are_refused_with_everybody_in_them() {
    let why = refusal(&[group("a", &["b"]), group("b", &["c"]), group("c", &["a"]), group("d", &["a"])]);
    for name in ["a", "b", "c"] {
        assert!(why.contains(&format!("`Tidegate::Group::\"{name}\"` is in itself")), "{why}");
    }
    assert!(!why.contains("\"d\"` is in itself"), "{why}");
    assert!(refusal(&[group("a", &["a"])]).contains("is in itself"));
}

#[test]
fn duplicates_are_refused() {
    assert!(refusal(&[group("a", &[]), group("a", &[])]).contains("`Tidegate::Group::\"a\"` is there twice"));
    let ann = || member("Person", "staff|ann", &["a"]);
    assert!(refusal(&[group("a", &[]), ann(), ann()]).contains("is there twice"));
    let grant = || owned("ledger", "a");
    assert!(refusal(&[group("a", &[]), grant(), grant()]).contains("is there twice"));
    assert!(refusal(&[group("a", &[]), group("b", &["a", "a"])]).contains("twice"));
}

#[test]
fn a_parent_or_an_owner_that_nobody_declared_is_refused() {
    let why = refusal(&[group("a", &["b"]), member("Person", "staff|ann", &["c"]), owned("ledger", "d")]);
    for name in ["b", "c", "d"] {
        assert!(why.contains(&format!("`Tidegate::Group::\"{name}\"`, which is not declared here")), "{why}");
    }
}

#[test]
fn only_groups_hold_anybody_and_grants_are_in_nothing() {
    let mut person = member("Person", "staff|ann", &[]);
    person["parents"] = json!([{ "type": "Tidegate::Person", "id": "staff|bob" }]);
    assert!(refusal(&[person]).contains("which is no group"));
    let mut grant = owned("ledger", "a");
    grant["parents"] = json!([{ "type": "Tidegate::GrantSet", "id": "s" }]);
    assert!(refusal(&[group("a", &[]), grant]).contains("is not taken here"));
    let mut grant = owned("ledger", "a");
    grant["parents"] = json!([{ "type": "Tidegate::Group", "id": "a" }]);
    assert!(refusal(&[group("a", &[]), grant]).contains("sets of a grant are in the configuration"));
    let mut grant = owned("ledger", "a");
    grant["attrs"]["owner"] = json!({ "type": "Tidegate::Person", "id": "staff|ann" });
    assert!(refusal(&[group("a", &[]), grant]).contains("which is no group"));
    assert!(refusal(&[member("Grant", "ledger", &[])]).contains("has no owner"));
}

#[test]
fn ids_that_nobody_can_have_are_refused() {
    for (kind, id, why) in [
        ("Person", "ann", "`<issuer name>|<sub>`"),
        ("Person", "Staff|ann", "`<issuer name>|<sub>`"),
        ("Workload", "ci|", "`<issuer name>|<sub>`"),
        ("Grant", "Ledger API", "no grant can be called so"),
        ("Group", "", "1-256 bytes"),
        ("Group", "a\nb", "1-256 bytes"),
        ("Group", "Platform Team/leads", "a team's id has none"),
        ("Group", "/leads", "a team's id has none"),
        ("Group", "staff/", "a team's id has none"),
    ] {
        let found = refusal(&[member(kind, id, &[])]);
        assert!(found.contains(why), "{id}: {found}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let chain: Vec<_> = (0..=251)
        .map(|number| {
            let above = format!("g{}", number + 1);
            group(
                &format!("g{number}"),
                if number == 251 { &[] } else { std::slice::from_ref(&above) }
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .as_slice(),
            )
        })
        .collect();
    assert!(refusal(&chain).contains("is in over 250 groups"));
    of(&chain[1..]);
    assert!(read(&" ".repeat(9 * 1024 * 1024)).is_err());
}

#[test]
fn an_issuer_reaches_a_group_by_its_tokens_and_by_whom_is_written_down() {
    let relations = of(&[
        group("payments", &["engineering"]),
        group("engineering", &[]),
        group("empty", &[]),
        group("staff/payments-leads", &["payments"]),
        member("Person", "contractor|bob", &["engineering"]),
        member("Workload", "ci|deploy", &["payments"]),
        owned("ledger", "payments"),
    ]);
    let reach = |group: &str| {
        relations.issuers_reaching(group).into_iter().map(|issuer| issuer.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(reach("engineering"), ["ci", "contractor", "staff"]);
    assert_eq!(reach("payments"), ["ci", "staff"]);
    assert_eq!(reach("staff/payments-leads"), ["staff"]);
    assert_eq!(reach("vendor/whatever"), ["vendor"], "its own issuer may name it in any token");
    assert_eq!(reach("empty"), Vec::<String>::new());
    assert_eq!(relations.groups(), ["empty", "engineering", "payments", "staff/payments-leads"].into());
    assert_eq!(relations.owner_of(&GrantName::new("ledger").unwrap()), Some("payments"));
    let named: Vec<_> = relations.issuers_named().into_iter().map(|issuer| issuer.to_string()).collect();
    assert_eq!(named, ["ci", "contractor", "staff"]);
}

/// Groups whose parents come after them, people and workloads in any of them: no circles, everything else.
fn hierarchies() -> impl Strategy<Value = Vec<Value>> {
    let below = |count: usize| proptest::collection::vec(any::<u16>(), count);
    (1_usize..12, 0_usize..6).prop_flat_map(move |(groups, people)| {
        (below(groups), below(people)).prop_map(move |(groups, people)| {
            let id = |number: usize| match number % 3 {
                0 => format!("staff/g{number}"),
                1 => format!("prod/g{number}"),
                _ => format!("g{number}"),
            };
            let chosen = |from: usize, bits: u16| -> Vec<String> {
                (from..groups.len()).filter(|number| bits >> number & 1 == 1).map(id).collect()
            };
            let entity = |kind, id: &str, parents: Vec<String>| {
                member(kind, id, &parents.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let in_groups = |number: usize, bits: u16| entity("Group", &id(number), chosen(number + 1, bits));
            let of_people = |number: usize, bits: u16| match number % 2 {
                0 => entity("Person", &format!("staff|p{number}"), chosen(0, bits)),
                _ => entity("Workload", &format!("prod|w{number}"), chosen(0, bits)),
            };
            let groups = groups.iter().enumerate().map(|(number, bits)| in_groups(number, *bits));
            groups.chain(people.iter().enumerate().map(|(number, bits)| of_people(number, *bits))).collect()
        })
    })
}

/// Cedar's own answer over the graph as it is written.
fn cedars_answer(entities: &Entities, one: &EntityUid, other: &EntityUid) -> bool {
    let any = one.clone();
    let request = Request::new(any.clone(), any.clone(), any, Context::empty(), None).unwrap();
    let question: Expression = format!("{one} in {other}").parse().unwrap();
    match eval_expression(&request, entities, &question).unwrap() {
        EvalResult::Bool(holds) => holds,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn flattened_membership_is_cedars_own(written in hierarchies()) {
        let text = json!(written).to_string();
        let relations = read(&text).unwrap();
        let graph = Entities::from_json_str(&text, None).unwrap();
        let all: BTreeSet<EntityUid> = graph.iter().map(cedar_policy::Entity::uid).collect();
        for one in &all {
            for other in all.iter().filter(|other| *other != one) {
                let flat = relations.above(one).contains(other);
                prop_assert_eq!(flat, cedars_answer(&graph, one, other), "{} in {}", one, other);
                prop_assert_eq!(flat, relations.below(other).contains(one));
            }
        }
    }
}
