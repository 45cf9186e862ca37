//! Moves a whole store to another place or backend. Knows every table and no meaning but the log's; refuses what is in
//! use, a target that holds anything, and a copy whose log is not the source's.
//!
//! The target has no head from the first row to the last, and without a head no broker starts: half a copy is never
//! taken for a whole one. Run again, a copy that was interrupted goes on.

mod end;
pub(super) mod tables;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use self::end::End;
use self::tables::{ENTRIES, HEAD, NODES, Row, STATE, Table};
use super::postgres::PostgresEnd;
use super::sqlite::SqliteEnd;
use super::{LogHead, StoreError, StoreSettings, stored};
use crate::audit::checkpoint::Checkpoint;

/// Rows that are read and written at a time: one transaction of the target. Entries are at most 64 KiB.
const PAGE: u32 = 1_000;

/// What was copied, and compared afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many entries the log has.
    pub entries: u64,
    /// Its root, computed from the copied bytes.
    pub root: [u8; 32],
    /// Entries that were there from a copy that was interrupted.
    pub resumed_from: u64,
    /// Rows of every table beside the log.
    pub rows: Vec<(&'static str, u64)>,
    /// Does the copied log begin with the checkpoint that was given?
    pub checkpoint: Option<Checkpoint>,
}

/// What a copy is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It writes this table.
    Writing(&'static str),
    /// It reads this table back.
    Verifying(&'static str),
}

/// Why nothing was copied, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the stores failed, or may not be used for this.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target is somebody's.
    #[error("the target is not empty: its table `{0}` has rows; name a new file or an empty database")]
    NotEmpty(&'static str),
    /// The source has lost what was signed.
    #[error(
        "the source's log has {size} entries, and the saved checkpoint {saved}: it is a restored older backup"
    )]
    OlderBackup {
        /// Of the source.
        size: u64,
        /// Of the checkpoint.
        saved: u64,
    },
    /// The target holds half of another copy.
    #[error("the target holds half of a copy of another store; empty it, and begin again")]
    OtherHalf,
    /// What was written is not what was read. The target stays without a head.
    #[error(
        "the copy is not the source: {0}; nothing was changed in the source, and no broker starts on the copy"
    )]
    Differs(String),
}

/// Copies everything. `saved` is a checkpoint of the same log whose signature was verified. `progress` is told rows done
/// and rows in all, 0 where that is not known.
pub async fn copy(
    from: &StoreSettings,
    to: &StoreSettings,
    saved: Option<&Checkpoint>,
    progress: &mut (dyn FnMut(Step, u64, u64) + Send),
) -> Result<Copied, CopyError> {
    let mut source = open(from, Side::Source).await?;
    let head_row = source.last(&HEAD).await?.ok_or_else(stored::no_head)?;
    let head = head_of(&head_row)?;
    if let Some(saved) = saved.filter(|saved| saved.size > head.size) {
        return Err(CopyError::OlderBackup { size: head.size, saved: saved.size });
    }
    let mut target = open(to, Side::Target).await?;
    let resumed_from = prepare(source.as_mut(), target.as_mut(), &head).await?;
    for table in [&ENTRIES, &NODES] {
        let all = if table == &ENTRIES { head.size } else { 0 };
        let after = target.last(table).await?;
        let done = if table == &ENTRIES { resumed_from } else { 0 };
        let mut told = |rows| progress(Step::Writing(table.name), done + rows, all);
        pour(source.as_mut(), target.as_mut(), table, after, &mut told).await?;
    }
    let mut rows = Vec::new();
    for table in STATE {
        target.clear(table).await?;
        let mut told = |rows| progress(Step::Writing(table.name), rows, 0);
        rows.push((table.name, pour(source.as_mut(), target.as_mut(), table, None, &mut told).await?));
    }
    let root = verify::log(target.as_mut(), &head, saved, progress).await?;
    for table in STATE {
        verify::same(source.as_mut(), target.as_mut(), table, progress).await?;
    }
    let head_row = match to {
        StoreSettings::Postgres(_) => head_row,
        // A broker alone decides by its folder.
        StoreSettings::Sqlite(_) => tables::without(&HEAD, "policy", head_row),
    };
    target.finish(head_row, source.last_message().await?).await?;
    Ok(Copied { entries: head.size, root, resumed_from, rows, checkpoint: saved.cloned() })
}

/// What an end is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Target,
}

async fn open(settings: &StoreSettings, side: Side) -> Result<Box<dyn End>, StoreError> {
    Ok(match settings {
        StoreSettings::Sqlite(path) => Box::new(SqliteEnd::open(path, side).await?),
        StoreSettings::Postgres(settings) => {
            Box::new(PostgresEnd::open(settings.as_ref().clone(), side).await?)
        }
    })
}

/// Makes sure that the target is empty, or half of this copy; returns how many entries it has.
async fn prepare(source: &mut dyn End, target: &mut dyn End, head: &LogHead) -> Result<u64, CopyError> {
    let Some(found) = target.last(&HEAD).await? else {
        return half(source, target, head).await;
    };
    if head_of(&found)?.size > 0 {
        return Err(CopyError::NotEmpty(HEAD.name));
    }
    for table in [&ENTRIES, &NODES].into_iter().chain(STATE) {
        if target.last(table).await?.is_some() {
            return Err(CopyError::NotEmpty(table.name));
        }
    }
    target.behead().await?;
    Ok(0)
}

/// The last entry of a half must be the source's too: then everything before it was.
async fn half(source: &mut dyn End, target: &mut dyn End, head: &LogHead) -> Result<u64, CopyError> {
    let Some(last) = target.last(&ENTRIES).await? else { return Ok(0) };
    let index = last.first().and_then(tables::Value::number).unwrap_or(-1);
    let before = vec![tables::Value::Number(index - 1)];
    let theirs = source.page(&ENTRIES, Some(&before), 1).await?;
    let done = stored::unsigned(index)? + 1;
    if theirs.first() == Some(&last) && done <= head.size { Ok(done) } else { Err(CopyError::OtherHalf) }
}

async fn pour(
    source: &mut dyn End,
    target: &mut dyn End,
    table: &Table,
    mut after: Option<Row>,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<u64, StoreError> {
    let mut rows = 0;
    loop {
        let page = source.page(table, after.as_ref(), PAGE).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        target.insert(table, &page).await?;
        rows += page.len() as u64;
        told(rows);
        after = page.into_iter().next_back();
    }
}

/// The typed head of a row of [`HEAD`].
fn head_of(row: &Row) -> Result<LogHead, StoreError> {
    let [_, size, peaks, last_at, ..] = row.as_slice() else { return Err(stored::no_head()) };
    stored::head(size.number().unwrap_or(-1), peaks.bytes(), last_at.number())
}
