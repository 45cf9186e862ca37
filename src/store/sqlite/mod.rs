//! The store in one SQLite file: WAL, `synchronous=FULL`, one writing connection, a few reading ones. Knows SQL and
//! files; one process at a time.

mod breakglass;
mod checkpoint;
mod claims;
mod custody;
mod end;
mod files;
mod inspect;
mod replicas;
mod rows;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod unit;

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::task::JoinSet;

use self::claims::ClaimRow;
pub(super) use self::end::SqliteEnd;
use self::files::{FileIdentity, ProcessLock};
pub(super) use self::inspect::{inspect, migrate};
use self::replicas::Leases;
use self::rows::{broken, signed};
use self::unit::Writer;
use super::{KeyRow, LogHead, LogRow, Store, StoreError, UnitOfWork, stored};
use crate::clock::Moment;

/// How long a statement waits for another connection's lock. Readers never block in WAL; this is for the short
/// moments of a checkpoint, and for a command that runs beside the broker.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Enough for proofs and tiles beside the writer; each costs a thread and a page cache.
const READERS: u32 = 3;
/// Rows that a statement may run ahead of its reader: one whole tile.
const ROW_BUFFER: usize = 256;

/// One SQLite file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// Empty beside a broker: commands write too little to matter. Ends with the store.
    checkpoints: JoinSet<()>,
    leases: Leases,
    /// Held as long as the store lives.
    _lock: Option<ProcessLock>,
}

impl SqliteStore {
    /// Creates (mode 0600) or opens `path`, alone, and brings its schema up to date.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = ProcessLock::take(path)?;
        files::create_private(path)?;
        let mut store = Self::connect(path, Some(lock))?;
        store.migrate().await?;
        store.head().await?;
        store.writer.read_claims().await?;
        store.checkpoints.spawn(store.writer.checkpointer().run());
        Ok(store)
    }

    /// Opens an existing `path` that a running broker may have open.
    pub(super) async fn open_beside(path: &Path) -> Result<Self, StoreError> {
        let store = Self::connect(path, None)?;
        store.head().await?;
        Ok(store)
    }

    fn connect(path: &Path, lock: Option<ProcessLock>) -> Result<Self, StoreError> {
        let identity = FileIdentity::of(path)
            .map_err(|error| StoreError::Refused(format!("`{}`: {error}", path.display())))?;
        let options = options(path);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().pragma("query_only", "1"));
        let writer = Writer::new(path, identity, options);
        Ok(Self { writer, readers, checkpoints: JoinSet::new(), leases: Leases::default(), _lock: lock })
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut slot = self.writer.slot().await?;
        let connection = slot.connection()?;
        schema::migrate(connection).await.map(drop)
    }
}

impl SqliteStore {
    /// Looked for by a reader, beside the commits.
    async fn ended_claims(&self, at: Moment, most: u32) -> Result<Vec<ClaimRow>, StoreError> {
        let query = sqlx::query(statements::ENDED).bind(at.unix_millis()).bind(most);
        let found = query.fetch_all(&self.readers).await.map_err(broken)?;
        found.iter().map(claims::claim_row).collect()
    }
}

impl Store for SqliteStore {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn UnitOfWork>, StoreError>> {
        Box::pin(async { Ok(Box::new(self.writer.begin().await?) as Box<dyn UnitOfWork>) })
    }

    fn head(&self) -> BoxFuture<'_, Result<LogHead, StoreError>> {
        Box::pin(async {
            let row = sqlx::query(statements::HEAD).fetch_optional(&self.readers).await.map_err(broken)?;
            rows::head(row.as_ref().ok_or_else(stored::no_head)?)
        })
    }

    fn entries(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<LogRow>, StoreError>> {
        Box::pin(async move {
            let found = sqlx::query(statements::ENTRIES)
                .bind(signed(from)?)
                .bind(signed(from.saturating_add(u64::from(limit)))?)
                .fetch_all(&self.readers)
                .await
                .map_err(broken)?;
            found.iter().zip(from..).map(|(row, index)| rows::entry(row, index)).collect()
        })
    }

    fn tile_hashes(
        &self,
        level: u8,
        from: u64,
        count: u32,
    ) -> BoxFuture<'_, Result<Vec<[u8; 32]>, StoreError>> {
        Box::pin(async move {
            let (low, high) = (signed(from)?, signed(from.saturating_add(u64::from(count)))?);
            let query = match level {
                0 => sqlx::query(statements::LEAF_HASHES),
                _ => sqlx::query(statements::NODE_HASHES),
            };
            let found =
                query.bind(low).bind(high).bind(level).fetch_all(&self.readers).await.map_err(broken)?;
            found.iter().zip(from..).map(|(row, index)| rows::numbered_hash(row, index)).collect()
        })
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async {
            let found = sqlx::query(statements::KEYS).fetch_all(&self.readers).await.map_err(broken)?;
            found.iter().map(rows::key).collect()
        })
    }

    fn purge_claims(&self, at: Moment, most: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let ended = self.ended_claims(at, most).await?;
            if ended.is_empty() {
                return Ok(0);
            }
            let mut unit = self.writer.begin().await?;
            // Others among them: somebody claimed what had ended. At the next turn they are in the list too.
            if !unit.forget(&ended).await? {
                return Ok(0);
            }
            Box::new(unit).commit().await?;
            Ok(ended.len() as u64)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let mut unit = self.writer.begin().await?;
            unit.touch().await?;
            Box::new(unit).commit().await
        })
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    use sqlx::ConnectOptions as _;
    SqliteConnectOptions::new()
        .filename(path)
        // Never: a log that vanished must be noticed, not begun again.
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // Statements over many rows keep a journal of their own while they run: in memory, or each commit would make,
        // write and delete a file for nothing.
        .pragma("temp_store", "2")
        // KiB: what is written lies at the end of its tables; the rest are proofs and tiles, which may be read again.
        .pragma("cache_size", "-4000")
        .pragma("wal_autocheckpoint", checkpoint::LOG_PAGES)
        .row_buffer_size(ROW_BUFFER)
        .disable_statement_logging()
}
