//! Permits that rest on what is for display. An e-mail address is given to the next person when somebody leaves, and a name
//! is what somebody calls themselves.

use cedar_policy::Effect;
use cedar_policy_core::ast::{Expr, ExprKind, Var};

use super::finding::{Code, Finding};
use super::{hypothesis::is, walk};
use crate::policy::LoadedPolicy;

pub(super) fn look(policy: &LoadedPolicy, findings: &mut Vec<Finding>) {
    if policy.policy.effect() != Effect::Permit {
        return;
    }
    for node in walk::nodes(policy) {
        if let ExprKind::GetAttr { expr, attr } = node.expr_kind()
            && matches!(attr.as_str(), "email" | "name")
            && is_person(expr)
        {
            let message = format!("this permit rests on `{attr}`, which is for display: it can change hands");
            let help =
                "compare a group (`principal in Tidegate::Group::\"…\"`), the id or `principal.subject`";
            findings.push(Finding::of_part(policy, node, Code::DisplayAttribute, message, help.to_owned()));
        }
    }
}

/// Only people have an `email` or a `name` among principals; a grant has a `name` of its own.
fn is_person(expr: &Expr) -> bool {
    match expr.expr_kind() {
        ExprKind::GetAttr { expr, attr } => attr == "requester" && is(expr, Var::Resource),
        _ => is(expr, Var::Principal),
    }
}
