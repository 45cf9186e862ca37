//! Verification of a whole log from nothing but its files and its verifier key. Believes no hash that it did not
//! compute: stored hashes only help to say where a fault is.
//!
//! Streams: memory does not grow with the log.

mod faults;
mod prove;
#[cfg(test)]
mod tests;
mod walk;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub(super) use self::faults::compare;
pub use self::faults::{Fault, Saved};
pub use self::prove::{ProveError, entries, prove};
use super::checkpoint::{Checkpoint, NoteError, VerifierKey};
use super::tile::TilePath;

/// Where a log's files come from: a folder or a URL.
pub trait Source: Send + Sync {
    /// The file at `path` below the log's prefix; `None` when there is none.
    fn fetch(&self, path: String) -> BoxFuture<'_, Result<Option<Bytes>, SourceError>>;
}

/// The source failed. This says nothing about the log.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be read: {why}")]
pub struct SourceError {
    /// Which file.
    pub path: String,
    /// What happened.
    pub why: String,
}

/// The log could not be judged: nothing was read, or what was read is not this log's.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Reading failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source has no checkpoint.
    #[error("the source has no file `checkpoint`")]
    NoCheckpoint,
    /// Its checkpoint is not this log's.
    #[error("the log's checkpoint is refused: {0}")]
    Checkpoint(NoteError),
    /// The saved one is not this log's.
    #[error("the saved checkpoint is refused: {0}")]
    SavedCheckpoint(NoteError),
}

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// What the log claims, with its signature verified.
    pub checkpoint: Checkpoint,
    /// The signed note itself, to be saved for next time.
    pub note: String,
    /// Entries that were read and hashed.
    pub entries_read: u64,
    /// How it compares with the saved checkpoint, when there was one.
    pub saved: Option<Saved>,
    /// The first faults, in the order of the log.
    pub faults: Vec<Fault>,
    /// Faults that are not listed.
    pub more_faults: u64,
}

impl Report {
    /// Is every entry what was signed, and the saved checkpoint a beginning of this log?
    pub fn is_ok(&self) -> bool {
        self.faults.is_empty() && self.saved.as_ref().is_none_or(Saved::is_ok)
    }
}

/// Goes along with a verification.
pub trait Follow: Send {
    /// So many entries were read, of so many in all.
    fn progress(&mut self, done: u64, all: u64);
    /// The entry at `index`. What it says counts only when the report is in order in the end.
    fn entry(&mut self, index: u64, bytes: &[u8]);
}

/// Is told how far it is and reads nothing.
struct Progress<'a>(&'a mut (dyn FnMut(u64, u64) + Send));

impl Follow for Progress<'_> {
    fn progress(&mut self, done: u64, all: u64) {
        (self.0)(done, all);
    }

    fn entry(&mut self, _index: u64, _bytes: &[u8]) {}
}

/// Verifies everything that `source` has up to its own checkpoint. `saved` is an older checkpoint of the same log: the log
/// must begin with it. `progress` is told entries read and entries in all.
pub async fn verify(
    source: &dyn Source,
    key: &VerifierKey,
    saved: Option<&str>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Report, VerifyError> {
    verify_and_read(source, key, saved, &mut Progress(progress)).await
}

/// The same, and `follow` is shown every entry on the way, in the order of the log.
pub async fn verify_and_read(
    source: &dyn Source,
    key: &VerifierKey,
    saved: Option<&str>,
    follow: &mut dyn Follow,
) -> Result<Report, VerifyError> {
    let saved =
        saved.map(|note| Checkpoint::open(note, key)).transpose().map_err(VerifyError::SavedCheckpoint)?;
    let (checkpoint, note) = newest(source, key).await?;
    let watch = saved.as_ref().map(|saved| saved.size);
    let walk = walk::walk(source, checkpoint.size, watch, follow).await?;
    let saved = saved.map(|saved| faults::compare(&saved, &checkpoint, walk.root_at_watch));
    let mut found = walk.faults;
    if walk.root != Some(checkpoint.root) && found.is_empty() {
        found.push(Fault::Root);
    }
    let (entries_read, more_faults) = (walk.entries_read, walk.more_faults);
    Ok(Report { checkpoint, note, entries_read, saved, faults: found, more_faults })
}

/// The source's checkpoint, verified, and the note it was in.
pub async fn newest(source: &dyn Source, key: &VerifierKey) -> Result<(Checkpoint, String), VerifyError> {
    let note = source.fetch("checkpoint".to_owned()).await?.ok_or(VerifyError::NoCheckpoint)?;
    let note = String::from_utf8_lossy(&note).into_owned();
    let checkpoint = Checkpoint::open(&note, key).map_err(VerifyError::Checkpoint)?;
    Ok((checkpoint, note))
}

/// A tile, or the beginning of the full one that has replaced a partial one since: C2SP tlog-tiles allows to drop those.
pub async fn fetch_tile(source: &dyn Source, path: TilePath) -> Result<Option<Bytes>, SourceError> {
    if let Some(found) = source.fetch(path.to_string()).await? {
        return Ok(Some(found));
    }
    if path.partial.is_none() {
        return Ok(None);
    }
    let full = source.fetch(TilePath { partial: None, ..path }.to_string()).await?;
    // What cannot be cut is left whole, and refused for its width.
    Ok(full.map(|full| path.cut(&full).unwrap_or(full)))
}
