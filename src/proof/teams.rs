//! What is written down about teams and owners, as assumptions: who is in which group, and whose a grant is.
//!
//! Of two versions that differ in it, both are told: a group that means two things has two names, and its own is what a token
//! says. See [`worlds`](super::worlds).

use super::assume::text;
use super::literals::Literals;
use super::worlds::{Version, approver};
use crate::grants::Grant;
use crate::policy::Relations;

/// Of more groups than this, how they hang together is not told: the solver would choke on every pair. That only makes it
/// consider more than there is.
const MOST_GROUPS: usize = 60;

/// The same of the ways into one group.
const MOST_WAYS: usize = 200;

fn group(id: &str) -> String {
    format!("Tidegate::Group::{}", text(id))
}

fn is_token_group(id: &str) -> bool {
    id.contains('/')
}

/// Which of the groups that are named is part of which.
pub(super) fn hierarchy(literals: &Literals) -> Vec<String> {
    if literals.groups.len() > MOST_GROUPS {
        return Vec::new();
    }
    let told =
        literals.teams.each().flat_map(|(version, written)| parts_of_groups(literals, version, written));
    told.collect()
}

fn parts_of_groups(literals: &Literals, version: Version, written: &Relations) -> Vec<String> {
    let teams = &literals.teams;
    // What means the same in both is told once.
    let told = |one: &str, other: &str| {
        version == Version::Newer && !teams.differ_about(one) && !teams.differ_about(other)
    };
    let pairs = literals.groups.iter().flat_map(|one| literals.groups.iter().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| one != other && !told(one, other))
        .map(|(one, other)| {
            let [named, other_named] = [one, other].map(|id| group(&teams.name(version, id)));
            let is_in = format!("{named} in {other_named}");
            if written.is_part_of(one, other) { is_in } else { format!("!({is_in})") }
        })
        .collect()
}

/// The ways into a group, of which each is a condition.
struct Ways<'a> {
    /// By being written down in it, or by a token that names a group that is part of it.
    known: Vec<String>,
    /// What a token that names the group itself says; of a team none does.
    by_token: Option<&'a str>,
}

impl<'a> Ways<'a> {
    /// `has` says that somebody's token names a group, `is` that they are somebody.
    fn new(
        id: &'a str,
        written: &Relations,
        has: impl Fn(&str) -> String,
        is: impl Fn(&str, &str) -> Option<String>,
    ) -> Self {
        let parts = written.parts_of(id);
        let tokens = parts.iter().filter(|(sort, part)| *sort == "Group" && is_token_group(part));
        let tokens = tokens.map(|(_, part)| has(part));
        let names = parts.iter().filter_map(|(sort, part)| is(sort, part));
        Self { known: tokens.chain(names).collect(), by_token: Some(id).filter(|id| is_token_group(id)) }
    }

    /// A group that means the same everywhere: its name stands for what tokens say, too.
    fn of_one(self, is_in: &str) -> Option<String> {
        if self.known.len() > MOST_WAYS {
            return None;
        }
        let known = self.known.join(" || ");
        match (self.by_token, known.is_empty()) {
            (Some(_), true) => None,
            // The token may name it, too.
            (Some(_), false) => Some(format!("!({known}) || {is_in}")),
            (None, true) => Some(format!("!({is_in})")),
            (None, false) => Some(format!("({is_in}) == ({known})")),
        }
    }

    /// A group of one version: that, and nothing else.
    fn of_version(mut self, is_in: &str, has: impl Fn(&str) -> String) -> Option<String> {
        self.known.extend(self.by_token.map(has));
        if self.known.len() > MOST_WAYS {
            return None;
        }
        let known = self.known.join(" || ");
        Some(if known.is_empty() { format!("!({is_in})") } else { format!("({is_in}) == ({known})") })
    }
}

/// Each group by each name that it has, and what is to be said of it.
fn of_each_group(
    literals: &Literals,
    has: &dyn Fn(&str) -> String,
    is: &dyn Fn(&str, &str) -> Option<String>,
) -> Vec<String> {
    let teams = &literals.teams;
    let of = |id: &String| -> Vec<String> {
        if !teams.differ_about(id) {
            let said = Ways::new(id, teams.common(), has, is).of_one(&has(id));
            return said.into_iter().collect();
        }
        let versions = teams.each().filter_map(|(version, written)| {
            Ways::new(id, written, has, is).of_version(&has(&teams.name(version, id)), has)
        });
        versions.collect()
    };
    literals.groups.iter().flat_map(of).collect()
}

/// A caller is in a team when a group of their token is, or when they are written down in it themselves.
pub(super) fn members(literals: &Literals, who: &str, kind: &str) -> Vec<String> {
    let has = |id: &str| format!("{who} in {}", group(id));
    let is =
        |sort: &str, id: &str| (sort == kind).then(|| format!("{who} == Tidegate::{sort}::{}", text(id)));
    of_each_group(literals, &has, &is)
}

/// Approvers bring the teams that their groups are part of; a team, by a group of its own or by somebody who is written down.
pub(super) fn of_approvers(literals: &Literals) -> Vec<String> {
    if literals.teams.are_two() {
        // Whoever approved counts in both, so they have a name of their own.
        let is = |sort: &str, id: &str| (sort == "Person").then(|| approved(&approver(id)));
        return of_each_group(literals, &approved, &is);
    }
    let written = literals.teams.common();
    let of = |id: &String| {
        let ways = Ways::new(id, written, approved, |_, _| None);
        // Somebody who is written down in it may have approved: nothing says that nobody has it.
        let named = written.parts_of(id).iter().any(|(sort, _)| *sort == "Person");
        let ways = if named { Ways { by_token: Some(id), ..ways } } else { ways };
        ways.of_one(&approved(id))
    };
    literals.groups.iter().filter_map(of).collect()
}

fn approved(group_id: &str) -> String {
    format!("context.approvals.groups.contains({})", group(group_id))
}

/// Everybody whose approval by name can matter, with the expression that says that they approved.
pub(super) fn approvers(literals: &Literals) -> Vec<(&str, String)> {
    if !literals.teams.are_two() {
        return Vec::new();
    }
    let people = literals.callers.iter().filter(|(kind, _)| kind == "Person");
    people.map(|(_, id)| (id.as_str(), approved(&approver(id)))).collect()
}

/// Whose the grant is.
pub(super) fn owner(literals: &Literals, it: &str, grant: &Grant) -> Option<String> {
    if !literals.reads("owner") {
        return Some(format!("!({it} has owner)"));
    }
    if literals.teams.owners_differ() {
        // Nobody asks the grant: each version's policies know.
        return None;
    }
    Some(match literals.teams.common().owner_of(&grant.name) {
        Some(owner) => format!("{it} has owner && {it}.owner == {}", group(owner)),
        None => format!("!({it} has owner)"),
    })
}
