//! What two answers to one question have not in common.

use crate::policy::decision::{Decided, Denial, Permit, PolicyDigests, PolicyRef};

/// An answer, without the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Yes or no.
    pub allowed: bool,
    /// Whose.
    pub digests: PolicyDigests,
    /// The policies that decided, in the order of their names.
    pub decided_by: Vec<PolicyRef>,
    /// Why not.
    pub reason: Option<String>,
}

impl Verdict {
    pub(super) fn of_permit(answer: &Result<Permit, Denial>) -> Self {
        match answer {
            Ok(permit) => Self::permitted(permit.digests(), permit.decided_by()),
            Err(denial) => Self::denied(denial),
        }
    }

    pub(super) fn of_decided(answer: &Result<Decided, Denial>) -> Self {
        match answer {
            Ok(decided) => Self::permitted(decided.digests(), decided.decided_by()),
            Err(denial) => Self::denied(denial),
        }
    }

    fn permitted(digests: PolicyDigests, decided_by: &[PolicyRef]) -> Self {
        Self { allowed: true, digests, decided_by: decided_by.to_vec(), reason: None }
    }

    fn denied(denial: &Denial) -> Self {
        let (decided_by, reason) = (denial.decided_by.clone(), Some(denial.reason.to_string()));
        Self { allowed: false, digests: *denial.digests, decided_by, reason }
    }

    /// How a later one differs from this.
    pub(in crate::policy) fn differs(&self, later: &Self) -> Option<DifferenceKind> {
        DifferenceKind::between(self.allowed, later.allowed, self.decided_by == later.decided_by)
    }
}

/// How a later answer differs from an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// No, then yes.
    NewlyAllowed,
    /// Yes, then no.
    NewlyDenied,
    /// The same answer, by others.
    OtherPolicies,
}

impl DifferenceKind {
    /// As metrics, entries and reports spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewlyAllowed => "newly_allowed",
            Self::NewlyDenied => "newly_denied",
            Self::OtherPolicies => "other_policies",
        }
    }

    /// `None` when there is no difference. `same_policies`: did the same ones decide?
    pub(in crate::policy) const fn between(before: bool, after: bool, same_policies: bool) -> Option<Self> {
        match (before, after) {
            (false, true) => Some(Self::NewlyAllowed),
            (true, false) => Some(Self::NewlyDenied),
            (true, true) | (false, false) if same_policies => None,
            (true, true) | (false, false) => Some(Self::OtherPolicies),
        }
    }
}
