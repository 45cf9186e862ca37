//! Somebody of an issuer wants something with a grant: what policies say to that when nothing else is known.

use cedar_policy::{
    Context, Entities, Entity, EntityTypeName, EntityUid, EvalResult, Expression, PrincipalConstraint,
    Request, ResourceConstraint, RestrictedExpression, eval_expression,
};
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, UnaryOp, Var};

use super::verdict::{Verdict, both, chosen, either, not};
use super::{Subject, names, walk};
use crate::claims::Profile;
use crate::grants::Grant;
use crate::policy::entities::GrantEntity;
use crate::policy::schema::{Action, Vocabulary, uid};
use crate::policy::values::{Members, entity};
use crate::policy::{KnownIssuer, LoadedPolicy, World};

/// What is supposed. Everything else about the request is unknown, and counts as possible.
#[derive(Debug)]
pub(super) struct Hypothesis<'a> {
    subject: &'a Subject<'a>,
    pub(super) action: Action,
    person: bool,
    pub(super) issuer: Option<&'a KnownIssuer>,
    pub(super) grant: Option<&'a Grant>,
    /// Nobody has approved yet; else the approvals are unknown.
    unapproved: bool,
    request: Request,
    entities: Entities,
}

/// Records that a workload has by its issuer's profile.
const RECORDS: [&str; 5] = ["kubernetes", "github", "gitlab", "spiffe", "aws"];

impl<'a> Hypothesis<'a> {
    /// `None` when Cedar cannot hold it.
    pub(super) fn new(
        subject: &'a Subject<'a>,
        action: Action,
        person: bool,
        issuer: Option<&'a KnownIssuer>,
        grant: Option<&'a Grant>,
    ) -> Option<Self> {
        let words = subject.words();
        let (resource, entities) = resource(action, grant, words)?;
        let kind = if person { &words.person } else { &words.workload };
        let mut members = Members::default();
        if let Some(issuer) = issuer {
            members.put("issuer", entity(uid(&words.issuer, issuer.name.as_str())));
        }
        let caller = uid(kind, &format!("{}|", issuer.map_or("", |issuer| issuer.name.as_str())));
        let principal = Entity::new_with_tags(caller.clone(), members.0, [], []).ok()?;
        let entities = entities.add_entities([principal], None).ok()?;
        let request = Request::new(caller, words.action(action), resource, unapproved()?, None).ok()?;
        Some(Self { subject, action, person, issuer, grant, unapproved: false, request, entities })
    }

    /// Every question that one of the world's principals could put about one of its grants; without a world, one question
    /// for each action and kind of principal.
    pub(super) fn all(subject: &'a Subject<'a>, action: Action) -> Vec<Self> {
        let Some(world) = subject.world else {
            let kinds = [true, false].into_iter().filter(|person| *person || action == Action::Issue);
            return kinds.filter_map(|person| Self::new(subject, action, person, None, None)).collect();
        };
        world.grants.iter().flat_map(|grant| Self::about(subject, world, action, grant)).collect()
    }

    /// The same for one grant.
    pub(super) fn about(
        subject: &'a Subject<'a>,
        world: &'a World,
        action: Action,
        grant: &'a Grant,
    ) -> Vec<Self> {
        let possible = |issuer: &&KnownIssuer| match action {
            Action::Issue => !(grant.break_glass.is_some() && issuer.profile != Profile::Person),
            Action::Approve => issuer.may_approve,
            _ => issuer.profile == Profile::Person,
        };
        let asks_nobody = grant.break_glass.is_none() && !ordinary(action);
        let issuers = world.issuers.iter().filter(|_| !asks_nobody).filter(possible);
        issuers
            .filter_map(|issuer| {
                Self::new(subject, action, issuer.profile == Profile::Person, Some(issuer), Some(grant))
            })
            .collect()
    }

    /// With nobody's approval.
    pub(super) fn without_approvals(self) -> Self {
        Self { unapproved: true, ..self }
    }

    /// Does the policy hold?
    pub(super) fn holds(&self, policy: &LoadedPolicy) -> Verdict {
        // Conditions cost more than scopes, and most scopes mean something else.
        match self.is_meant(policy) {
            Some(false) => Some(false),
            meant => both(meant, self.condition(policy)),
        }
    }

    /// Does its condition?
    pub(super) fn condition(&self, policy: &LoadedPolicy) -> Verdict {
        policy.policy.as_ref().non_scope_constraints().map_or(Some(true), |condition| self.verdict(condition))
    }

