//! Who may import whom. A change of this table is a change of the architecture: say why in `docs/decisions/`.

use super::imports::{Import, imports};
use super::sources::Source;

/// Values and tiny ports that everybody may have. They know nothing of ours but each other.
const GROUND: &[&str] =
    &["claims", "clock", "document", "entropy", "ids", "network", "secret", "span", "telemetry"];

/// The rooms that the use cases and services stand on.
const ROOMS: &[&str] = &[
    "federation",
    "principal",
    "grants",
    "keys",
    "custody",
    "audit",
    "policy",
    "issuance",
    "breakglass",
    "locks",
    "notify",
    "people",
    "store",
];

/// Known to the roots of composition only.
const BACKENDS: &[&str] = &["store::sqlite", "store::postgres"];

/// The roots of composition: they know every concrete type, and nobody imports them.
const ROOTS: &[&str] = &["", "main", "server", "cli", "demo"];

/// What the files under one module may name, beside themselves and the ground.
struct Rule {
    /// The module and everything under it, unless a longer one fits.
    module: &'static str,
    may: &'static [&'static str],
    /// Exceptions within `may`.
    never: &'static [&'static str],
    /// Functions over values: no `async`, no `.await`.
    pure: bool,
}

const fn rule(module: &'static str, may: &'static [&'static str]) -> Rule {
    Rule { module, may, never: &[], pure: false }
}

const fn service(module: &'static str) -> Rule {
    Rule { module, may: ROOMS, never: BACKENDS, pure: false }
}

/// A door knows what comes in and what goes out, never how it was decided or made.
const DOOR: &[&str] = &[
    "exchange",
    "explain",
    "tokens",
    "audit",
    "keys",
    "breakglass",
    "locks",
    "principal",
    "grants",
    "people",
    "federation::UnverifiedToken",
];

const RULES: &[Rule] = &[
    Rule { pure: true, ..rule("principal", &[]) },
    Rule { pure: true, ..rule("grants", &[]) },
    rule("keys", &[]),
    service("keys::service"),
    // Between the pure keys and their service: it calls AWS KMS and keeps what KMS wrapped.
    Rule {
        never: &["store::sqlite", "store::postgres", "keys::service"],
        ..rule("custody", &["keys", "store", "grants::Region"])
    },
    rule("federation", &[]),
    // The log's format outlives the names in the rooms that write to it.
    rule("audit", &["keys"]),
    Rule { never: BACKENDS, ..rule("audit::service", &["keys", "store", "locks"]) },
    Rule { never: BACKENDS, ..rule("audit::submission", &["keys", "store", "locks"]) },
    Rule { never: BACKENDS, ..rule("audit::writer", &["keys", "store", "locks"]) },
    Rule { never: BACKENDS, ..rule("audit::reader", &["keys", "store"]) },
    Rule { never: BACKENDS, ..rule("audit::saved", &["keys", "store"]) },
    rule("policy", &["principal", "grants"]),
    Rule { never: BACKENDS, ..rule("policy::service", &["principal", "grants", "audit", "store"]) },
    // Reasons about policies and decides nothing: nobody but tools needs it.
    rule("proof", &["policy", "principal", "grants"]),
    // The witnesses and nothing else of those two rooms: no credential without a decision, none without a record.
    rule("issuance", &["grants", "keys", "policy::Permit", "audit::Receipt"]),
    Rule { pure: true, ..rule("breakglass", &["principal", "grants"]) },
    service("breakglass::service"),
    rule("people", &["federation", "principal", "breakglass::Participant"]),
    Rule { pure: true, ..rule("locks", &["principal"]) },
    service("locks::service"),
    Rule { pure: true, ..rule("notify", &["breakglass"]) },
    Rule {
        never: &["store::sqlite", "store::postgres", "breakglass::service"],
        ..rule("notify::service", &["breakglass", "store"])
    },
    Rule {
        never: &[
            "keys::service",
            "audit::service",
            "audit::AuditLog",
            "breakglass::service",
            "locks::service",
            "notify::service",
        ],
        ..rule("store", &["keys", "audit", "breakglass", "locks", "notify", "principal"])
    },
    service("exchange"),
    // Between the API and policy: who may ask why is decided here, so that no door names policy (decision 0044).
    service("explain"),
    // What became of a token that was issued: beside the exchange, which only makes them.
    service("tokens"),
    rule("http", DOOR),
    // Readiness asks whether any issuer's keys are known.
    rule("http::ops", &["exchange", "audit", "keys", "federation::Federation"]),
    Rule {
        never: &[
            "keys::service",
            "audit::service",
            "audit::AuditLog",
            "breakglass::service",
            "locks::service",
            "notify::service",
        ],
        ..rule(
            "config",
            &[
                "federation",
                "principal",
                "grants",
                "keys",
                "audit",
                "policy::Settings",
                "policy::ShadowSettings",
                "issuance",
                "breakglass",
                "notify",
                "exchange::RateSettings",
                "custody::KekSource",
                "custody::KmsKey",
                "store::StoreSettings",
                "store::PostgresSettings",
                "store::PostgresTls",
                "store::PasswordSource",
            ],
        )
    },
];

/// The breaches of the table in one file.
pub(crate) fn faults(source: &Source) -> Vec<String> {
    if is_root(source) {
        return Vec::new();
    }
    let rule = rule_of(source);
    let mut faults: Vec<_> =
        imports(source).iter().filter_map(|import| fault(source, rule, import)).collect();
    if rule.is_some_and(|rule| rule.pure) {
        faults.extend(waits(source));
    }
    faults
}

/// A file that no line of the table speaks of.
pub(crate) fn unknown_room(source: &Source) -> Option<String> {
    let known = is_root(source) || is_ground(source) || rule_of(source).is_some();
    (!known).then(|| format!("src/{}: this room is not in the table of tests/house/table.rs", source.path))
}

fn fault(source: &Source, rule: Option<&Rule>, import: &Import) -> Option<String> {
    let path = import.path.join("::");
    let own = source.module.first().map_or("", String::as_str);
    let allowed = match rule {
        _ if is_in(&path, own) => !escapes_its_rule(rule, &path),
        _ if is_in_any(&path, GROUND) => true,
        Some(rule) => leads_to_any(&path, rule.may) && !is_in_any(&path, rule.never),
        None => false,
    };
    (!allowed).then(|| format!("src/{}:{}: must not name `crate::{path}`", source.path, import.line))
}

/// Within its own room, a file may name what it likes, save what its rule says never.
fn escapes_its_rule(rule: Option<&Rule>, path: &str) -> bool {
    rule.is_some_and(|rule| is_in_any(path, rule.never))
}

fn waits(source: &Source) -> Vec<String> {
    let waiting = source.tokens.iter().filter(|spot| spot.is_word("async") || spot.is_word("await"));
    waiting
        .map(|spot| format!("src/{}:{}: this room is pure and must not wait", source.path, spot.line))
        .collect()
}

/// The rule with the longest module that holds the file.
fn rule_of(source: &Source) -> Option<&'static Rule> {
    let module = source.module.join("::");
    RULES.iter().filter(|rule| is_in(&module, rule.module)).max_by_key(|rule| rule.module.len())
}

fn is_root(source: &Source) -> bool {
    ROOTS.contains(&source.module.first().map_or("", String::as_str))
}

fn is_ground(source: &Source) -> bool {
    source.module.first().is_some_and(|room| GROUND.contains(&room.as_str()))
}

/// Is `path` in one of the places, or a module above one? What is reached through the module's name is checked by itself.
fn leads_to_any(path: &str, places: &[&str]) -> bool {
    is_in_any(path, places) || places.iter().any(|place| is_in(place, path))
}

fn is_in_any(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| is_in(path, place))
}

/// Is `path` the place itself or under it?
fn is_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
