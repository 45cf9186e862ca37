//! Policies that a forbid makes idle.

use super::*;

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
