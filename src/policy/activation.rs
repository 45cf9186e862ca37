//! How many approvals would open a window: found by asking, because only the policies know.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::EntityUid;

use super::PolicyEngine;
use super::engine::Loaded;
use super::question::{ActivateProbe, Approvals, PersonQuestion, Wish};
use super::relations::{groups_in, principal_id, token_group};
use super::schema::Action;
use crate::grants::Grant;
use crate::ids::IssuerName;
use crate::principal::PrincipalId;

/// A policy that wants more people than this is met by nobody at night.
const MOST_APPROVALS: u32 = 10;

/// Groups as an approver brings them.
type Groups = BTreeSet<(IssuerName, String)>;
type People = BTreeSet<PrincipalId>;

impl PolicyEngine {
    /// The fewest approvals with which policy could permit `activate`; `None` when not even ten suffice.
    ///
    /// It is asked with the groups of the approvers so far, and with every group that a policy names beside them, or that
    /// owns the grant: the next approver may be in it. So the answer is what could suffice; whether it did is decided when
    /// it is reached.
    pub fn approvals_needed(&self, probe: &ActivateProbe<'_>) -> Option<u32> {
        let live = self.live.load();
        let (people, groups) = live.hoped_for(probe);
        let permitted = |approvals| live.person(&question(probe, approvals)).is_ok();
        (1..=MOST_APPROVALS).find(|count| {
            permitted(Approvals { count: *count, people: &people, groups: &groups })
                || permitted(Approvals { count: *count, people: probe.people, groups: probe.groups })
        })
    }
}

fn question<'a>(probe: &ActivateProbe<'a>, approvals: Approvals<'a>) -> PersonQuestion<'a> {
    let ActivateProbe { person, authentication, source_ip, at, grant, duration, .. } = *probe;
    let wish = Wish::Activate { grant, duration, approvals };
    PersonQuestion { person, authentication, source_ip, at, wish }
}

impl Loaded {
    /// The approvers so far, and those of whom one may come next: whoever brings, or is written down in, a group that matters.
    /// A team that nobody leads to is brought by nobody.
    fn hoped_for(&self, probe: &ActivateProbe<'_>) -> (People, Groups) {
        let (mut people, mut groups) = (probe.people.clone(), probe.groups.clone());
        let relations = self.sets.relations();
        for wanted in self.groups_that_matter(probe.grant) {
            let below = relations.below(&wanted);
            let tokens = std::iter::once(&wanted).chain(below).filter(|uid| self.is_group(uid));
            groups.extend(tokens.filter_map(|uid| {
                let (issuer, group) = token_group(uid.id().unescaped())?;
                Some((issuer, group.to_owned()))
            }));
            let members = below.iter().filter(|uid| *uid.type_name() == self.sets.words.person);
            // One is enough to be in the group, and the requester never approves.
            people.extend(members.filter_map(principal_id).find(|id| *id != probe.person.id));
        }
        (people, groups)
    }

    fn groups_that_matter(&self, grant: &Grant) -> HashSet<EntityUid> {
        let candidates = self.index.about_grant(Action::Activate, &grant.name);
        let policies = candidates.into_iter().flat_map(|candidates| candidates.set.policies());
        let conditions = policies.filter_map(|policy| policy.as_ref().non_scope_constraints());
        let mut groups: HashSet<EntityUid> =
            conditions.flat_map(|condition| groups_in(condition, &self.sets.words)).collect();
        groups.extend(self.sets.relations().owner(&grant.name).cloned());
        groups
    }

    fn is_group(&self, uid: &EntityUid) -> bool {
        *uid.type_name() == self.sets.words.group
    }
}
