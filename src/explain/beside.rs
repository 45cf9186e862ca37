//! What refuses a request beside the policies: locks, and the rules of break-glass and of grants that stand in code. Looked
//! up for whoever asks why, where that costs next to nothing; the rest is named as not looked at. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::breakglass::service::Examined;
use crate::breakglass::{AskRefusal, ChangeRefusal, StateName};
use crate::grants::{BreakGlass, Grant, GrantKind};
use crate::locks::Lock;
use crate::policy::Action;
use crate::policy::explain::{ApprovalsNeeded, Explanation};
use crate::policy::facts::{Asked, ElevationWindow, Facts, PrincipalKind};

/// What a running broker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What policies and the broker's first rules say.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What else refuses the request, whatever policies say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_refused_by: Vec<Finding>,
    /// What could refuse it and was not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_looked_at: Vec<String>,
}

/// Something that refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub by: By,
    /// In words.
    pub told: String,
}

/// What kind of thing refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A lock that is in force now.
    Lock,
    /// A rule of break-glass.
    Breakglass,
    /// How the elevation stands that was named.
    Elevation,
    /// The grant's configuration.
    Grant,
}

/// A question with everything that was looked up for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked<'a> {
    pub(super) facts: &'a Facts,
    pub(super) grant: &'a Grant,
    pub(super) examined: Option<&'a Examined>,
    pub(super) locks: &'a [Lock],
    /// How many approvals open a window, as policies say.
    pub(super) needed: Option<ApprovalsNeeded>,
}

/// Does a lock stop it? Taking away, looking and asking go on.
pub(super) const fn is_stopped_by_locks(action: Action) -> bool {
    matches!(action, Action::Issue | Action::Request | Action::Approve | Action::Activate)
}

/// What nobody looks up, because it changes by the second or is not in the question.
pub(super) fn not_looked_at(action: Action) -> Vec<String> {
    let more: &[&str] = match action {
        Action::Issue => &["what is left of the token's life", "whether a single-use token was used before"],
        Action::Request => &["the reason and the ticket", "how many elevations are open"],
        Action::Audit => &["the other grants: whoever reads the log must be permitted `audit` on each"],
        _ => &[],
    };
    std::iter::once(&"rate limits").chain(more).map(|text| (*text).to_owned()).collect()
}

impl Looked<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let locks = self.locks.iter().map(lock);
        locks.chain(self.by_rules()).chain(self.by_elevation()).collect()
    }

    fn by_rules(&self) -> Vec<Finding> {
        let glass = self.grant.break_glass;
        match &self.facts.asked {
            Asked::Issue { scopes, elevation, .. } => {
                let misfit = match &self.grant.kind {
                    GrantKind::Jwt(jwt) => !scopes.is_subset(&jwt.scopes),
                    GrantKind::Aws(_) => !scopes.is_empty(),
                };
                let told = format!("grant `{}` does not have every scope that is asked for", self.grant.name);
                let misfit = misfit.then_some(Finding { by: By::Grant, told });
                misfit.into_iter().chain(elevation.iter().flat_map(|open| self.by_window(open))).collect()
            }
            Asked::Request { duration } => length(glass, *duration),
            Asked::Activate { duration, approvals } => {
                let nobody = (approvals.count == 0).then(|| rule("nobody approved it"));
                length(glass, *duration).into_iter().chain(nobody).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A credential under an elevation. Whether the approvals suffice is asked again at each.
    fn by_window(&self, open: &ElevationWindow) -> Vec<Finding> {
        let facts = self.facts;
        let is_program = facts.principal.kind == PrincipalKind::Workload;
        let is_open = open.starts_at <= facts.at && facts.at < open.ends_at;
        let too_few = match self.needed {
            Some(ApprovalsNeeded::AtLeast(needed)) => open.approvals < needed,
            Some(ApprovalsNeeded::NoNumber) => true,
            None => false,
        };
        [
            (is_program, "only people have elevations"),
            (!is_open, "the elevation is not open at that moment"),
            (open.approvals == 0, "nobody approved the elevation"),
            (
                too_few && open.approvals > 0,
                "the approvals would not open a window, which is asked again at each credential",
            ),
        ]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, told)| rule(told))
        .chain(length(self.grant.break_glass, open.ends_at.since(open.starts_at)))
        .collect()
    }

    /// How the elevation that was named stands.
    fn by_elevation(&self) -> Vec<Finding> {
        let Some(found) = self.examined else { return Vec::new() };
        let elevation = |told: String| Finding { by: By::Elevation, told };
        let (principal, state) = (self.facts.principal.id(), found.state);
        let action = self.facts.asked.action();
        let uses = matches!(action, Action::Issue | Action::Activate);
        let mut told = Vec::new();
        if !fits(action, state) {
            told.push(format!("the elevation is {state}"));
        }
        if uses && !found.elevation.is_requester(&principal) {
            told.push("the elevation is somebody else's: only who asked for it uses it".to_owned());
        }
        let again = action == Action::Approve
            && found.elevation.approvals.iter().any(|given| *given.by.id() == principal);
        if again {
            told.push(ChangeRefusal::Twice.to_string());
        }
        if action == Action::Issue && fits(action, state) && !found.suffices {
            told.push(ChangeRefusal::QuorumLost.to_string());
        }
        if (uses || action == Action::Approve) && !found.grant_is_as_asked {
            told.push(
                "the grant was changed after this was requested; it must be requested again".to_owned(),
            );
        }
        told.into_iter().map(elevation).collect()
    }
}

/// Does the action start from that state?
const fn fits(action: Action, state: StateName) -> bool {
    match action {
        Action::Issue | Action::Revoke => matches!(state, StateName::Approved | StateName::Active),
        Action::Approve => matches!(state, StateName::Requested),
        Action::Activate => matches!(state, StateName::Requested | StateName::Approved | StateName::Active),
        _ => true,
    }
}

fn lock(lock: &Lock) -> Finding {
    let until = lock.until.map(|until| format!(", until {until}")).unwrap_or_default();
    Finding { by: By::Lock, told: format!("lock `{}` on `{}` is in force{until}", lock.id, lock.target) }
}

fn rule(told: impl Into<String>) -> Finding {
    Finding { by: By::Breakglass, told: told.into() }
}

fn length(glass: Option<BreakGlass>, duration: Duration) -> Vec<Finding> {
    let Some(BreakGlass { max_duration: most }) = glass else { return Vec::new() };
    let refusal = match duration {
        short if short < Duration::from_secs(1) => AskRefusal::NoDuration,
        long if long > most => AskRefusal::TooLong { most },
        _ => return Vec::new(),
    };
    vec![rule(refusal.to_string())]
}
