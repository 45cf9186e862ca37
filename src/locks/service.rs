//! The locks that are in force. Knows them in memory first, so that a freeze works while the audit store is sick; promises
//! that what it stops is never recorded as issued after it; refuses to decide who may set one: policy does.
//!
//! A lock comes into force before it is recorded and leaves force after its end is recorded: in doubt, it holds.

mod follow;
mod permission;
mod repeat;
mod shelf;
#[cfg(test)]
mod tests;
mod tick;
mod words;

use std::sync::Arc;
use std::time::Duration;

use super::{Lock, LockTarget, OwnedSubjects, Subjects};
use crate::audit::{AuditLog, Event, LockFollower, Overtaken, RecordError, StillTrue, Submission};
use crate::breakglass::service::Keyed;
use crate::clock::{Clock, Moment};
use crate::entropy::Entropy;
use crate::grants::Catalog;
use crate::ids::LockId;
use crate::people::Caller;
use crate::policy::PolicyEngine;
use crate::store::{AnswerRow, Store, StoreError};
use permission::Refused;
use shelf::{Held, Put, Shelf, Standing};

/// How many locks there may be: every request is held against each of them.
pub const MOST_LOCKS: usize = 1_000;
/// Longest reason in bytes; with everything escaped an entry still fits the log.
pub const MOST_REASON_BYTES: usize = 2_000;
/// Longest time after which a lock ends by itself.
pub const LONGEST_TTL: Duration = Duration::from_hours(365 * 24);
/// Shortest.
pub const SHORTEST_TTL: Duration = Duration::from_secs(1);

/// A lock to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLock {
    /// What it stops.
    pub target: LockTarget,
    /// Why: 1 to 2,000 bytes, kept as it is.
    pub reason: String,
    /// After how long it ends by itself, 1 second to 365 days; never when `None`.
    pub ttl: Option<Duration>,
}

/// A lock as its reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockView {
    /// The lock. It is in force either way.
    pub lock: Lock,
    /// Is it in the log? If not, it will be as soon as the log can be written, unless the process dies before.
    pub recorded: bool,
}

/// Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// No such lock, or none that the caller may know of.
    #[error("there is no such lock")]
    NotFound,
    /// The caller may see it, and may not do it.
    #[error("{told}")]
    Forbidden {
        /// Stable.
        code: &'static str,
        /// For the caller.
        told: String,
    },
    /// It makes no sense.
    #[error("{told}")]
    Invalid {
        /// Stable.
        code: &'static str,
        /// For the caller.
        told: String,
    },
    /// There are too many.
    #[error("{told}")]
    TooMany {
        /// Stable.
        code: &'static str,
        /// For the caller.
        told: String,
    },
    /// Another request came under the same `Idempotency-Key`.
    #[error("this key came with another request before")]
    KeyReused,
    /// The same request was made before, and its lock was lifted or has ended: a repeat does not freeze again.
    #[error("the lock of this request is over; to set another, take a new key")]
    Over,
    /// The store or the log is sick; the cause is for the operator.
    #[error("locks cannot be changed now: {0}")]
    Unavailable(String),
}

/// Every lock in force.
pub struct LockBook {
    store: Arc<dyn Store>,
    audit: AuditLog,
    policy: Arc<PolicyEngine>,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    shelf: Arc<Shelf>,
}

impl std::fmt::Debug for LockBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockBook").field("locks", &self.shelf.len()).finish_non_exhaustive()
    }
}

impl LockBook {
    /// With the locks that were kept, also those that ended meanwhile: their end is still to be written down.
    pub async fn open(
        store: Arc<dyn Store>,
        audit: AuditLog,
        policy: Arc<PolicyEngine>,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        // First the mark: what is read after it is as new or newer.
        let mark = store.pulse().await?.marks.locks;
        let kept = store.locks().await?;
        let held =
            kept.into_iter().map(|lock| Held { lock, standing: Standing::Recorded, answer: None }).collect();
        let shelf = Arc::new(Shelf::new(held, mark));
        audit.keep_informed(Arc::clone(&shelf) as Arc<dyn LockFollower>);
        shelf.measure(clock.now());
        Ok(Self { store, audit, policy, catalog, clock, entropy, shelf })
    }

