//! One request as Cedar sees it, to be looked at part by part.

use arc_swap::ArcSwapOption;
use cedar_policy::{
    Entities, EntityTypeName, EntityUid, Expression, PolicySet, Request, eval_expression,
};
use cedar_policy_core::ast::Expr;

use super::place::{Place, Step};
use super::value::Value;
use crate::policy::PolicySets;
use crate::policy::context;
use crate::policy::entities::GrantEntity;
use crate::policy::facts::{Asked, Facts, FactsError};
use crate::policy::index::Candidates;
use crate::policy::reads::Reads;
use crate::policy::schema::{Vocabulary, uid};
use crate::policy::sets::{Refusal, with_issue_question, with_person_question};

/// A request with every entity that it names.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) request: Request,
    pub(super) entities: Entities,
    pub(super) words: Vocabulary,
}

impl Scene {
    /// Of facts, with everything in it: a part that no policy reads may be what another request would have.
    pub(super) fn of(sets: &PolicySets, facts: &Facts) -> Result<Self, FactsError> {
        let everything = Candidates {
            set: PolicySet::new(),
            names: std::collections::HashMap::new(),
            reads: Reads::ALL,
            lifetime_context: ArcSwapOption::empty(),
        };
        let grant = facts.grant.to_grant()?;
        let entity = GrantEntity::new(&grant, &sets.words).map_err(FactsError::of)?;
        let built = if let Asked::Issue { .. } = facts.asked {
            with_issue_question(facts, &grant, |question| {
                let context = context::issue(question, &sets.words, Reads::ALL);
                let context = context.map_err(|error| FactsError::of(error))?;
                sets.issue_request(question, &entity, &everything, context).map_err(unbuilt)
            })
        } else {
            with_person_question(facts, &grant, |question| {
                sets.person_request(question, &entity, &everything).map_err(unbuilt)
            })
        };
        let (request, entities) = built??;
        Ok(Self { request, entities, words: sets.words.clone() })
    }

    /// Does it hold? `None` when it fails.
    pub(super) fn truth(&self, expression: &Expr) -> Option<bool> {
        match self.value(expression) {
            Some(Value::Truth(truth)) => Some(truth),
            _ => None,
        }
    }

    /// What it comes to; `None` when it fails.
    pub(super) fn value(&self, expression: &Expr) -> Option<Value> {
        let expression = Expression::from(expression.clone());
        eval_expression(&self.request, &self.entities, &expression).ok().map(Value::of)
    }

    /// What is found there; `None` when nothing is.
    pub(super) fn found(&self, place: &Place) -> Option<Value> {
        let root = Expr::var(place.root);
        self.value(&place.steps.iter().fold(root, |of, step| match step {
            Step::Attribute(name) => Expr::get_attr(of, name.as_str().into()),
            Step::Tag(name) => Expr::get_tag(of, Expr::val(name.as_str())),
        }))
    }

    /// Whose group it is; `None` for anything else.
    pub(super) fn issuer_of(&self, group: &EntityUid) -> Option<EntityUid> {
        let named = (*group.type_name() == self.words.group).then(|| group.id().unescaped())?;
        named.split_once('/').map(|(issuer, _)| uid(&self.words.issuer, issuer))
    }

    /// Of what is found there.
    pub(super) fn type_of(&self, place: &Place) -> Option<EntityTypeName> {
        match self.found(place) {
            Some(Value::Entity(uid)) => Some(uid.type_name().clone()),
            _ => None,
        }
    }
}

fn unbuilt((reason, _): Refusal) -> FactsError {
    FactsError::of(reason)
}
