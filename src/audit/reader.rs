//! Reading what is durable: tiles, entries and proofs, and the check at start that the head agrees with the rows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::merkle::{
    Hash, Node, Peaks, consistency_path, inclusion_path, leaf_hash, nodes_of, perfect_root, range_root,
};
use super::tile::{
    TILE_WIDTH, TOP_LEVEL, TileKind, TilePath, available, encode_entries, encode_hashes, place_of,
};
use crate::store::{LogHead, LogRow, Store, StoreError};

/// Entries that the check at start hashes again: the last bundle.
const CHECKED_AT_START: u64 = TILE_WIDTH;

/// Nothing could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The log is not that long.
    #[error("the log is not that long")]
    OutOfRange,
    /// The cause is in the operator's log.
    #[error("the audit log is unavailable")]
    Unavailable,
}

/// Reads from a store; every answer is about a size that its caller knows to be durable.
#[derive(Clone, Debug)]
pub(super) struct LogReader {
    store: Arc<dyn Store>,
}

impl LogReader {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Would a write become durable now?
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.store.probe().await
    }

    /// The stored head, where others append too.
    pub(super) async fn head_of_others(&self) -> Option<LogHead> {
        if self.store.is_shared() { self.store.head().await.ok() } else { None }
    }

    pub(super) async fn tile(&self, path: &TilePath, size: u64) -> Result<Option<Bytes>, ReadError> {
        let Some(first) = path.first().filter(|_| path.is_within(size)) else {
            return Ok(None);
        };
        let width = path.width();
        let tile = match path.kind {
            TileKind::Hashes(level) => encode_hashes(&self.hashes(level, first, u64::from(width)).await?),
            TileKind::Entries => {
                let rows = self.rows(first, u32::from(width)).await?;
                encode_entries(rows.iter().map(|row| row.bytes.as_ref())).ok_or(ReadError::Unavailable)?
            }
        };
        Ok(Some(tile))
    }

    pub(super) async fn entry(&self, index: u64, size: u64) -> Result<Option<Bytes>, ReadError> {
        if index >= size {
            return Ok(None);
        }
        Ok(self.rows(index, 1).await?.into_iter().next().map(|row| row.bytes))
    }

    pub(super) async fn entries(
        &self,
        from: u64,
        limit: u32,
        size: u64,
    ) -> Result<Vec<(u64, Bytes)>, ReadError> {
        let limit = u32::try_from(size.saturating_sub(from)).unwrap_or(u32::MAX).min(limit);
        let rows = self.rows(from, limit).await?;
        Ok(rows.into_iter().map(|row| (row.index, row.bytes)).collect())
    }

    pub(super) async fn inclusion_proof(
        &self,
        index: u64,
        size: u64,
        durable: u64,
    ) -> Result<Vec<Hash>, ReadError> {
        let path = inclusion_path(index, size).filter(|_| size <= durable).ok_or(ReadError::OutOfRange)?;
        self.roots(&path, durable).await
    }

    pub(super) async fn consistency_proof(
        &self,
        old: u64,
        new: u64,
        durable: u64,
    ) -> Result<Vec<Hash>, ReadError> {
        let path = consistency_path(old, new).filter(|_| new <= durable).ok_or(ReadError::OutOfRange)?;
        self.roots(&path, durable).await
    }

    /// The root over the first `size` entries, which are at least one.
    pub(super) async fn root_of(&self, size: u64, durable: u64) -> Result<Hash, ReadError> {
        let found = self.roots(std::slice::from_ref(&(0..size)), durable).await?;
        found.into_iter().next().ok_or(ReadError::OutOfRange)
    }

    /// Does the head agree with the rows at the log's right edge? Its cost does not grow with the log: one partial tile
    /// at each level, and the last entries. What lies further back is what `tidegate audit verify` is for.
    pub(super) async fn check_head(&self, head: &LogHead) -> Result<(), StoreError> {
        let size = head.size;
        if !self.store.entries(size, 1).await?.is_empty() {
            return Err(disagree(&format!("there is an entry {size} beyond its head")));
        }
        let edge = self.edge(size).await?;
        for (node, peak) in Peaks::nodes(size).zip(&head.peaks) {
            if edge.hash_of(node) != Some(*peak) {
                return Err(disagree(&format!(
                    "its head and its entries up to {size} have different hashes"
                )));
            }
        }
        let from = size.saturating_sub(CHECKED_AT_START);
        let rows = self.store.entries(from, 256).await?;
        let changed = rows.iter().find(|row| leaf_hash(&row.bytes) != row.leaf_hash);
        changed.map_or(Ok(()), |row| Err(disagree(&format!("entry {} is not what was appended", row.index))))
    }

    /// The partial tiles that the head's peaks are folded from.
    async fn edge(&self, size: u64) -> Result<Tiles, StoreError> {
        let mut tiles = Tiles::default();
        for level in 0..=TOP_LEVEL {
            let have = available(TileKind::Hashes(level), size);
            let width = have % TILE_WIDTH;
            if width > 0 {
                let count = u32::try_from(width).unwrap_or(u32::MAX);
                let hashes = self.store.tile_hashes(level, have - width, count).await?;
                tiles.0.insert((level, have / TILE_WIDTH), hashes);
            }
        }
        Ok(tiles)
    }

    async fn roots(&self, path: &[Range<u64>], durable: u64) -> Result<Vec<Hash>, ReadError> {
        let mut tiles = Tiles::default();
        for node in path.iter().flat_map(nodes_of) {
            let (level, hashes) = place_of(node);
            let tile = hashes.start / TILE_WIDTH;
            if let Entry::Vacant(missing) = tiles.0.entry((level, tile)) {
                let first = tile * TILE_WIDTH;
                let width = available(TileKind::Hashes(level), durable).saturating_sub(first).min(TILE_WIDTH);
                missing.insert(self.hashes(level, first, width).await?);
            }
        }
        let root = |range| range_root(range, |node| tiles.hash_of(node).ok_or(ReadError::Unavailable));
        path.iter().map(|range| root(range)?.ok_or(ReadError::OutOfRange)).collect()
    }

    async fn hashes(&self, level: u8, first: u64, width: u64) -> Result<Vec<Hash>, ReadError> {
        let count = u32::try_from(width).unwrap_or(u32::MAX);
        let hashes =
            self.store.tile_hashes(level, first, count).await.map_err(|error| unavailable(&error))?;
        complete(hashes, count)
    }

    async fn rows(&self, first: u64, count: u32) -> Result<Vec<LogRow>, ReadError> {
        let rows = self.store.entries(first, count).await.map_err(|error| unavailable(&error))?;
        complete(rows, count)
    }
}

