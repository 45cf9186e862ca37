//! How many strangers read the log at once.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads of the store at once. Fewer than the readers of its smallest usual pool: elevations, revoked tokens and what replicas
/// say of each other are read there too, and issuing waits for them. One read takes about a millisecond.
const READS: usize = 2;
/// Requests that wait for one. More are turned away at once, rather than hold places that other requests need.
const PLACES: usize = 64;

/// The bounds of one door.
#[derive(Debug)]
pub(super) struct Turns {
    places: Semaphore,
    reads: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            places: Semaphore::new(PLACES),
            reads: Semaphore::new(READS),
        }
    }
}

impl Turns {
    /// A turn to read; `None` when too many wait.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        let _place = self.places.try_acquire().ok()?;
        self.reads.acquire().await.ok()
    }
}

#[cfg(test)]
impl Turns {
    /// Every place is taken.
    pub(super) fn crowd(&self) -> SemaphorePermit<'_> {
        self.places.try_acquire_many(u32::try_from(PLACES).unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_take_two_turns_at_once_and_are_turned_away_when_too_many_wait() {
        let turns = Turns::default();
        let (one, two) = (turns.take().await.unwrap(), turns.take().await.unwrap());
        let mut waiting: Vec<_> = (0..PLACES).map(|_| Box::pin(turns.take())).collect();
        for wait in &mut waiting {
            assert!(futures_util::poll!(wait.as_mut()).is_pending());
        }
        assert!(turns.take().await.is_none(), "at once");
        drop(one);
        assert!(waiting.remove(0).await.is_some());
        drop((two, waiting));
        assert!(turns.take().await.is_some());
    }
}
