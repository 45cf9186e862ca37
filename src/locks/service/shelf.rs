//! The locks in memory: lock-free for every request, swapped whole by who changes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::LockView;
use crate::audit::Submission;
use crate::clock::Moment;
use crate::ids::LockId;
use crate::locks::{Lock, OwnedSubjects, Subjects};
use crate::store::AnswerRow;

/// A lock and where it stands with the log.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lock: Lock,
    pub(super) standing: Standing,
    /// The answer to keep for the request that set it, when that had an `Idempotency-Key`. Not known after a restart.
    pub(super) answer: Option<AnswerRow>,
}

/// What became of a lock that was put up.
#[derive(Debug)]
pub(super) enum Put {
    /// It is in force.
    Done,
    /// Another one, which is in the book under the same key, stands for it.
    Before(Box<Held>),
    /// There are too many.
    Full,
}

#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Durable.
    Recorded,
    /// In force and not known to be durable. Writing it again writes it once.
    Waiting(Arc<Submission>),
    /// In memory only, for somebody else's purpose.
    Frozen,
}

#[derive(Debug)]
pub(super) struct Shelf {
    held: ArcSwap<Vec<Held>>,
    /// What the store's mark was when the recorded ones were read.
    mark: AtomicU64,
    /// Two changes at once could lose one.
    changing: Mutex<()>,
}

impl Shelf {
    pub(super) fn new(held: Vec<Held>, mark: u64) -> Self {
        Self { held: ArcSwap::from_pointee(held), mark: AtomicU64::new(mark), changing: Mutex::new(()) }
    }

    pub(super) fn mark(&self) -> u64 {
        self.mark.load(Ordering::Acquire)
    }

    pub(super) fn len(&self) -> usize {
        self.held.load().len()
    }

    pub(super) fn blocking(&self, about: &Subjects<'_>, at: Moment) -> Option<Lock> {
        let held = self.held.load();
        held.iter().find(|held| held.lock.stops(about, at)).map(|held| held.lock.clone())
    }

    pub(super) fn all_blocking(&self, about: &Subjects<'_>, at: Moment) -> Vec<Lock> {
        let held = self.held.load();
        held.iter().filter(|held| held.lock.stops(about, at)).map(|held| held.lock.clone()).collect()
    }

    pub(super) fn is_blocking(&self, about: &OwnedSubjects, at: Moment) -> bool {
        let held = self.held.load();
        if held.is_empty() {
            return false;
        }
        let principals: Vec<_> = about.principals.iter().collect();
        let (grant, elevation) = (about.grant.as_ref(), about.elevation.as_ref());
        let about = Subjects { principals: &principals, grant, elevation };
        held.iter().any(|held| held.lock.stops(&about, at))
    }

    pub(super) fn find(&self, id: LockId) -> Option<Held> {
        self.held.load().iter().find(|held| held.lock.id == id).cloned()
    }

    pub(super) fn all(&self) -> Arc<Vec<Held>> {
        self.held.load_full()
    }

    pub(super) fn views(&self, at: Moment) -> Vec<LockView> {
        let held = self.held.load();
        let in_force = held.iter().filter(|held| held.lock.holds(at));
        in_force.map(|held| LockView { lock: held.lock.clone(), recorded: held.is_recorded() }).collect()
    }

    /// Looks for the key and puts the lock up in one step: of two requests that are the same, one sets it.
    pub(super) fn put(&self, new: Held, most: usize) -> Put {
        self.change(|held| {
            if let Some(before) = held.iter().find(|held| held.has_key_of(&new)) {
                return Put::Before(Box::new(before.clone()));
            }
            if held.iter().filter(|held| !matches!(held.standing, Standing::Frozen)).count() >= most {
                return Put::Full;
            }
            held.push(new);
            Put::Done
        })
    }

    pub(super) fn mark_recorded(&self, id: LockId) {
        self.change(|held| {
            if let Some(held) = held.iter_mut().find(|held| held.lock.id == id) {
                held.standing = Standing::Recorded;
            }
        });
    }

    pub(super) fn remove(&self, id: LockId) {
        self.change(|held| held.retain(|held| held.lock.id != id));
    }

    pub(super) fn thaw(&self, id: LockId) {
        self.change(|held| {
            held.retain(|held| held.lock.id != id || !matches!(held.standing, Standing::Frozen));
        });
    }

    pub(super) fn measure(&self, at: Moment) {
        let held = self.held.load();
        let in_force = held.iter().filter(|held| held.lock.holds(at)).count();
        let unrecorded = held.iter().filter(|held| !held.is_recorded()).count();
        metrics::gauge!("tidegate_locks_active").set(number(in_force));
        metrics::gauge!("tidegate_locks_unrecorded").set(number(unrecorded));
    }

    /// A change that brings the recorded ones to what they were at `mark`; nothing where they are as new already.
    pub(super) fn change_to(&self, mark: u64, change: impl FnOnce(&mut Vec<Held>)) {
        self.change(|held| {
            if self.mark() < mark {
                change(held);
                self.mark.store(mark, Ordering::Release);
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Held>) -> T) -> T {
        // A panic within a change left the old list, which is still true.
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Vec::clone(&self.held.load());
        let outcome = change(&mut next);
        self.held.store(Arc::new(next));
        outcome
    }
}

impl Held {
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self.standing, Standing::Recorded)
    }

    /// Was it set under the same key, while that is kept?
    fn has_key_of(&self, new: &Self) -> bool {
        let (Some(own), Some(asked)) = (&self.answer, &new.answer) else { return false };
        own.key == asked.key && new.lock.at < own.until
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
