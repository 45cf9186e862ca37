//! The cases beside the shipped policies: whoever is refused there is told the nearest request that would be permitted.

use std::path::Path;

use super::*;
use crate::policy::WorldFile;
use crate::policy::cases::{self, Case, Expected};

/// Every case: its name, whether it expects a permit of the broker, and the question.
fn cases() -> Vec<(String, bool, Facts)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests");
    let around = WorldFile::read(&fs::read_to_string(folder.join("world.toml")).unwrap()).unwrap();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().filter(|path| !path.ends_with("world.toml"));
    let cases = texts.flat_map(|path| {
        cases::read(&fs::read_to_string(path).unwrap(), &around.world)
            .unwrap_or_else(|faults| panic!("{faults}"))
    });
    // What policies would say alone is not what the broker would do.
    let permits = |case: &Case| case.expect == Expected::Permit && !case.policies_alone;
    cases.map(|case| (case.name.clone(), permits(&case), case.facts)).collect()
}

fn shipped() -> PolicySets {
    PolicySets::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap()
}

#[test]
fn every_refused_case_is_told_its_nearest_miss_and_it_was_tried() {
    let sets = shipped();
    let mut told = Vec::new();
    let mut refused = 0;
    for (name, permits, facts) in cases() {
        let explanation = explain(&sets, &world(), &facts).unwrap();
        let permitted = explanation.decision == Verdict::Permit;
        assert_eq!(permitted, permits, "{name}: {explanation:?}");
        if permitted {
            continue;
        }
        refused += 1;
        let nearest = explanation.nearest.unwrap_or_else(|| panic!("no way was found for: {name}"));
        assert!(nearest.verified, "{name}: {nearest:?}");
        let changes: Vec<_> = nearest.changes.iter().map(|change| change.say.as_str()).collect();
        told.push(format!("{name}: {}", changes.join("; ")));
    }
    assert!(refused >= 20, "only {refused} refused cases were found");
    insta::assert_snapshot!(told.join("\n"));
}

/// Nothing is suggested that is not needed: without any one of the changes the request is still refused.
#[test]
fn no_suggested_change_is_idle() {
    let sets = shipped();
    let world = world();
    let judge = Judge { sets: &sets, world: &world, beyond: true };
    for (name, _, facts) in cases().into_iter().filter(|case| !case.1) {
        let way = nearest::way(judge, &facts).unwrap_or_else(|| panic!("{name}"));
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
