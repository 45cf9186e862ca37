//! Cedar expressions put together: what the effective sets permit, as one condition.
//!
//! Tidegate denies when any policy fails; Cedar skips that policy. So the condition is built such that it is *true* exactly
//! when Tidegate permits: every policy that could fail is evaluated before anything else, and where one fails the whole
//! condition fails, which is not true. Where it is false or fails, Tidegate denies.

use cedar_policy::{ActionConstraint, Effect, EntityUid, Expression};
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, UnaryOp};

use super::shape::Shape;
use crate::policy::{Author, LoadedPolicy, PolicySets};

/// Why nothing can be said for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Doubt(pub(super) String);

impl Doubt {
    pub(super) fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Whose permission is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// Of both authors together: what a broker permits.
    Effective,
    /// Of the customer's set alone.
    Customer,
    /// Of the vendor's set alone; all that is asked for, when there is no vendor.
    Vendor,
}

impl Whose {
    /// The only author who counts.
    pub const fn author(self) -> Option<Author> {
        match self {
            Self::Effective => None,
            Self::Customer => Some(Author::Customer),
            Self::Vendor => Some(Author::Vendor),
        }
    }
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Effective => "effective",
            Self::Customer => "customer",
            Self::Vendor => "vendor",
        })
    }
}

/// Cedar's own text as an expression.
pub(super) fn parse(text: &str) -> Result<Expr, Doubt> {
    let parsed = text.parse::<Expression>();
    parsed.map(|parsed| parsed.as_ref().clone()).map_err(|error| Doubt(format!("`{text}`: {error}")))
}

/// All of these; true when there is none.
pub(super) fn all(parts: Vec<Expr>) -> Expr {
    joined(parts, true, Expr::and)
}

/// One of these; false when there is none.
pub(super) fn any(parts: Vec<Expr>) -> Expr {
    joined(parts, false, Expr::or)
}

/// As a balanced tree: whoever walks a chain of a thousand policies needs a thousand frames.
fn joined(mut parts: Vec<Expr>, nothing: bool, join: fn(Expr, Expr) -> Expr) -> Expr {
    match parts.len() {
        0 => Expr::val(nothing),
        1 => parts.pop().unwrap_or_else(|| Expr::val(nothing)),
        count => {
            let rest = parts.split_off(count / 2);
            join(joined(parts, nothing, join), joined(rest, nothing, join))
        }
    }
}

/// Is it false whatever is asked?
pub(super) fn is_never(condition: &Expr) -> bool {
    condition.eq_shape(&Expr::val(false))
}

/// True exactly when the sets permit a request of that shape.
pub(super) fn permitted(sets: &PolicySets, whose: Whose, shape: Shape) -> Result<Expr, Doubt> {
    let action = shape.action_uid()?;
    let authors = match whose.author() {
        None => sets.authors().to_vec(),
        Some(author) => sets.authors().iter().copied().filter(|one| *one == author).collect(),
    };
    let of = |author: Author| {
        let policies = sets.policies().iter().filter(move |policy| policy.name.author() == author);
        policies.filter(|policy| is_about(policy, &action))
    };
    let every: Vec<&LoadedPolicy> = authors.iter().flat_map(|author| of(*author)).collect();
    every.iter().try_for_each(|policy| check_readable(policy))?;
    let condition = |policy: &LoadedPolicy| policy.policy.as_ref().condition();
    let evaluated = every.iter().map(|policy| condition(policy)).filter(can_fail);
    let evaluated = evaluated.map(|condition| Expr::is_eq(condition.clone(), condition));
    let forbids = every.iter().filter(|policy| policy.policy.effect() == Effect::Forbid);
    let unforbidden = forbids.map(|policy| Expr::not(condition(policy)));
    let permits = authors.iter().map(|author| {
        any(of(*author).filter(|p| p.policy.effect() == Effect::Permit).map(condition).collect())
    });
    let permits: Vec<_> = permits.collect();
    if permits.iter().any(is_never) {
        return Ok(Expr::val(false));
    }
    Ok(all(evaluated.chain(unforbidden).chain(permits).collect()))
}

/// Can it apply to the action at all? The schema has no groups of actions.
pub(super) fn is_about(policy: &LoadedPolicy, action: &EntityUid) -> bool {
    match policy.policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == *action,
        ActionConstraint::In(uids) => uids.contains(action),
    }
}

/// Functions of Cedar's extensions that give an answer for every value of the right type; constructors stand before
/// literals that were read already.
const TOTAL: [&str; 19] = [
    "datetime",
    "decimal",
    "duration",
    "greaterThan",
    "greaterThanOrEqual",
    "ip",
    "isInRange",
    "isIpv4",
    "isIpv6",
    "isLoopback",
    "isMulticast",
    "lessThan",
    "lessThanOrEqual",
    "toDays",
    "toHours",
    "toMilliseconds",
    "toMinutes",
    "toSeconds",
    "toTime",
];

/// Arithmetic overflows, and so does some of what is done with dates; nothing else of a strictly validated policy can fail.
pub(super) fn can_fail(condition: &Expr) -> bool {
    condition.subexpressions().any(|node| match node.expr_kind() {
        ExprKind::BinaryApp { op, .. } => {
            matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::GetTag)
        }
        ExprKind::UnaryApp { op, .. } => matches!(op, UnaryOp::Neg),
        ExprKind::ExtensionFunctionApp { fn_name, .. } => !TOTAL.contains(&fn_name.to_string().as_str()),
        _ => false,
    })
}

/// Does it depend on who is in which group, or whose a grant is?
pub(super) fn is_about_teams(condition: &Expr) -> bool {
    condition.subexpressions().any(|node| match node.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => uid.entity_type().to_string() == "Tidegate::Group",
        ExprKind::GetAttr { attr, .. } | ExprKind::HasAttr { attr, .. } => {
            attr == "owner" || attr == "groups"
        }
        ExprKind::ExtHasAttr { attrs, .. } => attrs.iter().any(|attr| attr == "owner" || attr == "groups"),
        _ => false,
    })
}

/// A broker puts the caller, the grant, the elevation and its requester before Cedar, and no other entity: what a policy
/// reads of one that it names itself is not there. The solver would think that it is.
pub(super) fn check_readable(policy: &LoadedPolicy) -> Result<(), Doubt> {
    // Also one that is found on the way, as in `(if … then Tidegate::Person::"x" else principal).email`.
    let is_name = |node: &Expr| {
        let is_entity = |part: &Expr| matches!(part.expr_kind(), ExprKind::Lit(Literal::EntityUID(_)));
        node.subexpressions().any(is_entity)
    };
    let condition = policy.policy.as_ref().condition();
    let reads_of_a_name = condition.subexpressions().any(|node| match node.expr_kind() {
        ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. } => is_name(expr),
        ExprKind::BinaryApp { op: BinaryOp::In | BinaryOp::GetTag | BinaryOp::HasTag, arg1, .. } => {
            is_name(arg1)
        }
        _ => false,
    });
    if reads_of_a_name {
        return Err(Doubt(format!("`{}` reads an attribute of an entity that it names itself", policy.name)));
    }
    Ok(())
}
