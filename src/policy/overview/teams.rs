//! Teams as the customer wrote them down: who is in which, which is part of which, and which owns what.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::ids::GrantName;
use crate::policy::Relations;
use crate::secret::Fingerprint;

/// A page that nobody reads to its end hides what is on it.
const MOST_TEAMS: usize = 200;
const MOST_NAMES: usize = 25;

/// What `entities.json` says.
#[derive(Clone, Debug, Serialize)]
pub struct TeamsOverview {
    /// SHA-256 of the file, as `policy.loaded` has it.
    pub sha256: Fingerprint,
    /// Those that own a grant, then the others, each in the order of their names.
    pub groups: Listed<TeamOverview>,
}

/// One group: a team of the file, or one that tokens of an issuer name (`<issuer name>/<group>`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TeamOverview {
    /// Its id.
    pub name: String,
    /// The groups that it is part of, at whatever distance.
    pub part_of: Listed<String>,
    /// Who and what is written down in it, at whatever distance.
    pub members: Listed<Member>,
    /// Its grants.
    pub owns: Listed<GrantName>,
}

/// Somebody, or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Member {
    /// `group`, `person` or `workload`.
    pub kind: String,
    /// The id.
    pub name: String,
}

/// The first of some, and how many are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// As many as are shown.
    pub first: Vec<T>,
    /// How many more there are.
    pub more: usize,
}

impl<T> Listed<T> {
    fn of(all: impl IntoIterator<Item = T>, most: usize) -> Self {
        let mut all = all.into_iter();
        Self { first: all.by_ref().take(most).collect(), more: all.count() }
    }
}

/// Of the teams of policy sets; `None` when none are written down.
pub(super) fn teams(relations: &Relations, sha256: Option<Fingerprint>) -> Option<TeamsOverview> {
    let mut owned: BTreeMap<&str, BTreeSet<&GrantName>> = BTreeMap::new();
    for grant in relations.owned() {
        owned.entry(relations.owner_of(grant)?).or_default().insert(grant);
    }
    let groups = relations.groups();
    let (owners, others): (Vec<&str>, Vec<&str>) =
        groups.into_iter().partition(|name| owned.contains_key(name));
    let all = owners.into_iter().chain(others);
    let Listed { first, more } = Listed::of(all, MOST_TEAMS);
    let team = |name: &str| TeamOverview {
        name: name.to_owned(),
        part_of: Listed::of(relations.wholes_of(name).into_iter().map(str::to_owned), MOST_NAMES),
        members: Listed::of(relations.parts_of(name).into_iter().map(Member::of), MOST_NAMES),
        owns: Listed::of(owned.get(name).into_iter().flatten().copied().cloned(), MOST_NAMES),
    };
    let groups = Listed { first: first.into_iter().map(team).collect(), more };
    sha256.map(|sha256| TeamsOverview { sha256, groups })
}

impl Member {
    fn of((kind, name): (&str, &str)) -> Self {
        Self { kind: kind.to_ascii_lowercase(), name: name.to_owned() }
    }
}
