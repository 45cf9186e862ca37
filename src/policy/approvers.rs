//! Can anybody approve at all? Whoever asks for access that nobody can ever give is told so at once, not after the
//! request's life.
//!
//! Asked before there is an elevation, so most of what policies read is unknown: everything about the approver but the
//! issuer, the elevation but its grant, and the whole context. What is unknown counts as possible.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{
    Context, Effect, Entities, Entity, EntityUid, EvalResult, Expression, Policy, PrincipalConstraint,
    Request, ResourceConstraint, eval_expression,
};
use cedar_policy_core::ast::{Expr, ExprKind, UnaryOp, Var};

use super::PolicyEngine;
use super::engine::Loaded;
use super::entities::GrantEntity;
use super::index::Candidates;
use super::schema::{Action, Vocabulary, uid};
use super::sets::PolicySets;
use super::values::{Members, entity};
use crate::grants::Grant;
use crate::ids::IssuerName;
use crate::principal::PrincipalId;

impl PolicyEngine {
    /// Could anybody but `requester`, signed in by one of the `approving` issuers, ever be permitted to approve an
    /// elevation for `grant`? `false` only when it is certain that nobody could.
    ///
    /// It sees whom the scopes of `approve` policies leave, that one person needs a permit of every author, forbids that
    /// hold for all of an issuer, conditions as far as they read `resource.grant` and `principal.issuer`, and who is written
    /// down in which team. It cannot see who is in a token's group today (an empty group looks like a full one; one of a
    /// barred issuer does not), nor what other conditions will say. `true` promises nothing.
    pub fn could_anyone_approve(
        &self,
        grant: &Arc<Grant>,
        approving: &BTreeSet<IssuerName>,
        requester: &PrincipalId,
    ) -> bool {
        let live = self.live.load();
        let facts = live.grant_entity(grant);
        let (Ok(facts), Some(candidates)) = (facts, live.index.about_elevations(Action::Approve)) else {
            return false;
        };
        let requester = uid(&live.sets.words.person, &requester.to_string());
        let mut approvers = approving.iter().flat_map(|issuer| live.approvers(issuer, candidates));
        approvers
            .any(|approver| approver.uid != requester && live.could_approve(&approver, facts, candidates))
    }
}

/// Somebody who might approve: one whom a policy names or a team has, or anybody else of an issuer.
struct Approver<'a> {
    issuer: &'a IssuerName,
    uid: EntityUid,
}

impl Loaded {
    fn approvers<'a>(&self, issuer: &'a IssuerName, candidates: &Candidates) -> Vec<Approver<'a>> {
        let words = &self.sets.words;
        let prefix = format!("{issuer}|");
        let named = candidates.set.policies().filter_map(|policy| match policy.principal_constraint() {
            PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::In(uid)
            | PrincipalConstraint::IsIn(_, uid) => {
                let person = *uid.type_name() == words.person && uid.id().unescaped().starts_with(&prefix);
                person.then_some(uid)
            }
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        });
        // No subject is empty, so no policy and no team can mean this one.
        let anybody = uid(&words.person, &prefix);
        let members = self.sets.relations().people_of(issuer, words);
        named.chain(members).chain([anybody]).map(|uid| Approver { issuer, uid }).collect()
    }

    fn could_approve(&self, approver: &Approver<'_>, grant: &GrantEntity, candidates: &Candidates) -> bool {
        // What cannot be built is unknown, not impossible.
        let Some(known) = Known::new(approver, grant, &self.sets.words) else { return true };
        let verdicts: Vec<_> = candidates
            .set
            .policies()
            .map(|policy| (policy, both(approver.is_meant(policy, &self.sets), known.condition(policy))))
            .collect();
        let forbidden =
            verdicts.iter().any(|(policy, holds)| policy.effect() == Effect::Forbid && *holds == Some(true));
        let permits = |author| {
            verdicts.iter().any(|(policy, holds)| {
                let own = candidates.names.get(policy.id()).is_some_and(|name| name.author() == author);
                own && policy.effect() == Effect::Permit && *holds != Some(false)
            })
        };
        !forbidden && self.sets.authors().iter().all(|author| permits(*author))
    }
}

/// `None` is unknown, here and below.
type Verdict = Option<bool>;

