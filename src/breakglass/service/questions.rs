//! Every question to policy and to the locks, in one place: what is asked, about whom, with which facts.

use std::sync::Arc;
use std::time::Duration;

use super::refuse::Refusal;
use super::{BreakGlass, BreakGlassError};
use crate::audit::{DecisionRecord, FactsRecord, PolicyRecord, StillTrue};
use crate::breakglass::Elevation;
use crate::grants::Grant;
use crate::ids::{ElevationId, GrantName};
use crate::locks::{OwnedSubjects, Subjects};
use crate::people::Caller;
use crate::policy::{ElevationFacts, Facts, PersonQuestion, PolicyDigest, PolicyEngine, PolicyRef, Wish};
use crate::principal::PrincipalId;

/// What a caller wishes to do with an elevation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Approve(Duration),
    Revoke,
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

/// A no of policy, as it is recorded.
#[derive(Clone, Debug)]
pub(super) struct Denied {
    /// Why, for the record alone.
    pub(super) why: String,
    pub(super) record: DecisionRecord,
}

/// What policy says, with the facts that it says it on.
pub(super) fn decide(
    policy: &PolicyEngine,
    question: &PersonQuestion<'_>,
) -> Result<DecisionRecord, Box<Denied>> {
    let record = |digest: PolicyDigest, by: &[PolicyRef]| DecisionRecord {
        policy: PolicyRecord { digest, decided_by: by.iter().map(ToString::to_string).collect() },
        facts: FactsRecord::of(&Facts::of_person(question)),
    };
    match policy.decide(question) {
        Ok(decided) => Ok(record(decided.digest(), decided.decided_by())),
        Err(denial) => {
            let record = record(denial.digest, &denial.decided_by);
            Err(Box::new(Denied { why: denial.reason.to_string(), record }))
        }
    }
}

fn question<'a>(caller: &'a Caller, wish: Wish<'a>) -> PersonQuestion<'a> {
    PersonQuestion {
        person: &caller.person,
        authentication: &caller.authentication,
        source_ip: caller.source_ip,
        at: caller.at,
        wish,
    }
}

impl BreakGlass {
    /// May the caller? Decided now, with what their token shows now.
    pub(super) fn may(&self, caller: &Caller, wish: Wish<'_>) -> Result<DecisionRecord, Box<Denied>> {
        decide(&self.services.policy, &question(caller, wish))
    }

    /// The same where nothing of it is recorded.
    pub(super) fn lets(&self, caller: &Caller, wish: Wish<'_>) -> bool {
        self.services.policy.decide(&question(caller, wish)).is_ok()
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
    ) -> Result<DecisionRecord, Refusal> {
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
        };
        self.may(caller, wish).map_err(|denial| {
            let error = BreakGlassError::forbidden("policy", "the policy does not let you do this");
            Refusal::denied(error, *denial).at_version(elevation.version)
        })
    }

    /// May the caller know of it? Their own, always: they must be able to take it back. What belongs to a grant that is gone
    /// is history, which is the auditor's.
    pub(super) fn sees(&self, caller: &Caller, elevation: &Elevation) -> bool {
        elevation.is_requester(caller.id())
            || match self.grant_of(elevation) {
                Some(grant) => {
                    let id = elevation.id.to_string();
                    self.lets(caller, Wish::View { elevation: facts(elevation, &id, grant) })
                }
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
            // A yes is not recorded, and who reads the log asks often.
            if !self.lets(caller, Wish::Audit { grant })
                && let Err(denial) = self.may(caller, Wish::Audit { grant })
            {
                return Err(Refusal::denied(BreakGlassError::forbidden("policy", told), *denial));
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
