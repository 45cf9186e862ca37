//! Teams and owners that are written down: proofs and comparisons know them.

use tidegate::policy::Invariant;
use tidegate::proof::{Answer, Comparison, Direction, Question, Whose, diff, prove};

use crate::place::{Folder, now, solver, world};

/// `payments`, of which `staff/payments` and Zoe are part, owns `ledger-api`.
const PAYMENTS: &str = r#"[
  { "uid": { "type": "Tidegate::Group", "id": "payments" }, "attrs": {}, "parents": [] },
  { "uid": { "type": "Tidegate::Group", "id": "staff/payments" }, "attrs": {},
    "parents": [{ "type": "Tidegate::Group", "id": "payments" }] },
  { "uid": { "type": "Tidegate::Person", "id": "staff|zoe" }, "attrs": {},
    "parents": [{ "type": "Tidegate::Group", "id": "payments" }] },
  { "uid": { "type": "Tidegate::Grant", "id": "ledger-api" },
    "attrs": { "owner": { "type": "Tidegate::Group", "id": "payments" } }, "parents": [] }
]"#;

const OWNERS_LOCK: &str = r#"@id("owners-lock") permit (principal is Tidegate::Person,
    action == Tidegate::Action::"lock", resource) when { resource has owner && principal in resource.owner };"#;

fn never(id: &str, when: &str) -> Invariant {
    let text = format!(
        "@id(\"{id}\") @doc(\"{id}\") forbid (principal is Tidegate::Person, \
         action == Tidegate::Action::\"lock\", resource) when {{ {when} }};"
    );
    Invariant::parse("i.cedar", text).unwrap_or_else(|error| panic!("{error}")).remove(0)
}

async fn answer(invariant: Invariant) -> Answer {
    let (folder, world) = (Folder::of(OWNERS_LOCK, "").with_entities(PAYMENTS), world());
    let (sets, invariants) = (folder.sets(), [invariant]);
    let question =
        Question { sets: &sets, invariants: &invariants, no_wider_than: None, world: &world, now: now() };
    prove(question, &mut solver().await, &mut |_| {}).await.verdicts.remove(0).answer
}

#[tokio::test]
async fn who_is_in_a_team_by_token_or_by_name_is_found() {
    let by_token = never("by-token", "principal in Tidegate::Group::\"staff/payments\"");
    let Answer::Refuted(refuted) = answer(by_token).await else {
        panic!("a token can name `staff/payments`")
    };
    assert!(refuted.example.principal.groups.contains("payments"), "{:?}", refuted.example);
    assert_eq!(refuted.example.grant.name.as_str(), "ledger-api");
    let by_name = never("by-name", "!(principal in Tidegate::Group::\"staff/payments\")");
    let Answer::Refuted(refuted) = answer(by_name).await else { panic!("Zoe is written down") };
    assert_eq!(refuted.example.principal.subject.as_str(), "zoe", "{:?}", refuted.example);
}

#[tokio::test]
async fn nobody_else_is_in_a_team_and_nobody_owns_another_grant() {
    let vendor = never("vendor", "principal.issuer == Tidegate::Issuer::\"vendor\"");
    let another = never("another", "resource.name != \"ledger-api\"");
    let outsider = never(
        "outsider",
        "!(principal in Tidegate::Group::\"staff/payments\") && principal.subject != \"zoe\"",
    );
    for invariant in [vendor, another, outsider] {
        let id = invariant.id.clone();
        let answer = answer(invariant).await;
        assert!(matches!(answer, Answer::Proved { .. }), "{id}: {answer:?}");
    }
}

#[tokio::test]
async fn somebody_who_takes_anothers_place_in_a_team_is_found_and_so_is_the_other() {
    let others = PAYMENTS.replace("staff|zoe", "staff|lea");
    let old = Folder::of(OWNERS_LOCK, "").with_entities(PAYMENTS).sets();
    let new = Folder::of(OWNERS_LOCK, "").with_entities(&others).sets();
    let (world, whose) = (world(), [Whose::Effective]);
    let comparison = Comparison { old: &old, new: &new, whose: &whose, world: &world, now: now() };
    let difference = diff(comparison, &mut solver().await, &mut |_| {}).await;
    assert!(!difference.equal && difference.unknown.is_empty(), "{difference:?}");
    let found = difference.changes.iter().map(|c| (c.direction, c.example.principal.subject.as_str()));
    let found: Vec<_> = found.collect();
    assert_eq!(found, [(Direction::Allowed, "lea"), (Direction::Denied, "zoe")], "{difference:?}");
}

#[tokio::test]
async fn sets_are_wider_when_only_their_teams_are() {
    let others = PAYMENTS.replace("staff|zoe", "staff|lea");
    let older = Folder::of(OWNERS_LOCK, "").with_entities(PAYMENTS).sets();
    let sets = Folder::of(OWNERS_LOCK, "").with_entities(&others).sets();
    let (world, invariants) = (world(), []);
    let question = Question {
        sets: &sets,
        invariants: &invariants,
        no_wider_than: Some(&older),
        world: &world,
        now: now(),
    };
    let report = prove(question, &mut solver().await, &mut |_| {}).await;
    let effective = report.verdicts.iter().find(|verdict| verdict.id == "no-wider-effective").unwrap();
    let Answer::Refuted(refuted) = &effective.answer else { panic!("{effective:?}") };
    assert_eq!(refuted.example.principal.subject.as_str(), "lea", "{refuted:?}");
}
