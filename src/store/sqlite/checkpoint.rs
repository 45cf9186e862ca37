//! Copies the write-ahead log back into the database beside the commits, so that no exchange waits for it.
//!
//! SQLite's own automatic checkpoint runs inside the commit that made the log long enough: everybody in that commit
//! would wait for thousands of scattered pages and a sync. Here another connection copies a little at a time while the
//! writer goes on. SQLite's own stays as the bound: now and then it copies what little is left inside a commit, after
//! which the log's file is written from its start again. A crash at any point loses nothing: the log is only written
//! over when the database has all of it, synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::Notify;

use super::StoreError;
use super::rows::broken;

/// Rows written since the last copying that make the next one due: a few hundred pages, some 5 ms of work. Much more at
/// once keeps the disk from the commits for tens of milliseconds (measured with 2,000 and 20,000).
const DUE_ROWS: usize = 600;
/// Pages in the log (of 4 KiB: 32 MiB) after which a commit makes a checkpoint itself.
pub(super) const LOG_PAGES: &str = "8000";

/// How much was written since the last copying.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    rows: AtomicUsize,
    due: Notify,
}

impl Backlog {
    /// The writer committed so many rows.
    pub(super) fn add(&self, rows: usize) {
        let before = self.rows.fetch_add(rows, Ordering::Relaxed);
        if before.saturating_add(rows) >= DUE_ROWS {
            self.due.notify_one();
        }
    }

    async fn due(&self) {
        self.due.notified().await;
        self.rows.store(0, Ordering::Relaxed);
    }
}

/// A connection of its own, made when it is first needed.
pub(super) struct Checkpointer {
    options: SqliteConnectOptions,
    backlog: Arc<Backlog>,
    connection: Option<SqliteConnection>,
}

impl Checkpointer {
    pub(super) fn new(options: SqliteConnectOptions, backlog: Arc<Backlog>) -> Self {
        Self { options, backlog, connection: None }
    }

    /// Until it is aborted. After a failure it goes on when more was written; meanwhile the commits do it themselves.
    pub(super) async fn run(mut self) {
        loop {
            self.backlog.due().await;
            if let Err(cause) = self.copy().await {
                self.connection = None;
                tracing::warn!(%cause, "the write-ahead log was not copied into the database; commits will do it");
            }
        }
    }

    /// What can be copied without waiting for anybody; a busy reader keeps the rest for the next time.
    async fn copy(&mut self) -> Result<(), StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await.map_err(broken)?),
        };
        let done = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await;
        done.map(drop).map_err(broken)
    }
}
