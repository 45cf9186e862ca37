//! What break-glass keeps, in SQLite.

mod elevations;
mod kept;
mod outbox;
#[cfg(test)]
mod tests;

pub(super) use kept::LOCKS;

use futures_util::future::BoxFuture;

use super::SqliteStore;
use super::unit::{Query, SqliteUnit};
use crate::breakglass::Elevation;
use crate::clock::Moment;
use crate::ids::{ElevationId, LockId};
use crate::locks::Lock;
use crate::notify::HookId;
use crate::secret::Fingerprint;
use crate::store::{
    AnswerRow, BreakGlassStore, BreakGlassUnit, ElevationChange, ElevationGuard, ElevationQuery, OutboxRow,
    RevokedToken, StoreError, Swap, WaitingMessage,
};

impl SqliteStore {
    /// One statement in a transaction of its own, durable when this returns `Ok`.
    async fn write_alone(&self, query: Query) -> Result<(), StoreError> {
        let mut unit = self.writer.begin().await?;
        unit.run(query).await?;
        unit.finish().await
    }
}

impl SqliteUnit {
    /// Durable when this returns `Ok`.
    async fn finish(self) -> Result<(), StoreError> {
        use crate::store::UnitOfWork as _;
        Box::new(self).commit().await
    }
}

impl BreakGlassStore for SqliteStore {
    fn elevation(&self, id: ElevationId) -> BoxFuture<'_, Result<Option<Elevation>, StoreError>> {
        Box::pin(self.find_elevation(id))
    }

    fn elevations(&self, query: ElevationQuery) -> BoxFuture<'_, Result<Vec<Elevation>, StoreError>> {
        Box::pin(self.list_elevations(query))
    }

    fn due_elevations(&self, at: Moment, limit: u32) -> BoxFuture<'_, Result<Vec<Elevation>, StoreError>> {
        Box::pin(self.list_due(at, limit))
    }

    fn answer(&self, key: Fingerprint) -> BoxFuture<'_, Result<Option<AnswerRow>, StoreError>> {
        Box::pin(self.find_answer(key))
    }

    fn locks(&self) -> BoxFuture<'_, Result<Vec<Lock>, StoreError>> {
        Box::pin(self.list_locks())
    }

    fn due_messages(
        &self,
        hook: HookId,
        at: Moment,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<WaitingMessage>, StoreError>> {
        Box::pin(self.list_due_messages(hook, at, limit))
    }

    fn message_arrived(&self, sequence: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.forget_message(sequence))
    }

    fn message_failed(&self, sequence: u64, next_try: Moment) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.postpone_message(sequence, next_try))
    }

    fn waiting_messages(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.count_messages())
    }

    fn is_revoked(&self, jti: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.has_revoked(jti))
    }

    fn purge_breakglass(&self, at: Moment, most: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.forget_ended(at, most))
    }

    fn high_water(&self) -> BoxFuture<'_, Result<Option<Moment>, StoreError>> {
        Box::pin(self.latest_time())
    }

    fn raise_high_water(&self, at: Moment) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.keep_latest_time(at))
    }
}

impl BreakGlassUnit for SqliteUnit {
    fn holds<'a>(
        &'a mut self,
        guard: &'a ElevationGuard,
        at: Moment,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.guard_holds(guard, at))
    }

    fn swap_elevation<'a>(
        &'a mut self,
        change: &'a ElevationChange,
        at: Moment,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.swap(change, at))
    }

    fn has_answer<'a>(&'a mut self, key: &'a Fingerprint) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.finds_answer(key))
    }

    fn keep_answer<'a>(&'a mut self, answer: &'a AnswerRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.add_answer(answer))
    }

    fn put_lock<'a>(&'a mut self, lock: &'a Lock) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.add_lock(lock))
    }

    fn delete_lock<'a>(&'a mut self, id: &'a LockId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.remove_lock(id))
    }

    fn put_messages<'a>(&'a mut self, messages: &'a [OutboxRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.queue_messages(messages))
    }

    fn put_revoked<'a>(&'a mut self, token: &'a RevokedToken) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.add_revoked(token))
    }
}
