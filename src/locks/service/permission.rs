//! Who may set and lift a lock: the policy action `lock`, on every grant that the lock would stop.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{LockBook, LockError};
use crate::audit::{DecisionRecord, FactsRecord};
use crate::grants::Grant;
use crate::locks::{Lock, LockTarget};
use crate::people::Caller;
use crate::policy::service::record::policy_record;
use crate::policy::{Denial, Facts, PersonQuestion, Wish};

/// Not permitted: what the caller is told and what the record says.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) told: LockError,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) decision: Option<DecisionRecord>,
}

/// Which grants a target stops.
enum Reach {
    One(Arc<Grant>),
    /// All of them, or one that cannot be told.
    Every,
    /// None: the target does not exist. Only who may lock everything learns that.
    Nothing(&'static str),
}

impl LockBook {
    /// May the caller freeze this?
    pub(super) async fn may_lock(
        &self,
        caller: &Caller,
        target: &LockTarget,
    ) -> Result<DecisionRecord, Box<Refused>> {
        match self.reach(target).await {
            Reach::One(grant) => self.permitted(caller, std::iter::once(&grant)),
            Reach::Every => self.permitted(caller, self.catalog.iter()),
            Reach::Nothing(code) => {
                self.permitted(caller, self.catalog.iter())?;
                let told = format!("`{target}` does not exist");
                let (detail, told) = (told.clone(), LockError::Invalid { code, told });
                Err(Box::new(Refused { told, reason: code, detail, decision: None }))
            }
        }
    }

    /// May the caller freeze any grant at all?
    pub(super) fn may_lock_anything(&self, caller: &Caller) -> bool {
        self.catalog.iter().any(|grant| self.policy.decide(&question(caller, grant)).is_ok())
    }

    async fn reach(&self, target: &LockTarget) -> Reach {
        let named = match target {
            LockTarget::All | LockTarget::Principal(_) | LockTarget::Issuer(_) => return Reach::Every,
            LockTarget::Grant(name) => {
                let found = self.catalog.resolve(name);
                return found.map_or(Reach::Nothing("unknown_grant"), |grant| Reach::One(Arc::clone(grant)));
            }
            LockTarget::Elevation(id) => self.store.elevation(*id).await,
        };
        match named {
            Ok(None) => Reach::Nothing("unknown_elevation"),
            Ok(Some(elevation)) => {
                let found = self.catalog.resolve(&elevation.ask.grant);
                found.map_or(Reach::Every, |grant| Reach::One(Arc::clone(grant)))
            }
            // A freeze works while the store is sick, for those who may freeze whatever it could be.
            Err(_) => Reach::Every,
        }
    }

    /// Each of them, and at least one: nobody is in charge of nothing.
    fn permitted<'a>(
        &self,
        caller: &Caller,
        grants: impl Iterator<Item = &'a Arc<Grant>>,
    ) -> Result<DecisionRecord, Box<Refused>> {
        let (mut names, mut digests, mut all) = (BTreeSet::new(), None, Vec::new());
        for grant in grants {
            let question = question(caller, grant);
            let decided = self
                .policy
                .decide(&question)
                .map_err(|denial| denied(&denial, &Facts::of_person(&question)))?;
            names.extend(decided.decided_by().iter().cloned());
            digests = Some(decided.digests());
            all.push(Facts::of_person(&question));
        }
        let digests =
            digests.ok_or_else(|| forbidden("no_grants", "there are no grants".to_owned(), None))?;
        let facts = match all.as_slice() {
            [one] => FactsRecord::of(one),
            several => FactsRecord::of(&several),
        };
        Ok(DecisionRecord { policy: policy_record(digests, &names), facts })
    }
}

fn question<'a>(caller: &'a Caller, grant: &'a Arc<Grant>) -> PersonQuestion<'a> {
    PersonQuestion {
        person: &caller.person,
        authentication: &caller.authentication,
        source_ip: caller.source_ip,
        at: caller.at,
        wish: Wish::Lock { grant },
    }
}

/// Who was locked by somebody else does not let themselves out.
pub(super) fn not_ones_own(caller: &Caller, lock: &Lock) -> Result<(), Box<Refused>> {
    let own = matches!(&lock.target, LockTarget::Principal(id) if id == caller.id());
    if own && lock.by != *caller.id() {
        let detail = "the lock is on the caller, and another set it".to_owned();
        return Err(forbidden("own_lock", detail, None));
    }
    Ok(())
}

impl Refused {
    pub(super) fn unknown_lock() -> Box<Self> {
        let detail = "no such lock, or the caller may lock nothing".to_owned();
        Box::new(Self { told: LockError::NotFound, reason: "unknown_lock", detail, decision: None })
    }
}

fn denied(denial: &Denial, facts: &Facts) -> Box<Refused> {
    let policy = policy_record(*denial.digests, &denial.decided_by);
    let decision = DecisionRecord { policy, facts: FactsRecord::of(facts) };
    forbidden("policy_denied", denial.reason.to_string(), Some(decision))
}

fn forbidden(code: &'static str, detail: String, decision: Option<DecisionRecord>) -> Box<Refused> {
    let told = match code {
        "own_lock" => "somebody else locked you, and somebody else has to lift it",
        _ => "the policy does not permit you to lock this",
    };
    let told = LockError::Forbidden { code, told: told.to_owned() };
    Box::new(Refused { told, reason: code, detail, decision })
}
