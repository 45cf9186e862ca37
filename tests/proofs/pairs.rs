//! Pairs of policy sets, and whether they decide the same: said by the solver and by trying every request of a small world.

use std::collections::BTreeSet;

use tidegate::policy::{Facts, PolicySets, World};
use tidegate::proof::{Comparison, Difference, Direction, Solver, Whose, diff};

use crate::brute::universe;
use crate::place::{Folder, now, solver, world};

/// What the customer says in most pairs.
const BASE: &str = r#"
@id("orders") permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"orders-read")
when { principal has kubernetes && principal.kubernetes.namespace == "orders" && context.ttl <= duration("15m") };
"#;

struct Pair {
    name: &'static str,
    old: (String, String),
    new: (String, String),
    equal: bool,
}

fn issue(id: &str, resource: &str, when: &str) -> String {
    format!(
        "@id(\"{id}\") permit (principal, action == Tidegate::Action::\"issue\", {resource}) when {{ {when} }};\n"
    )
}

fn person(effect: &str, action: &str, when: &str) -> String {
    format!(
        "@id(\"{action}-{effect}\") {effect} (principal is Tidegate::Person, \
         action == Tidegate::Action::\"{action}\", resource) when {{ {when} }};\n"
    )
}

/// Both by the customer alone.
fn pair(name: &'static str, equal: bool, old: &str, new: &str) -> Pair {
    Pair { name, equal, old: (old.to_owned(), String::new()), new: (new.to_owned(), String::new()) }
}

/// A condition of one issue policy, changed.
fn conditions(name: &'static str, equal: bool, old: &str, new: &str) -> Pair {
    pair(name, equal, &issue("p", "resource", old), &issue("p", "resource", new))
}

