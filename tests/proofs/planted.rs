//! For every shipped invariant policies that break it, or would break it if the broker did not hold it itself. Each is of a
//! kind that somebody could write in good faith, and about somebody who gets as far as the decision at a broker's doors.

use std::collections::BTreeSet;

use crate::place::Folder;

const LIMITS: &str = "customer/limits.cedar";
const ISSUE: &str = "action == Tidegate::Action::\"issue\"";

/// What is taken out of the shipped sets and put into both, to break one invariant.
pub struct Planted {
    /// The invariant.
    pub id: &'static str,
    /// Another one that cannot but break with it.
    pub also: Option<&'static str>,
    /// File and policy.
    pub without: Option<(&'static str, &'static str)>,
    pub with: String,
}

impl Planted {
    pub fn folder(&self) -> Folder {
        let folder = Folder::shipped();
        let folder = self.without.iter().fold(folder, |folder, (file, id)| folder.without(file, id));
        folder.with("customer", &self.with).with("vendor", &self.with)
    }

    /// What it breaks, and nothing else.
    pub fn breaks(&self) -> BTreeSet<&'static str> {
        std::iter::once(self.id).chain(self.also).collect()
    }
}

fn planted(id: &'static str, with: String) -> Planted {
    Planted { id, also: None, without: None, with }
}

/// In place of a limit of the same name.
fn in_place(id: &'static str, with: String) -> Planted {
    Planted { without: Some((LIMITS, id)), ..planted(id, with) }
}

fn permit(action: &str, when: &str) -> String {
    format!("@id(\"planted\") permit (principal, {action}, resource) when {{ {when} }};")
}

fn forbid(action: &str, when: &str) -> String {
    format!("@id(\"planted\") forbid (principal, {action}, resource) when {{ {when} }};")
}

fn actions(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("Tidegate::Action::\"{name}\"")).collect();
    format!("action in [{}]", names.join(", "))
}

/// Broken, and nothing beside the policies would hold them.
pub fn all() -> Vec<Planted> {
    let lead = "principal in Tidegate::Group::\"staff/platform-leads\"";
    let networks = "context has source_ip && (context.source_ip.isInRange(ip(\"10.0.0.0/8\")) || \
                    context.source_ip.isLoopback() || context.source_ip.isInRange(ip(\"203.0.113.0/24\")))";
    vec![
        // Credentials alone would not do: whether the approvals suffice is asked again at each of them.
        Planted {
            also: Some("two-people-open-a-window"),
            ..planted(
                "two-people-behind-a-credential",
                permit(&actions(&["activate", "issue"]), "resource == Tidegate::Grant::\"prod-admin\""),
            )
        },
        planted("two-people-open-a-window", permit(&actions(&["activate"]), "context.approvals.count >= 1")),
        // Whoever approves looks at it first.
        in_place(
            "vendor-never-approves",
            permit(&actions(&["approve", "view"]), "context.auth.amr.contains(\"mfa\")"),
        ),
        planted("second-factor-to-approve", permit(&actions(&["approve"]), lead)),
        planted(
            "vendor-only-breaks-glass",
            permit(ISSUE, "principal.issuer == Tidegate::Issuer::\"vendor\" && !resource.break_glass"),
        ),
        planted("vendor-stops-nothing", permit(&actions(&["revoke", "view"]), "true")),
        planted("vendor-stops-nothing", permit(&actions(&["lock"]), "true")),
        planted("vendor-stops-nothing", permit(&actions(&["audit"]), "true")),
        Planted {
            without: Some((LIMITS, "no-long-production")),
            ..planted(
                "production-for-fifteen-minutes",
                forbid(ISSUE, "resource.name like \"prod-*\" && context.ttl > duration(\"30m\")"),
            )
        },
        Planted {
            without: Some((LIMITS, "no-long-credentials")),
            ..planted(
                "an-hour-at-most",
                forbid(ISSUE, "context.ttl > duration(\"1h\") && resource.name != \"orders-read\""),
            )
        },
        planted(
            "github-by-its-immutable-id",
            permit(ISSUE, "principal.issuer == Tidegate::Issuer::\"github\" && !resource.break_glass"),
        ),
        in_place(
            "people-from-our-networks",
            forbid(ISSUE, &format!("principal is Tidegate::Person && !({networks})")),
        ),
        planted(
            "leads-can-always-stop",
            forbid(&actions(&["revoke"]), "!context.auth.amr.contains(\"mfa\")"),
        ),
    ]
}

/// Held by the broker too: a permit that is planted changes nothing for anybody.
pub fn held_by_the_broker() -> Vec<Planted> {
    let elevation = Some((LIMITS, "break-glass-needs-an-elevation"));
    vec![
        Planted { without: elevation, ..planted("active-elevation", permit(ISSUE, "true")) },
        Planted { without: elevation, ..planted("no-program-breaks-glass", permit(ISSUE, "true")) },
        in_place("no-self-approval", permit(&actions(&["approve", "view"]), "true")),
        in_place("vendor-never-approves", permit(&actions(&["approve", "view"]), "true")),
    ]
}
