//! The one writing connection and the transaction on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions as _, Executor as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::StoreError;
use super::checkpoint::{Backlog, Checkpointer};
use super::claims::{ClaimRow, Taken, claim_key};
use super::files::FileIdentity;
use super::replicas::Moved;
use super::rows::{self, broken, signed};
use super::statements::{self, Padded};
use crate::clock::Moment;
use crate::ids::Kid;
use crate::store::{KeyRow, LogHead, LogRow, Marks, ReplayClaim, TileHash, UnitOfWork, stored};

pub(super) type Query = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

/// Hands out the writing connection, one holder at a time, and makes a new one after a failure: a disk that has room
/// again needs no restart.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    identity: FileIdentity,
    options: SqliteConnectOptions,
    slot: Arc<Mutex<Slot>>,
    backlog: Arc<Backlog>,
}

/// The connection, when there is one.
#[derive(Debug, Default)]
pub(super) struct Slot {
    connection: Option<SqliteConnection>,
    /// A unit was dropped without commit, maybe in the middle of a statement; the next holder rolls it back.
    unfinished: bool,
    /// `None` until it is read, and while nobody knows whether a commit took place.
    taken: Option<Taken>,
}

impl Writer {
    pub(super) fn new(path: &Path, identity: FileIdentity, options: SqliteConnectOptions) -> Self {
        Self { path: path.to_owned(), identity, options, slot: Arc::default(), backlog: Arc::default() }
    }

    /// What copies the log of this connection's commits.
    pub(super) fn checkpointer(&self) -> Checkpointer {
        Checkpointer::new(self.options.clone(), Arc::clone(&self.backlog))
    }

    /// The connection outside a transaction.
    pub(super) async fn slot(&self) -> Result<OwnedMutexGuard<Slot>, StoreError> {
        let mut slot = Arc::clone(&self.slot).lock_owned().await;
        self.identity.still_at(&self.path)?;
        slot.roll_back_unfinished().await;
        if slot.connection.is_none() {
            slot.connection = Some(self.options.connect().await.map_err(broken)?);
        }
        Ok(slot)
    }

    /// Begins a transaction that holds SQLite's write lock from the start: a later upgrade could fail half-way.
    pub(super) async fn begin(&self) -> Result<SqliteUnit, StoreError> {
        let slot = self.slot().await?;
        let backlog = Arc::clone(&self.backlog);
        let mut unit = SqliteUnit {
            slot,
            backlog,
            head: LogHead::default(),
            marks: Marks::default(),
            rows: 1,
            finish: None,
        };
        unit.slot.unfinished = true;
        let found = unit.fetch(sqlx::query(statements::BEGIN)).await?;
        let row = found.first().ok_or_else(stored::no_head)?;
        (unit.head, unit.marks) = (rows::head(row)?, rows::marks(row)?);
        Ok(unit)
    }

    /// At the start, so that no caller waits for it.
    pub(super) async fn read_claims(&self) -> Result<(), StoreError> {
        let mut slot = self.slot().await?;
        slot.unfinished = true;
        let connection = slot.connection()?;
        // With the write lock: a commit of who had the file open before may still be on its way to the disk.
        connection.execute("BEGIN IMMEDIATE").await.map_err(broken)?;
        let found = sqlx::query(statements::CLAIMS).fetch_all(&mut *connection).await.map_err(broken)?;
        connection.execute("COMMIT").await.map_err(broken)?;
        (slot.taken, slot.unfinished) = (Some(Taken::of(&found)?), false);
        Ok(())
    }
}

impl Slot {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.connection.as_mut().ok_or_else(|| StoreError::Unavailable("the connection was lost".to_owned()))
    }

    #[cfg(test)]
    pub(super) fn taken_for_test(&self) -> Option<&Taken> {
        self.taken.as_ref()
    }

    /// What a broken connection leaves.
    #[cfg(test)]
    pub(super) async fn close_for_test(&mut self) {
        use sqlx::Connection as _;
        self.connection.take().unwrap().close().await.unwrap();
    }

    async fn roll_back_unfinished(&mut self) {
        if !std::mem::take(&mut self.unfinished) {
            return;
        }
        if let Some(mut connection) = self.connection.take() {
            // A connection that cannot roll back is closed, which rolls back too.
            if connection.execute("ROLLBACK").await.is_ok() {
                self.connection = Some(connection);
            }
        }
    }
}

/// One `BEGIN IMMEDIATE` … `COMMIT`.
pub(super) struct SqliteUnit {
    slot: OwnedMutexGuard<Slot>,
    backlog: Arc<Backlog>,
    /// As it was when the transaction began; nobody else can move it until the end.
    head: LogHead,
    /// Likewise, with what this unit has moved.
    pub(super) marks: Marks,
    /// About how many were written.
    rows: usize,
    /// What `append` left for the call that commits.
    finish: Option<Query>,
}

