//! What a set of policies can look at. Building what nobody reads is most of the cost of a small decision.
//!
//! The answer errs to one side only: a part counts as read when its name stands anywhere in a condition, whatever it
//! stands on. Cedar has no computed attribute names (tags have, and count as one part), so nothing read is missed.

use cedar_policy::Policy;
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Var};

/// A part of a request that can be left out when no candidate reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Part {
    // of the context
    Now,
    SourceIp,
    Auth,
    Ttl,
    Scopes,
    ClientCert,
    Elevation,
    Actor,
    Duration,
    Approvals,
    // of the principal
    Issuer,
    Subject,
    Kubernetes,
    Github,
    Gitlab,
    Spiffe,
    Aws,
    Email,
    Name,
    // not by name
    Tags,
    Ancestors,
}

/// Parts that are read by their attribute's name.
const NAMED: [(&str, Part); 19] = [
    ("now", Part::Now),
    ("source_ip", Part::SourceIp),
    ("auth", Part::Auth),
    ("ttl", Part::Ttl),
    ("scopes", Part::Scopes),
    ("client_cert", Part::ClientCert),
    ("elevation", Part::Elevation),
    ("actor", Part::Actor),
    ("duration", Part::Duration),
    ("approvals", Part::Approvals),
    ("issuer", Part::Issuer),
    ("subject", Part::Subject),
    ("kubernetes", Part::Kubernetes),
    ("github", Part::Github),
    ("gitlab", Part::Gitlab),
    ("spiffe", Part::Spiffe),
    ("aws", Part::Aws),
    ("email", Part::Email),
    ("name", Part::Name),
];

/// A set of [`Part`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads(u32);

impl Reads {
    /// Every part: what to build when in doubt.
    pub(super) const ALL: Self = Self(u32::MAX);

    /// What `policy` can look at, its scope included.
    pub(super) fn of(policy: &Policy) -> Self {
        let condition = policy.as_ref().condition();
        let mut reads = Self::default();
        let (mut contexts, mut attributes_of_context) = (0_usize, 0_usize);
        for node in condition.subexpressions() {
            reads.look(node);
            contexts += usize::from(is_context(node));
            attributes_of_context += usize::from(is_attribute_of_context(node));
        }
        // The context as a whole (`context == {…}`) reads everything in it; `context.ttl` reads the ttl.
        if contexts > attributes_of_context { Self::ALL } else { reads }
    }

    pub(super) fn has(self, part: Part) -> bool {
        self.0 & (1 << part as u32) != 0
    }

    /// Of the context, that is: what of the principal is looked at does not matter here.
    pub(super) fn looks_at_nothing_but_the_lifetime(self) -> bool {
        let others = [
            Part::Now,
            Part::SourceIp,
            Part::Auth,
            Part::Scopes,
            Part::ClientCert,
            Part::Elevation,
            Part::Actor,
            Part::Duration,
            Part::Approvals,
        ];
        !others.into_iter().any(|part| self.has(part))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn add(&mut self, part: Part) {
        self.0 |= 1 << part as u32;
    }

    fn add_named(&mut self, name: &str) {
        if let Some((_, part)) = NAMED.iter().find(|(known, _)| *known == name) {
            self.add(*part);
        }
    }

    /// Names every kind of expression: one that a later Cedar adds must be thought about before this compiles.
    fn look(&mut self, node: &Expr) {
        match node.expr_kind() {
            ExprKind::GetAttr { attr, .. } | ExprKind::HasAttr { attr, .. } => self.add_named(attr),
            ExprKind::ExtHasAttr { attrs, .. } => attrs.iter().for_each(|attr| self.add_named(attr)),
            ExprKind::BinaryApp { op: BinaryOp::GetTag | BinaryOp::HasTag, .. } => self.add(Part::Tags),
            ExprKind::BinaryApp { op: BinaryOp::In, .. } => self.add(Part::Ancestors),
            ExprKind::Slot(_) | ExprKind::Unknown(_) => *self = Self::ALL,
            ExprKind::BinaryApp { .. }
            | ExprKind::Lit(_)
            | ExprKind::Var(_)
            | ExprKind::If { .. }
            | ExprKind::And { .. }
            | ExprKind::Or { .. }
            | ExprKind::UnaryApp { .. }
            | ExprKind::ExtensionFunctionApp { .. }
            | ExprKind::Like { .. }
            | ExprKind::Is { .. }
            | ExprKind::Set(_)
            | ExprKind::Record(_) => {}
        }
    }
}

fn is_context(node: &Expr) -> bool {
    matches!(node.expr_kind(), ExprKind::Var(Var::Context))
}

fn is_attribute_of_context(node: &Expr) -> bool {
    match node.expr_kind() {
        ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. } => is_context(expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(condition: &str) -> Reads {
        Reads::of(
            &Policy::parse(None, format!("permit(principal, action, resource) when {{ {condition} }};"))
                .unwrap(),
        )
    }

    fn only(parts: &[Part]) -> Reads {
        let mut reads = Reads::default();
        for part in parts {
            reads.add(*part);
        }
        reads
    }

    #[test]
    fn a_part_is_read_when_its_name_stands_anywhere() {
        for (condition, parts) in [
            ("true", &[][..]),
            ("context.ttl <= duration(\"5m\")", &[Part::Ttl]),
            ("context has source_ip", &[Part::SourceIp]),
            ("principal has github.environment && principal.github.environment == \"prod\"", &[Part::Github]),
            ("{ \"x\": context.auth }.x.acr == \"1\"", &[Part::Auth]),
            ("[context.now, context.auth.issued_at].contains(context.now)", &[Part::Now, Part::Auth]),
            (
                "if context.scopes.isEmpty() then principal.name == \"x\" else true",
                &[Part::Scopes, Part::Name],
            ),
            ("principal in Tidegate::Group::\"g\"", &[Part::Ancestors]),
            ("principal is Tidegate::Person in Tidegate::Group::\"g\"", &[Part::Ancestors]),
            (
                "principal.hasTag(\"t\") && principal.getTag(context.client_cert).contains(\"x\")",
                &[Part::Tags, Part::ClientCert],
            ),
            ("context[\"ttl\"] == context[\"ttl\"]", &[Part::Ttl]),
        ] {
            assert_eq!(reads(condition), only(parts), "{condition}");
        }
        assert_eq!(reads("context == { \"x\": 1 }"), Reads::ALL);
        assert_eq!(reads("[context].contains(context)"), Reads::ALL);
    }

    #[test]
    fn a_group_in_the_scope_is_read() {
        for scope in
            ["principal in Tidegate::Group::\"g\"", "principal is Tidegate::Person in Tidegate::Group::\"g\""]
        {
            let policy = Policy::parse(None, format!("permit({scope}, action, resource);")).unwrap();
            assert!(Reads::of(&policy).has(Part::Ancestors), "{scope}");
        }
    }
}
