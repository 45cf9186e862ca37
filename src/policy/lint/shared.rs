//! Permits for everybody at an issuer that many tenants share. A name there (`acme/orders`) can be given up and taken by
//! somebody else; an id never is.
//!
//! The issuer's `require` pins a tenant already. A policy that leans on it alone gives every repository of the tenant the
//! grant, and everybody when somebody widens `require`.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Effect, PrincipalConstraint};
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, UnaryOp, Var};

use super::finding::{Code, Finding};
use super::hypothesis::{Hypothesis, is};
use super::{Subject, listed, walk};
use crate::claims::Profile;
use crate::policy::schema::Action;
use crate::policy::{Author, KnownIssuer, LoadedPolicy, World};

/// Claims of issuers without a profile of their own that name a tenant for good.
const ID_TAGS: [&str; 11] = [
    "enterprise_id",
    "organization_id",
    "pipeline_id",
    "terraform_organization_id",
    "terraform_project_id",
    "terraform_workspace_id",
    "owner_id",
    "project_id",
    "account_id",
    "namespace_id",
    "tid",
];

pub(super) fn look(subject: &Subject<'_>, world: &World, findings: &mut Vec<Finding>) {
    for issuer in world.issuers.iter().filter(|issuer| issuer.shared) {
        let mut open: BTreeMap<&str, (&LoadedPolicy, BTreeSet<&str>)> = BTreeMap::new();
        for grant in &world.grants {
            let questions = Hypothesis::about(subject, world, Action::Issue, grant);
            let question = questions.iter().find(|question| question.issuer == Some(issuer));
            for policy in question.map(|question| unbound(subject, question)).unwrap_or_default() {
                open.entry(policy.name.as_str())
                    .or_insert((policy, BTreeSet::new()))
                    .1
                    .insert(grant.name.as_str());
            }
        }
        findings.extend(open.into_values().map(|(policy, grants)| finding(policy, issuer, &grants)));
    }
}

fn finding(policy: &LoadedPolicy, issuer: &KnownIssuer, grants: &BTreeSet<&str>) -> Finding {
    let message = format!(
        "permits {} to every tenant that the tokens of `{}` are taken from: many tenants share this issuer, and no \
         condition binds an id that is never given twice",
        listed(grants.iter().copied()),
        issuer.name
    );
    let example = match issuer.profile {
        Profile::Github => "add `principal.github.repository_id == \"…\"` or `repository_owner_id`",
        Profile::Gitlab => "add `principal.gitlab.project_id == \"…\"` or `namespace_id`",
        Profile::Aws => "add `principal.aws.account == \"…\"` or `org_id`",
        Profile::Person => "name people by `principal.subject` or their id",
        _ => "add the claim that names your tenant by an id, such as `principal.getTag(\"organization_id\")`",
    };
    let help = format!("{example}; or exclude the issuer with `principal.issuer`");
    Finding::of_policy(policy, Code::SharedIssuerUnbound, message, help)
}

/// The customer's permits that let in a tenant whom nobody names; none when another author, or a forbid, names them.
fn unbound<'a>(subject: &Subject<'a>, question: &Hypothesis<'_>) -> Vec<&'a LoadedPolicy> {
    let open = |author: Author| -> Vec<&LoadedPolicy> {
        let permits = subject.of(author).filter(|policy| policy.policy.effect() == Effect::Permit);
        permits
            .filter(|policy| question.holds(policy) != Some(false) && !permit_binds(policy, question))
            .collect()
    };
    let bound = subject.policies().iter().any(|policy| {
        let covers = policy.policy.effect() == Effect::Forbid && question.is_meant(policy) == Some(true);
        covers && condition_binds(policy, false, question)
    });
    if bound || subject.sets.authors().iter().any(|author| open(*author).is_empty()) {
        return Vec::new();
    }
    open(Author::Customer)
}

fn permit_binds(policy: &LoadedPolicy, question: &Hypothesis<'_>) -> bool {
    let scope = match policy.policy.principal_constraint() {
        PrincipalConstraint::Eq(_) => subject_is_id(question),
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => question.is_listed(&uid),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
    };
    scope || condition_binds(policy, true, question)
}

