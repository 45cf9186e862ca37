//! One request, some people, and a policy that can change its mind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) use crate::clock::Moment;

use crate::breakglass::*;
use crate::entropy::{Entropy, EntropyError};
use crate::ids::{ElevationId, GrantName, IssuerName, Scope, Subject};
use crate::principal::{Authentication, Person, PrincipalId};
use crate::secret::Fingerprint;

pub(super) const START: Moment = Moment::from_unix_seconds(1_795_363_392);
/// How long the request waits, in seconds.
pub(super) const TTL: u64 = 1_800;
/// The number of the person who asks; all others may be approvers.
pub(super) const REQUESTER: u8 = 0;

pub(super) fn at(seconds: u64) -> Moment {
    START.plus(Duration::from_secs(seconds))
}

/// What policy says: so many approvals, and not of these people.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes {
    pub(super) needed: u32,
    pub(super) fallen: BTreeSet<PrincipalId>,
}

impl Votes {
    pub(super) fn needing(needed: u32) -> Self {
        Self { needed, ..Self::default() }
    }
}

impl Judge for Votes {
    fn is_eligible(&mut self, _: &Elevation, approval: &Approval) -> bool {
        !self.fallen.contains(approval.by.id())
    }

    fn suffices(&mut self, _: &Elevation, tally: &Tally, _: Duration) -> bool {
        tally.count() >= self.needed
    }
}

pub(super) fn person(number: u8) -> Person {
    let id = PrincipalId {
        issuer: IssuerName::new("staff").unwrap(),
        subject: Subject::new(&format!("p{number}")).unwrap(),
    };
    Person { id, email: None, name: None, groups: BTreeSet::new(), tags: BTreeMap::new() }
}

fn participant(number: u8) -> Participant {
    let authentication =
        Authentication { issued_at: START, acr: None, amr: BTreeSet::new(), auth_time: None };
    Participant { person: person(number), authentication }
}

pub(super) fn scope(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| Scope::new(name).unwrap()).collect()
}

pub(super) fn ask() -> Ask {
    Ask {
        grant: GrantName::new("prod-admin").unwrap(),
        grant_version: Fingerprint::of(b"grant"),
        requester: participant(REQUESTER),
        duration: Duration::from_hours(1),
        reason: "restart the importer".to_owned(),
        ticket: None,
        not_before: None,
        scope: Some(scope(&["read", "write"])),
        created_at: START,
        expires_at: at(TTL),
    }
}

pub(super) fn fresh() -> Elevation {
    Elevation::requested(ElevationId::new(START, &Zeros).unwrap(), ask(), 2, Vec::new())
}

pub(super) fn yes(by: u8, at: Moment) -> Approval {
    Approval { by: participant(by), at, source_ip: None, comment: None, narrowing: Narrowing::default() }
}

pub(super) fn narrowed(approval: Approval, duration: Option<Duration>, scopes: Option<&[&str]>) -> Approval {
    Approval { narrowing: Narrowing { duration, scope: scopes.map(scope) }, ..approval }
}

/// An act of a person who lives as long as the test.
pub(super) fn act(by: u8, at: Moment) -> Act<'static> {
    Act { by: Box::leak(Box::new(person(by))), at }
}

#[derive(Debug)]
struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(0);
        Ok(())
    }
}
