//! What a set of policies can look at. Building what nobody reads is most of the cost of a small decision.
//!
//! The answer errs to one side only: a part counts as read when its name stands anywhere in a condition, whatever it
//! stands on. Cedar has no computed attribute names (tags have, and count as one part), so nothing read is missed.

use cedar_policy::Policy;
use serde_json::Value;

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

    /// What `policy` can look at.
    pub(super) fn of(policy: &Policy) -> Self {
        let mut reads = Self::default();
        match policy.to_json() {
            Ok(json) => reads.walk(&json),
            Err(_) => return Self::ALL,
        }
        reads
    }

    pub(super) fn has(self, part: Part) -> bool {
        self.0 & (1 << part as u32) != 0
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

    /// Walks Cedar's JSON form of a policy or an expression.
    fn walk(&mut self, node: &Value) {
        match node {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(members) => {
                for (operator, operand) in members {
                    self.operator(operator, operand);
                }
            }
            _ => {}
        }
    }

    fn operator(&mut self, operator: &str, operand: &Value) {
        match operator {
            "." | "has" => return self.attribute(operand),
            // The context as a whole (`context == {…}`) reads everything in it.
            "Var" if operand == "context" => *self = Self::ALL,
            "getTag" | "hasTag" => self.add(Part::Tags),
            // Also `is … in`, and the scope's `in`, which is spelled as an operator's name.
            "in" => self.add(Part::Ancestors),
            "op" if operand == "in" => self.add(Part::Ancestors),
            _ => {}
        }
        self.walk(operand);
    }

    fn attribute(&mut self, operand: &Value) {
        match operand.get("attr") {
            Some(Value::String(name)) => self.add_named(name),
            // `has a.b`
            Some(Value::Array(path)) if path.iter().all(Value::is_string) => {
                path.iter().filter_map(Value::as_str).for_each(|name| self.add_named(name));
            }
            _ => *self = Self::ALL,
        }
        // `context.x` reads x and not the whole context.
        match operand.get("left") {
            Some(left) if left.get("Var").is_some() => {}
            Some(left) => self.walk(left),
            None => *self = Self::ALL,
        }
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
