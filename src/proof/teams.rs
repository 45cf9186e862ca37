//! What is written down about teams and owners, as assumptions: who is in which group, and whose a grant is.
//!
//! Where two versions that are compared differ in it, nothing is assumed: a solver knows one world, not two.

use super::assume::text;
use super::literals::Literals;
use crate::grants::Grant;

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
    let Some(teams) = literals.teams.as_ref().filter(|_| literals.groups.len() <= MOST_GROUPS) else {
        return Vec::new();
    };
    let pairs = literals.groups.iter().flat_map(|one| literals.groups.iter().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| one != other)
        .map(|(one, other)| {
            let is_in = format!("{} in {}", group(one), group(other));
            if teams.is_part_of(one, other) { is_in } else { format!("!({is_in})") }
        })
        .collect()
}

/// A caller is in a team when a group of their token is, or when they are written down in it themselves.
pub(super) fn members(literals: &Literals, who: &str, kind: &str) -> Vec<String> {
    let Some(teams) = &literals.teams else { return Vec::new() };
    let of = |id: &String| {
        let parts = teams.parts_of(id);
        let by_token = parts.iter().filter(|(sort, part)| *sort == "Group" && is_token_group(part));
        let by_token = by_token.map(|(_, part)| format!("{who} in {}", group(part)));
        let by_name = parts.iter().filter(|(sort, _)| *sort == kind);
        let by_name = by_name.map(|(sort, part)| format!("{who} == Tidegate::{sort}::{}", text(part)));
        let ways: Vec<_> = by_token.chain(by_name).collect();
        if ways.len() > MOST_WAYS {
            return None;
        }
        let is_in = format!("{who} in {}", group(id));
        match (is_token_group(id), ways.is_empty()) {
            (true, true) => None,
            // The token may name it, too.
            (true, false) => Some(format!("!({}) || {is_in}", ways.join(" || "))),
            (false, true) => Some(format!("!({is_in})")),
            (false, false) => Some(format!("({is_in}) == ({})", ways.join(" || "))),
        }
    };
    literals.groups.iter().filter_map(of).collect()
}

/// Approvers bring the teams that their groups are part of; a team, by a group of its own or by somebody who is written down.
pub(super) fn of_approvers(literals: &Literals) -> Vec<String> {
    let Some(teams) = &literals.teams else { return Vec::new() };
    let has = |id: &str| format!("context.approvals.groups.contains({})", group(id));
    let of = |id: &String| {
        let parts = teams.parts_of(id);
        let named = parts.iter().any(|(sort, _)| *sort == "Person");
        let ways: Vec<_> = parts
            .iter()
            .filter(|(sort, part)| *sort == "Group" && is_token_group(part))
            .map(|(_, part)| has(part))
            .collect();
        if ways.len() > MOST_WAYS {
            return None;
        }
        match (is_token_group(id) || named, ways.is_empty()) {
            (true, true) => None,
            (true, false) => Some(format!("!({}) || {}", ways.join(" || "), has(id))),
            (false, true) => Some(format!("!({})", has(id))),
            (false, false) => Some(format!("({}) == ({})", has(id), ways.join(" || "))),
        }
    };
    literals.groups.iter().filter_map(of).collect()
}

/// Whose the grant is.
pub(super) fn owner(literals: &Literals, it: &str, grant: &Grant) -> Option<String> {
    if !literals.reads("owner") {
        return Some(format!("!({it} has owner)"));
    }
    let owner = literals.teams.as_ref()?.owner_of(&grant.name);
    Some(match owner {
        Some(owner) => format!("{it} has owner && {it}.owner == {}", group(owner)),
        None => format!("!({it} has owner)"),
    })
}
