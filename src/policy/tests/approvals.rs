//! How many must approve, and whether anybody could.

use std::time::Duration;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn needed(files: &[(&str, &str)], grant: &str, have: &[&str]) -> Option<u32> {
    let asked = Asked::of(person(None), grant);
    let groups = have
        .iter()
        .map(|name| {
            let (issuer, group) = name.split_once('/').unwrap();
            (IssuerName::new(issuer).unwrap(), group.to_owned())
        })
        .collect();
    Folder::new(files).engine().approvals_needed(&ActivateProbe {
        person: &someone("ann", None),
        authentication: &asked.authentication,
        source_ip: None,
        at: asked.at,
        grant: &asked.grant,
        duration: HOUR,
        people: &BTreeSet::new(),
        groups: &groups,
    })
}

fn activate(condition: &str) -> String {
    format!("permit(principal, action == Tidegate::Action::\"activate\", resource) when {{ {condition} }};")
}

fn needed_when(condition: &str) -> Option<u32> {
    needed(&[("customer/a.cedar", &activate(condition))], "b", &[])
}

#[test]
fn where_nothing_permits_activation_no_number_of_approvals_will_do() {
    assert_eq!(needed_when("context.approvals.count > 10"), None);
    assert_eq!(needed_when("context.duration < duration(\"1h\")"), None);
    assert_eq!(
        needed(
            &[("customer/a.cedar", "permit(principal, action == Tidegate::Action::\"view\", resource);")],
            "b",
            &[]
        ),
        None
    );
}

#[test]
fn a_grant_of_another_catalog_needs_more_than_anybody_has() {
    let engine = Folder::new(&[("customer/a.cedar", ALLOW)]).engine();
    let (asked, groups) = (orders(), BTreeSet::new());
    let probe = ActivateProbe {
        person: &someone("ann", None),
        authentication: &asked.authentication,
        source_ip: None,
        at: asked.at,
        grant: &Arc::new(grant("b", &[], &["other"], true)),
        duration: HOUR,
        people: &BTreeSet::new(),
        groups: &groups,
    };
    assert_eq!(engine.approvals_needed(&probe), None);
}

#[test]
fn the_fewest_that_every_author_permits_is_the_answer() {
    assert_eq!(needed_when("true"), Some(1));
    assert_eq!(needed_when("context.approvals.count >= 2"), Some(2));
    assert_eq!(needed_when("context.approvals.count >= 10"), Some(10));
    let (two, three) = (activate("context.approvals.count >= 2"), activate("context.approvals.count >= 3"));
    assert_eq!(needed(&[("customer/a.cedar", &two), ("vendor/a.cedar", &three)], "b", &[]), Some(3));
    let forbid = "forbid(principal, action == Tidegate::Action::\"activate\", resource)
        when { context.approvals.count < 4 };";
    assert_eq!(needed(&[("customer/a.cedar", &two), ("customer/b.cedar", forbid)], "b", &[]), Some(4));
}

#[test]
fn a_group_that_a_policy_names_may_come_with_the_next_approver() {
    let security = "context.approvals.groups.contains(Tidegate::Group::\"staff/security\")";
    assert_eq!(needed_when(security), Some(1));
    let fewer = format!("context.approvals.count >= 3 || (context.approvals.count >= 2 && {security})");
    assert_eq!(needed_when(&fewer), Some(2));
    // A name that no token can bring: no issuer is called that.
    assert_eq!(needed_when("context.approvals.groups.contains(Tidegate::Group::\"security\")"), None);
}

#[test]
fn a_group_that_is_not_wanted_is_not_hoped_for() {
    let alone = "!context.approvals.groups.contains(Tidegate::Group::\"staff/interns\")";
    assert_eq!(needed_when(alone), Some(1));
    assert_eq!(needed(&[("customer/a.cedar", &activate(alone))], "b", &["staff/interns"]), None);
}

