//! Versions that differ in `entities.json`: who is in which team, and whose a grant is. The solver against brute force.

use serde_json::{Value, json};
use tidegate::proof::{Comparison, Whose, diff};

use crate::brute::universe;
use crate::pairs::agrees;
use crate::place::{Folder, now, solver, world};

/// Somebody or a group, and the groups that it is in.
type Member<'a> = (&'a str, &'a str, &'a [&'a str]);

/// A file of these, and who owns what.
fn written(members: &[Member<'_>], owners: &[(&str, &str)]) -> String {
    let name = |kind: &str, id: &str| json!({ "type": format!("Tidegate::{kind}"), "id": id });
    let members = members.iter().map(|(kind, id, parents)| {
        let parents: Vec<_> = parents.iter().map(|parent| name("Group", parent)).collect();
        json!({ "uid": name(kind, id), "attrs": {}, "parents": parents })
    });
    let owners = owners.iter().map(|(grant, owner)| {
        json!({ "uid": name("Grant", grant), "attrs": { "owner": name("Group", owner) }, "parents": [] })
    });
    Value::Array(members.chain(owners).collect()).to_string()
}

fn person(effect: &str, action: &str, when: &str) -> String {
    format!(
        "@id(\"{action}-{effect}\") {effect} (principal is Tidegate::Person, \
         action == Tidegate::Action::\"{action}\", resource) when {{ {when} }};\n"
    )
}

fn owners_lock() -> String {
    person("permit", "lock", "resource has owner && principal in resource.owner")
}

struct Pair {
    name: &'static str,
    policies: String,
    old: String,
    new: String,
    equal: bool,
}

const TEAM: Member<'_> = ("Group", "payments", &[]);
const PLATFORM: Member<'_> = ("Group", "staff/platform", &["payments"]);
const OWNED: [(&str, &str); 1] = [("ledger-api", "payments")];

fn pairs() -> Vec<Pair> {
    let zoe: Member<'_> = ("Person", "staff|zoe", &["payments"]);
    let of =
        |name, equal, policies: String, old: String, new: String| Pair { name, policies, old, new, equal };
    let issue = |who: &str, when: &str| {
        format!(
            "@id(\"issue\") permit (principal is Tidegate::{who}, action == Tidegate::Action::\"issue\", \
             resource == Tidegate::Grant::\"ledger-api\") when {{ {when} }};\n"
        )
    };
    let in_payments = "principal in Tidegate::Group::\"payments\"";
    let security = |member: Member<'_>| written(&[("Group", "security", &[]), member], &[]);
    let batch = |account: &str| {
        let id = format!("prod-cluster|system:serviceaccount:orders:{account}");
        written(&[("Group", "batch", &[]), ("Workload", &id, &["batch"])], &[])
    };
    vec![
        of(
            "somebody joins the team that owns",
            false,
            owners_lock(),
            written(&[TEAM, PLATFORM], &OWNED),
            written(&[TEAM, PLATFORM, zoe], &OWNED),
        ),
        of(
            "a grant changes hands",
            false,
            owners_lock(),
            written(&[TEAM, PLATFORM, ("Group", "vendor/oncall", &[])], &OWNED),
            written(&[TEAM, PLATFORM, ("Group", "vendor/oncall", &[])], &[("ledger-api", "vendor/oncall")]),
        ),
        of(
            "nobody owned anything before",
            false,
            owners_lock(),
            written(&[TEAM, PLATFORM], &[]),
            written(&[TEAM, PLATFORM], &OWNED),
        ),
        of(
            "another group of tokens is the team",
            false,
            issue("Person", in_payments),
            written(&[TEAM, PLATFORM], &[]),
            written(&[TEAM, ("Group", "staff/platform-leads", &["payments"])], &[]),
        ),
        of(
            "a group that tokens name gets somebody by name",
            false,
            issue("Person", "principal in Tidegate::Group::\"staff/platform\""),
            written(&[("Group", "staff/platform", &[])], &[]),
            written(&[("Group", "staff/platform", &[]), ("Person", "staff|zoe", &["staff/platform"])], &[]),
        ),
        of(
            "approvers of a team: by their tokens, or by name",
            false,
            person("permit", "activate", "context.approvals.groups.contains(Tidegate::Group::\"security\")"),
            security(("Group", "staff/platform-leads", &["security"])),
            security(("Person", "staff|zoe", &["security"])),
        ),
        of(
            "who was kept out is kept out no more",
            false,
            format!("{}{}", person("permit", "audit", "true"), person("forbid", "audit", in_payments)),
            written(&[TEAM, zoe], &[]),
            written(&[TEAM], &[]),
        ),
        of(
            "another program is in the team",
            false,
            issue("Workload", "principal in Tidegate::Group::\"batch\""),
            batch("api"),
            batch("worker"),
        ),
        of(
            "the owner is part of a larger team no more",
            false,
            issue("Workload", "resource has owner && resource.owner in Tidegate::Group::\"engineering\""),
            written(&[("Group", "engineering", &[]), ("Group", "payments", &["engineering"])], &OWNED),
            written(&[("Group", "engineering", &[]), TEAM], &OWNED),
        ),
        of(
            "the owner of what an elevation is for",
            false,
            person("permit", "approve", "resource.grant has owner && principal in resource.grant.owner"),
            written(&[TEAM, PLATFORM], &[("prod-admin", "payments")]),
            written(&[TEAM, PLATFORM], &[("ledger-repair", "payments")]),
        ),
        of(
            "the same people through a team in between",
            true,
            format!("{}{}", owners_lock(), issue("Person", in_payments)),
            written(&[TEAM, PLATFORM, zoe], &OWNED),
            written(
                &[
                    TEAM,
                    ("Group", "squad", &["payments"]),
                    ("Group", "staff/platform", &["squad"]),
                    ("Person", "staff|zoe", &["squad"]),
                ],
                &OWNED,
            ),
        ),
        of(
            "a team that no policy is about",
            true,
            owners_lock(),
            written(&[TEAM, PLATFORM], &OWNED),
            written(&[TEAM, PLATFORM, ("Group", "chess", &[]), ("Person", "staff|lea", &["chess"])], &OWNED),
        ),
        of(
            "the same approvers through a team in between",
            true,
            person(
                "permit",
                "activate",
                "context.approvals.groups.containsAny([Tidegate::Group::\"security\"])",
            ),
            security(("Person", "staff|zoe", &["security"])),
            written(
                &[
                    ("Group", "security", &[]),
                    ("Group", "on-call", &["security"]),
                    ("Person", "staff|zoe", &["on-call"]),
                ],
                &[],
            ),
        ),
    ]
}

#[tokio::test]
async fn what_other_teams_and_owners_mean_is_what_brute_force_says() {
    let world = world();
    let (mut universe, mut solver) = (universe(&world), solver().await);
    // No policy here looks at how, when and from where: one of each is enough.
    universe.retain(|facts| facts.source_ip.is_none());
    for Pair { name, policies, old, new, equal } in pairs() {
        let old = Folder::of(&policies, "").with_entities(&old).sets();
        let new = Folder::of(&policies, "").with_entities(&new).sets();
        agrees(name, &old, &new, equal, (&world, &universe), &mut solver).await;
    }
}

/// All groups of approvers at once are more than policies name: that is not guessed, and never called equal.
#[tokio::test]
async fn what_cannot_be_compared_exactly_is_unknown_and_says_what_to_write_instead() {
    let (world, mut solver) = (world(), solver().await);
    let (old, new) = (written(&[TEAM], &[]), written(&[TEAM, ("Person", "staff|zoe", &["payments"])], &[]));
    for when in [
        "context.approvals.groups.isEmpty()",
        "context.approvals.groups == [Tidegate::Group::\"payments\"]",
        "[Tidegate::Group::\"payments\"].containsAll(context.approvals.groups)",
    ] {
        let policies = person("permit", "activate", when);
        let old = Folder::of(&policies, "").with_entities(&old).sets();
        let new = Folder::of(&policies, "").with_entities(&new).sets();
        let comparison =
            Comparison { old: &old, new: &new, whose: &[Whose::Effective], world: &world, now: now() };
        let difference = diff(comparison, &mut solver, &mut |_| {}).await;
        assert!(!difference.equal, "{when}");
        let told = difference.unknown.iter().all(|open| open.why.contains("ask for groups by name"));
        assert!(told && difference.unknown.len() == 2, "{when}: {difference:?}");
    }
}