    /// The lock that stops a request about these, if one does. Costs one atomic load while there is none.
    pub fn blocking(&self, about: &Subjects<'_>, at: Moment) -> Option<Lock> {
        self.shelf.blocking(about, at)
    }

    /// Each of them, for whoever asks why.
    pub fn all_blocking(&self, about: &Subjects<'_>, at: Moment) -> Vec<Lock> {
        self.shelf.all_blocking(about, at)
    }

    /// For [`Submission::only_if`]: a lock that comes into force before the commit refuses it.
    pub fn guard(self: &Arc<Self>, about: OwnedSubjects) -> StillTrue {
        let locks = Arc::clone(&self.shelf);
        StillTrue::new(move |at| !locks.is_blocking(&about, at))
    }

    /// Sets a lock. It holds from before the first await on the log, whatever becomes of its entry, unless this returns
    /// an error. The answer says whether it is recorded. The same request with the same key gets the same lock.
    ///
    /// # Errors
    /// No policy permits it, the target is unknown, there are too many; the key belongs to another request, or to a lock
    /// that is over.
    pub async fn set(
        &self,
        caller: &Caller,
        new: NewLock,
        keyed: Option<Keyed<'_>>,
    ) -> Result<LockView, LockError> {
        check(&new)?;
        let decided = match self.may_lock(caller, &new.target).await {
            Ok(decided) => decided,
            Err(refused) => return Err(self.refuse(caller, "lock", &new.target.to_string(), refused).await),
        };
        let asked = keyed.map(|keyed| keyed.row(caller, &new.target.to_string()));
        let lock = self.make(caller, new)?;
        let standing = Standing::Waiting(Arc::new(words::set(caller, &lock, &decided)));
        let answer = asked.map(|row| AnswerRow { outcome: lock.id.to_string(), ..row });
        let held = Held { lock, standing, answer };
        let held = match self.shelf.put(held.clone(), MOST_LOCKS) {
            Put::Done => held,
            Put::Before(before) => repeat::same(*before, &held)?,
            Put::Full => {
                let told = format!("there are {MOST_LOCKS} locks already; lift some");
                return Err(LockError::TooMany { code: "too_many_locks", told });
            }
        };
        self.shelf.measure(caller.at);
        let view = self.record(held).await;
        self.shelf.measure(caller.at);
        view
    }

    /// Lifts a lock: it holds until the entry about its end is durable.
    ///
    /// # Errors
    /// Unknown, not permitted, or not recorded: then it still holds.
    pub async fn lift(&self, caller: &Caller, id: LockId) -> Result<Lock, LockError> {
        let held = self.shelf.find(id).filter(|held| held.lock.holds(caller.at));
        let Some(held) = held.filter(|_| self.may_lock_anything(caller)) else {
            return Err(self.refuse(caller, "lift", &id.to_string(), Refused::unknown_lock()).await);
        };
        let permitted = match self.may_lock(caller, &held.lock.target).await {
            Ok(decided) => permission::not_ones_own(caller, &held.lock).map(|()| decided),
            Err(refused) => Err(refused),
        };
        let decided = match permitted {
            Ok(decided) => decided,
            Err(refused) => return Err(self.refuse(caller, "lift", &id.to_string(), refused).await),
        };
        match &held.standing {
            Standing::Recorded => {}
            // First that it was set: the log tells the whole story, in its order.
            Standing::Waiting(submission) => {
                self.write_waiting(&held, submission).await?.then_some(()).ok_or_else(out_of_reach)?;
            }
            Standing::Frozen => {
                let told =
                    "it stands for a revocation that waits to be recorded, and ends with it".to_owned();
                return Err(LockError::Invalid { code: "lock_is_a_pending_revocation", told });
            }
        }
        self.write_or_fail(&words::lifted(caller, &held.lock, &decided)).await?;
        self.drop_lock(id);
        Ok(held.lock)
    }

