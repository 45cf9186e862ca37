//! What a backend does at either end of a copy.

use futures_util::future::BoxFuture;

use super::tables::{Row, Table};
use crate::store::StoreError;

/// A store that is read or written table by table, by nobody else meanwhile.
pub(in crate::store) trait End: Send {
    /// At most `most` rows in the order of their key, from behind `after` on.
    fn page<'a>(
        &'a mut self,
        table: &'a Table,
        after: Option<&'a Row>,
        most: u32,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>>;
    /// The last row in that order.
    fn last<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<Option<Row>, StoreError>>;
    /// The number of the last message that ever was in the outbox; 0 for none.
    fn last_message(&mut self) -> BoxFuture<'_, Result<i64, StoreError>>;

    /// Takes the head away, durably: from here on no broker starts on this store.
    fn behead(&mut self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Deletes all rows.
    fn clear<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Adds rows in a transaction of their own.
    fn insert<'a>(&'a mut self, table: &'a Table, rows: &'a [Row]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Gives it its head and the outbox's number, in one transaction: now it is a store.
    fn finish(&mut self, head: Row, last_message: i64) -> BoxFuture<'_, Result<(), StoreError>>;
}
