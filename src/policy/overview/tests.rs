//! The shipped sets as a table.

use std::path::Path;

use super::*;
use crate::policy::WorldFile;

fn shipped() -> Overview {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let around = std::fs::read_to_string(folder.join("tests/world.toml")).unwrap();
    let world = WorldFile::read(&around).unwrap().world;
    let now = "2026-11-22T16:00:00Z".parse().unwrap();
    overview(&PolicySets::read(&folder).unwrap(), &world, now).unwrap()
}

fn action<'a>(overview: &'a Overview, grant: &str, action: &str) -> &'a ActionOverview {
    let grant = overview.grants.iter().find(|found| found.name.as_str() == grant).unwrap();
    grant.actions.iter().find(|found| found.action == action).unwrap()
}

#[test]
fn every_grant_shows_who_can_get_it_and_on_what_conditions() {
    let overview = shipped();
    let issue = action(&overview, "orders-read", "issue");
    let permits: Vec<_> =
        issue.permits.iter().map(|permit| (permit.policy.as_str(), permit.who.as_str())).collect();
    assert_eq!(
        permits,
        [
            ("customer/workloads.cedar#orders-service", "workloads"),
            ("vendor/needs.cedar#orders", "workloads")
        ]
    );
    assert_eq!(issue.permits[0].when[0], "principal.issuer == Tidegate::Issuer::\"prod-cluster\"");
    assert_eq!(issue.permits[0].when.len(), 4);
    assert!(issue.permits[1].when.is_empty() && issue.nobody_by.is_empty());
    let forbids: Vec<_> = issue.forbids.iter().map(|forbid| forbid.policy.as_str()).collect();
    assert!(forbids.contains(&"customer/limits.cedar#no-long-credentials"), "{forbids:?}");
    assert!(!forbids.contains(&"customer/limits.cedar#no-long-ledger-writes"), "{forbids:?}");
    let ledger = action(&overview, "ledger-api", "issue");
    let people = ledger.permits.iter().find(|permit| permit.policy.ends_with("#platform-ledger")).unwrap();
    assert_eq!(people.who, "people in group `staff/platform`");
}

#[test]
fn what_must_not_hold_says_so() {
    let overview = shipped();
    let issue = action(&overview, "prod-admin", "issue");
    let glass =
        issue.forbids.iter().find(|forbid| forbid.policy.ends_with("#break-glass-needs-an-elevation"));
    assert_eq!(glass.unwrap().when, ["resource.break_glass", "not context has elevation"]);
}

#[test]
fn break_glass_says_how_many_approve_and_other_grants_have_no_elevations() {
    let overview = shipped();
    for grant in &overview.grants {
        let needed: Vec<_> =
            grant.approvals.iter().map(|approvals| (approvals.issuer.as_str(), approvals.needed)).collect();
        let elevated = grant.actions.iter().any(|action| action.action == "activate");
        assert_eq!(elevated, grant.break_glass, "{}", grant.name);
        if grant.break_glass {
            assert_eq!(needed, [("staff", Some(2)), ("vendor", Some(2))], "{}", grant.name);
        } else {
            assert!(needed.is_empty(), "{}", grant.name);
        }
    }
}

#[test]
fn a_grant_that_one_author_gives_to_nobody_says_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("customer/a.cedar", "permit (principal, action, resource);"),
        ("vendor/b.cedar", "permit (principal, action, resource == Tidegate::Grant::\"other\");"),
    ] {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let world = WorldFile::read("[[grants]]\nname = \"mine\"\nkind = \"jwt\"\n").unwrap().world;
    let sets = PolicySets::read(folder.path()).unwrap();
    let overview = overview(&sets, &world, Moment::EPOCH).unwrap();
    assert_eq!(action(&overview, "mine", "issue").nobody_by, [Author::Vendor]);
}
