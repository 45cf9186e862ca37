//! Where in a request a condition looks: `context.auth.amr`, `principal.getTag("team")`.

use std::fmt;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, Var};

/// One step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Attribute(String),
    Tag(String),
}

/// A variable of the request, and the way into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) root: Var,
    pub(super) steps: Vec<Step>,
}

impl Place {
    /// Of an expression that is nothing but a way into the request.
    pub(super) fn of(expression: &Expr) -> Option<Self> {
        match expression.expr_kind() {
            ExprKind::Var(root) => Some(Self { root: *root, steps: Vec::new() }),
            ExprKind::GetAttr { expr, attr } => Some(Self::of(expr)?.then(Step::Attribute(attr.to_string()))),
            ExprKind::BinaryApp { op: BinaryOp::GetTag, arg1, arg2 } => {
                Some(Self::of(arg1)?.then(Step::Tag(text(arg2)?)))
            }
            _ => None,
        }
    }

    /// One step further.
    #[must_use]
    pub(super) fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Of an attribute.
    #[must_use]
    pub(super) fn attribute(self, name: &str) -> Self {
        self.then(Step::Attribute(name.to_owned()))
    }

    pub(super) const fn root(root: Var) -> Self {
        Self { root, steps: Vec::new() }
    }

    /// Does it lead to `other` or to a part of it?
    pub(super) fn is_under(&self, other: &Self) -> bool {
        self.root == other.root && self.steps.starts_with(&other.steps)
    }

    /// The names on the way, where all of them are attributes.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        let name = |step: &'_ Step| match step {
            Step::Attribute(_) => true,
            Step::Tag(_) => false,
        };
        self.steps.iter().all(name).then(|| {
            self.steps
                .iter()
                .map(|step| match step {
                    Step::Attribute(name) | Step::Tag(name) => name.as_str(),
                })
                .collect()
        })
    }

    /// The tag of the principal that it leads to.
    pub(super) fn tag(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step::Tag(name)] if self.root == Var::Principal => Some(name),
            _ => None,
        }
    }
}

/// As a policy writes it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Attribute(name) => write!(f, ".{name}"),
            Step::Tag(name) => write!(f, ".getTag({name:?})"),
        })
    }
}

/// A literal text.
pub(super) fn text(expression: &Expr) -> Option<String> {
    match expression.expr_kind() {
        ExprKind::Lit(Literal::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

/// Everything that `expression` looks at: the longest ways, each once, in the order of the text.
pub(super) fn places(expression: &Expr) -> Vec<Place> {
    let mut found = Vec::new();
    look(expression, &mut found);
    let mut places: Vec<Place> = Vec::new();
    for place in found {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

fn look(expression: &Expr, found: &mut Vec<Place>) {
    if let Some(place) = Place::of(expression) {
        found.push(place);
        return;
    }
    match expression.expr_kind() {
        ExprKind::HasAttr { expr, attr } => match Place::of(expr) {
            Some(place) => found.push(place.attribute(attr)),
            None => look(expr, found),
        },
        ExprKind::ExtHasAttr { expr, attrs } => match Place::of(expr) {
            Some(place) => found.push(attrs.iter().fold(place, |place, attr| place.attribute(attr))),
            None => look(expr, found),
        },
        ExprKind::BinaryApp { op: BinaryOp::HasTag, arg1, arg2 } => match (Place::of(arg1), text(arg2)) {
            (Some(place), Some(name)) => found.push(place.then(Step::Tag(name))),
            _ => [arg1, arg2].into_iter().for_each(|part| look(part, found)),
        },
        ExprKind::GetAttr { expr, .. } | ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => {
            look(expr, found);
        }
        ExprKind::UnaryApp { arg, .. } => look(arg, found),
        ExprKind::And { left, right } | ExprKind::Or { left, right } => {
            look(left, found);
            look(right, found);
        }
        ExprKind::BinaryApp { arg1, arg2, .. } => {
            look(arg1, found);
            look(arg2, found);
        }
        ExprKind::If { test_expr, then_expr, else_expr } => {
            for part in [test_expr, then_expr, else_expr] {
                look(part, found);
            }
        }
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().for_each(|part| look(part, found)),
        ExprKind::Set(parts) => parts.iter().for_each(|part| look(part, found)),
        ExprKind::Record(parts) => parts.values().for_each(|part| look(part, found)),
        ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(expression: &str) -> Vec<String> {
        let policy = format!("permit(principal, action, resource) when {{ {expression} }};");
        let policy = cedar_policy::Policy::parse(None, policy).unwrap();
        places(policy.as_ref().non_scope_constraints().unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_that_a_condition_looks_at_is_found_once() {
        for (expression, expected) in [
            ("true", &[][..]),
            ("context.ttl <= duration(\"5m\") && context.ttl > duration(\"1m\")", &["context.ttl"]),
            ("context has source_ip", &["context.source_ip"]),
            ("principal has github.environment", &["principal.github.environment"]),
            (
                "principal.hasTag(\"t\") && principal.getTag(\"t\").contains(\"x\")",
                &["principal.getTag(\"t\")"],
            ),
            (
                "context.now.durationSince(context.auth.auth_time) < duration(\"1h\")",
                &["context.now", "context.auth.auth_time"],
            ),
            ("principal in Tidegate::Group::\"a/b\"", &["principal"]),
            (
                "if context.scopes.isEmpty() then principal.name like \"x*\" else [context.ttl].contains(1)",
                &["context.scopes", "principal.name", "context.ttl"],
            ),
            ("{ a: context.auth }.a.acr == \"1\"", &["context.auth"]),
        ] {
            assert_eq!(found(expression), expected, "{expression}");
        }
    }
}