fn condition_binds(policy: &LoadedPolicy, holds: bool, question: &Hypothesis<'_>) -> bool {
    match policy.policy.as_ref().non_scope_constraints() {
        Some(condition) => binds(condition, holds, question),
        // It always holds: what happens when it does not is no concern.
        None => !holds,
    }
}

/// Whenever the condition is `holds`, an id is one that the policy names.
fn binds(condition: &Expr, holds: bool, question: &Hypothesis<'_>) -> bool {
    let here = |part: &Expr, holds| binds(part, holds, question);
    question.verdict(condition) == Some(!holds)
        || match condition.expr_kind() {
            ExprKind::And { left, right } if holds => here(left, true) || here(right, true),
            ExprKind::And { left, right } => here(left, false) && here(right, false),
            ExprKind::Or { left, right } if holds => here(left, true) && here(right, true),
            ExprKind::Or { left, right } => here(left, false) || here(right, false),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => here(arg, !holds),
            ExprKind::If { test_expr, then_expr, else_expr } => {
                (here(test_expr, true) || here(then_expr, holds))
                    && (here(test_expr, false) || here(else_expr, holds))
            }
            ExprKind::BinaryApp { op, arg1, arg2 } => holds && compares_id(*op, arg1, arg2, question),
            _ => false,
        }
}

fn compares_id(op: BinaryOp, left: &Expr, right: &Expr, question: &Hypothesis<'_>) -> bool {
    let id = |expr: &Expr| is_id(expr, question);
    match op {
        BinaryOp::Eq => {
            (id(left) && is_constant(right))
                || (id(right) && is_constant(left))
                || (subject_is_id(question)
                    && ((is(left, Var::Principal) && walk::named(right).is_some())
                        || (is(right, Var::Principal) && walk::named(left).is_some())))
        }
        // A list that holds the id, or a tag that holds one.
        BinaryOp::Contains => (is_constant(left) && id(right)) || (id(left) && is_constant(right)),
        BinaryOp::ContainsAny => (id(left) && is_constant(right)) || (id(right) && is_constant(left)),
        BinaryOp::ContainsAll => id(left) && is_constant(right),
        BinaryOp::In => {
            is(left, Var::Principal) && walk::named(right).is_some_and(|uid| question.is_listed(&uid))
        }
        _ => false,
    }
}

/// A text, or a list of some.
fn is_constant(expr: &Expr) -> bool {
    match expr.expr_kind() {
        ExprKind::Set(items) => !items.is_empty() && items.iter().all(|item| walk::text(item).is_some()),
        _ => walk::text(expr).is_some(),
    }
}

fn is_id(expr: &Expr, question: &Hypothesis<'_>) -> bool {
    match expr.expr_kind() {
        ExprKind::GetAttr { expr, attr } if is(expr, Var::Principal) => {
            attr == "subject" && subject_is_id(question)
        }
        ExprKind::GetAttr { expr, attr } => match expr.expr_kind() {
            ExprKind::GetAttr { expr, attr: record } if is(expr, Var::Principal) => {
                matches!(
                    (record.as_str(), attr.as_str()),
                    ("github", "repository_id" | "repository_owner_id")
                        | ("gitlab", "project_id" | "namespace_id")
                        | ("aws", "account" | "org_id")
                )
            }
            _ => false,
        },
        ExprKind::BinaryApp { op: BinaryOp::GetTag, arg1, arg2 } => {
            is(arg1, Var::Principal) && walk::text(arg2).is_some_and(|tag| ID_TAGS.contains(&tag))
        }
        _ => false,
    }
}

/// GitHub and GitLab write names into `sub`; identity providers of people, and Google, write an id.
fn subject_is_id(question: &Hypothesis<'_>) -> bool {
    question.issuer.is_some_and(|issuer| matches!(issuer.profile, Profile::Person | Profile::Generic))
}
