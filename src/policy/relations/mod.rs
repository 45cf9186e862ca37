//! Who belongs to which team, which team is part of which, and which team owns which grant: what the customer writes down
//! in `entities.json` beside the policies. Knows all of it flattened, so that a decision pays a look-up and no walk;
//! refuses to know what anybody may do with it.
//!
//! A group's id says who can put people into it. `<issuer name>/<group>` is a group that the issuer's tokens name; what has
//! no `/` is a team of this file, which no token can name.

mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Entity, EntityUid};
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal};

use super::fault::{Fault, LoadError};
use super::load::LoadedPolicy;
use super::schema::{Vocabulary, uid};
use crate::ids::{GrantName, IssuerName};
use crate::principal::PrincipalId;

/// The file, relative to the policy folder.
pub(super) const RELATIONS_FILE: &str = "entities.json";

/// Memberships, hierarchy and ownership that the customer wrote down.
#[derive(Clone, Debug, Default)]
pub struct Relations {
    written: Arc<Written>,
    /// Groups that a policy asks about by name (`Group::"a" in …`): those questions need the group itself.
    asked_about: HashSet<EntityUid>,
}

/// What the file says, flattened.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    /// Every declared group, person and workload, with each group that it is in, at whatever distance.
    above: HashMap<EntityUid, Box<[EntityUid]>>,
    /// The same from the other end.
    below: HashMap<EntityUid, Vec<EntityUid>>,
    owners: HashMap<GrantName, EntityUid>,
}

impl Relations {
    /// Is nothing written down?
    pub fn is_empty(&self) -> bool {
        self.written.above.is_empty() && self.written.owners.is_empty()
    }

    /// The ids of all declared groups.
    pub fn groups(&self) -> BTreeSet<&str> {
        let groups = self.written.above.keys().filter(|uid| uid.type_name().basename() == "Group");
        groups.map(|uid| uid.id().unescaped()).collect()
    }

    /// The id of the group that owns a grant.
    pub fn owner_of(&self, grant: &GrantName) -> Option<&str> {
        self.written.owners.get(grant).map(|owner| owner.id().unescaped())
    }

    /// The grants that somebody owns.
    pub fn owned(&self) -> impl Iterator<Item = &GrantName> {
        self.written.owners.keys()
    }

    /// Whose people or workloads can be in that group: by a token that names it or a group below it, or because they are
    /// written down in one. An id without `/` that nobody is written down for has none.
    pub fn issuers_reaching(&self, group: &str) -> BTreeSet<IssuerName> {
        let below = self.written.below.iter().filter(|(uid, _)| uid.id().unescaped() == group);
        let below = below.flat_map(|(_, below)| below.iter().filter_map(issuer_of));
        issuer_of_group(group).into_iter().chain(below).collect()
    }

    /// Whether one group is written down as part of the other, at whatever distance.
    pub fn is_part_of(&self, group: &str, other: &str) -> bool {
        self.wholes_of(group).contains(other)
    }

    /// The groups that a group is written down as a part of, at whatever distance.
    pub fn wholes_of(&self, group: &str) -> BTreeSet<&str> {
        let of = |uid: &EntityUid| uid.type_name().basename() == "Group" && uid.id().unescaped() == group;
        let found = self.written.above.iter().find(|(uid, _)| of(uid));
        found.into_iter().flat_map(|(_, above)| above).map(|uid| uid.id().unescaped()).collect()
    }

    /// Who and what is written down in a group, at whatever distance: the sort (`Group`, `Person`, `Workload`) and the id.
    pub fn parts_of(&self, group: &str) -> BTreeSet<(&str, &str)> {
        let below = self.written.below.iter().filter(|(uid, _)| uid.id().unescaped() == group);
        let below = below.flat_map(|(_, below)| below);
        below.map(|uid| (uid.type_name().basename(), uid.id().unescaped())).collect()
    }

