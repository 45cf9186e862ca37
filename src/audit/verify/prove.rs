//! Single entries and their receipts from a log's files.

use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::{Source, SourceError, VerifyError, fetch_tile, newest};
use crate::audit::checkpoint::VerifierKey;
use crate::audit::merkle::{inclusion_path, nodes_of, range_root};
use crate::audit::proof::{TlogProof, TlogProofError};
use crate::audit::reader::Tiles;
use crate::audit::tile::{
    TILE_WIDTH, TileKind, TilePath, available, decode_entries, decode_hashes, place_of,
};

/// No receipt could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// Reading failed, or the checkpoint is not this log's.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The log is shorter.
    #[error("the log has {size} entries: there is no entry {index}")]
    OutOfRange {
        /// What was asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// A file is missing or malformed.
    #[error("`{0}` is missing or malformed")]
    Tile(TilePath),
    /// The files do not prove it: the log was tampered with.
    #[error("the log's files do not prove the entry: {0}")]
    Refused(#[from] TlogProofError),
}

impl From<SourceError> for ProveError {
    fn from(error: SourceError) -> Self {
        Self::Verify(error.into())
    }
}

/// The receipt of entry `index`, and the entry, verified with `key` before they are given.
pub async fn prove(
    source: &dyn Source,
    key: &VerifierKey,
    index: u64,
) -> Result<(TlogProof, Bytes), ProveError> {
    let (checkpoint, note) = newest(source, key).await?;
    let size = checkpoint.size;
    let path = inclusion_path(index, size).ok_or(ProveError::OutOfRange { index, size })?;
    let mut tiles = Tiles::default();
    for node in path.iter().flat_map(nodes_of) {
        let (level, range) = place_of(node);
        let (kind, tile) = (TileKind::Hashes(level), range.start / TILE_WIDTH);
        if let Entry::Vacant(missing) = tiles.0.entry((level, tile)) {
            let path = newest_tile(kind, tile, size).ok_or(ProveError::OutOfRange { index, size })?;
            let bytes = fetch_tile(source, path).await?.ok_or(ProveError::Tile(path))?;
            missing.insert(decode_hashes(&bytes, path.width()).ok_or(ProveError::Tile(path))?);
        }
    }
    let root =
        |range| range_root(range, |node| tiles.hash_of(node).ok_or(ProveError::OutOfRange { index, size }));
    let hashes = path.iter().filter_map(|range| root(range).transpose()).collect::<Result<Vec<_>, _>>()?;
    let entry = entries(source, size, index, 1).await?.pop().ok_or(ProveError::OutOfRange { index, size })?;
    let proof = TlogProof { index, hashes, checkpoint: note };
    proof.verify(&entry, key)?;
    Ok((proof, entry))
}

/// Entries `from..from+limit` of a log of `size`, fewer at the end; not verified.
pub async fn entries(
    source: &dyn Source,
    size: u64,
    from: u64,
    limit: u64,
) -> Result<Vec<Bytes>, ProveError> {
    let end = from.saturating_add(limit).min(size);
    let mut found = Vec::new();
    for tile in from / TILE_WIDTH..end.div_ceil(TILE_WIDTH) {
        let Some(path) = newest_tile(TileKind::Entries, tile, size) else { break };
        let bundle = fetch_tile(source, path).await?.ok_or(ProveError::Tile(path))?;
        let items = decode_entries(&bundle, path.width()).ok_or(ProveError::Tile(path))?;
        let wanted = (tile * TILE_WIDTH..).zip(items).filter(|(index, _)| (from..end).contains(index));
        found.extend(wanted.map(|(_, entry)| bundle.slice_ref(entry)));
    }
    Ok(found)
}

fn newest_tile(kind: TileKind, index: u64, size: u64) -> Option<TilePath> {
    TilePath::newest(kind, index, available(kind, size))
}