impl std::fmt::Debug for SqliteUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteUnit").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Drop for SqliteUnit {
    /// Rolls back soon, not only when the next writer comes: until then SQLite's write lock would keep a command that
    /// runs beside the broker waiting.
    fn drop(&mut self) {
        if let Some(taken) = &mut self.slot.taken {
            taken.roll_back();
        }
        if self.slot.unfinished
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let slot = Arc::clone(OwnedMutexGuard::mutex(&self.slot));
            runtime.spawn(async move { slot.lock().await.roll_back_unfinished().await });
        }
    }
}

impl SqliteUnit {
    /// Writes without changing anything.
    pub(super) async fn touch(&mut self) -> Result<(), StoreError> {
        self.run(sqlx::query(statements::TOUCH)).await.map(drop)
    }

    /// Deletes the first claims of the table, which are `ended`; returns whether there were no others among them.
    pub(super) async fn forget(&mut self, ended: &[ClaimRow]) -> Result<bool, StoreError> {
        let Some((until, key)) = ended.last() else { return Ok(true) };
        let taken = self.taken().await?;
        let known = ended.iter().all(|(_, key)| taken.give_back(*key).is_some());
        let gone = self.run(sqlx::query(statements::FORGET).bind(*until).bind(key.to_vec())).await?;
        Ok(known && gone == ended.len() as u64)
    }

    /// Read from the table at the start, and again when a commit's end was not heard of. Before this transaction changes
    /// the table: what it changes may be rolled back.
    pub(super) async fn taken(&mut self) -> Result<&mut Taken, StoreError> {
        if self.slot.taken.is_none() {
            let found = self.fetch(sqlx::query(statements::CLAIMS)).await?;
            self.slot.taken = Some(Taken::of(&found)?);
        }
        self.slot.taken.as_mut().ok_or_else(|| StoreError::Unavailable("claims are unknown".to_owned()))
    }

    /// Returns how many rows changed. After an error the connection is given up: what state it is in is not worth
    /// knowing.
    pub(super) async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        match query.execute(self.slot.connection()?).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(error) => {
                self.slot.connection = None;
                Err(broken(error))
            }
        }
    }

    /// Every row; after an error as [`run`](Self::run).
    pub(super) async fn fetch(&mut self, query: Query) -> Result<Vec<SqliteRow>, StoreError> {
        match query.fetch_all(self.slot.connection()?).await {
            Ok(found) => Ok(found),
            Err(error) => {
                self.slot.connection = None;
                Err(broken(error))
            }
        }
    }

    /// Runs a statement over all `items`, a piece at a time; `bind` binds one row, or its NULLs for `None`.
    async fn run_pieces<T>(
        &mut self,
        statement: &'static Padded,
        items: &[T],
        bind: impl Fn(Query, Option<&T>) -> Result<Query, StoreError>,
    ) -> Result<(), StoreError> {
        for (text, width, piece) in statement.pieces(items) {
            let query = bind_piece(text, width, piece, &bind)?;
            self.run(query).await?;
        }
        Ok(())
    }

    async fn try_claim(&mut self, claims: &[ReplayClaim]) -> Result<Vec<bool>, StoreError> {
        let rows = claims.iter().map(|claim| (claim.until.unix_millis(), claim_key(claim)));
        let taken = self.taken().await?;
        let answers: Vec<(ClaimRow, bool)> = rows.map(|row| (row, taken.take(row))).collect();
        let won: Vec<ClaimRow> = answers.iter().filter_map(|(row, won)| won.then_some(*row)).collect();
        self.run_pieces(&statements::CLAIM, &won, bind_claim).await?;
        self.rows += won.len();
        Ok(answers.into_iter().map(|(_, won)| won).collect())
    }

    async fn try_release(&mut self, claims: &[ReplayClaim]) -> Result<(), StoreError> {
        let taken = self.taken().await?;
        let rows: Vec<ClaimRow> =
            claims.iter().filter_map(|claim| taken.give_back(claim_key(claim))).collect();
        for (until, key) in rows {
            self.run(sqlx::query(statements::RELEASE).bind(until).bind(key.to_vec())).await?;
        }
        Ok(())
    }

    async fn try_append(
        &mut self,
        new: &[LogRow],
        hashes: &[TileHash],
        head: &LogHead,
    ) -> Result<(), StoreError> {
        let from = head.size.checked_sub(new.len() as u64);
        let from = from.filter(|from| new.iter().zip(*from..).all(|(row, index)| row.index == index));
        let from =
            from.ok_or_else(|| StoreError::Corrupt("the new rows do not end at the new head".to_owned()))?;
        let (early_nodes, last_nodes) = all_but_last(hashes);
        let (early, last) = all_but_last(new);
        self.run_pieces(&statements::INSERT_ENTRIES, early, bind_entry).await?;
        self.run_pieces(&statements::INSERT_NODES, early_nodes, bind_node).await?;
        let (entries_width, nodes_width, text) = statements::finish(last.len(), last_nodes.len())
            .ok_or_else(|| StoreError::Corrupt("no statement holds the new rows".to_owned()))?;
        let query = bind_rows(sqlx::query(text.as_str()), *entries_width, last, &bind_entry)?;
        let query = bind_rows(query, *nodes_width, last_nodes, &bind_node)?;
        let query = query.bind(signed(from)?).bind(signed(head.size)?).bind(head.peaks.concat());
        self.finish = Some(query.bind(head.last_at.map(Moment::unix_millis)));
        self.head = head.clone();
        self.rows += new.len() + hashes.len();
        Ok(())
    }
}

