//! Credentials under an elevation: what policy sees of it, and what no policy can permit without one.

use std::time::Duration;

use super::*;

fn engine(condition: &str) -> PolicyEngine {
    let text =
        format!("permit(principal, action == Tidegate::Action::\"issue\", resource) when {{ {condition} }};");
    Folder::new(&[("customer/a.cedar", &text)]).engine()
}

fn permitted(engine: &PolicyEngine, asked: &Asked) -> Result<Permit, Denial> {
    engine.decide_issue(&asked.question())
}

/// Ann asks for the break-glass grant.
fn ann() -> Asked {
    Asked::of(person(None), "b")
}

#[test]
fn a_break_glass_grant_is_denied_without_an_elevation_whatever_the_policies_permit() {
    let engine = Folder::new(&[("customer/a.cedar", ALLOW), ("vendor/a.cedar", ALLOW)]).engine();
    for principal in principals() {
        let asked = Asked::of(principal, "b");
        let denial = permitted(&engine, &asked).unwrap_err();
        assert!(denial.reason.to_string().contains("needs an active elevation"), "{}", denial.reason);
        assert!(permitted(&engine, &asked.under(1)).is_ok());
    }
}

#[test]
fn the_permit_names_the_elevation_that_it_was_given_under() {
    let asked = ann().under(3);
    assert_eq!(permitted(&engine("true"), &asked).unwrap().elevation(), asked.elevation.as_ref());
    assert_eq!(permitted(&engine("true"), &Asked::of(person(None), "a")).unwrap().elevation(), None);
}

#[test]
fn policies_see_how_many_approved_and_when_the_window_is() {
    let two = engine("context has elevation && context.elevation.approvals >= 2");
    assert!(permitted(&two, &ann().under(1)).is_err());
    assert!(permitted(&two, &ann().under(2)).is_ok());
    let inside = engine(
        "context has elevation && context.elevation.starts_at <= context.now &&
         context.now < context.elevation.ends_at",
    );
    let window = |from: Moment, to: Moment| {
        let mut asked = ann().under(1);
        asked.elevation = asked.elevation.map(|open| ElevationUse { starts_at: from, ends_at: to, ..open });
        permitted(&inside, &asked).is_ok()
    };
    let (at, moment) = (ann().at, Duration::from_millis(1));
    assert!(window(at, at.plus(moment)));
    assert!(!window(at.plus(moment), at.plus(moment * 2)));
    assert!(!window(at, at));
}

#[test]
fn a_policy_that_reads_an_elevation_without_asking_whether_there_is_one_is_not_loaded() {
    for condition in [
        "context.elevation.approvals >= 2",
        "context has elevation && context.elevation.aprovals >= 2",
        "context has elevation && context.elevation.ends_at > 5",
    ] {
        let text = format!(
            "permit(principal, action == Tidegate::Action::\"issue\", resource) when {{ {condition} }};"
        );
        let refusal = Folder::new(&[("customer/a.cedar", &text)]).load().unwrap_err().to_string();
        assert!(refusal.contains("a.cedar"), "{condition}: {refusal}");
    }
    let requested = "permit(principal, action == Tidegate::Action::\"request\", resource) when { context has elevation };";
    assert!(Folder::new(&[("customer/a.cedar", requested)]).load().is_err());
}

#[test]
fn one_elevations_facts_are_not_kept_for_the_next_one() {
    let two = engine(
        "context.ttl <= duration(\"1h\") && context has elevation && context.elevation.approvals >= 2",
    );
    assert!(permitted(&two, &ann().under(2)).is_ok());
    assert!(permitted(&two, &ann().under(1)).is_err());
    assert!(permitted(&two, &ann().under(2)).is_ok());
}