    /// Does its scope mean this?
    pub(super) fn is_meant(&self, policy: &LoadedPolicy) -> Verdict {
        let about = self.means_resource(policy);
        if about == Some(false) || !walk::actions(policy, self.subject.words()).contains(&self.action) {
            return Some(false);
        }
        both(about, self.means_caller(policy))
    }

    pub(super) fn means_caller(&self, policy: &LoadedPolicy) -> Verdict {
        match policy.policy.principal_constraint() {
            PrincipalConstraint::Any => Some(true),
            PrincipalConstraint::Is(kind) => Some(kind == *self.kind()),
            PrincipalConstraint::IsIn(kind, _) if kind != *self.kind() => Some(false),
            PrincipalConstraint::Eq(uid) => self.is_caller(&uid),
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => self.caller_is_in(&uid),
        }
    }

    pub(super) fn means_resource(&self, policy: &LoadedPolicy) -> Verdict {
        let words = self.subject.words();
        let kind = if self.action.is_about_elevation() { &words.elevation } else { &words.grant };
        match policy.policy.resource_constraint() {
            ResourceConstraint::Any => Some(true),
            ResourceConstraint::Is(found) => Some(found == *kind),
            ResourceConstraint::IsIn(found, _) if found != *kind => Some(false),
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                self.resource_is(&uid)
            }
        }
    }

    fn resource_is(&self, uid: &EntityUid) -> Verdict {
        let (words, kind, id) = (self.subject.words(), uid.type_name(), uid.id().unescaped());
        match self.grant {
            // Nobody knows an elevation's id before it is there.
            _ if self.action.is_about_elevation() => {
                if *kind == words.elevation {
                    None
                } else {
                    Some(false)
                }
            }
            _ if *kind != words.grant && *kind != words.grant_set => Some(false),
            None => None,
            Some(grant) if *kind == words.grant => Some(grant.name.as_str() == id),
            Some(grant) => Some(grant.sets.contains(id)),
        }
    }

    fn kind(&self) -> &'a EntityTypeName {
        let words = self.subject.words();
        if self.person { &words.person } else { &words.workload }
    }

    fn is_caller(&self, uid: &EntityUid) -> Verdict {
        let own = |issuer: &KnownIssuer| uid.id().unescaped().starts_with(&format!("{}|", issuer.name));
        let possible = uid.type_name() == self.kind() && self.issuer.is_none_or(own);
        if possible { None } else { Some(false) }
    }

    /// A group's members come with their tokens; only whose group it is, is known before.
    fn caller_is_in(&self, uid: &EntityUid) -> Verdict {
        if *uid.type_name() != self.subject.words().group {
            return self.is_caller(uid);
        }
        let group = uid.id().unescaped();
        let related = self.subject.groups.contains(group);
        let own = |issuer: &KnownIssuer| {
            let name = group.strip_prefix(issuer.name.as_str()).and_then(|rest| rest.strip_prefix('/'));
            name.is_some_and(|name| names::can_name(self.subject, issuer, name))
        };
        if related || self.issuer.is_none_or(own) { None } else { Some(false) }
    }

    /// A group whose members somebody wrote down; what a token says does not get anybody in.
    pub(super) fn is_listed(&self, uid: &EntityUid) -> bool {
        let group = uid.id().unescaped();
        let named = group
            .split_once('/')
            .is_some_and(|(issuer, _)| self.issuer.is_some_and(|own| own.name.as_str() == issuer));
        *uid.type_name() == self.subject.words().group && self.subject.groups.contains(group) && !named
    }

    /// A part that fails counts as unknown; that errs to no side, because a failure denies.
    pub(super) fn verdict(&self, condition: &Expr) -> Verdict {
        match condition.expr_kind() {
            ExprKind::And { left, right } => both(self.verdict(left), self.verdict(right)),
            ExprKind::Or { left, right } => either(self.verdict(left), self.verdict(right)),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => not(self.verdict(arg)),
            ExprKind::If { test_expr, then_expr, else_expr } => {
                chosen(self.verdict(test_expr), self.verdict(then_expr), self.verdict(else_expr))
            }
            ExprKind::HasAttr { expr, attr } if !self.is_known(expr) => self.has(expr, attr),
            ExprKind::ExtHasAttr { expr, attrs } if !self.is_known(expr) => {
                // Of what stands deeper nothing is known.
                let first = self.has(expr, attrs.first());
                if attrs.len() == 1 { first } else { first.filter(|has| !has) }
            }
            ExprKind::Is { expr, entity_type } if is(expr, Var::Principal) => {
                Some(EntityTypeName::from(entity_type.clone()) == *self.kind())
            }
            ExprKind::BinaryApp { op: BinaryOp::In, arg1, arg2 } if is(arg1, Var::Principal) => {
                self.is_in(arg2)
            }
            ExprKind::BinaryApp { op: BinaryOp::Eq, arg1, arg2 } if is(arg1, Var::Principal) => {
                self.is_one(arg2)
            }
            ExprKind::BinaryApp { op: BinaryOp::Eq, arg1, arg2 } if is(arg2, Var::Principal) => {
                self.is_one(arg1)
            }
            _ if self.is_known(condition) => self.evaluate(condition),
            _ => None,
        }
    }

    fn is_one(&self, other: &Expr) -> Verdict {
        walk::named(other).and_then(|uid| self.is_caller(&uid))
    }

    fn is_in(&self, other: &Expr) -> Verdict {
        match other.expr_kind() {
            ExprKind::Set(items) => {
                items.iter().map(|item| self.is_in(item)).reduce(either).unwrap_or(Some(false))
            }
            _ => walk::named(other).and_then(|uid| self.caller_is_in(&uid)),
        }
    }

    fn has(&self, expr: &Expr, attribute: &str) -> Verdict {
        if is(expr, Var::Principal) && RECORDS.contains(&attribute) {
            let by_profile = |issuer: &KnownIssuer| issuer.profile.as_str() == attribute;
            return if self.person { Some(false) } else { self.issuer.map(by_profile) };
        }
        if is(expr, Var::Context) && attribute == "elevation" && self.action == Action::Issue {
            // A grant that is for break-glass is put to the policies with an elevation only, and no other ever is.
            return self.grant.map(|grant| grant.break_glass.is_some());
        }
        None
    }

    fn evaluate(&self, condition: &Expr) -> Verdict {
        match eval_expression(&self.request, &self.entities, &Expression::from(condition.clone())) {
            Ok(EvalResult::Bool(holds)) => Some(holds),
            Ok(_) | Err(_) => None,
        }
    }

    /// Does every variable in it stand as something that is known?
    fn is_known(&self, part: &Expr) -> bool {
        let (mut variables, mut known) = (0_usize, 0_usize);
        for node in part.subexpressions() {
            match node.expr_kind() {
                ExprKind::Var(Var::Action) => {}
                ExprKind::Var(Var::Resource) if self.knows_resource() => {}
                ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => variables += 1,
                ExprKind::GetAttr { expr, attr } => known += usize::from(self.knows(expr, attr)),
                _ => {}
            }
        }
        variables == known
    }

    fn knows_resource(&self) -> bool {
        self.grant.is_some() && !self.action.is_about_elevation()
    }

    fn knows(&self, of: &Expr, attribute: &str) -> bool {
        match of.expr_kind() {
            ExprKind::Var(Var::Principal) => attribute == "issuer" && self.issuer.is_some(),
            ExprKind::Var(Var::Resource) => {
                attribute == "grant" && self.grant.is_some() && self.action.is_about_elevation()
            }
            ExprKind::Var(Var::Context) => attribute == "approvals" && self.unapproved,
            _ => false,
        }
    }
}

