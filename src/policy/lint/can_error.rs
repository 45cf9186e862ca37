//! Conditions that can fail. A policy that fails denies everybody whom it is asked about, whatever it says: a forbid stops
//! the work that it was not about, and a permit takes the others' with it.
//!
//! Strict validation leaves one way to fail: arithmetic that overflows. Attributes that may be missing have to be asked for.

use cedar_policy_core::ast::Expr;

use super::finding::{Code, Finding};
use super::{range, walk};
use crate::policy::LoadedPolicy;

pub(super) fn look(policy: &LoadedPolicy, findings: &mut Vec<Finding>) {
    for node in walk::nodes(policy).filter(|node| is_first(node)) {
        let shown = node.source_loc().and_then(|place| place.snippet()).unwrap_or("this");
        let message = format!(
            "{} can overflow for values that a request can have, and a policy that fails denies everybody it is asked about",
            crate::document::quoted(shown)
        );
        let help =
            "compare without arithmetic, such as `context.ttl > duration(\"1h\")`, or with smaller numbers";
        findings.push(Finding::of_part(policy, node, Code::ConditionCanError, message, help.to_owned()));
    }
}

/// It overflows, and nothing inside it does already.
fn is_first(node: &Expr) -> bool {
    range::can_overflow(node) && node.subexpressions().skip(1).all(|part| !range::can_overflow(part))
}