#[test]
fn the_groups_of_the_approvers_so_far_count() {
    let any = activate("!context.approvals.groups.isEmpty()");
    assert_eq!(needed(&[("customer/a.cedar", &any)], "b", &[]), None);
    assert_eq!(needed(&[("customer/a.cedar", &any)], "b", &["staff/anything"]), Some(1));
}

fn approve(scope: &str, condition: &str) -> String {
    format!("permit({scope}, action == Tidegate::Action::\"approve\", resource) when {{ {condition} }};")
}

fn forbid(scope: &str, condition: &str) -> String {
    approve(scope, condition).replacen("permit", "forbid", 1)
}

/// Could anybody of `staff` but `staff|ann` approve for the grant `b`, which is in the set `s`?
fn anyone(files: &[(&str, &str)]) -> bool {
    anyone_of(files, &["staff"])
}

fn anyone_of(files: &[(&str, &str)], approving: &[&str]) -> bool {
    let issuers = approving.iter().map(|name| IssuerName::new(name).unwrap()).collect();
    let grant = Asked::of(person(None), "b").grant;
    Folder::new(files).engine().could_anyone_approve(&grant, &issuers, &id("staff", "ann"))
}

fn anyone_by(permit: &str) -> bool {
    anyone(&[("customer/a.cedar", permit)])
}

#[test]
fn without_a_permit_to_approve_nobody_can() {
    let view = "permit(principal, action == Tidegate::Action::\"view\", resource);";
    assert!(!anyone_by(view));
    assert!(!anyone_by("permit(principal, action, resource is Tidegate::Grant);"));
    assert!(!anyone_by("permit(principal is Tidegate::Workload, action, resource);"));
    assert!(anyone_by(ALLOW));
}

#[test]
fn each_author_must_let_somebody_approve_and_it_must_be_the_same_one() {
    let view = "permit(principal, action == Tidegate::Action::\"view\", resource);";
    assert!(!anyone(&[("customer/a.cedar", view), ("vendor/a.cedar", ALLOW)]));
    assert!(!anyone(&[("customer/a.cedar", ALLOW), ("vendor/a.cedar", view)]));
    assert!(anyone(&[("customer/a.cedar", ALLOW), ("vendor/a.cedar", ALLOW)]));
    let bob = approve("principal == Tidegate::Person::\"staff|bob\"", "true");
    let carl = approve("principal == Tidegate::Person::\"staff|carl\"", "true");
    let leads = approve("principal in Tidegate::Group::\"staff/leads\"", "true");
    let vendor = approve("principal in Tidegate::Group::\"vendor/leads\"", "true");
    assert!(!anyone(&[("customer/a.cedar", &bob), ("vendor/a.cedar", &carl)]));
    assert!(anyone(&[("customer/a.cedar", &bob), ("vendor/a.cedar", &leads)]));
    let both = [("customer/a.cedar", leads.as_str()), ("vendor/a.cedar", vendor.as_str())];
    assert!(!anyone_of(&both, &["staff", "vendor"]));
}

#[test]
fn an_approver_group_of_a_barred_issuer_is_nobody() {
    let leads = approve("principal is Tidegate::Person in Tidegate::Group::\"vendor/leads\"", "true");
    assert!(!anyone_of(&[("customer/a.cedar", &leads)], &["staff"]));
    assert!(anyone_of(&[("customer/a.cedar", &leads)], &["staff", "vendor"]));
    assert!(!anyone_of(&[("customer/a.cedar", ALLOW)], &[]));
    // `vendor-eu` is another issuer, whatever its name begins with.
    let other = approve("principal in Tidegate::Group::\"vendor-eu/leads\"", "true");
    assert!(!anyone_of(&[("customer/a.cedar", &other)], &["vendor"]));
}