/// Is it asked about grants that are not for break-glass?
fn ordinary(action: Action) -> bool {
    matches!(action, Action::Issue | Action::Lock | Action::Audit | Action::Explain)
}

pub(super) fn is(node: &Expr, variable: Var) -> bool {
    matches!(node.expr_kind(), ExprKind::Var(found) if *found == variable)
}

fn resource(action: Action, grant: Option<&Grant>, words: &Vocabulary) -> Option<(EntityUid, Entities)> {
    let grant = grant.map(|grant| GrantEntity::new(grant, words)).transpose().ok()?;
    if !action.is_about_elevation() {
        return Some(match grant {
            Some(grant) => (grant.uid, grant.entities),
            None => (uid(&words.grant, ""), Entities::empty()),
        });
    }
    let elevation = uid(&words.elevation, "");
    let mut members = Members::default();
    if let Some(grant) = &grant {
        members.put("grant", entity(grant.uid.clone()));
    }
    let entities = grant.map_or_else(Entities::empty, |grant| grant.entities);
    let built = Entity::new_with_tags(elevation.clone(), members.0, [], []).ok()?;
    Some((elevation, entities.add_entities([built], None).ok()?))
}

fn unapproved() -> Option<Context> {
    let mut approvals = Members::default();
    approvals.put("count", RestrictedExpression::new_long(0));
    approvals.put("groups", RestrictedExpression::new_set([]));
    Context::from_pairs([("approvals".to_owned(), approvals.record().ok()?)]).ok()
}
