//! How many strangers read the log at once, and how much memory answers to them take.

use std::sync::Arc;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Reads of the store at once. Fewer than the readers of its smallest usual pool: elevations, revoked tokens and what replicas
/// say of each other are read there too, and issuing waits for them. One read takes about a millisecond.
const READS: usize = 2;
/// Requests that wait for one. More are turned away at once, rather than hold places that other requests need.
const PLACES: usize = 64;
/// For all answers that are made and not taken yet. A full bundle of usual entries has 256 KiB, the largest 16 MiB.
const ROOM_KIB: u32 = 64 * 1024;

/// The bounds of one door.
#[derive(Debug)]
pub(super) struct Turns {
    places: Semaphore,
    reads: Semaphore,
    room: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            places: Semaphore::new(PLACES),
            reads: Semaphore::new(READS),
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
        }
    }
}

/// Bytes with the room that they take. It is free again when the last of them has left or its connection is gone.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Turns {
    /// A turn to read; `None` when too many wait.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        let _place = self.places.try_acquire().ok()?;
        self.reads.acquire().await.ok()
    }

    /// What was read, counted until the connection has taken it; `None` when there is no room for more.
    pub(super) fn hold(&self, bytes: &Bytes) -> Option<Bytes> {
        let kib = u32::try_from(bytes.len().div_ceil(1024)).ok()?.clamp(1, ROOM_KIB);
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).ok()?;
        Some(Bytes::from_owner(Held { bytes: bytes.clone(), _room: room }))
    }
}

#[cfg(test)]
impl Turns {
    /// Every place is taken.
    pub(super) fn crowd(&self) -> SemaphorePermit<'_> {
        self.places.try_acquire_many(u32::try_from(PLACES).unwrap()).unwrap()
    }

    /// Answers that nobody takes fill the room.
    pub(super) fn fill(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.room).try_acquire_many_owned(ROOM_KIB).unwrap()
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.room.available_permits() < ROOM_KIB as usize
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

    #[tokio::test]
    async fn answers_that_nobody_takes_fill_the_room_and_no_more() {
        let turns = Turns::default();
        let bundle = Bytes::from(vec![7; 1024 * 1024]);
        let held: Vec<Bytes> = (0..64).map(|_| turns.hold(&bundle).unwrap()).collect();
        assert!(held.iter().all(|held| *held == bundle));
        assert!(turns.hold(&Bytes::from_static(b"x")).is_none(), "a small one takes room too");
        // A part that is still on its way holds all of it.
        let part = held[0].slice(..1);
        drop(held);
        assert_eq!(turns.room.available_permits(), 63 * 1024);
        drop(part);
        assert!(turns.hold(&bundle).is_some());
    }
}
