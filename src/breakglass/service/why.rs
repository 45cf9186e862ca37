//! For whoever asks why: may they, what stands in the store, and which locks are in force. Changes nothing.

use std::sync::Arc;

use super::judge::{Bench, Requester};
use super::refuse::{Attempt, Refusal};
use super::{BreakGlass, BreakGlassError};
use crate::breakglass::{Elevation, Judge as _, StateName, Tally};
use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::{ElevationId, GrantName};
use crate::locks::{Lock, Subjects};
use crate::people::Caller;
use crate::policy::Wish;

/// An elevation as the policies, the configuration and the locks of now see it.
#[derive(Clone, Debug)]
pub struct Examined {
    /// As it stands in the store.
    pub elevation: Elevation,
    /// Its state, with the time in it.
    pub state: StateName,
    /// The approvals that count now.
    pub tally: Tally,
    /// Would they open it now?
    pub suffices: bool,
    /// Is the grant configured as it was when the elevation was asked for?
    pub grant_is_as_asked: bool,
}

impl BreakGlass {
    /// May the caller ask why somebody is permitted this grant, or not? Whoever may not cannot tell it from one that does not
    /// exist.
    pub async fn may_explain(
        &self,
        caller: &Caller,
        name: &GrantName,
    ) -> Result<Arc<Grant>, BreakGlassError> {
        let attempt = Attempt { caller, what: "explain", elevation: None, grant: Some(name.to_string()) };
        match self.decide_explain(caller, name) {
            Ok(grant) => Ok(grant),
            Err(refusal) => Err(self.refuse(&attempt, refusal).await),
        }
    }

    fn decide_explain(&self, caller: &Caller, name: &GrantName) -> Result<Arc<Grant>, Refusal> {
        let Some(grant) = self.services.catalog.resolve(name) else {
            return Err(Refusal::told(BreakGlassError::NotFound).because("unknown_grant"));
        };
        self.may(caller, Wish::Explain { grant })
            .map(|_| Arc::clone(grant))
            .map_err(|denial| Refusal::denied(BreakGlassError::NotFound, *denial).because("policy"))
    }

    /// An elevation for this grant, for somebody who may explain the grant. Whoever may not see the elevation cannot tell it
    /// from one that does not exist.
    pub async fn examine(
        &self,
        caller: &Caller,
        grant: &Arc<Grant>,
        id: ElevationId,
    ) -> Result<Examined, BreakGlassError> {
        let name = Some(grant.name.to_string());
        let attempt = Attempt { caller, what: "explain", elevation: Some(id), grant: name };
        let found = match self.try_show(caller, id).await {
            Ok(found) if found.ask.grant == grant.name => found,
            Ok(found) => {
                let told = format!("elevation `{id}` is for grant `{}`", found.ask.grant);
                let refusal = Refusal::told(BreakGlassError::invalid("question", told));
                return Err(self.refuse(&attempt, refusal.at_version(found.version)).await);
            }
            Err(refusal) => return Err(self.refuse(&attempt, refusal).await),
        };
        Ok(self.examined(found, grant, caller.at))
    }

    fn examined(&self, elevation: Elevation, grant: &Arc<Grant>, at: Moment) -> Examined {
        let mut bench = Bench::new(self, grant, Requester::as_asked(&elevation), at);
        let tally = Tally::of(&elevation, &mut bench);
        let suffices = tally.count() > 0 && bench.suffices(&elevation, &tally, elevation.duration());
        Examined {
            state: elevation.state_at(at),
            grant_is_as_asked: elevation.ask.grant_version == grant.version,
            tally,
            suffices,
            elevation,
        }
    }

    /// Every lock that stops a request about these.
    pub fn locks_on(&self, about: &Subjects<'_>, at: Moment) -> Vec<Lock> {
        self.services.locks.all_blocking(about, at)
    }
}
