//! Puts the questions of cases to policy sets, and compares.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Case, Needed};
use crate::policy::activation::{MOST_APPROVALS, hoped};
use crate::policy::facts::{ApprovalFacts, Asked};
use crate::policy::schema::Action;
use crate::policy::{Decided, Denial, Facts, PolicyRef, PolicySets};

/// What became of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer: `permit`, or why not.
    pub answer: String,
    /// The policies that decided, in the order of their names.
    pub decided_by: Vec<PolicyRef>,
    /// How many approvals open the window, when the case asks.
    pub approvals_needed: Option<Needed>,
    /// What is not as expected, in sentences; empty when all is.
    pub failures: Vec<String>,
}

/// What became of all.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each case, in their order.
    pub outcomes: Vec<Outcome>,
    /// Policies that no case decided, in the order of the sets.
    pub undecided: Vec<PolicyRef>,
}

impl Outcome {
    /// Is everything as expected?
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Decides all cases.
pub fn run<'c>(sets: &PolicySets, cases: impl IntoIterator<Item = &'c Case>) -> Report {
    let outcomes: Vec<_> = cases.into_iter().map(|case| outcome(sets, case)).collect();
    let decided: BTreeSet<&PolicyRef> = outcomes.iter().flat_map(|outcome| &outcome.decided_by).collect();
    let names = sets.policies().iter().map(|policy| &policy.name);
    let undecided = names.filter(|name| !decided.contains(name)).cloned().collect();
    Report { outcomes, undecided }
}

fn outcome(sets: &PolicySets, case: &Case) -> Outcome {
    let answer = if case.policies_alone {
        sets.decide_by_policies_alone(&case.facts)
    } else {
        sets.decide(&case.facts)
    };
    let approvals_needed = case.approvals_needed.map(|_| approvals_needed(sets, &case.facts));
    let (text, decided_by) = told(&answer);
    let mut failures = Vec::new();
    if !case.expect.is_met_by(&answer) {
        failures.push(format!("expected `{}`, got `{text}`{}", case.expect, by(&decided_by)));
    } else if let Some(expected) = &case.decided_by {
        failures.extend(compare(expected, &decided_by));
    }
    if let (Some(expected), Some(found)) = (case.approvals_needed, approvals_needed)
        && expected != found
    {
        failures.push(format!("expected {expected} approvals to open it, got {found}"));
    }
    Outcome { answer: text, decided_by, approvals_needed, failures }
}

fn told(answer: &Result<Decided, Denial>) -> (String, Vec<PolicyRef>) {
    match answer {
        Ok(decided) => ("permit".to_owned(), decided.decided_by().to_vec()),
        Err(denial) => (denial.reason.to_string(), denial.decided_by.clone()),
    }
}

fn by(decided_by: &[PolicyRef]) -> String {
    let names: Vec<_> = decided_by.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(" by {}", names.join(", ")) }
}

fn compare(expected: &BTreeSet<String>, decided_by: &[PolicyRef]) -> Option<String> {
    let found: BTreeSet<&str> = decided_by.iter().map(PolicyRef::as_str).collect();
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    let list =
        |names: Vec<&&str>| names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let missing: Vec<_> = expected.difference(&found).collect();
    let more: Vec<_> = found.difference(&expected).collect();
    match (missing.is_empty(), more.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("not decided by {}", list(missing))),
        (true, false) => Some(format!("decided by {} too", list(more))),
        (false, false) => Some(format!("decided by {} instead of {}", list(more), list(missing))),
    }
}

/// The fewest approvals with which policy could permit the caller to activate, from none to ten. The broker itself asks for
/// one at least.
///
/// As the broker asks: with the groups of the facts, and with every group that a policy names beside them, because the next
/// approver may be in it.
pub fn approvals_needed(sets: &PolicySets, facts: &Facts) -> Needed {
    let (duration, own) = match &facts.asked {
        Asked::Activate { duration, approvals } => (*duration, approvals.clone()),
        Asked::Request { duration } | Asked::Approve { duration, .. } => {
            (*duration, ApprovalFacts::default())
        }
        _ => (Duration::from_hours(1), ApprovalFacts::default()),
    };
    let grant = facts.grant.to_grant();
    let candidates = grant.and_then(|grant| sets.candidates(Action::Activate, &grant)).ok();
    let requester = facts.principal.id();
    let hoped = candidates.map(|candidates| hoped(sets, &candidates, &facts.grant.name, &requester));
    let hoped = own.hoping(&hoped.unwrap_or_default());
    let permitted = |count: u32, approvals: &ApprovalFacts| {
        let approvals = ApprovalFacts { count, ..approvals.clone() };
        let asked = Asked::Activate { duration, approvals };
        sets.decide(&Facts { asked, ..facts.clone() }).is_ok()
    };
    let enough = |count: &u32| permitted(*count, &hoped) || permitted(*count, &own);
    (0..=MOST_APPROVALS).find(enough).map_or(Needed::Never, Needed::Count)
}
