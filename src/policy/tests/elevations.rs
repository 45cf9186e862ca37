//! Credentials under an elevation: what policy sees of it, and what no policy can permit without one.

use std::time::Duration;

use super::*;
use crate::ids::ElevationId;

fn under(asked: &Asked, approvals: u32) -> ElevationUse {
    ElevationUse {
        id: "elv-01a203ff-4cee-7102-8304-05060708090a".parse::<ElevationId>().unwrap(),
        version: 4,
        approvals,
        starts_at: asked.at,
        ends_at: asked.at.plus(Duration::from_hours(1)),
    }
}

fn engine(condition: &str) -> PolicyEngine {
    let text =
        format!("permit(principal, action == Tidegate::Action::\"issue\", resource) when {{ {condition} }};");
    Folder::new(&[("customer/a.cedar", &text)]).engine()
}

fn permitted(
    engine: &PolicyEngine,
    asked: &Asked,
    elevation: Option<ElevationUse>,
) -> Result<Permit, Denial> {
    engine.decide_issue(&IssueQuestion { elevation, ..asked.question() })
}

#[test]
fn a_break_glass_grant_is_denied_without_an_elevation_whatever_the_policies_permit() {
    let folder = Folder::new(&[("customer/a.cedar", ALLOW), ("vendor/a.cedar", ALLOW)]);
    for principal in principals() {
        let asked = Asked::of(principal, "b");
        let denial = permitted(&folder.engine(), &asked, None).unwrap_err();
        assert!(denial.reason.to_string().contains("needs an active elevation"), "{}", denial.reason);
        assert!(permitted(&folder.engine(), &asked, Some(under(&asked, 1))).is_ok());
    }
}

#[test]
fn the_permit_names_the_elevation_that_it_was_given_under() {
    let asked = Asked::of(person(None), "b");
    let permit = permitted(&engine("true"), &asked, Some(under(&asked, 3))).unwrap();
    assert_eq!(permit.elevation(), Some(&under(&asked, 3)));
    let ordinary = Asked::of(person(None), "a");
    assert_eq!(permitted(&engine("true"), &ordinary, None).unwrap().elevation(), None);
}

#[test]
fn policies_see_how_many_approved_and_when_the_window_is() {
    let asked = Asked::of(person(None), "b");
    let two = engine("context has elevation && context.elevation.approvals >= 2");
    assert!(permitted(&two, &asked, Some(under(&asked, 1))).is_err());
    assert!(permitted(&two, &asked, Some(under(&asked, 2))).is_ok());
    let inside = engine(
        "context has elevation && context.elevation.starts_at <= context.now &&
         context.now < context.elevation.ends_at",
    );
    let open = under(&asked, 1);
    let early = ElevationUse { starts_at: asked.at.plus(Duration::from_millis(1)), ..open };
    let late = ElevationUse { ends_at: asked.at, ..open };
    assert!(permitted(&inside, &asked, Some(open)).is_ok());
    assert!(permitted(&inside, &asked, Some(early)).is_err());
    assert!(permitted(&inside, &asked, Some(late)).is_err());
}

#[test]
fn who_does_not_ask_for_an_elevation_first_cannot_read_it() {
    let careless = "permit(principal, action == Tidegate::Action::\"issue\", resource)
        when { context.elevation.approvals >= 2 };";
    let refusal = Folder::new(&[("customer/a.cedar", careless)]).load().unwrap_err().to_string();
    assert!(refusal.contains("elevation"), "{refusal}");
    let typo = "permit(principal, action == Tidegate::Action::\"issue\", resource)
        when { context has elevation && context.elevation.aprovals >= 2 };";
    assert!(Folder::new(&[("customer/a.cedar", typo)]).load().is_err());
}

#[test]
fn one_elevations_window_is_not_kept_for_the_next_one() {
    let asked = Asked::of(person(None), "b");
    let two = engine(
        "context.ttl <= duration(\"1h\") && context has elevation && context.elevation.approvals >= 2",
    );
    assert!(permitted(&two, &asked, Some(under(&asked, 2))).is_ok());
    assert!(permitted(&two, &asked, Some(under(&asked, 1))).is_err());
}
