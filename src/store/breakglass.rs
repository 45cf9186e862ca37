//! What break-glass keeps: elevations, answers to repeated requests, locks, messages that wait, revoked tokens, the latest
//! time that was seen.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

use super::StoreError;
use crate::breakglass::{Elevation, StateName};
use crate::clock::Moment;
use crate::ids::{ElevationId, GrantName, LockId};
use crate::locks::Lock;
use crate::notify::{HookId, Message};
use crate::principal::PrincipalId;
use crate::secret::Fingerprint;

/// One compare-and-swap. The time predicate is inside it: only the commit's own moment counts.
#[derive(Clone, Debug)]
pub struct ElevationChange {
    /// What it becomes.
    pub next: Elevation,
    /// The version it must have now; `None` for a new one.
    pub from: Option<u64>,
    /// The moment before which the change must be durable: until then its reasons hold.
    pub before: Option<Moment>,
    /// For a new one: how many may be open beside it.
    pub room: Option<OpenLimits>,
}

/// How many elevations may be open (not terminal) before a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenLimits {
    /// Of the same requester.
    pub per_person: u32,
    /// For the same grant.
    pub per_grant: u32,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written.
    Done,
    /// The stored version is another, or the id is taken.
    Lost,
    /// `before` has passed.
    Late,
    /// The requester has too many open ones.
    PersonFull,
    /// The grant has too many open ones.
    GrantFull,
}

/// A credential may be delivered only while its elevation stands as it was when it was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElevationGuard {
    /// Which.
    pub id: ElevationId,
    /// The version that it must still have.
    pub version: u64,
    /// The moment before which the entry must be durable: the window's end.
    pub before: Moment,
}

/// The answer to a request with an `Idempotency-Key`: the same request gets it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    /// Digest of person, route and key.
    pub key: Fingerprint,
    /// Digest of the request's body: another body under the same key is a mistake.
    pub request: Fingerprint,
    /// What was made or changed: an elevation's or a lock's id.
    pub outcome: String,
    /// From when it may be forgotten.
    pub until: Moment,
}

/// One message for one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// To whom.
    pub hook: HookId,
    /// What.
    pub message: Message,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Its place in the outbox.
    pub sequence: u64,
    /// What.
    pub message: Message,
    /// How often it was tried without success.
    pub attempts: u32,
}

/// A token of ours that was revoked before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedToken {
    /// Its `jti`.
    pub jti: String,
    /// Its own end, after which nobody asks.
    pub until: Moment,
}

/// Which elevations to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ElevationQuery {
    /// In one of these stored states; any when empty.
    pub states: BTreeSet<StateName>,
    /// For this grant.
    pub grant: Option<GrantName>,
    /// Asked by this person.
    pub requester: Option<PrincipalId>,
    /// Older than this one: where the last page ended.
    pub before: Option<ElevationId>,
    /// At most so many.
    pub limit: u32,
}

/// Reading, and the writes that stand alone: no entry of the log depends on them.
pub trait BreakGlassStore {
    /// One elevation.
    fn elevation(&self, id: ElevationId) -> BoxFuture<'_, Result<Option<Elevation>, StoreError>>;
    /// Some, newest first (by id, which carries the time of the request).
    fn elevations(&self, query: ElevationQuery) -> BoxFuture<'_, Result<Vec<Elevation>, StoreError>>;
    /// Those with [`Elevation::next_due`] at or before `at`, the longest due first.
    fn due_elevations(&self, at: Moment, limit: u32) -> BoxFuture<'_, Result<Vec<Elevation>, StoreError>>;
    /// The kept answer.
    fn answer(&self, key: Fingerprint) -> BoxFuture<'_, Result<Option<AnswerRow>, StoreError>>;
    /// Every lock that was not lifted, oldest first; also those that ended by themselves and are not forgotten yet.
    fn locks(&self) -> BoxFuture<'_, Result<Vec<Lock>, StoreError>>;
    /// For one receiver: the oldest waiting message of each elevation, when it is due at `at`; oldest first.
    fn due_messages(
        &self,
        hook: HookId,
        at: Moment,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<WaitingMessage>, StoreError>>;
    /// It arrived: forgotten.
    fn message_arrived(&self, sequence: u64) -> BoxFuture<'_, Result<(), StoreError>>;
    /// It did not arrive: tried again at `next_try`.
    fn message_failed(&self, sequence: u64, next_try: Moment) -> BoxFuture<'_, Result<(), StoreError>>;
    /// How many messages wait, for every receiver together.
    fn waiting_messages(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// Was this token revoked?
    fn is_revoked(&self, jti: String) -> BoxFuture<'_, Result<bool, StoreError>>;
    /// Forgets answers, revoked tokens and ended locks whose time is over at `at`, at most `most` of each; returns how
    /// many.
    fn purge_breakglass(&self, at: Moment, most: u32) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// The latest time that was kept.
    fn high_water(&self) -> BoxFuture<'_, Result<Option<Moment>, StoreError>>;
    /// Keeps `at` when it is later than what is kept.
    fn raise_high_water(&self, at: Moment) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The same within a unit of work.
pub trait BreakGlassUnit {
    /// Does the elevation stand as the guard says, at `at`?
    fn holds<'a>(
        &'a mut self,
        guard: &'a ElevationGuard,
        at: Moment,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// Writes it, or nothing.
    fn swap_elevation<'a>(
        &'a mut self,
        change: &'a ElevationChange,
        at: Moment,
    ) -> BoxFuture<'a, Result<Swap, StoreError>>;
    /// Is there an answer under that key?
    fn has_answer<'a>(&'a mut self, key: &'a Fingerprint) -> BoxFuture<'a, Result<bool, StoreError>>;
    /// Keeps an answer under a key that has none.
    fn keep_answer<'a>(&'a mut self, answer: &'a AnswerRow) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Inserts a lock; one with the same id is no error.
    fn put_lock<'a>(&'a mut self, lock: &'a Lock) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Deletes it if it is there.
    fn delete_lock<'a>(&'a mut self, id: &'a LockId) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Puts messages into the outbox, in this order.
    fn put_messages<'a>(&'a mut self, messages: &'a [OutboxRow]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Notes a revoked token; once more is no error.
    fn put_revoked<'a>(&'a mut self, token: &'a RevokedToken) -> BoxFuture<'a, Result<(), StoreError>>;
}