/// The rows that need statements of their own, and those that fit into the last one.
fn all_but_last<T>(rows: &[T]) -> (&[T], &[T]) {
    let last = rows.len() - rows.len().min(rows.len().saturating_sub(1) % statements::WIDEST + 1);
    rows.split_at_checked(last).unwrap_or((rows, &[]))
}

impl UnitOfWork for SqliteUnit {
    fn head(&mut self) -> BoxFuture<'_, Result<LogHead, StoreError>> {
        let head = self.head.clone();
        Box::pin(async { Ok(head) })
    }

    fn claim<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<Vec<bool>, StoreError>> {
        Box::pin(self.try_claim(claims))
    }

    fn release<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.try_release(claims))
    }

    fn append<'a>(
        &'a mut self,
        rows: &'a [LogRow],
        hashes: &'a [TileHash],
        head: &'a LogHead,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.try_append(rows, hashes, head))
    }

    fn put_key<'a>(&'a mut self, key: &'a KeyRow) -> BoxFuture<'a, Result<(), StoreError>> {
        let query = sqlx::query(statements::PUT_KEY)
            .bind(key.kid.as_str().to_owned())
            .bind(key.purpose.as_str())
            .bind(key.algorithm.clone())
            .bind(key.sealed_private.clone())
            .bind(key.public.clone())
            .bind(key.created_at.unix_millis())
            .bind(key.active_from.unix_millis())
            .bind(key.retired_at.map(Moment::unix_millis))
            .bind(key.published_until.map(Moment::unix_millis));
        Box::pin(async {
            self.run(query).await?;
            self.move_mark(Moved::Keys).await
        })
    }

    fn delete_key<'a>(&'a mut self, kid: &'a Kid) -> BoxFuture<'a, Result<(), StoreError>> {
        let query = sqlx::query(statements::DELETE_KEY).bind(kid.as_str().to_owned());
        Box::pin(async {
            match self.run(query).await? {
                0 => Ok(()),
                _ => self.move_mark(Moved::Keys).await,
            }
        })
    }

    fn commit(mut self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async move {
            let finish = self.finish.take().unwrap_or_else(|| sqlx::query("COMMIT"));
            // Not in its place meanwhile: when this ends early, by an error or because nobody waits, nobody knows.
            let taken = self.slot.taken.take();
            self.run(finish).await?;
            self.slot.taken = taken;
            self.slot.taken.iter_mut().for_each(Taken::settle);
            self.slot.unfinished = false;
            self.backlog.add(self.rows);
            Ok(())
        })
    }
}

fn bind_piece<T>(
    text: &'static str,
    width: usize,
    piece: &[T],
    bind: &impl Fn(Query, Option<&T>) -> Result<Query, StoreError>,
) -> Result<Query, StoreError> {
    bind_rows(sqlx::query(text), width, piece, bind)
}

fn bind_rows<T>(
    query: Query,
    width: usize,
    rows: &[T],
    bind: &impl Fn(Query, Option<&T>) -> Result<Query, StoreError>,
) -> Result<Query, StoreError> {
    let padding = width.saturating_sub(rows.len());
    let padded = rows.iter().map(Some).chain(std::iter::repeat_n(None, padding));
    padded.into_iter().try_fold(query, bind)
}

fn bind_entry(query: Query, row: Option<&LogRow>) -> Result<Query, StoreError> {
    let Some(row) = row else { return Ok(bind_nulls(query, 3)) };
    Ok(query.bind(signed(row.index)?).bind(row.leaf_hash.to_vec()).bind(row.bytes.to_vec()))
}

fn bind_node(query: Query, node: Option<&TileHash>) -> Result<Query, StoreError> {
    let Some(node) = node else { return Ok(bind_nulls(query, 3)) };
    Ok(query.bind(node.level).bind(signed(node.index)?).bind(node.hash.to_vec()))
}

#[expect(clippy::unnecessary_wraps, reason = "one shape for every binder")]
fn bind_claim(query: Query, row: Option<&ClaimRow>) -> Result<Query, StoreError> {
    let Some((until, key)) = row else { return Ok(bind_nulls(query, 2)) };
    Ok(query.bind(*until).bind(key.to_vec()))
}

fn bind_nulls(query: Query, columns: usize) -> Query {
    (0..columns).fold(query, |query, _| query.bind(None::<i64>))
}
