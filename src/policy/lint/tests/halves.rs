//! A vendor's half by itself: nothing is said of what its customers close.

use super::*;
use crate::policy::Settings;

const OPEN: &str = "permit (principal, action, resource);";

fn codes_of(files: &[(&str, &str)]) -> BTreeSet<Code> {
    let folder = Folder::new(files);
    let sets = PolicySets::gather_or_half(&Settings::of_folder(folder.path())).unwrap();
    let described = WorldFile::read(WORLD).unwrap();
    let groups = BTreeSet::new();
    let subject =
        Subject { sets: &sets, world: Some(&described.world), groups: &groups, closed: &described.groups };
    lint(&subject).into_iter().map(|finding| finding.code).collect()
}

#[test]
fn what_a_vendor_leaves_open_is_found_only_where_no_customer_closes_it() {
    assert_eq!(codes_of(&[("vendor/a.cedar", OPEN)]), BTreeSet::new());
    let both = codes_of(&[("vendor/a.cedar", OPEN), ("customer/a.cedar", OPEN)]);
    assert_eq!(both, BTreeSet::from([Code::SharedIssuerUnbound, Code::BreakGlassWithoutApproval]));
}

#[test]
fn what_a_vendor_permits_to_nobody_nobody_gets() {
    let ledger = "permit (principal, action, resource == Tidegate::Grant::\"ledger\");";
    assert!(codes_of(&[("vendor/a.cedar", ledger)]).contains(&Code::GrantForNobody));
}
