//! Locks that another replica set or lifted. The writer of the log brings them in before anything is committed; the loop
//! that listens to the store brings them in for everything that is decided from memory.

use super::LockBook;
use super::shelf::{Held, Shelf, Standing};
use crate::audit::LockFollower;
use crate::locks::Lock;
use crate::store::StoreError;

impl LockBook {
    /// Has what the store had when its mark was `mark`, or newer.
    ///
    /// # Errors
    /// The store cannot be read; what was known stays.
    pub async fn catch_up(&self, mark: u64) -> Result<(), StoreError> {
        if self.shelf.mark() < mark {
            // Read after the mark was: these are as new as the mark, or newer.
            self.shelf.take_in(self.store.locks().await?, mark);
            self.shelf.measure(self.clock.now());
        }
        Ok(())
    }

    /// A lock of ours whose entry was written by a try before may have been lifted elsewhere since.
    pub(super) async fn forget_if_lifted(&self, lock: &Lock) {
        match self.store.locks().await {
            Ok(kept) if !kept.iter().any(|kept| kept.id == lock.id) => self.drop_lock(lock.id),
            // In doubt it holds.
            Ok(_) | Err(_) => {}
        }
    }
}

impl LockFollower for Shelf {
    fn mark(&self) -> u64 {
        Self::mark(self)
    }

    /// What waits to be recorded here, and what is frozen here, is not in the store and stays.
    fn take_in(&self, locks: Vec<Lock>, mark: u64) {
        self.change_to(mark, |held| {
            held.retain(|held| !held.is_recorded() || locks.iter().any(|lock| lock.id == held.lock.id));
            for lock in locks {
                match held.iter_mut().find(|held| held.lock.id == lock.id) {
                    Some(known) => known.standing = Standing::Recorded,
                    None => held.push(Held { lock, standing: Standing::Recorded, answer: None }),
                }
            }
        });
    }
}
