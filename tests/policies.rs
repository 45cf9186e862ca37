//! The shipped policies: clean of findings, answering the shipped cases, and every one of them decided by some case. And
//! the commands that tell so, as a pipeline runs them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, helpers included"
)]

mod policies {
    //! `tidegate policy check` and `tidegate policy test`, run as programs.

    mod check;
    mod config;
    mod cookbook;
    mod half;
    mod program;
    mod test;
    mod versions;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::clock::Moment;
use tidegate::grants::{Catalog, Grant};
use tidegate::ids::IssuerName;
use tidegate::policy::cases::{self, Case};
use tidegate::policy::lint::{Subject, lint};
use tidegate::policy::{ActivateProbe, PolicyEngine, PolicySets, Settings, WorldFile};
use tidegate::principal::{Authentication, Person, PrincipalId};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn world() -> WorldFile {
    let text = std::fs::read_to_string(folder().join("tests/world.toml")).unwrap();
    WorldFile::read(&text).unwrap_or_else(|faults| panic!("{faults}"))
}

fn shipped_cases(described: &WorldFile) -> Vec<Case> {
    let files = std::fs::read_dir(folder().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|file| !file.ends_with("world.toml")).map(|file| {
        let text = std::fs::read_to_string(&file).unwrap();
        cases::read(&text, &described.world).unwrap_or_else(|faults| panic!("{}: {faults}", file.display()))
    });
    texts.flatten().collect()
}

#[test]
fn every_shipped_case_is_answered_as_it_says_and_every_policy_decides_one() {
    let sets = PolicySets::read(&folder()).unwrap_or_else(|error| panic!("{error}"));
    let cases = shipped_cases(&world());
    assert!(cases.len() >= 50, "only {} cases were found", cases.len());
    let refused = cases.iter().filter(|case| case.expect != cases::Expected::Permit).count();
    assert!(refused >= 25, "only {refused} of them are refused");
    let report = cases::run(&sets, &cases);
    let wrong: Vec<_> = cases
        .iter()
        .zip(&report.outcomes)
        .filter(|(_, outcome)| !outcome.passed())
        .map(|(case, outcome)| format!("{}: {:?}", case.name, outcome.failures))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(report.undecided, [], "no case decided these");
}

#[test]
fn the_shipped_policies_are_clean() {
    let sets = PolicySets::read(&folder()).unwrap();
    let (described, groups) = (world(), BTreeSet::new());
    let subject =
        Subject { sets: &sets, world: Some(&described.world), groups: &groups, closed: &described.groups };
    let found: Vec<_> = lint(&subject).into_iter().map(|finding| (finding.code, finding.message)).collect();
    assert_eq!(found, []);
}

/// Whoever starts from the shipped policies has a break-glass that can be opened, and by the customer's people only.
#[test]
fn the_shipped_policies_let_two_of_the_customers_people_open_every_break_glass_grant() {
    let grants = world().world.grants.into_iter();
    let catalog = Catalog::new(grants.map(|grant| Grant::clone(&grant)).collect()).unwrap();
    assert_eq!(catalog.iter().filter(|grant| grant.break_glass.is_some()).count(), 2);
    let engine = PolicyEngine::load(&Settings::of_folder(folder()), &catalog).unwrap();
    let at: Moment = "2026-11-22T16:00:00Z".parse().unwrap();
    let (ann, groups) = (ann(), BTreeSet::new());
    let authentication = Authentication { issued_at: at, acr: None, amr: BTreeSet::new(), auth_time: None };
    let issuers = |name: &str| BTreeSet::from([IssuerName::new(name).unwrap()]);
    for grant in catalog.iter().filter(|grant| grant.break_glass.is_some()) {
        let needed = engine.approvals_needed(&ActivateProbe {
            person: &ann,
            authentication: &authentication,
            source_ip: None,
            at,
            grant,
            duration: Duration::from_hours(1),
            people: &BTreeSet::new(),
            groups: &groups,
        });
        assert_eq!(needed, Some(2), "{}", grant.name);
        assert!(engine.could_anyone_approve(grant, &issuers("staff"), &ann.id), "{}", grant.name);
        assert!(!engine.could_anyone_approve(grant, &issuers("vendor"), &ann.id), "{}", grant.name);
    }
}

fn ann() -> Person {
    let id = PrincipalId { issuer: "vendor".parse().unwrap(), subject: "ann".parse().unwrap() };
    let groups = BTreeSet::from(["oncall".to_owned()]);
    Person { id, email: None, name: None, groups, tags: BTreeMap::new() }
}
