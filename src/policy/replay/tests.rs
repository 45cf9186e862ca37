//! Planted changes are found, and nothing else.

use serde_json::json;

use super::*;
use crate::policy::Settings;

const BEFORE: &str = r#"@id("all") permit(principal, action, resource);
    @id("no-eve") forbid(principal, action, resource) when { principal.subject == "eve" };"#;

/// Ann may not any more, Eve may, and who permits has another name.
const AFTER: &str = r#"@id("everybody") permit(principal, action, resource);
    @id("no-ann") forbid(principal, action, resource) when { principal.subject == "ann" };"#;

fn sets(text: &str) -> PolicySets {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("customer")).unwrap();
    std::fs::write(folder.path().join("customer/a.cedar"), text).unwrap();
    let settings = Settings::of_folder(folder.path());
    PolicySets::read(&settings.dir).unwrap_or_else(|error| panic!("{error}"))
}

fn facts(subject: &str, grant: &str) -> Facts {
    serde_json::from_value(json!({
        "at": "2026-11-22T16:00:00Z",
        "principal": { "kind": "person", "issuer": "staff", "subject": subject },
        "grant": { "name": grant, "kind": "jwt", "break_glass": false },
        "auth": { "issued_at": "2026-11-22T15:59:00Z" },
        "asked": { "action": "lock" },
    }))
    .unwrap()
}

/// As `sets` decided it.
fn recorded(index: u64, sets: &PolicySets, questions: Vec<Facts>) -> Recorded {
    let today = Replay::new(sets).ask(&questions);
    let Today { allowed, decided_by, .. } = today;
    Recorded { index, at: Moment::EPOCH, allowed, digest: sets.digest(), decided_by, questions }
}

#[test]
fn the_policies_that_decided_decide_the_same_again() {
    let before = sets(BEFORE);
    let mut replay = Replay::new(&before);
    for (index, subject) in (0..).zip(["ann", "eve", "bob"]) {
        replay.take(&recorded(index, &before, vec![facts(subject, "a")]));
    }
    let report = replay.finish();
    assert_eq!(report.total, Tally { decisions: 3, ..Tally::default() });
    assert_eq!((report.changes, report.inconsistent), (Vec::new(), Vec::new()));
}

#[test]
fn each_change_is_listed_with_who_decided_and_who_would() {
    let (before, after) = (sets(BEFORE), sets(AFTER));
    let mut replay = Replay::new(&after);
    for (index, (subject, grant)) in (0..).zip([("ann", "a"), ("eve", "a"), ("bob", "b")]) {
        replay.take(&recorded(index, &before, vec![facts(subject, grant)]));
    }
    let report = replay.finish();
    let told: Vec<_> = report
        .changes
        .iter()
        .map(|change| (change.index, change.kind.as_str(), change.before.join(" "), change.after.join(" ")))
        .collect();
    assert_eq!(
        told,
        [
            (0, "newly_denied", "customer/a.cedar#all".to_owned(), "customer/a.cedar#no-ann".to_owned()),
            (
                1,
                "newly_allowed",
                "customer/a.cedar#no-eve".to_owned(),
                "customer/a.cedar#everybody".to_owned()
            ),
        ]
    );
    let tally = |newly_allowed, newly_denied, other_policies| Tally {
        decisions: newly_allowed + newly_denied + other_policies,
        newly_allowed,
        newly_denied,
        other_policies,
    };
    assert_eq!(report.total, tally(1, 1, 1));
    assert_eq!(report.by_grant, BTreeMap::from([("a".into(), tally(1, 1, 0)), ("b".into(), tally(0, 0, 1))]));
    assert_eq!(report.by_principal["staff|bob"], tally(0, 0, 1));
    assert!(report.inconsistent.is_empty(), "other policies may say something else");
}