fn both(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn either(one: Verdict, other: Verdict) -> Verdict {
    both(one.map(|holds| !holds), other.map(|holds| !holds)).map(|neither| !neither)
}

impl Approver<'_> {
    /// Does the policy's scope mean this person, and an elevation that does not exist yet?
    fn is_meant(&self, policy: &Policy, sets: &PolicySets) -> Verdict {
        let words = &sets.words;
        let person = match policy.principal_constraint() {
            PrincipalConstraint::Any => Some(true),
            PrincipalConstraint::Is(kind) => Some(kind == words.person),
            PrincipalConstraint::IsIn(kind, _) if kind != words.person => Some(false),
            PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::In(uid)
            | PrincipalConstraint::IsIn(_, uid) => self.is_in(&uid, sets),
        };
        let elevation = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => Some(true),
            // The index left only elevations, and nobody knows their ids before.
            ResourceConstraint::Eq(_) | ResourceConstraint::In(_) | ResourceConstraint::IsIn(..) => None,
        };
        both(person, elevation)
    }

    /// A group's members come with their tokens, or are written down. Of a token's groups only the issuer is known before,
    /// and which groups they lead to.
    fn is_in(&self, uid: &EntityUid, sets: &PolicySets) -> Verdict {
        let relations = sets.relations();
        if *uid == self.uid || relations.above(&self.uid).contains(uid) {
            return Some(true);
        }
        let is_own = |group: &EntityUid| {
            let rest = group.id().unescaped().strip_prefix(self.issuer.as_str());
            *group.type_name() == sets.words.group && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let own = is_own(uid) || relations.below(uid).iter().any(is_own);
        if own { None } else { Some(false) }
    }
}

/// What is known before there is an elevation, for Cedar to evaluate conditions that read nothing else.
struct Known {
    request: Request,
    entities: Entities,
}

impl Known {
    fn new(approver: &Approver<'_>, grant: &GrantEntity, words: &Vocabulary) -> Option<Self> {
        let mut person = Members::default();
        person.put("issuer", entity(uid(&words.issuer, approver.issuer.as_str())));
        let person = Entity::new_with_tags(approver.uid.clone(), person.0, [], []).ok()?;
        let resource = uid(&words.elevation, "");
        let mut elevation = Members::default();
        elevation.put("grant", entity(grant.uid.clone()));
        let elevation = Entity::new_with_tags(resource.clone(), elevation.0, [], []).ok()?;
        let entities = grant.entities.clone().add_entities([person, elevation], None).ok()?;
        let action = words.action(Action::Approve);
        let request = Request::new(approver.uid.clone(), action, resource, Context::empty(), None).ok()?;
        Some(Self { request, entities })
    }

    fn condition(&self, policy: &Policy) -> Verdict {
        policy.as_ref().non_scope_constraints().map_or(Some(true), |condition| self.verdict(condition))
    }

    /// Of three values (Kleene). A part that fails counts as unknown; that errs to no side, because a failure denies.
    fn verdict(&self, condition: &Expr) -> Verdict {
        match condition.expr_kind() {
            _ if reads_only_what_is_known(condition) => self.evaluate(condition),
            ExprKind::And { left, right } => both(self.verdict(left), self.verdict(right)),
            ExprKind::Or { left, right } => either(self.verdict(left), self.verdict(right)),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => self.verdict(arg).map(|holds| !holds),
            _ => None,
        }
    }

    fn evaluate(&self, condition: &Expr) -> Verdict {
        match eval_expression(&self.request, &self.entities, &Expression::from(condition.clone())) {
            Ok(EvalResult::Bool(holds)) => Some(holds),
            Ok(_) | Err(_) => None,
        }
    }
}

/// Every variable in it stands as `resource.grant` or `principal.issuer`.
fn reads_only_what_is_known(condition: &Expr) -> bool {
    let (mut variables, mut known) = (0_usize, 0_usize);
    for node in condition.subexpressions() {
        match node.expr_kind() {
            ExprKind::Var(Var::Action) => {}
            ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => variables += 1,
            ExprKind::GetAttr { expr, attr } => known += usize::from(is_known(expr, attr)),
            _ => {}
        }
    }
    variables == known
}

fn is_known(of: &Expr, attribute: &str) -> bool {
    match of.expr_kind() {
        ExprKind::Var(Var::Resource) => attribute == "grant",
        ExprKind::Var(Var::Principal) => attribute == "issuer",
        _ => false,
    }
}
