//! Grants that nobody can get.

use super::*;

fn nobody(files: &[(&str, &str)]) -> Vec<String> {
    let findings = look(files, Some(WORLD), &[]).into_iter();
    findings.filter(|finding| finding.code == Code::GrantForNobody).map(|finding| finding.message).collect()
}

#[test]
fn a_grant_that_no_author_permits_anybody_is_for_nobody() {
    let only_admin = REST.replace(", Tidegate::Action::\"issue\"], resource)", "], resource)");
    let message = nobody(&[("customer/rest.cedar", &only_admin)]);
    assert_eq!(message.len(), 2, "{message:?}");
    assert!(message[1].contains("no customer policy could permit it to anybody (`issue`)"), "{message:?}");
    let vendor = "permit (principal, action, resource) when { resource has account };";
    let message = nobody(&[("customer/rest.cedar", REST), ("vendor/a.cedar", vendor)]);
    assert!(message.iter().any(|text| text.contains("`ledger`: no vendor policy")), "{message:?}");
}

#[test]
fn a_grant_for_different_people_of_each_author_is_for_nobody() {
    let ours = REST.replace(
        "permit (principal is Tidegate::Person,",
        "permit (principal is Tidegate::Person in Tidegate::Group::\"staff/oncall\",",
    );
    let theirs = REST.replace(
        "permit (principal is Tidegate::Person,",
        "permit (principal is Tidegate::Person in Tidegate::Group::\"vendor/oncall\",",
    );
    let message = nobody(&[("customer/a.cedar", &ours), ("vendor/a.cedar", &theirs)]);
    assert!(message.iter().any(|text| text.contains("nobody is permitted by every author")), "{message:?}");
    assert_eq!(nobody(&[("customer/a.cedar", &ours), ("vendor/a.cedar", REST)]), Vec::<String>::new());
}

#[test]
fn a_grant_that_is_always_forbidden_is_for_nobody() {
    let forbid = "@id(\"no\") forbid (principal, action == Tidegate::Action::\"issue\", resource) when { resource.labels.contains(\"red\") };";
    let message = nobody(&[("customer/rest.cedar", REST), ("customer/z.cedar", forbid)]);
    assert!(message.len() == 1 && message[0].contains("forbidden by `customer/z.cedar#no`"), "{message:?}");
    let perhaps = forbid.replace("resource.labels", "context.scopes");
    assert_eq!(
        nobody(&[("customer/rest.cedar", REST), ("customer/z.cedar", &perhaps)]),
        Vec::<String>::new()
    );
}

#[test]
fn break_glass_that_only_barred_people_approve_is_for_nobody() {
    let barred = REST.replace("Tidegate::Action::\"approve\",", "");
    let vendor = "permit (principal in Tidegate::Group::\"vendor/leads\", action == Tidegate::Action::\"approve\", resource);";
    let message = nobody(&[("customer/rest.cedar", &barred), ("customer/z.cedar", vendor)]);
    assert!(
        message.len() == 1 && message[0].contains("`admin`") && message[0].contains("(`approve`)"),
        "{message:?}"
    );
}