    /// Every lock in force, oldest first. Who may lock any grant sees all of them, others none.
    pub fn list(&self, caller: &Caller) -> Result<Vec<LockView>, LockError> {
        if !self.may_lock_anything(caller) {
            return Ok(Vec::new());
        }
        let mut views = self.shelf.views(caller.at);
        views.sort_by_key(|view| (view.lock.at, view.lock.id));
        Ok(views)
    }

    /// In memory only, for a revocation that the sick store cannot take: what it stops is stopped at once. It is not
    /// counted against the limit, never recorded and gone with the process.
    pub fn freeze(&self, lock: Lock) {
        let at = lock.at;
        self.shelf.put(Held { lock, standing: Standing::Frozen, answer: None }, usize::MAX);
        self.shelf.measure(at);
    }

    /// The revocation is recorded: takes a freeze away, and nothing else.
    pub fn thaw(&self, id: &LockId) {
        self.shelf.thaw(*id);
        self.shelf.measure(self.clock.now());
    }

    fn make(&self, caller: &Caller, new: NewLock) -> Result<Lock, LockError> {
        // Not the caller's moment: the entry says from when it was in force, and requests before it were not stopped.
        let at = self.clock.now();
        let id = LockId::new(at, self.entropy.as_ref())
            .map_err(|error| LockError::Unavailable(error.to_string()))?;
        let until = new.ttl.map(|ttl| at.plus(ttl));
        Ok(Lock { id, target: new.target, reason: new.reason, by: caller.id().clone(), at, until })
    }

    /// Writes a refused attempt down and says what the caller is told. A refusal that cannot be recorded is no answer.
    async fn refuse(
        &self,
        caller: &Caller,
        attempted: &'static str,
        target: &str,
        refused: Box<Refused>,
    ) -> LockError {
        let submission = words::refused(caller, attempted, target, &refused);
        match self.audit.record(submission).await {
            Ok(_) => refused.told,
            Err(error) => LockError::Unavailable(error.to_string()),
        }
    }

    /// `false` when the log cannot be written now. That a try before was recorded is as good.
    async fn write(&self, submission: &Submission) -> Result<bool, LockError> {
        match self.audit.record(submission.clone()).await {
            // What is overtaken is over already: another replica wrote the same.
            Ok(_) | Err(RecordError::Answered | RecordError::Overtaken(Overtaken::Lock)) => Ok(true),
            Err(RecordError::Unavailable) => Ok(false),
            Err(error) => Err(LockError::Unavailable(error.to_string())),
        }
    }

    async fn write_or_fail(&self, submission: &Submission) -> Result<(), LockError> {
        if self.write(submission).await? { Ok(()) } else { Err(out_of_reach()) }
    }

    fn drop_lock(&self, id: LockId) {
        self.shelf.remove(id);
        self.shelf.measure(self.clock.now());
    }
}

fn out_of_reach() -> LockError {
    LockError::Unavailable(RecordError::Unavailable.to_string())
}

fn check(new: &NewLock) -> Result<(), LockError> {
    let invalid = |code, told: &str| Err(LockError::Invalid { code, told: told.to_owned() });
    if !(1..=MOST_REASON_BYTES).contains(&new.reason.len()) || new.reason.trim().is_empty() {
        return invalid("bad_reason", "a lock needs a reason of 1 to 2000 bytes");
    }
    if new.ttl.is_some_and(|ttl| !(SHORTEST_TTL..=LONGEST_TTL).contains(&ttl)) {
        return invalid("bad_ttl", "a lock ends by itself after 1s to 365d");
    }
    Ok(())
}
