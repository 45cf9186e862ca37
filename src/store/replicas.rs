//! What replicas on one store need of it to be of one mind: marks that say that something changed, in the row that every
//! commit reads anyway; leases for work that one replica does for all; the policy sets that all of them follow.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{KeyRow, LogHead, StoreError};
use crate::clock::Moment;
use crate::ids::UniqueId;
use crate::locks::Lock;
use crate::secret::Fingerprint;

/// How far the facts have moved that replicas keep in memory. A unit that changes one of them moves its mark in the same
/// transaction; whoever holds what an equal mark stood for has missed nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Counts locks that were put or deleted.
    pub locks: u64,
    /// Counts keys that were put or deleted.
    pub keys: u64,
    /// Counts changes of elevations.
    pub elevations: u64,
    /// The digest of the policy sets that decide on every replica; `None` where nobody has published any.
    pub policy: Option<Fingerprint>,
}

/// Head and marks, as they were together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// The committed head.
    pub head: LogHead,
    /// The committed marks.
    pub marks: Marks,
}

/// Who does a piece of work for all, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease<'a> {
    /// Which work.
    pub name: &'a str,
    /// Who wants it: another name for every process.
    pub holder: UniqueId,
    /// Now.
    pub at: Moment,
    /// From `at`, for how long.
    pub span: Duration,
}

/// Reading, and what stands alone.
pub trait ReplicaStore {
    /// May others write to the same storage at the same time?
    fn is_shared(&self) -> bool;
    /// Head and marks in one cheap read.
    fn pulse(&self) -> BoxFuture<'_, Result<Pulse, StoreError>>;
    /// Returns when another replica is said to have moved a mark; perhaps late, perhaps for nothing, perhaps never. Only a
    /// reason to ask for the [`pulse`](Self::pulse) earlier.
    fn hint(&self) -> BoxFuture<'_, ()>;
    /// Takes or extends a lease; `false` when another holds it. Clocks of replicas differ: it keeps two from doing the same
    /// work most of the time, and nothing may be wrong when both do.
    fn lease<'a>(&'a self, lease: Lease<'a>) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// The texts of the policy sets with that digest, when they were published here at any time.
    fn policy_set(&self, digest: Fingerprint) -> BoxFuture<'_, Result<Option<String>, StoreError>>;
}

/// The same within a unit of work, after its `head`.
pub trait ReplicaUnit {
    /// The marks, with what this unit has moved.
    fn marks(&mut self) -> BoxFuture<'_, Result<Marks, StoreError>>;
    /// Every lock that was not lifted, as [`BreakGlassStore::locks`](super::BreakGlassStore::locks) has them.
    fn locks(&mut self) -> BoxFuture<'_, Result<Vec<Lock>, StoreError>>;
    /// Every key, oldest first.
    fn keys(&mut self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>>;
    /// Keeps the texts under their digest, and makes them the ones that decide.
    fn put_policy_set<'a>(
        &'a mut self,
        digest: &'a Fingerprint,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}
