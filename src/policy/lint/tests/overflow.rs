//! Conditions that can fail.

use super::*;

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
