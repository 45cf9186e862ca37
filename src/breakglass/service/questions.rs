//! Every question to policy and to the locks, in one place: what is asked, about whom, with which facts.

use std::sync::Arc;
use std::time::Duration;

use super::refuse::Refusal;
use super::{BreakGlass, BreakGlassError};
use crate::audit::{PolicyRecord, StillTrue};
use crate::breakglass::Elevation;
use crate::grants::Grant;
use crate::ids::{ElevationId, GrantName};
use crate::locks::{OwnedSubjects, Subjects};
use crate::people::Caller;
use crate::policy::service::record;
use crate::policy::{Decided, Denial, ElevationFacts, PersonQuestion, Wish};
use crate::principal::PrincipalId;

/// What a caller wishes to do with an elevation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Approve(Duration),
    Revoke,
    View,
}

/// Who and what one change is about, for locks.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) principals: Vec<PrincipalId>,
    pub(super) grant: GrantName,
    pub(super) elevation: Option<ElevationId>,
}

impl About {
    /// An elevation and who acts on it. The requester is always one of those whom a lock can stop.
    pub(super) fn elevation(elevation: &Elevation, actor: Option<&PrincipalId>) -> Self {
        let principals = std::iter::once(elevation.ask.requester.id()).chain(actor).cloned().collect();
        Self { principals, grant: elevation.ask.grant.clone(), elevation: Some(elevation.id) }
    }
}

/// An elevation as policy sees it.
pub(super) fn facts<'a>(elevation: &'a Elevation, id: &'a str, grant: &'a Arc<Grant>) -> ElevationFacts<'a> {
    ElevationFacts {
        id,
        grant,
        requester: &elevation.ask.requester.person,
        duration: elevation.ask.duration,
        reason: &elevation.ask.reason,
        ticket: elevation.ask.ticket.as_deref(),
    }
}

pub(super) fn policy_record(decided: &Decided) -> PolicyRecord {
    record::policy_record(decided.digests(), decided.decided_by())
}

pub(super) fn denial_record(denial: &Denial) -> PolicyRecord {
    record::policy_record(*denial.digests, &denial.decided_by)
}

impl BreakGlass {
    /// May the caller? Decided now, with what their token shows now.
    pub(super) fn may(&self, caller: &Caller, wish: Wish<'_>) -> Result<Decided, Denial> {
        self.services.policy.decide(&PersonQuestion {
            person: &caller.person,
            authentication: &caller.authentication,
            source_ip: caller.source_ip,
            at: caller.at,
            wish,
        })
    }

    /// The grant of the elevation as it is configured now.
    pub(super) fn grant_of(&self, elevation: &Elevation) -> Option<&Arc<Grant>> {
        self.services.catalog.resolve(&elevation.ask.grant)
    }

    /// May the caller do this with the elevation?
    pub(super) fn may_with(
        &self,
        caller: &Caller,
        elevation: &Elevation,
        deed: Deed,
    ) -> Result<Decided, Refusal> {
        let Some(grant) = self.grant_of(elevation) else {
            let told = "the grant is not configured any more: nobody can be asked whether you may";
            return Err(
                Refusal::told(BreakGlassError::forbidden("grant_gone", told)).at_version(elevation.version)
            );
        };
        let id = elevation.id.to_string();
        let elevation_facts = facts(elevation, &id, grant);
        let wish = match deed {
            Deed::Approve(duration) => Wish::Approve { elevation: elevation_facts, duration },
            Deed::Revoke => Wish::Revoke { elevation: elevation_facts },
            Deed::View => Wish::View { elevation: elevation_facts },
        };
        self.may(caller, wish).map_err(|denial| {
            let error = BreakGlassError::forbidden("policy", "the policy does not let you do this");
            Refusal::denied(error, &denial).at_version(elevation.version)
        })
    }

    /// May the caller know of it? Their own, always: they must be able to take it back. What belongs to a grant that is gone
    /// is history, which is the auditor's.
    pub(super) fn sees(&self, caller: &Caller, elevation: &Elevation) -> bool {
        elevation.is_requester(caller.id())
            || match self.grant_of(elevation) {
                Some(_) => self.may_with(caller, elevation, Deed::View).is_ok(),
                None => self.decide_audit(caller).is_ok(),
            }
    }

    /// Whoever reads the whole log reads about every grant.
    pub(super) fn decide_audit(&self, caller: &Caller) -> Result<(), Refusal> {
        let told = "the policy does not let you read the whole log";
        let mut grants = self.services.catalog.iter().peekable();
        if grants.peek().is_none() {
            return Err(Refusal::told(BreakGlassError::forbidden("policy", told)));
        }
        for grant in grants {
            if let Err(denial) = self.may(caller, Wish::Audit { grant }) {
                return Err(Refusal::denied(BreakGlassError::forbidden("policy", told), &denial));
            }
        }
        Ok(())
    }

    /// Does no lock stop it now? What is returned asks again when the change is committed.
    pub(super) fn unlocked(&self, about: &About, caller: &Caller) -> Result<StillTrue, Refusal> {
        if self.is_locked(about, caller.at) {
            return Err(Refusal::told(locked()));
        }
        Ok(self.lock_guard(about))
    }

    pub(super) fn is_locked(&self, about: &About, at: crate::clock::Moment) -> bool {
        let principals: Vec<&PrincipalId> = about.principals.iter().collect();
        let subjects = Subjects {
            principals: &principals,
            grant: Some(&about.grant),
            elevation: about.elevation.as_ref(),
        };
        self.services.locks.blocking(&subjects, at).is_some()
    }

    pub(super) fn lock_guard(&self, about: &About) -> StillTrue {
        let About { principals, grant, elevation } = about.clone();
        self.services.locks.guard(OwnedSubjects { principals, grant: Some(grant), elevation })
    }

    /// A clock that stepped back makes ended things valid again: nothing begins until it has caught up.
    pub(super) fn clock_holds(&self, caller: &Caller) -> Result<(), Refusal> {
        self.services.high_water.check(caller.at).map_err(|rolled_back| {
            Refusal::told(BreakGlassError::Unavailable(rolled_back.to_string())).because("clock_rollback")
        })
    }
}

pub(super) fn locked() -> BreakGlassError {
    BreakGlassError::forbidden("locked", "a lock stops this; ask the operator")
}
