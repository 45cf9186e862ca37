//! Small translations between the model's words and ours.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::history::{Cut, Rules, Scopes};
use super::oracle::{At, Reasons};
use crate::breakglass::service::tests::world::*;
use crate::breakglass::service::{Approve, BreakGlassError, IdempotencyKey, Keyed, Outcome, WindowError};
use crate::breakglass::{Elevation, Narrowing};
use crate::secret::Fingerprint;

const NAMES: [&str; 3] = ["read", "write", "root"];

/// Done, and nothing spoke against it; or refused, for a reason that holds.
pub(super) fn agreed(
    reasons: &Reasons,
    answer: Result<Outcome, BreakGlassError>,
) -> Result<Option<Elevation>, TestCaseError> {
    match answer {
        Ok(outcome) => {
            prop_assert!(reasons.is_empty(), "done in spite of {reasons:?}");
            prop_assert!(outcome.recorded);
            Ok(Some(outcome.elevation))
        }
        Err(error) => {
            prop_assert!(reasons.contains(error.code()), "{error:?}, but what holds is {reasons:?}");
            Ok(None)
        }
    }
}

pub(super) fn reason_of(error: &WindowError) -> &'static str {
    match error {
        WindowError::NoElevation => "no_elevation",
        WindowError::Ambiguous => "ambiguous",
        WindowError::GrantChanged(_) => "grant_changed",
        WindowError::QuorumLost(_) => "quorum_lost",
        WindowError::Locked => "locked",
        WindowError::Unavailable(_) => "unavailable",
    }
}

pub(super) fn keyed<'a>(key: &'a IdempotencyKey, route: &'static str) -> Keyed<'a> {
    Keyed { key, route, body: Fingerprint::of(b"the same body") }
}

pub(super) fn yes(cut: Cut) -> Approve {
    let duration = cut.seconds.map(|seconds| span(seconds * 1_000));
    let scope = cut.scopes.map(|scopes| scope(&names(scopes)));
    Approve { comment: None, narrowing: Narrowing { duration, scope } }
}

pub(super) fn names(scopes: Scopes) -> Vec<&'static str> {
    NAMES.into_iter().enumerate().filter(|(bit, _)| scopes & (1 << bit) != 0).map(|(_, name)| name).collect()
}

pub(super) fn span(millis: At) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

pub(super) fn text_of(rules: Rules) -> String {
    const BY: &str = r#"principal in Tidegate::Group::"customer/approvers" || principal in Tidegate::Group::"vendor/approvers" };
@id("two")"#;
    assert!(POLICY.contains(BY));
    let who = match rules {
        Rules::Empty => r#"principal in Tidegate::Group::"customer/nobody""#,
        _ => {
            r#"(principal in Tidegate::Group::"customer/approvers" || principal in Tidegate::Group::"vendor/approvers")"#
        }
    };
    let but = if rules == Rules::WithoutBob { r#" && principal.subject != "bob""# } else { "" };
    let short = r#"(principal.subject != "fay" || context.duration <= duration("30m"))"#;
    let text = POLICY.replace(BY, &format!("{who}{but} && {short} }};\n@id(\"two\")"));
    if rules == Rules::Three { text.replace("count >= 2", "count >= 3") } else { text }
}
