//! Each lint, with a hit and a near miss. Rules read like the policies that they are about.

use std::fs;

use super::*;
use crate::policy::WorldFile;

const WORLD: &str = r#"
[[issuers]]
name = "prod"
profile = "kubernetes"
[[issuers]]
name = "github"
profile = "github"
[[issuers]]
name = "kite"
profile = "generic"
shared = true
[[issuers]]
name = "staff"
profile = "person"
groups = ["leads", "oncall"]
[[issuers]]
name = "vendor"
profile = "person"
may_approve = false
[[grants]]
name = "ledger"
kind = "jwt"
labels = ["red"]
sets = ["s"]
[[grants]]
name = "admin"
kind = "jwt"
break_glass = true
sets = ["glass"]
"#;

/// Permits everything that the lints want to see permitted, to people and to our own cluster.
const REST: &str = r#"
@id("rest")
permit (principal is Tidegate::Person, action in [Tidegate::Action::"request", Tidegate::Action::"approve",
  Tidegate::Action::"revoke", Tidegate::Action::"view", Tidegate::Action::"lock", Tidegate::Action::"audit",
  Tidegate::Action::"explain", Tidegate::Action::"issue"], resource);
@id("opens")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource)
when { context.approvals.count >= 1 };
"#;

fn sets(files: &[(&str, &str)]) -> PolicySets {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    PolicySets::read(folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

fn look(files: &[(&str, &str)], world: Option<&str>, groups: &[&str]) -> Vec<Finding> {
    let (sets, described) = (sets(files), world.map(|text| WorldFile::read(text).unwrap()));
    let closed = described.as_ref().map(|file| file.groups.clone()).unwrap_or_default();
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let world = described.as_ref().map(|file| &file.world);
    lint(&Subject { sets: &sets, world, groups: &groups, closed: &closed })
}

/// What is found about `policies` beside what everybody needs.
fn found(policies: &str) -> Vec<(Code, String)> {
    let findings = look(&[("customer/a.cedar", policies), ("customer/rest.cedar", REST)], Some(WORLD), &[]);
    findings.into_iter().map(|finding| (finding.code, finding.message)).collect()
}

fn codes(policies: &str) -> Vec<Code> {
    found(policies).into_iter().map(|(code, _)| code).collect()
}

fn issue(principal: &str, rest: &str) -> String {
    format!(
        "@id(\"x\") permit ({principal}, action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"ledger\") {rest};"
    )
}

fn from_github(condition: &str) -> String {
    let github = "principal.issuer == Tidegate::Issuer::\"github\" && principal has github";
    issue("principal is Tidegate::Workload", &format!("when {{ {github} && {condition} }}"))
}

#[test]
fn everything_that_the_tests_stand_on_is_clean() {
    assert_eq!(found(&issue("principal is Tidegate::Person", "")), []);
}

#[test]
fn a_shared_issuers_names_bind_nobody() {
    for open in [
        from_github("principal.github.repository == \"acme/orders\""),
        from_github("principal.github.repository_owner == \"acme\""),
        from_github("principal.github.repository_owner_id like \"81*\""),
        from_github("principal.github.repository_owner_id != \"1\""),
        from_github(
            "(principal.github.repository_id == \"1\" || principal.github.ref == \"refs/heads/main\")",
        ),
        from_github("!(principal.github.repository_id == \"1\")"),
        from_github("principal.github.repository_id == principal.github.repository_owner_id"),
        from_github(
            "(if principal.github.ref == \"main\" then true else principal.github.repository_id == \"1\")",
        ),
        issue("principal == Tidegate::Workload::\"github|repo:acme/orders:ref:x\"", ""),
        issue(
            "principal is Tidegate::Workload",
            "when { principal has github && principal.github.ref == \"main\" }",
        ),
    ] {
        assert_eq!(codes(&open), [Code::SharedIssuerUnbound], "{open}");
    }
    let message = &found(&from_github("principal.github.ref == \"x\""))[0].1;
    assert!(message.contains("`ledger`") && message.contains("`github`"), "{message}");
}

#[test]
fn an_id_on_every_way_binds_a_shared_issuer() {
    for bound in [
        from_github("principal.github.repository_id == \"1\""),
        from_github("\"1\" == principal.github.repository_owner_id"),
        from_github("[\"1\", \"2\"].contains(principal.github.repository_id)"),
        from_github(
            "(principal.github.repository_id == \"1\" || principal.github.repository_owner_id == \"2\")",
        ),
        from_github("!(principal.github.repository_id != \"1\")"),
        from_github(
            "(if principal.github.ref == \"main\" then principal.github.repository_owner_id == \"2\" else principal.github.repository_id == \"1\")",
        ),
        from_github(
            "principal.hasTag(\"enterprise_id\") && principal.getTag(\"enterprise_id\").contains(\"7\")",
        ),
    ] {
        assert_eq!(codes(&bound), [], "{bound}");
    }
}

#[test]
fn an_issuer_that_a_permit_excludes_needs_no_id() {
    for other in [
        issue("principal is Tidegate::Workload", "when { principal.issuer == Tidegate::Issuer::\"prod\" }"),
        issue(
            "principal is Tidegate::Workload",
            "when { principal has kubernetes && principal.kubernetes.namespace == \"x\" }",
        ),
        issue(
            "principal is Tidegate::Workload",
            "when { [Tidegate::Issuer::\"prod\"].contains(principal.issuer) }",
        ),
        issue("principal == Tidegate::Workload::\"prod|system:serviceaccount:x:y\"", ""),
    ] {
        assert_eq!(codes(&other), [], "{other}");
    }
}

#[test]
fn another_author_or_a_forbid_may_bind_the_id() {
    let open = from_github("principal.github.ref == \"main\"");
    let forbid = "forbid (principal is Tidegate::Workload, action == Tidegate::Action::\"issue\", resource)
        when { principal has github } unless { principal.github.repository_owner_id == \"1\" };";
    assert_eq!(codes(&format!("{open}{forbid}")), []);
    let narrow = forbid.replace(
        "action == Tidegate::Action::\"issue\", resource)",
        "action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"admin\")",
    );
    assert_eq!(codes(&format!("{open}{narrow}")), [Code::SharedIssuerUnbound]);
    let bound = from_github("principal.github.repository_id == \"1\"");
    let both = |vendor: &str| {
        let files = [
            ("customer/a.cedar", open.as_str()),
            ("customer/r.cedar", REST),
            ("vendor/a.cedar", vendor),
            ("vendor/r.cedar", REST),
        ];
        look(&files, Some(WORLD), &[]).iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(both(&bound), []);
    assert_eq!(both(&issue("principal", "")), [Code::SharedIssuerUnbound]);
}

#[test]
fn other_shared_issuers_have_ids_in_tags() {
    let kite = |condition: &str| {
        let own = "principal.issuer == Tidegate::Issuer::\"kite\"";
        issue("principal is Tidegate::Workload", &format!("when {{ {own} && {condition} }}"))
    };
    let tag = |tag: &str| {
        kite(&format!("principal.hasTag(\"{tag}\") && principal.getTag(\"{tag}\").contains(\"7\")"))
    };
    assert_eq!(codes(&tag("organization_id")), []);
    assert_eq!(codes(&tag("organization_slug")), [Code::SharedIssuerUnbound]);
}

fn opens(condition: &str) -> Vec<Finding> {
    let rest = REST.replace("when { context.approvals.count >= 1 }", condition);
    look(&[("customer/rest.cedar", &rest)], Some(WORLD), &[])
}

#[test]
fn a_window_that_opens_without_approval_is_a_fault_where_an_example_is_found() {
    for open in [
        "",
        "when { context.approvals.count >= 0 }",
        "when { principal in Tidegate::Group::\"staff/oncall\" }",
        "when { context.auth.amr.contains(\"mfa\") && context has source_ip && context.source_ip.isInRange(ip(\"10.0.0.0/8\")) }",
        "when { context.approvals.count >= 2 || context.duration < duration(\"2m\") }",
        "unless { resource.name == \"other\" && context.approvals.count < 2 }",
    ] {
        let found = opens(open);
        let [finding] = found.as_slice() else { panic!("{open}: {found:?}") };
        assert_eq!((finding.code, finding.level), (Code::BreakGlassWithoutApproval, Level::Fault), "{open}");
        assert!(finding.message.contains("for instance to a person of"), "{}", finding.message);
        assert_eq!(finding.place.as_ref().and_then(|place| place.line), Some(6), "{open}");
    }
}

#[test]
fn a_window_that_may_open_without_approval_is_a_warning_that_says_so() {
    let found = opens("when { context.now > datetime(\"2900-01-01\") }");
    assert_eq!(
        found.iter().map(|finding| (finding.code, finding.level)).collect::<Vec<_>>(),
        [(Code::BreakGlassWithoutApproval, Level::Warning)]
    );
    assert!(found[0].message.contains("was not decided"), "{}", found[0].message);
}

#[test]
fn approvals_in_any_form_close_the_window() {
    for closed in [
        "when { context.approvals.count > 0 }",
        "when { context.approvals.groups.contains(Tidegate::Group::\"staff/leads\") }",
        "unless { context.approvals.count < 2 }",
        "when { if resource.labels.contains(\"red\") then false else context.approvals.count >= 2 }",
    ] {
        assert_eq!(opens(closed), [], "{closed}");
    }
    let forbid = "forbid (principal, action == Tidegate::Action::\"activate\", resource) unless { context.approvals.count >= 2 };";
    let rest = REST.replace("when { context.approvals.count >= 1 }", "");
    assert_eq!(look(&[("customer/rest.cedar", &rest), ("customer/z.cedar", forbid)], Some(WORLD), &[]), []);
}

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

/// Who is shadowed by whom.
fn shadowed(policies: &str, world: Option<&str>) -> Vec<String> {
    let findings = look(&[("customer/a.cedar", policies)], world, &[]).into_iter();
    let shadowed = findings.filter(|finding| finding.code == Code::ShadowedByForbid);
    shadowed.map(|finding| format!("{}: {}", finding.policy.unwrap(), finding.message)).collect()
}

#[test]
fn a_policy_that_a_forbid_always_stops_is_shadowed() {
    let permit = "@id(\"p\") permit (principal is Tidegate::Person in Tidegate::Group::\"staff/oncall\", action == Tidegate::Action::\"request\", resource == Tidegate::Grant::\"admin\") when { context.duration < duration(\"1h\") && context has source_ip };";
    for forbid in [
        "forbid (principal, action, resource);",
        "forbid (principal, action == Tidegate::Action::\"request\", resource);",
        "forbid (principal is Tidegate::Person in Tidegate::Group::\"staff/oncall\", action, resource == Tidegate::Grant::\"admin\");",
        "forbid (principal in Tidegate::Group::\"staff/oncall\", action, resource) when { context has source_ip };",
        "forbid (principal, action == Tidegate::Action::\"request\", resource) when { context.duration < duration(\"1h\") || context has source_ip };",
    ] {
        for world in [Some(WORLD), None] {
            assert_eq!(
                shadowed(&format!("{permit}@id(\"f\") {forbid}"), world).len(),
                1,
                "{forbid} {}",
                world.is_some()
            );
        }
    }
    for forbid in [
        "forbid (principal, action, resource in Tidegate::GrantSet::\"glass\");",
        "forbid (principal, action == Tidegate::Action::\"request\", resource) when { resource.break_glass };",
        "forbid (principal, action, resource) when { principal.issuer == Tidegate::Issuer::\"staff\" };",
    ] {
        let both = format!("{permit}@id(\"f\") {forbid}");
        assert_eq!(shadowed(&both, Some(WORLD)).len(), 1, "{forbid}");
        assert_eq!(shadowed(&both, None), Vec::<String>::new(), "without a world nobody knows: {forbid}");
    }
}

#[test]
fn a_forbid_that_leaves_something_shadows_nothing() {
    let permit = "@id(\"p\") permit (principal is Tidegate::Person, action in [Tidegate::Action::\"request\", Tidegate::Action::\"activate\"], resource) when { context.duration < duration(\"1h\") };";
    for forbid in [
        "forbid (principal, action == Tidegate::Action::\"request\", resource);",
        "forbid (principal, action, resource == Tidegate::Grant::\"ledger\");",
        "forbid (principal in Tidegate::Group::\"staff/oncall\", action, resource);",
        "forbid (principal == Tidegate::Person::\"staff|ann\", action, resource);",
        "forbid (principal, action in [Tidegate::Action::\"request\", Tidegate::Action::\"activate\"], resource) when { context.duration < duration(\"30m\") };",
        "forbid (principal, action in [Tidegate::Action::\"request\", Tidegate::Action::\"activate\"], resource) when { context.duration < duration(\"1h\") && context has source_ip };",
        "forbid (principal, action, resource) when { principal.issuer == Tidegate::Issuer::\"staff\" };",
        "forbid (principal, action, resource) unless { resource is Tidegate::Elevation || (resource is Tidegate::Grant && resource.break_glass) };",
    ] {
        assert_eq!(
            shadowed(&format!("{permit}@id(\"f\") {forbid}"), Some(WORLD)),
            Vec::<String>::new(),
            "{forbid}"
        );
    }
}

#[test]
fn of_two_forbids_that_say_the_same_the_first_stands() {
    let forbid = |id: &str| {
        format!("@id(\"{id}\") forbid (principal, action == Tidegate::Action::\"lock\", resource);")
    };
    let said = shadowed(&format!("{}{}", forbid("one"), forbid("two")), Some(WORLD));
    assert!(said.len() == 1 && said[0].starts_with("customer/a.cedar#two: "), "{said:?}");
}

fn fails(condition: &str) -> bool {
    let policy = format!(
        "forbid (principal, action == Tidegate::Action::\"issue\", resource) when {{ {condition} }};"
    );
    codes(&policy).contains(&Code::ConditionCanError)
}

#[test]
fn arithmetic_that_can_overflow_is_told_and_the_usual_is_not() {
    for bad in [
        "context.ttl.toSeconds() * 9223372036854775807 > 3600",
        "context.ttl.toMilliseconds() * context.ttl.toMilliseconds() * context.ttl.toMilliseconds() > 1",
        "datetime(\"9999-12-31\").offset(duration(\"106751991167d\")) > context.now",
        "context has elevation && 9223372036854775807 + context.elevation.approvals > 1",
        "-9223372036854775807 - context.ttl.toDays() - 2 > 1",
    ] {
        assert!(fails(bad), "{bad}");
    }
    for good in [
        "context.auth has auth_time && context.now.durationSince(context.auth.auth_time) > duration(\"1h\")",
        "context.now.offset(duration(\"-30d\")) > context.auth.issued_at",
        "context.ttl.toSeconds() * 1000 > 3600",
        "context has elevation && context.elevation.approvals + 1 > 2",
        "context.now.toTime() < duration(\"6h\") && context.now.toDate() == datetime(\"2026-12-24\")",
        "(if context.scopes.contains(\"a\") then 1 else 2) + 3 > 4",
    ] {
        assert!(!fails(good), "{good}");
    }
}

#[test]
fn an_overflow_is_shown_where_it_happens_and_once() {
    let policy = "forbid (principal, action == Tidegate::Action::\"issue\", resource)\nwhen {\n  context.ttl.toSeconds() * 9223372036854775807 + 1 > 3600\n};";
    let findings = look(&[("customer/a.cedar", policy), ("customer/rest.cedar", REST)], Some(WORLD), &[]);
    let places: Vec<_> = findings
        .iter()
        .filter(|finding| finding.code == Code::ConditionCanError)
        .map(|finding| finding.place.clone().unwrap())
        .collect();
    let [place] = places.as_slice() else { panic!("{findings:?}") };
    assert_eq!((place.file.as_str(), place.line, place.column), ("customer/a.cedar", Some(3), Some(3)));
}

fn strange(scope: &str, condition: &str) -> Vec<(Code, String)> {
    let policy =
        format!("permit ({scope}, action == Tidegate::Action::\"view\", resource) when {{ {condition} }};");
    found(&policy)
}

#[test]
fn names_that_stand_for_nothing_are_told() {
    for (scope, condition, code, words) in [
        (
            "principal in Tidegate::Group::\"staf/leads\"",
            "true",
            Code::UnknownGroup,
            "no issuer is called `staf`",
        ),
        (
            "principal in Tidegate::Group::\"leads\"",
            "true",
            Code::UnknownGroup,
            "no token can name the group `leads`",
        ),
        ("principal", "principal in Tidegate::Group::\"prod/leads\"", Code::UnknownGroup, "name no groups"),
        (
            "principal",
            "principal in Tidegate::Group::\"staff/leeds\"",
            Code::UnknownGroup,
            "has no group `leeds`",
        ),
        ("principal", "principal.issuer == Tidegate::Issuer::\"satff\"", Code::UnknownIssuer, "`satff`"),
        ("principal", "resource.grant == Tidegate::Grant::\"ledgr\"", Code::UnknownGrant, "`ledgr`"),
        ("principal", "resource.grant in Tidegate::GrantSet::\"t\"", Code::UnknownGrantSet, "`t`"),
        ("principal == Tidegate::Person::\"ann\"", "true", Code::UnknownPrincipal, "is no principal"),
        (
            "principal == Tidegate::Person::\"stuff|ann\"",
            "true",
            Code::UnknownPrincipal,
            "no issuer is called `stuff`",
        ),
        (
            "principal == Tidegate::Person::\"prod|ann\"",
            "true",
            Code::UnknownPrincipal,
            "nobody of it is a person",
        ),
    ] {
        let found = strange(scope, condition);
        assert!(
            found.len() == 1 && found[0].0 == code && found[0].1.contains(words),
            "{scope} {condition}: {found:?}"
        );
    }
}

#[test]
fn names_that_stand_for_something_are_not() {
    for (scope, condition) in [
        ("principal in Tidegate::Group::\"staff/leads\"", "true"),
        ("principal in Tidegate::Group::\"vendor/whatever\"", "true"),
        ("principal == Tidegate::Person::\"staff|ann\"", "principal.issuer == Tidegate::Issuer::\"staff\""),
        (
            "principal",
            "resource.grant == Tidegate::Grant::\"ledger\" || resource.grant in Tidegate::GrantSet::\"s\"",
        ),
    ] {
        assert_eq!(strange(scope, condition), [], "{scope} {condition}");
    }
}

#[test]
fn a_group_that_is_known_beside_the_tokens_is_no_stranger_and_may_hold_anybody() {
    let team = "permit (principal in Tidegate::Group::\"payments\", action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"ledger\");";
    let only = REST.replace(", Tidegate::Action::\"issue\"], resource)", "], resource)");
    let glass = "permit (principal is Tidegate::Person, action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"admin\");";
    let files =
        [("customer/a.cedar", team), ("customer/g.cedar", glass), ("customer/r.cedar", only.as_str())];
    let codes = |groups: &[&str]| {
        look(&files, Some(WORLD), groups).iter().map(|finding| finding.code).collect::<BTreeSet<_>>()
    };
    assert_eq!(codes(&[]), BTreeSet::from([Code::UnknownGroup, Code::GrantForNobody]));
    assert_eq!(codes(&["payments"]), BTreeSet::new());
}

#[test]
fn a_name_in_a_scope_is_shown_at_its_place() {
    let policy = "@id(\"x\")\npermit (\n  principal in Tidegate::Group::\"leads\",\n  action == Tidegate::Action::\"view\",\n  resource\n);";
    let findings = look(&[("customer/a.cedar", policy), ("customer/rest.cedar", REST)], Some(WORLD), &[]);
    let place = findings[0].place.as_ref().unwrap();
    assert_eq!((place.line, place.column), (Some(3), Some(16)));
    assert_eq!(place.excerpt.as_deref(), Some("  principal in Tidegate::Group::\"leads\","));
}

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

#[test]
fn every_lint_has_a_name_of_its_own_and_a_sentence() {
    let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert!(code.sense().len() > 10);
    }
}
