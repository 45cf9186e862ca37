//! What time and a log that works again have made possible: written down once each.

use std::sync::Arc;

use super::shelf::{Held, Standing};
use super::{LockBook, words};
use crate::audit::StillTrue;
use crate::clock::Moment;
use crate::ids::RequestId;

impl LockBook {
    /// One pass: records what was not recorded, writes the end of locks that ended, forgets those. Stops at the first sign
    /// that the log is sick; the next pass goes on.
    pub async fn tick(&self) {
        let at = self.clock.now();
        for held in self.shelf.all().iter() {
            if !self.settle(held, at).await {
                tracing::warn!(lock.id = %held.lock.id, "a lock's entry cannot be written now; it is tried again");
                break;
            }
        }
        self.shelf.measure(at);
    }

    /// `false` when the log cannot be written.
    async fn settle(&self, held: &Held, at: Moment) -> bool {
        let (lock, over) = (&held.lock, !held.lock.holds(at));
        match &held.standing {
            Standing::Recorded => {}
            Standing::Waiting(submission) => {
                if !self.write_waiting(held, submission).await.unwrap_or(false) {
                    return false;
                }
                self.shelf.mark_recorded(lock.id);
                self.forget_if_lifted(lock).await;
            }
            Standing::Frozen => {
                if over {
                    self.shelf.remove(lock.id);
                }
                return true;
            }
        }
        if !over {
            return true;
        }
        let Ok(request_id) = RequestId::new(at, self.entropy.as_ref()) else { return false };
        let (book, id) = (Arc::clone(&self.shelf), lock.id);
        let still_there = StillTrue::new(move |_| book.find(id).is_some());
        let ended = words::ended(request_id, lock, at).only_if(still_there);
        if !self.write(&ended).await.unwrap_or(false) {
            return false;
        }
        self.shelf.remove(lock.id);
        true
    }
}