    /// Is the same written down in both?
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.written == other.written
    }

    /// Every issuer whose name stands in the file.
    pub fn issuers_named(&self) -> BTreeSet<IssuerName> {
        self.written.above.keys().filter_map(issuer_of).collect()
    }

    /// The groups that a declared group, person or workload is in, at whatever distance.
    pub(super) fn above(&self, uid: &EntityUid) -> &[EntityUid] {
        self.written.above.get(uid).map(|above| &**above).unwrap_or_default()
    }

    /// Every declared group, person and workload that is in a group, at whatever distance.
    pub(super) fn below(&self, group: &EntityUid) -> &[EntityUid] {
        self.written.below.get(group).map(Vec::as_slice).unwrap_or_default()
    }

    /// People of an issuer who are written down: for each combination of groups two of them, so that there is always one
    /// who is not somebody else.
    pub(super) fn people_of(&self, issuer: &IssuerName, words: &Vocabulary) -> Vec<EntityUid> {
        let mut seen: HashMap<&[EntityUid], usize> = HashMap::new();
        let people = self.written.above.iter().filter(|(uid, _)| {
            *uid.type_name() == words.person && principal_id(uid).is_some_and(|id| id.issuer == *issuer)
        });
        people
            .filter(|(_, above)| {
                let count = seen.entry(above).or_default();
                *count += 1;
                *count <= 2
            })
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    /// Every group of somebody whose token names `named`.
    pub(super) fn groups_of(
        &self,
        who: &EntityUid,
        named: impl Iterator<Item = EntityUid>,
    ) -> Vec<EntityUid> {
        let mut groups = self.above(who).to_vec();
        for group in named {
            groups.extend_from_slice(self.above(&group));
            groups.push(group);
        }
        groups
    }

    pub(super) fn owner(&self, grant: &GrantName) -> Option<&EntityUid> {
        self.written.owners.get(grant)
    }

    /// The same, with the groups that policies put to the left of an `in`.
    pub(super) fn asked_about_by(&self, policies: &[LoadedPolicy], words: &Vocabulary) -> Self {
        let mut asked_about = HashSet::new();
        let policies = if self.is_empty() { &[] } else { policies };
        for condition in policies.iter().filter_map(|loaded| loaded.policy.as_ref().non_scope_constraints()) {
            for node in condition.subexpressions() {
                if let ExprKind::BinaryApp { op: BinaryOp::In, arg1, .. } = node.expr_kind() {
                    asked_about.extend(groups_in(arg1, words));
                }
            }
        }
        Self { written: Arc::clone(&self.written), asked_about }
    }

    /// Does every issuer and every grant that it names exist? A mistyped one would be a team without people, or a grant
    /// without an owner: a forbid that rests on either would let everybody in.
    pub(super) fn check_known(
        &self,
        issuers: Option<&BTreeSet<IssuerName>>,
        is_grant: impl Fn(&GrantName) -> bool,
    ) -> Result<(), LoadError> {
        let named = self.issuers_named();
        let strange = named.iter().filter(|name| issuers.is_some_and(|known| !known.contains(*name)));
        let issuers = strange.map(|name| {
            let advice = "names the issuer `{}`, which is not configured; the id of a team has no `/`";
            Fault::of_file(RELATIONS_FILE, advice.replace("{}", name.as_str()))
        });
        let missing = self.written.owners.keys().filter(|grant| !is_grant(grant));
        let grants = missing.map(|grant| {
            Fault::of_file(RELATIONS_FILE, format!("names the grant `{grant}`, which is not configured"))
        });
        LoadError::check(issuers.chain(grants).collect())
    }

    /// The groups that a question about this grant can be about, beside those of people: its owner's, and those that
    /// policies ask about by name.
    pub(super) fn group_entities(&self, grant: &GrantName) -> Vec<Entity> {
        let groups: HashSet<&EntityUid> = self.owner(grant).into_iter().chain(&self.asked_about).collect();
        let entity = |group: &EntityUid| {
            let above = self.above(group).iter().cloned().collect();
            Entity::new_no_attrs(group.clone(), above)
        };
        groups.into_iter().map(entity).collect()
    }
}

/// Every group that stands in an expression.
pub(super) fn groups_in(expression: &Expr, words: &Vocabulary) -> Vec<EntityUid> {
    let group = |node: &Expr| match node.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => {
            let uid = EntityUid::from(uid.as_ref().clone());
            (*uid.type_name() == words.group).then_some(uid)
        }
        _ => None,
    };
    expression.subexpressions().filter_map(group).collect()
}

/// A token's group, taken apart; `None` for a team.
pub(super) fn token_group(id: &str) -> Option<(IssuerName, &str)> {
    let (issuer, group) = id.split_once('/')?;
    Some((IssuerName::new(issuer).ok()?, group))
}

fn issuer_of_group(id: &str) -> Option<IssuerName> {
    token_group(id).map(|(issuer, _)| issuer)
}

/// Who says that somebody is this: the issuer of a token's group, of a person, of a workload.
fn issuer_of(uid: &EntityUid) -> Option<IssuerName> {
    match uid.type_name().basename() {
        "Group" => issuer_of_group(uid.id().unescaped()),
        _ => principal_id(uid).map(|id| id.issuer),
    }
}

/// Of a person or workload.
pub(super) fn principal_id(uid: &EntityUid) -> Option<PrincipalId> {
    let (issuer, subject) = uid.id().unescaped().split_once('|')?;
    Some(PrincipalId { issuer: IssuerName::new(issuer).ok()?, subject: subject.parse().ok()? })
}

/// `<issuer name>/<group>`: an issuer's name holds no `/`, so no issuer can name another's group, and no team.
pub(super) fn token_group_uid(issuer: &IssuerName, group: &str, words: &Vocabulary) -> EntityUid {
    uid(&words.group, &format!("{issuer}/{group}"))
}