/// The tree that a head remembers. A store never gives a head whose hashes do not fit its size; if one did, nothing
/// would agree with the root of the empty tree.
pub(super) fn peaks_of(head: &LogHead) -> Peaks {
    Peaks::new(head.size, head.peaks.clone()).unwrap_or_default()
}

/// Tiles in memory, by level and index.
#[derive(Debug, Default)]
pub(super) struct Tiles(pub(super) BTreeMap<(u8, u64), Vec<Hash>>);

impl Tiles {
    /// A perfect subtree never crosses a tile's edge.
    pub(super) fn hash_of(&self, node: Node) -> Option<Hash> {
        let (level, range) = place_of(node);
        let tile = self.0.get(&(level, range.start / TILE_WIDTH))?;
        let start = usize::try_from(range.start % TILE_WIDTH).ok()?;
        let width = usize::try_from(range.end - range.start).ok()?;
        perfect_root(tile.get(start..start + width)?)
    }
}

/// Everything below a durable size is there.
fn complete<T>(found: Vec<T>, count: u32) -> Result<Vec<T>, ReadError> {
    if u32::try_from(found.len()) == Ok(count) {
        return Ok(found);
    }
    tracing::error!(
        expected = count,
        found = found.len(),
        "the audit log misses rows below its durable size"
    );
    Err(ReadError::Unavailable)
}

fn unavailable(error: &StoreError) -> ReadError {
    tracing::error!(%error, "the audit log cannot be read");
    ReadError::Unavailable
}

fn disagree(what: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "the audit log does not agree with itself: {what}; compare it with a saved checkpoint"
    ))
}
