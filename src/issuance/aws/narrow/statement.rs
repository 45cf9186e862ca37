//! One statement without its effect, and what two of them have in common.

use serde_json::{Map, Value};

use super::condition::Conditions;
use super::error::{NarrowError, Unmet};
use super::pattern::Kind;
use super::set::Set;
use super::tokens::Budget;

/// What a statement is about, and what must hold beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) actions: Set,
    pub(super) resources: Set,
    pub(super) conditions: Conditions,
}

impl Statement {
    /// What both allow; `None` if that is nothing. `self` is the grant's, `asked` the caller's.
    pub(super) fn common(&self, asked: &Self, budget: &mut Budget) -> Result<Option<Self>, NarrowError> {
        // What cannot be written of the actions does not matter when the resources have nothing in common, and the reverse.
        let actions = self.actions.common(&asked.actions, budget);
        let resources = self.resources.common(&asked.resources, budget);
        if [&actions, &resources].iter().any(|part| matches!(part, Ok(set) if set.is_empty())) {
            return Ok(None);
        }
        let joined = self.conditions.joined(&asked.conditions);
        let conditions =
            joined.map_err(|clash| NarrowError::Condition { operator: clash.operator, key: clash.key })?;
        Ok(Some(Self { actions: actions?, resources: resources?, conditions }))
    }

    /// One statement for both, where one says exactly as much.
    fn joined(&self, other: &Self, budget: &mut Budget) -> Result<Option<Self>, Unmet> {
        if self.conditions != other.conditions {
            return Ok(None);
        }
        let held = |one: &Self, other: &Self, budget: &mut Budget| {
            Ok(one.actions.holds(&other.actions, budget)? && one.resources.holds(&other.resources, budget)?)
        };
        if held(self, other, budget)? {
            return Ok(Some(self.clone()));
        }
        if held(other, self, budget)? {
            return Ok(Some(other.clone()));
        }
        let (actions, resources) = if self.resources == other.resources {
            (self.actions.joined(&other.actions, budget)?, Some(self.resources.clone()))
        } else if self.actions == other.actions {
            (Some(self.actions.clone()), self.resources.joined(&other.resources, budget)?)
        } else {
            (None, None)
        };
        let conditions = self.conditions.clone();
        Ok(actions.zip(resources).map(|(actions, resources)| Self { actions, resources, conditions }))
    }

    /// As it stands in a policy, without an id.
    pub(super) fn value(&self, effect: &str) -> Value {
        let effect = ("Effect", Value::from(effect));
        let sets = [self.actions.member(Kind::Action), self.resources.member(Kind::Resource)];
        let conditions = self.conditions.member().map(|value| ("Condition", value));
        let members = std::iter::once(effect).chain(sets).chain(conditions);
        Value::Object(members.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}

/// Adds a statement, joined with those that it can be joined with.
pub(super) fn add(all: &mut Vec<Statement>, mut new: Statement, budget: &mut Budget) -> Result<(), Unmet> {
    let mut place = 0;
    while let Some(known) = all.get(place) {
        match known.joined(&new, budget)? {
            // Joined, it may fit others that neither of the two did.
            Some(joined) => {
                all.remove(place);
                (new, place) = (joined, 0);
            }
            None => place += 1,
        }
    }
    all.push(new);
    Ok(())
}
