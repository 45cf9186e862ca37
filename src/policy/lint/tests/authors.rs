//! What an author leaves out, and what one rests on that can change hands.

use super::*;

#[test]
fn an_author_who_never_permits_an_action_is_told_in_one_finding() {
    let vendor = "permit (principal, action == Tidegate::Action::\"issue\", resource);";
    let findings = look(&[("customer/rest.cedar", REST), ("vendor/a.cedar", vendor)], Some(WORLD), &[]);
    let silent: Vec<_> = findings.iter().filter(|finding| finding.code == Code::SilentAboutAction).collect();
    assert_eq!(silent.len(), 1, "{findings:?}");
    assert!(
        silent[0].message.contains("no vendor policy permits `request`, `approve`, `activate`"),
        "{}",
        silent[0].message
    );
    let calm = "[[issuers]]\nname = \"staff\"\nprofile = \"person\"\n[[grants]]\nname = \"ledger\"\nkind = \"jwt\"\n";
    let simple = "permit (principal, action in [Tidegate::Action::\"issue\", Tidegate::Action::\"lock\", Tidegate::Action::\"audit\", Tidegate::Action::\"explain\"], resource);";
    assert_eq!(
        look(&[("customer/a.cedar", simple)], Some(calm), &[]),
        [],
        "nothing is for break-glass there"
    );
    assert_eq!(
        look(&[("customer/a.cedar", simple)], None, &[]).len(),
        1,
        "nobody knows whether something is"
    );
}

#[test]
fn a_permit_that_rests_on_a_display_name_is_told() {
    for (bad, attribute) in [
        (
            "permit (principal is Tidegate::Person, action == Tidegate::Action::\"audit\", resource) when { principal has email && principal.email like \"*@acme.example\" };",
            "email",
        ),
        (
            "permit (principal is Tidegate::Person, action == Tidegate::Action::\"view\", resource) when { resource.requester has name && resource.requester.name == \"Ann\" };",
            "name",
        ),
    ] {
        let found = found(bad);
        assert!(
            found.len() == 1 && found[0].0 == Code::DisplayAttribute && found[0].1.contains(attribute),
            "{found:?}"
        );
    }
    for fine in [
        "permit (principal is Tidegate::Person, action == Tidegate::Action::\"audit\", resource) when { principal has email && resource.name == \"ledger\" };",
        "forbid (principal is Tidegate::Person, action == Tidegate::Action::\"audit\", resource) when { principal has email && principal.email like \"*@evil.example\" };",
        "permit (principal is Tidegate::Person, action == Tidegate::Action::\"view\", resource) when { resource.grant.name == \"ledger\" };",
    ] {
        assert_eq!(found(fine), [], "{fine}");
    }
}
