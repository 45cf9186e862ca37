//! The live keys: lock-free reads for every token, swapped whole by the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use super::schedule::{self, KeyTimes};
use super::{PublicJwk, SigningKey};
use crate::clock::Moment;

/// The live keys: lock-free reads; the service swaps them.
#[derive(Debug, Default)]
pub struct KeyRing {
    live: ArcSwap<Vec<LiveKey>>,
    /// Others keep keys that this process cannot open.
    behind: AtomicBool,
}

/// One key and its times.
#[derive(Clone, Debug)]
pub(super) struct LiveKey {
    pub(super) key: Arc<SigningKey>,
    pub(super) times: KeyTimes,
}

impl KeyRing {
    /// The key that signs at `at`; `None` when there is none (not ready).
    pub fn signer(&self, at: Moment) -> Option<Arc<SigningKey>> {
        let live = self.live.load();
        let chosen = schedule::signer(live.iter().map(|key| &key.times), at)?;
        live.iter().find(|key| key.times.kid == chosen.kid).map(|key| Arc::clone(&key.key))
    }

    /// Does it hold every kept key? If not, others may soon sign with one that is not published here.
    pub fn is_current(&self) -> bool {
        !self.behind.load(Ordering::Relaxed)
    }

    pub(super) fn set_current(&self, current: bool) {
        self.behind.store(!current, Ordering::Relaxed);
    }

    /// Every key that must be published at `at`: next, active and retired ones, in the order of their creation.
    pub fn published(&self, at: Moment) -> Vec<PublicJwk> {
        let live = self.live.load();
        live.iter().filter(|key| key.times.is_published(at)).map(|key| key.key.public().clone()).collect()
    }

    /// A key that is published at `at`, by its name: what verifies our own tokens. One that is published no more has no
    /// token left that could still be good.
    pub fn verifier(&self, kid: &str, at: Moment) -> Option<Arc<SigningKey>> {
        let live = self.live.load();
        let found = live.iter().find(|key| key.times.kid.as_str() == kid && key.times.is_published(at));
        found.map(|key| Arc::clone(&key.key))
    }

    /// A ring with one key that signs from the beginning of time: for tests of what signs.
    #[cfg(test)]
    pub(crate) fn with_one_key(key: SigningKey) -> Self {
        let times = KeyTimes {
            kid: key.kid().clone(),
            created_at: Moment::EPOCH,
            active_from: Moment::EPOCH,
            retired_at: None,
            published_until: None,
        };
        let ring = Self::default();
        ring.swap(vec![LiveKey { key: Arc::new(key), times }]);
        ring
    }

    /// The same key set is published in the same order by every replica and after every restart, so that caches in
    /// between see one text.
    pub(super) fn swap(&self, mut keys: Vec<LiveKey>) {
        keys.sort_by(|a, b| (a.times.created_at, &a.times.kid).cmp(&(b.times.created_at, &b.times.kid)));
        self.live.store(Arc::new(keys));
    }

    /// The parsed key of that name, so that it need not be opened again.
    pub(super) fn parsed(&self, kid: &crate::ids::Kid) -> Option<Arc<SigningKey>> {
        self.live.load().iter().find(|key| key.times.kid == *kid).map(|key| Arc::clone(&key.key))
    }
}