#[test]
fn the_requester_is_nobodys_only_approver() {
    let only = |who: &str| approve(&format!("principal == Tidegate::Person::\"{who}\""), "true");
    assert!(!anyone_by(&only("staff|ann")));
    assert!(anyone_by(&only("staff|bob")));
    assert!(!anyone_by(&only("vendor|bob")));
    assert!(anyone_by(&format!("{}{}", only("staff|ann"), only("staff|bob"))));
}

#[test]
fn an_approver_of_another_grant_is_none_of_this_one() {
    for (condition, expected) in [
        ("resource.grant == Tidegate::Grant::\"a\"", false),
        ("resource.grant == Tidegate::Grant::\"b\"", true),
        ("resource.grant in Tidegate::GrantSet::\"t\"", false),
        ("resource.grant in Tidegate::GrantSet::\"s\"", true),
        ("resource.grant.labels.contains(\"red\")", false),
        ("!resource.grant.break_glass", false),
        ("resource.grant has account && resource.grant.account == \"1\"", false),
        ("resource.grant.kind == \"aws\" && context.auth.amr.contains(\"mfa\")", false),
        ("context.auth.amr.contains(\"mfa\") && resource.grant.kind == \"aws\"", false),
        ("resource.grant.kind == \"aws\" || context.auth.amr.contains(\"mfa\")", true),
        ("!(resource.grant.kind == \"jwt\" || context.auth.amr.contains(\"mfa\"))", false),
        ("principal.issuer == Tidegate::Issuer::\"vendor\"", false),
        ("principal.issuer == Tidegate::Issuer::\"staff\" && resource.requester != principal", true),
    ] {
        assert_eq!(anyone_by(&approve("principal", condition)), expected, "{condition}");
    }
}

#[test]
fn what_cannot_be_seen_counts_as_possible() {
    for condition in [
        "principal.subject == \"bob\"",
        "principal in Tidegate::Group::\"staff/empty\"",
        "resource.requester == principal",
        "context.duration < duration(\"1s\")",
        "if resource.grant.break_glass then context.auth has acr else false",
    ] {
        assert!(anyone_by(&approve("principal", condition)), "{condition}");
    }
}

#[test]
fn a_forbid_that_holds_for_everybody_leaves_nobody() {
    let with = |text: &str| anyone(&[("customer/a.cedar", ALLOW), ("customer/b.cedar", text)]);
    assert!(!with("forbid(principal, action, resource);"));
    assert!(!with(&forbid("principal is Tidegate::Person", "resource.grant == Tidegate::Grant::\"b\"")));
    assert!(!with(&forbid("principal", "principal.issuer == Tidegate::Issuer::\"staff\"")));
    assert!(!with(&forbid("principal", "true")));
    assert!(with(&forbid("principal in Tidegate::Group::\"staff/interns\"", "true")));
    assert!(with(&forbid("principal == Tidegate::Person::\"staff|bob\"", "true")));
    assert!(with(&forbid("principal", "resource.requester == principal")));
    assert!(with(&forbid("principal", "resource.grant == Tidegate::Grant::\"a\"")));
    assert!(with(&forbid("principal", "principal.issuer == Tidegate::Issuer::\"vendor\"")));
    assert!(with("forbid(principal is Tidegate::Workload, action, resource);"));
    // One who is named is forbidden, and nobody else is permitted.
    let bob = approve("principal == Tidegate::Person::\"staff|bob\"", "true");
    let not_bob = forbid("principal == Tidegate::Person::\"staff|bob\"", "true");
    assert!(!anyone(&[("customer/a.cedar", &bob), ("vendor/a.cedar", ALLOW), ("vendor/b.cedar", &not_bob)]));
}

#[test]
fn a_grant_of_another_catalog_has_no_approvers() {
    let engine = Folder::new(&[("customer/a.cedar", ALLOW)]).engine();
    let issuers = BTreeSet::from([IssuerName::new("staff").unwrap()]);
    let stranger = Arc::new(grant("b", &[], &["other"], true));
    assert!(!engine.could_anyone_approve(&stranger, &issuers, &id("staff", "ann")));
}