fn pairs() -> Vec<Pair> {
    let orders = "principal has kubernetes && principal.kubernetes.namespace == \"orders\"";
    let orders_api = "principal is Tidegate::Workload && principal.issuer == Tidegate::Issuer::\"prod-cluster\" && \
                      principal has kubernetes && principal.kubernetes.namespace == \"orders\" && \
                      principal.kubernetes.service_account == \"api\"";
    let workload = |when: &str| format!("principal is Tidegate::Workload && {when}");
    let grant = "resource == Tidegate::Grant::\"orders-read\"";
    let two = person("permit", "activate", "context.approvals.count >= 2");
    let lead = "principal in Tidegate::Group::\"staff/platform-leads\"";
    let approve = person("permit", "approve", lead);
    vec![
        conditions(
            "the order of conditions",
            true,
            "context.ttl <= duration(\"15m\") && context.auth.amr.contains(\"mfa\")",
            "context.auth.amr.contains(\"mfa\") && context.ttl <= duration(\"15m\")",
        ),
        conditions(
            "a bound between two whole seconds",
            true,
            "context.ttl <= duration(\"15m\")",
            "context.ttl < duration(\"15m500ms\")",
        ),
        conditions(
            "a longer life",
            false,
            "context.ttl <= duration(\"15m\")",
            "context.ttl <= duration(\"1h\")",
        ),
        conditions(
            "a bound beyond every grant's own",
            true,
            "context.ttl <= duration(\"24h\")",
            "context.ttl <= duration(\"240m\")",
        ),
        conditions(
            "a narrower network",
            false,
            "context has source_ip && context.source_ip.isInRange(ip(\"10.0.0.0/8\"))",
            "context has source_ip && context.source_ip.isInRange(ip(\"10.1.0.0/16\"))",
        ),
        conditions(
            "a network in two halves",
            true,
            "context has source_ip && context.source_ip.isInRange(ip(\"10.0.0.0/8\"))",
            "context has source_ip && (context.source_ip.isInRange(ip(\"10.0.0.0/9\")) || \
             context.source_ip.isInRange(ip(\"10.128.0.0/9\")))",
        ),
        conditions(
            "one scope, or any with it",
            false,
            "context.scopes == [\"ledger.read\"]",
            "context.scopes.contains(\"ledger.read\")",
        ),
        conditions(
            "scopes that no other grant has",
            true,
            "resource == Tidegate::Grant::\"ledger-api\"",
            "resource == Tidegate::Grant::\"ledger-api\" && [\"ledger.read\", \"ledger.write\"].containsAll(context.scopes)",
        ),
        conditions("a grant by its name", true, grant, "resource.name == \"orders-read\""),
        conditions(
            "a set of all break-glass grants",
            true,
            "resource in Tidegate::GrantSet::\"break-glass\"",
            "resource.break_glass",
        ),
        conditions(
            "an elevation that the broker demands anyway",
            true,
            "resource.break_glass",
            "resource.break_glass && context has elevation && context.elevation.approvals >= 1 && \
             context.elevation.starts_at <= context.now && context.now < context.elevation.ends_at",
        ),
        conditions(
            "one approval fewer",
            false,
            "context has elevation && context.elevation.approvals >= 2",
            "context has elevation && context.elevation.approvals >= 1",
        ),
        conditions(
            "an end to it",
            false,
            "context.now < datetime(\"2028-01-01\")",
            "context.now < datetime(\"2027-01-01\")",
        ),
        conditions(
            "a caller by id, or by what its token says",
            true,
            "principal is Tidegate::Workload && principal == Tidegate::Workload::\"prod-cluster|system:serviceaccount:orders:api\"",
            orders_api,
        ),
        conditions(
            "a tag that suffices",
            false,
            &workload(orders),
            &workload(&format!(
                "(({orders}) || (principal.hasTag(\"team\") && principal.getTag(\"team\").contains(\"payments\")))"
            )),
        ),
        conditions(
            "a group that its issuer cannot name",
            true,
            lead,
            &format!(
                "{lead} || (principal.issuer == Tidegate::Issuer::\"staff\" && principal in Tidegate::Group::\"vendor/platform\")"
            ),
        ),
        pair(
            "no pull requests",
            false,
            &issue("p", grant, "true"),
            &format!(
                "{}@id(\"f\") forbid (principal is Tidegate::Workload, action, resource) when {{ principal has \
                 github.event_name && principal.github.event_name == \"pull_request\" }};",
                issue("p", grant, "true")
            ),
        ),
        pair(
            "one policy in two",
            true,
            &issue("p", grant, "context.ttl <= duration(\"1h\")"),
            &format!(
                "{}{}",
                issue("p", grant, "context.ttl <= duration(\"1h\") && context.auth.amr.contains(\"mfa\")"),
                issue("q", grant, "context.ttl <= duration(\"1h\") && !context.auth.amr.contains(\"mfa\")"),
            ),
        ),
        pair(
            "a sum that overflows",
            false,
            &two,
            &format!(
                "{two}{}",
                person("permit", "activate", "context.approvals.count * 4611686018427387904 < 0")
                    .replace("activate-permit", "sum")
            ),
        ),
        pair(
            "a sum that never overflows",
            true,
            &two,
            &format!(
                "{two}{}",
                person("permit", "activate", "context.approvals.count * 1000 < 0")
                    .replace("activate-permit", "sum")
            ),
        ),
        pair(
            "self-approval, which the broker refuses anyway",
            true,
            &approve,
            &format!("{approve}{}", person("forbid", "approve", "resource.requester == principal")),
        ),
        pair(
            "approval by an issuer that may not approve",
            true,
            &approve,
            &format!(
                "{approve}{}",
                person("forbid", "approve", "principal.issuer == Tidegate::Issuer::\"vendor\"")
            ),
        ),
        pair(
            "approval of what one's own company asked for",
            false,
            &approve,
            &format!(
                "{approve}{}",
                person("forbid", "approve", "principal.issuer == resource.requester.issuer")
            ),
        ),
        Pair {
            name: "a vendor who asks for less",
            equal: false,
            old: (BASE.to_owned(), String::new()),
            new: (BASE.to_owned(), issue("v", grant, "context.ttl <= duration(\"10m\")")),
        },
        Pair {
            name: "a vendor who asks for what the customer does not give",
            equal: true,
            old: (BASE.to_owned(), issue("v", grant, "true")),
            new: (
                BASE.to_owned(),
                issue("v", grant, "true")
                    + &issue("w", "resource == Tidegate::Grant::\"prod-admin\"", "true"),
            ),
        },
    ]
}