#[test]
fn a_record_that_the_very_same_policies_contradict_is_inconsistent() {
    let before = sets(BEFORE);
    let honest = recorded(7, &before, vec![facts("eve", "a")]);
    for forged in [
        Recorded { allowed: true, ..honest.clone() },
        Recorded { decided_by: vec!["customer/a.cedar#other".to_owned()], ..honest.clone() },
        Recorded { questions: vec![facts("ann", "a")], ..honest.clone() },
    ] {
        let mut replay = Replay::new(&before);
        replay.take(&forged);
        let report = replay.finish();
        assert_eq!(report.inconsistent.len(), 1, "{forged:?}");
        assert_eq!(report.inconsistent[0].index, 7);
    }
}

#[test]
fn of_several_questions_each_must_still_be_answered_with_yes() {
    let (before, after) = (
        sets(BEFORE),
        sets(
            "permit(principal, action == Tidegate::Action::\"lock\", resource) unless { resource.name == \"b\" };",
        ),
    );
    let mut replay = Replay::new(&after);
    replay.take(&recorded(0, &before, vec![facts("ann", "a"), facts("ann", "b")]));
    replay.take(&recorded(1, &before, vec![facts("ann", "a"), facts("ann", "c")]));
    let report = replay.finish();
    assert_eq!(report.by_grant.keys().collect::<Vec<_>>(), ["*"]);
    assert_eq!((report.changes.len(), report.changes[0].index), (1, 0));
}

/// An exchange asks for less before it says no, and so does a replay: else policies that permit a quarter of an hour would be
/// told to permit nothing to whoever asked for an hour.
#[test]
fn who_would_get_a_shorter_lifetime_today_is_newly_allowed() {
    let hour: Facts = serde_json::from_value(json!({
        "at": "2026-11-22T16:00:00Z",
        "principal": { "kind": "workload", "issuer": "ci", "subject": "job" },
        "grant": { "name": "a", "kind": "jwt", "break_glass": false },
        "auth": { "issued_at": "2026-11-22T15:59:00Z" },
        "asked": { "action": "issue", "ttl": "1h" },
    }))
    .unwrap();
    let before = sets("permit(principal, action, resource) when { principal.subject == \"ann\" };");
    let refused = recorded(3, &before, vec![hour.clone()]);
    let capped = |cap: &str| {
        let text = "@id(\"capped\") permit(principal, action == Tidegate::Action::\"issue\", resource) when";
        sets(&format!("{text} {{ context.ttl <= duration(\"{cap}\") }};"))
    };
    let kinds = |after: &PolicySets, recorded: &Recorded| {
        let mut replay = Replay::new(after);
        replay.take(recorded);
        let changes = replay.finish().changes;
        changes.into_iter().map(|change| (change.kind.as_str(), change.after.join(" "))).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&capped("15m"), &refused), [("newly_allowed", "customer/a.cedar#capped".to_owned())]);
    assert!(kinds(&capped("59s"), &refused).is_empty(), "an exchange asks for no less than a minute");
    // Who had the hour loses it.
    let had = recorded(4, &sets("permit(principal, action, resource);"), vec![hour]);
    assert_eq!(kinds(&capped("15m"), &had)[0].0, "newly_denied");
}

#[test]
fn a_list_of_names_that_was_cut_is_compared_as_far_as_it_goes() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let cut = names(&["a", "b", "and 2 more"]);
    assert!(are_the_same(&cut, &names(&["a", "b", "c", "d"])));
    assert!(!are_the_same(&cut, &names(&["a", "b"])));
    assert!(!are_the_same(&cut, &names(&["a", "c", "d"])));
    assert!(!are_the_same(&names(&["a"]), &names(&["a", "b"])));
}

#[test]
fn what_cannot_be_decided_again_is_counted_by_its_reason() {
    let before = sets(BEFORE);
    let mut replay = Replay::new(&before);
    replay.not_recorded("too_large");
    replay.not_recorded("too_large");
    replay.take(&recorded(0, &before, Vec::new()));
    let report = replay.finish();
    assert_eq!(report.not_recorded, BTreeMap::from([("no_facts".into(), 1), ("too_large".into(), 2)]));
    assert_eq!(report.total, Tally::default());
}
