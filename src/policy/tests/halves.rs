//! A vendor's half by itself: judged, and never decided by.

use super::*;
use crate::policy::bundle::{Pin, Pinned};

const NEEDS: &str = "@id(\"needs\") permit(principal, action == Tidegate::Action::\"issue\", resource) \
                     when { context.ttl <= duration(\"10m\") };";

fn half(files: &[(&str, &str)]) -> Result<PolicySets, LoadError> {
    PolicySets::gather_or_half(&Folder::new(files).settings())
}

#[test]
fn a_broker_never_decides_by_a_vendors_half() {
    let folder = Folder::new(&[("vendor/a.cedar", ALLOW)]);
    let missing = "customer: the folder is missing";
    assert!(folder.load().unwrap_err().to_string().contains(missing));
    assert!(PolicySets::gather(&folder.settings()).unwrap_err().to_string().contains(missing));
    assert!(PolicySets::gather_or_half(&folder.settings()).unwrap().is_half());
}

#[test]
fn a_customers_folder_that_is_empty_or_broken_is_not_taken_for_none() {
    for customer in ["customer/notes.md", "customer/a.ceder"] {
        half(&[("vendor/a.cedar", ALLOW), (customer, "x")]).unwrap_err();
    }
    let folder = Folder::new(&[("vendor/a.cedar", ALLOW), ("customer", "a file")]);
    PolicySets::gather_or_half(&folder.settings()).unwrap_err();
    half(&[]).unwrap_err();
}

/// The configuration named the bundle: what it is put beside is a customer's folder.
#[test]
fn beside_a_pinned_bundle_the_customers_half_is_missed() {
    let folder = Folder::new(&[("vendor/a.cedar", ALLOW)]);
    let (key, version) = (Pinned::File("none".into()), Pinned::File("none".into()));
    let vendor = Some(Pin { file: "none".into(), key, version });
    let error = PolicySets::gather_or_half(&Settings { vendor, ..folder.settings() }).unwrap_err();
    assert!(error.to_string().contains("customer: the folder is missing"), "{error}");
}

#[test]
fn what_is_wrong_with_a_half_is_told_as_of_a_whole() {
    let told = half(&[("vendor/a.cedar", "permit (principal, action, resource) when { context.x };")])
        .unwrap_err()
        .to_string();
    assert!(told.contains("vendor/a.cedar"), "{told}");
    half(&[("vendor/a.cedar", ALLOW), ("entities.json", "{}")]).unwrap_err();
    half(&[("vendor/a.cedar", ALLOW), ("vendr/a.cedar", ALLOW)]).unwrap_err();
}

#[test]
fn a_half_denies_in_the_vendors_name_and_has_the_digest_that_entries_have_of_it() {
    let whole = [("customer/a.cedar", ALLOW), ("vendor/a.cedar", NEEDS)];
    let (half, whole) = (half(&whole[1..]).unwrap(), Folder::new(&whole).engine());
    assert_eq!(Some(half.digest()), whole.sets().digests().vendor);
    let hour = Asked { ttl: Lifetime::from_seconds(3_600).unwrap(), ..orders() };
    for (asked, reason) in [(orders(), None), (hour, Some("no vendor policy permits it"))] {
        let answer = half.decide(&Facts::of_issue(&asked.question()));
        assert_eq!(answer.err().map(|denial| denial.reason.to_string()).as_deref(), reason);
    }
}
