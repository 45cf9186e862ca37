//! What may stop anybody at any time: a clock that cannot be right, and a lock.

use super::{Attempt, Exchange, Fault, Refusal, Stop, TargetRefusal};
use crate::audit::{Overtaken, RecordError, StillTrue};
use crate::ids::ElevationId;
use crate::locks::{OwnedSubjects, Subjects};
use crate::principal::PrincipalId;

impl Exchange {
    /// Before anything is decided. The elevation is the one that the caller names; one that is found later stands in
    /// [`unless_locked`](Self::unless_locked).
    pub(super) fn gate(&self, attempt: Attempt<'_>) -> Result<(), Stop> {
        self.services.high_water.check(attempt.at).map_err(Fault::Clock)?;
        let (principals, grant) = (principals(attempt), self.grant_name(attempt));
        let about =
            Subjects { principals: &principals, grant, elevation: attempt.request.elevation.as_ref() };
        let Some(lock) = self.services.locks.blocking(&about, attempt.at) else { return Ok(()) };
        let why = format!("lock `{}` on `{}` is in force", lock.id, lock.target);
        Err(Refusal::Target(TargetRefusal::Locked(why)).into())
    }

    /// For every entry that leads to a credential: refuses it when a lock came into force since the gate, also one on
    /// somebody whose approval the window stands on.
    pub(super) fn unless_locked(&self, attempt: Attempt<'_>, elevation: Option<ElevationId>) -> StillTrue {
        let principals = principals(attempt).into_iter().chain(attempt.approvers).cloned().collect();
        let grant = self.grant_name(attempt).cloned();
        self.services.locks.guard(OwnedSubjects { principals, grant, elevation })
    }

    /// A lock that leaves caller, grant and elevation alone is on an approver: the window does not stand as it was found, and
    /// whether it stands without that approval is to be asked again.
    pub(super) fn overtaken(
        &self,
        attempt: Attempt<'_>,
        elevation: Option<ElevationId>,
        error: RecordError,
    ) -> RecordError {
        let (principals, grant) = (principals(attempt), self.grant_name(attempt));
        let about = Subjects { principals: &principals, grant, elevation: elevation.as_ref() };
        let is_on_an_approver = error == RecordError::Overtaken(Overtaken::Lock)
            && !attempt.approvers.is_empty()
            && self.services.locks.blocking(&about, attempt.at).is_none();
        if is_on_an_approver { RecordError::Overtaken(Overtaken::Change) } else { error }
    }
}

/// The caller, and the actor or the caller once more: no allocation before a lock is found.
fn principals(attempt: Attempt<'_>) -> [&PrincipalId; 2] {
    let caller = attempt.caller.principal.id();
    [caller, attempt.caller.actor.as_ref().map_or(caller, |actor| &actor.workload.id)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_overtakes_a_mint_looks_to_a_stranger_like_a_grant_that_does_not_exist() {
        let Stop::Refused(refusal) = Stop::from(RecordError::Overtaken(Overtaken::Lock)) else {
            panic!("a lock is no fault of ours");
        };
        assert_eq!(refusal.code(), "locked");
        assert_eq!(refusal.to_string(), Refusal::Target(TargetRefusal::Unknown).to_string());
    }
}
