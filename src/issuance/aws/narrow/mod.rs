//! A caller's own session policy, put together with the grant's so that only what both allow is allowed. Knows IAM's policy
//! language, and of that only what it understands; refuses to know requests, roles and AWS.
//!
//! `Allow` of the result: for each pair of an `Allow` of the grant and one of the caller, the actions and resources that
//! both match, under the conditions of both. `Deny`: those of both, since a `Deny` can only take away. Nothing is
//! approximated: a pair whose common part cannot be written is a refusal.

mod condition;
mod document;
mod error;
mod pattern;
mod set;
mod statement;
mod tokens;

use serde_json::Value;

pub use error::{NarrowError, NarrowingFault};

use self::error::Unmet;
use self::statement::Statement;
use self::tokens::Budget;
use crate::issuance::IssueError;

/// No policy of 2,048 characters has more.
const MOST_STATEMENTS: usize = 64;

impl From<Unmet> for NarrowError {
    /// Where nobody's words are at hand: while equals are sought.
    fn from(_: Unmet) -> Self {
        Self::Intricate
    }
}

/// The statements that allow what `granted` *and* the caller's policy allow. Without statements of its own, the grant allows
/// what the role allows, and the caller's stand alone.
pub(super) fn narrow(granted: Option<&[Value]>, asked: &str) -> Result<Vec<Value>, NarrowError> {
    let asked = document::read(asked)?;
    let mut budget = Budget::new();
    let (allows, own_denies) = match granted {
        Some(granted) => (common(granted, &asked.allows, &mut budget)?, denies_of(granted)),
        None => (asked.allows, Vec::new()),
    };
    // A credential that can do nothing is a mistake, and easier to find here than in a hundred refused calls.
    if allows.is_empty() {
        return Err(NarrowError::Nothing);
    }
    let allows = allows.iter().map(|statement| statement.value("Allow"));
    let denies = asked.denies.iter().map(|statement| statement.value("Deny"));
    Ok(allows.chain(own_denies).chain(denies).collect())
}

/// AWS judged a session policy that a caller has narrowed: what it complains of is then the caller's part, since the grant's
/// own works for others.
pub(super) fn blame(error: IssueError) -> IssueError {
    let told = match &error {
        IssueError::Refused { code, .. } if code == "PackedPolicyTooLarge" => NarrowError::Packed,
        IssueError::Refused { code, .. } if code == "MalformedPolicyDocument" => NarrowError::Misunderstood,
        _ => return error,
    };
    IssueError::Plan(super::PlanError::Narrowing(told))
}

fn common(
    granted: &[Value],
    asked: &[Statement],
    budget: &mut Budget,
) -> Result<Vec<Statement>, NarrowError> {
    let mut found = Vec::new();
    for statement in granted.iter().filter(|statement| effect(statement) == Some("Allow")) {
        let members = statement.as_object().ok_or_else(|| NarrowError::Grant("no statement".to_owned()))?;
        let mine = document::read_granted(members).map_err(NarrowError::Grant)?;
        for theirs in asked {
            if let Some(both) = mine.common(theirs, budget)? {
                statement::add(&mut found, both, budget)?;
            }
            if found.len() > MOST_STATEMENTS {
                return Err(NarrowError::Statements(MOST_STATEMENTS));
            }
        }
    }
    Ok(found)
}

/// As the operator wrote them.
fn denies_of(granted: &[Value]) -> Vec<Value> {
    granted.iter().filter(|statement| effect(statement) != Some("Allow")).cloned().collect()
}

fn effect(statement: &Value) -> Option<&str> {
    statement.get("Effect").and_then(Value::as_str)
}

#[cfg(test)]
mod evaluator;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
