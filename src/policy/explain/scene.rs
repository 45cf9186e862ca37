//! One request as Cedar sees it, to be looked at part by part.

use std::sync::LazyLock;

use arc_swap::ArcSwapOption;
use cedar_policy::{
    Entities, EntityTypeName, EntityUid, EvalResult, Expression, PolicySet, Request, eval_expression,
};
use cedar_policy_core::ast::{Expr, Name};

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

static DATETIME: LazyLock<Option<Name>> = LazyLock::new(|| Name::parse_unqualified_name("datetime").ok());
static SINCE: LazyLock<Option<Name>> = LazyLock::new(|| Name::parse_unqualified_name("durationSince").ok());
static MILLIS: LazyLock<Option<Name>> = LazyLock::new(|| Name::parse_unqualified_name("toMilliseconds").ok());

fn name(function: &LazyLock<Option<Name>>) -> Option<Name> {
    (**function).clone()
}

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
                let context = context.map_err(FactsError::of)?;
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
        match self.evaluate(expression)? {
            EvalResult::ExtensionValue(text) if text.starts_with("duration") => {
                self.millis(expression.clone()).map(Value::Span)
            }
            EvalResult::ExtensionValue(text) if text.contains("datetime(") => {
                let epoch = Expr::call_extension_fn(name(&DATETIME)?, vec![Expr::val("1970-01-01")]);
                let since = vec![expression.clone(), epoch];
                self.millis(Expr::call_extension_fn(name(&SINCE)?, since)).map(Value::Time)
            }
            found => Some(Value::of(found)),
        }
    }

    fn evaluate(&self, expression: &Expr) -> Option<EvalResult> {
        let expression = Expression::from(expression.clone());
        eval_expression(&self.request, &self.entities, &expression).ok()
    }

    /// Of a span: Cedar keeps it as it was written.
    fn millis(&self, span: Expr) -> Option<i64> {
        match self.evaluate(&Expr::call_extension_fn(name(&MILLIS)?, vec![span]))? {
            EvalResult::Long(millis) => Some(millis),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(expression: &str) -> String {
        let request = Request::new(
            r#"A::"a""#.parse().unwrap(),
            r#"Action::"b""#.parse().unwrap(),
            r#"C::"c""#.parse().unwrap(),
            cedar_policy::Context::empty(),
            None,
        );
        let (request, entities) = (request.unwrap(), Entities::empty());
        let scene = Scene { request, entities, words: Vocabulary::new().unwrap() };
        scene.value(&expression.parse().unwrap()).unwrap().tell()
    }

    #[test]
    fn every_kind_of_value_is_told_as_people_write_it() {
        for (expression, expected) in [
            ("1 == 2", "false"),
            ("40 + 2", "42"),
            (r#""a\nb""#, r"`a\nb`"),
            (r#"Tidegate::Group::"staff/oncall""#, "`staff/oncall`"),
            (r#"["b", "a"]"#, "`a`, `b`"),
            ("[]", "nothing"),
            (r#"duration("20m")"#, "20m"),
            (r#"duration("1d2h")"#, "1d2h"),
            (r#"duration("-5m")"#, "-300000ms"),
            (r#"[duration("5m")]"#, "5m"),
            (r#"datetime("2026-11-22T16:00:00Z")"#, "2026-11-22T16:00:00Z"),
            (r#"datetime("2026-11-22").offset(duration("1h"))"#, "2026-11-22T01:00:00Z"),
            (r#"datetime("2026-11-22T16:00:00Z").toTime()"#, "16h"),
            (r#"ip("10.0.0.0/8")"#, "10.0.0.0/8"),
            (r#"ip("10.1.2.3")"#, "10.1.2.3"),
            ("{ a: 1 }", "a record"),
        ] {
            assert_eq!(told(expression), expected, "{expression}");
        }
    }
}
