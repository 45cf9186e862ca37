//! How many approvals would open a window: found by asking, because only the policies know.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Expr, ExprKind, Literal};

use super::engine::Loaded;
use super::question::{ActivateProbe, Approvals, PersonQuestion, Wish};
use super::schema::Action;
use super::{PolicyEngine, schema::Vocabulary};
use crate::grants::Grant;
use crate::ids::IssuerName;

/// A policy that wants more people than this is met by nobody at night.
const MOST_APPROVALS: u32 = 10;

/// Groups as an approver brings them.
type Groups = BTreeSet<(IssuerName, String)>;

impl PolicyEngine {
    /// The fewest approvals with which policy could permit `activate`; `None` when not even ten suffice.
    ///
    /// It is asked with the groups of the approvers so far, and with every group that a policy names beside them: the next
    /// approver may be in it. So the answer is what could suffice; whether it did is decided when it is reached.
    pub fn approvals_needed(&self, probe: &ActivateProbe<'_>) -> Option<u32> {
        let live = self.live.load();
        let hoped: Groups = live.groups_named_for(probe.grant).chain(probe.groups.iter().cloned()).collect();
        let permitted = |count, groups| live.person(&question(probe, Approvals { count, groups })).is_ok();
        (1..=MOST_APPROVALS).find(|count| permitted(*count, &hoped) || permitted(*count, probe.groups))
    }
}

fn question<'a>(probe: &ActivateProbe<'a>, approvals: Approvals<'a>) -> PersonQuestion<'a> {
    let ActivateProbe { person, authentication, source_ip, at, grant, duration, .. } = *probe;
    let wish = Wish::Activate { grant, duration, approvals };
    PersonQuestion { person, authentication, source_ip, at, wish }
}

impl Loaded {
    fn groups_named_for(&self, grant: &Grant) -> impl Iterator<Item = (IssuerName, String)> {
        let candidates = self.index.about_grant(Action::Activate, &grant.name);
        let policies = candidates.into_iter().flat_map(|candidates| candidates.set.policies());
        policies.flat_map(|policy| {
            let nodes = policy.as_ref().non_scope_constraints().into_iter().flat_map(Expr::subexpressions);
            nodes.filter_map(|node| group(node.expr_kind(), &self.sets.words)).collect::<Vec<_>>()
        })
    }
}

/// A name without an issuer's in front is no group that anybody could bring.
fn group(node: &ExprKind, words: &Vocabulary) -> Option<(IssuerName, String)> {
    let ExprKind::Lit(Literal::EntityUID(uid)) = node else { return None };
    let uid = cedar_policy::EntityUid::from(uid.as_ref().clone());
    let named = (*uid.type_name() == words.group).then(|| uid.id().unescaped().to_owned())?;
    let (issuer, group) = named.split_once('/')?;
    Some((IssuerName::new(issuer).ok()?, group.to_owned()))
}
