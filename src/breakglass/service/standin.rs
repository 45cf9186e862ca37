//! REPLACED BY THE MERGE: the shapes of `locks::service`, `PolicyEngine`'s probes and `issuance::aws::SessionEnder`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::audit::StillTrue;
use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::{ElevationId, GrantName, IssuerName, LockId};
use crate::locks::{Lock, Subjects};
use crate::policy::{Approvals, PersonQuestion, PolicyEngine, Wish};
use crate::principal::{Authentication, Person, PrincipalId};

#[derive(Debug, Default)]
pub struct LockBook(Mutex<Vec<Lock>>);

pub struct OwnedSubjects {
    pub principals: Vec<PrincipalId>,
    pub grant: Option<GrantName>,
    pub elevation: Option<ElevationId>,
}

impl LockBook {
    pub fn blocking(&self, about: &Subjects<'_>, at: Moment) -> Option<Lock> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|lock| lock.stops(about, at))
            .cloned()
    }
    pub fn guard(self: &Arc<Self>, about: OwnedSubjects) -> StillTrue {
        let book = Arc::clone(self);
        StillTrue::new(move |at| {
            let principals: Vec<&PrincipalId> = about.principals.iter().collect();
            let subjects = Subjects {
                principals: &principals,
                grant: about.grant.as_ref(),
                elevation: about.elevation.as_ref(),
            };
            book.blocking(&subjects, at).is_none()
        })
    }
    pub fn freeze(&self, lock: Lock) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
    }
    pub fn thaw(&self, id: LockId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|lock| lock.id != id);
    }
}

#[derive(Debug)]
pub struct ActivateProbe<'a> {
    pub person: &'a Person,
    pub authentication: &'a Authentication,
    pub source_ip: Option<IpAddr>,
    pub at: Moment,
    pub grant: &'a Arc<Grant>,
    pub duration: Duration,
    pub groups: &'a BTreeSet<(IssuerName, String)>,
}

pub trait Probes {
    fn approvals_needed(&self, probe: &ActivateProbe<'_>) -> Option<u32>;
    fn could_anyone_approve(
        &self,
        grant: &Arc<Grant>,
        approving: &BTreeSet<IssuerName>,
        requester: &PrincipalId,
    ) -> bool;
}

impl Probes for PolicyEngine {
    fn approvals_needed(&self, probe: &ActivateProbe<'_>) -> Option<u32> {
        (1..=10).find(|count| {
            let approvals = Approvals { count: *count, groups: probe.groups };
            let wish = Wish::Activate { grant: probe.grant, duration: probe.duration, approvals };
            self.decide(&PersonQuestion {
                person: probe.person,
                authentication: probe.authentication,
                source_ip: probe.source_ip,
                at: probe.at,
                wish,
            })
            .is_ok()
        })
    }
    fn could_anyone_approve(
        &self,
        _: &Arc<Grant>,
        approving: &BTreeSet<IssuerName>,
        _: &PrincipalId,
    ) -> bool {
        !approving.is_empty()
    }
}

#[derive(Debug)]
pub struct EndOrder<'a> {
    pub grant: &'a Grant,
    pub elevation: ElevationId,
    pub since: Moment,
    pub until: Moment,
}

#[derive(Debug, thiserror::Error)]
#[error("not built")]
pub struct EndError;

#[derive(Clone, Debug)]
pub struct SessionEnder;

impl SessionEnder {
    pub async fn deny(&self, _: &EndOrder<'_>) -> Result<(), EndError> {
        Err(EndError)
    }
    pub async fn lift(&self, _: &EndOrder<'_>) -> Result<(), EndError> {
        Err(EndError)
    }
}
