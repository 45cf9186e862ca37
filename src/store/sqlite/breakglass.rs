//! What break-glass keeps, in SQLite.

use futures_util::future::BoxFuture;

use super::SqliteStore;
use super::unit::SqliteUnit;
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

fn later<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("not built".to_owned()))
}

impl BreakGlassStore for SqliteStore {
    fn elevation(&self, _id: ElevationId) -> BoxFuture<'_, Result<Option<Elevation>, StoreError>> {
        Box::pin(async { later() })
    }
    fn elevations(&self, _query: ElevationQuery) -> BoxFuture<'_, Result<Vec<Elevation>, StoreError>> {
        Box::pin(async { later() })
    }
    fn due_elevations(&self, _at: Moment, _limit: u32) -> BoxFuture<'_, Result<Vec<Elevation>, StoreError>> {
        Box::pin(async { later() })
    }
    fn answer(&self, _key: Fingerprint) -> BoxFuture<'_, Result<Option<AnswerRow>, StoreError>> {
        Box::pin(async { later() })
    }
    fn locks(&self) -> BoxFuture<'_, Result<Vec<Lock>, StoreError>> {
        Box::pin(async { later() })
    }
    fn due_messages(
        &self,
        _hook: HookId,
        _at: Moment,
        _limit: u32,
    ) -> BoxFuture<'_, Result<Vec<WaitingMessage>, StoreError>> {
        Box::pin(async { later() })
    }
    fn message_arrived(&self, _sequence: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
    fn message_failed(&self, _sequence: u64, _next_try: Moment) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
    fn waiting_messages(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async { later() })
    }
    fn is_revoked(&self, _jti: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async { later() })
    }
    fn purge_breakglass(&self, _at: Moment, _most: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async { later() })
    }
    fn high_water(&self) -> BoxFuture<'_, Result<Option<Moment>, StoreError>> {
        Box::pin(async { later() })
    }
    fn raise_high_water(&self, _at: Moment) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
}

impl BreakGlassUnit for SqliteUnit {
    fn holds<'a>(
        &'a mut self,
        _guard: &'a ElevationGuard,
        _at: Moment,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async { later() })
    }
    fn swap_elevation<'a>(
        &'a mut self,
        _change: &'a ElevationChange,
        _at: Moment,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async { later() })
    }
    fn has_answer<'a>(&'a mut self, _key: &'a Fingerprint) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async { later() })
    }
    fn keep_answer<'a>(&'a mut self, _answer: &'a AnswerRow) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
    fn put_lock<'a>(&'a mut self, _lock: &'a Lock) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
    fn delete_lock<'a>(&'a mut self, _id: &'a LockId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
    fn put_messages<'a>(&'a mut self, _messages: &'a [OutboxRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
    fn put_revoked<'a>(&'a mut self, _token: &'a RevokedToken) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { later() })
    }
}