/// What brute force finds: what is asked, of whom, about which grant, and which way it changed.
type Kind = (String, String, String, Direction);

fn kinds(old: &PolicySets, new: &PolicySets, universe: &[Facts]) -> BTreeSet<Kind> {
    let changed = universe.iter().filter_map(|facts| {
        let direction = match (old.decide(facts).is_ok(), new.decide(facts).is_ok()) {
            (false, true) => Direction::Allowed,
            (true, false) => Direction::Denied,
            _ => return None,
        };
        Some(kind(facts, direction))
    });
    changed.collect()
}

fn kind(facts: &Facts, direction: Direction) -> Kind {
    let action = facts.asked.action().as_str().to_owned();
    (action, format!("{:?}", facts.principal.kind), facts.grant.name.to_string(), direction)
}

fn found(difference: &Difference) -> BTreeSet<Kind> {
    difference.changes.iter().map(|change| kind(&change.example, change.direction)).collect()
}

#[tokio::test]
async fn every_difference_that_brute_force_finds_is_found_every_example_is_real_and_equal_means_equal() {
    let world = world();
    let (universe, pairs, mut solver) = (universe(&world), pairs(), solver().await);
    assert!(pairs.len() >= 20 && universe.len() > 3_000, "{} {}", pairs.len(), universe.len());
    for Pair { name, old, new, equal } in pairs {
        let (old, new) = (Folder::of(&old.0, &old.1), Folder::of(&new.0, &new.1));
        agrees(name, &old.sets(), &new.sets(), equal, (&world, &universe), &mut solver).await;
    }
}

/// What the solver says of two versions is what every request of the universe says.
pub async fn agrees(
    name: &str,
    old: &PolicySets,
    new: &PolicySets,
    equal: bool,
    (world, universe): (&World, &[Facts]),
    solver: &mut Solver,
) {
    let comparison = Comparison { old, new, whose: &[Whose::Effective], world, now: now() };
    let difference = diff(comparison, solver, &mut |_| {}).await;
    assert!(difference.unknown.is_empty(), "{name}: {:?}", difference.unknown);
    assert_eq!(difference.equal, equal, "{name}: {:?}", difference.changes);
    for change in &difference.changes {
        let (before, after) = (old.decide(&change.example).is_ok(), new.decide(&change.example).is_ok());
        let wanted = change.direction == Direction::Allowed;
        assert_eq!((before, after), (!wanted, wanted), "{name}: {change:?}");
        assert_eq!(change.grant, change.example.grant.name.as_str());
    }
    let (tried, found) = (kinds(old, new, universe), found(&difference));
    let missed: Vec<_> = tried.difference(&found).collect();
    assert!(missed.is_empty(), "{name}: the solver missed {missed:?}");
    assert_eq!(tried.is_empty(), equal, "{name}: the universe is too small to see it");
}

#[tokio::test]
async fn each_authors_part_can_be_compared_by_itself() {
    let world = world();
    let grant = "resource == Tidegate::Grant::\"orders-read\"";
    let old = Folder::of(BASE, &issue("v", grant, "true")).sets();
    let new = Folder::of(BASE, &issue("v", "resource", "!resource.break_glass")).sets();
    let whose = [Whose::Effective, Whose::Customer, Whose::Vendor];
    let comparison = Comparison { old: &old, new: &new, whose: &whose, world: &world, now: now() };
    let difference = diff(comparison, &mut solver().await, &mut |_| {}).await;
    let changed: BTreeSet<_> = difference.changes.iter().map(|change| change.whose).collect();
    assert_eq!(changed, BTreeSet::from([Whose::Vendor]), "{difference:?}");
    assert!(difference.changes.iter().any(|change| change.grant == "ledger-api"));
}
