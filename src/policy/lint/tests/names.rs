//! Names that stand for nothing.

use super::*;

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
