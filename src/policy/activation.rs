//! How many approvals would open a window: found by asking, because only the policies know.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::EntityUid;

use super::PolicyEngine;
use super::engine::Loaded;
use super::index::Candidates;
use super::question::{ActivateProbe, Approvals, PersonQuestion, Wish};
use super::relations::{groups_in, principal_id, token_group};
use super::schema::Action;
use super::sets::PolicySets;
use crate::ids::{GrantName, IssuerName};
use crate::principal::PrincipalId;

/// A policy that wants more people than this is met by nobody at night.
pub(super) const MOST_APPROVALS: u32 = 10;

impl PolicyEngine {
    /// The fewest approvals with which policy could permit `activate`; `None` when not even ten suffice.
    ///
    /// It is asked with the groups of the approvers so far, and with every group that a policy names beside them, or that
    /// owns the grant: the next approver may be in it. So the answer is what could suffice; whether it did is decided when
    /// it is reached.
    pub fn approvals_needed(&self, probe: &ActivateProbe<'_>) -> Option<u32> {
        let live = self.live.load();
        let hoped = live.hoped_for(probe);
        let permitted = |approvals| live.person(&question(probe, approvals)).is_ok();
        (1..=MOST_APPROVALS).find(|count| {
            permitted(Approvals { count: *count, people: &hoped.people, groups: &hoped.groups })
                || permitted(Approvals { count: *count, people: probe.people, groups: probe.groups })
        })
    }
}

fn question<'a>(probe: &ActivateProbe<'a>, approvals: Approvals<'a>) -> PersonQuestion<'a> {
    let ActivateProbe { person, authentication, source_ip, at, grant, duration, .. } = *probe;
    let wish = Wish::Activate { grant, duration, approvals };
    PersonQuestion { person, authentication, source_ip, at, wish }
}

/// The approvers so far, and those of whom one may come next.
#[derive(Clone, Debug, Default)]
pub(super) struct Hoped {
    pub(super) people: BTreeSet<PrincipalId>,
    pub(super) groups: BTreeSet<(IssuerName, String)>,
}

/// Whoever brings, or is written down in, a group that matters: one that a policy about opening names, or that owns the
/// grant. A team that nobody leads to is brought by nobody.
pub(super) fn hoped(
    sets: &PolicySets,
    candidates: &Candidates,
    grant: &GrantName,
    requester: &PrincipalId,
) -> Hoped {
    let (mut hoped, relations, words) = (Hoped::default(), sets.relations(), &sets.words);
    let conditions = candidates.set.policies().filter_map(|policy| policy.as_ref().non_scope_constraints());
    let mut wanted: HashSet<EntityUid> =
        conditions.flat_map(|condition| groups_in(condition, words)).collect();
    wanted.extend(relations.owner(grant).cloned());
    for group in &wanted {
        let below = relations.below(group);
        let tokens = std::iter::once(group).chain(below).filter(|uid| *uid.type_name() == words.group);
        hoped.groups.extend(tokens.filter_map(|uid| {
            let (issuer, group) = token_group(uid.id().unescaped())?;
            Some((issuer, group.to_owned()))
        }));
        let members = below.iter().filter(|uid| *uid.type_name() == words.person);
        // One is enough to be in the group, and the requester never approves.
        hoped.people.extend(members.filter_map(principal_id).find(|id| id != requester));
    }
    hoped
}

impl Loaded {
    fn hoped_for(&self, probe: &ActivateProbe<'_>) -> Hoped {
        let candidates = self.index.about_grant(Action::Activate, &probe.grant.name);
        let mut hoped = candidates.map_or_else(Hoped::default, |candidates| {
            hoped(&self.sets, candidates, &probe.grant.name, &probe.person.id)
        });
        hoped.people.extend(probe.people.iter().cloned());
        hoped.groups.extend(probe.groups.iter().cloned());
        hoped
    }
}
