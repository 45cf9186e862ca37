//! Break-glass windows that open without an approval.

use super::*;

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
