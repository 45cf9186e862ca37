//! One pass over the entries, from the first to the last.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{Fault, Follow, Source, SourceError, fetch_tile};
use crate::audit::merkle::{Hash, Node, Peaks, leaf_hash};
use crate::audit::tile::{TILE_WIDTH, TileKind, TilePath, available, decode_entries, decode_hashes};

/// Bundles on their way at once: hides a network's latency.
const AHEAD: usize = 8;
/// Faults that are listed; one cause can make thousands.
const MOST_FAULTS: usize = 20;

/// What a walk found.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) entries_read: u64,
    /// Over all entries; `None` when some are missing.
    pub(super) root: Option<Hash>,
    /// Over the first entries, as many as were asked for.
    pub(super) root_at_watch: Option<Hash>,
    pub(super) faults: Vec<Fault>,
    pub(super) more_faults: u64,
}

/// Reads all entries of a log of `size`; also takes the root at `watch` entries.
pub(super) async fn walk(
    source: &dyn Source,
    size: u64,
    watch: Option<u64>,
    follow: &mut dyn Follow,
) -> Result<Walk, SourceError> {
    let mut walker = Walker {
        source,
        size,
        watch,
        tree: Some(Peaks::default()),
        uppers: BTreeMap::new(),
        walk: Walk::default(),
    };
    walker.take_root(0);
    let pairs = (0..size.div_ceil(TILE_WIDTH)).filter_map(|index| {
        Some((
            TilePath::newest(TileKind::Entries, index, size)?,
            TilePath::newest(TileKind::Hashes(0), index, size)?,
        ))
    });
    let mut fetched = stream::iter(pairs.map(|(bundle, tile)| async move {
        let found = futures_util::try_join!(fetch_tile(source, bundle), fetch_tile(source, tile))?;
        Ok::<_, SourceError>((bundle, tile, found))
    }))
    .buffered(AHEAD);
    while let Some(next) = fetched.next().await {
        let (bundle, tile, (entries, hashes)) = next?;
        let entries = Bundle::of(entries.as_deref(), bundle);
        walker.bundle(bundle, &entries, tile, hashes).await?;
        (bundle.index * TILE_WIDTH..)
            .zip(entries.all())
            .for_each(|(index, entry)| follow.entry(index, entry));
        follow.progress(walker.walk.entries_read, size);
    }
    walker.walk.root = walker.tree.as_ref().map(Peaks::root);
    Ok(walker.walk)
}

/// A bundle of entries, as it was found.
enum Bundle<'a> {
    Missing,
    Malformed,
    Whole(Vec<&'a [u8]>),
}

impl<'a> Bundle<'a> {
    fn of(bytes: Option<&'a [u8]>, path: TilePath) -> Self {
        let Some(bytes) = bytes else { return Self::Missing };
        decode_entries(bytes, path.width()).map_or(Self::Malformed, Self::Whole)
    }

    fn all(&self) -> &[&'a [u8]] {
        if let Self::Whole(entries) = self { entries } else { &[] }
    }
}

struct Walker<'a> {
    source: &'a dyn Source,
    size: u64,
    watch: Option<u64>,
    /// Gone once entries are missing: there is no root then.
    tree: Option<Peaks>,
    /// The tile of each level above 0 that the walk is in; `None` inside when it was faulty.
    uppers: BTreeMap<u8, (u64, Option<Vec<Hash>>)>,
    walk: Walk,
}

impl Walker<'_> {
    async fn bundle(
        &mut self,
        path: TilePath,
        entries: &Bundle<'_>,
        tile: TilePath,
        hashes: Option<Bytes>,
    ) -> Result<(), SourceError> {
        let from = path.index * TILE_WIDTH;
        let stored = self.stored_hashes(tile, hashes);
        let entries = match entries {
            Bundle::Whole(entries) => entries,
            faulty => {
                let is_missing = matches!(faulty, Bundle::Missing);
                self.fault(if is_missing { missing(path, self.size) } else { Fault::Malformed { path } });
                self.tree = None;
                return Ok(());
            }
        };
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let before = self.walk.faults.len();
        for (index, leaf) in (from..).zip(&leaves) {
            self.compare_leaf(path, index, leaf, &leaves, stored.as_deref());
        }
        let located = self.walk.faults.len() > before;
        for (index, leaf) in (from..).zip(&leaves) {
            self.append(index, *leaf, located).await?;
        }
        self.walk.entries_read += leaves.len() as u64;
        Ok(())
    }

    fn stored_hashes(&mut self, path: TilePath, tile: Option<Bytes>) -> Option<Vec<Hash>> {
        let Some(tile) = tile else {
            self.fault(missing(path, self.size));
            return None;
        };
        let hashes = decode_hashes(&tile, path.width());
        if hashes.is_none() {
            self.fault(Fault::Malformed { path });
        }
        hashes
    }

    fn compare_leaf(
        &mut self,
        path: TilePath,
        index: u64,
        leaf: &Hash,
        leaves: &[Hash],
        stored: Option<&[Hash]>,
    ) {
        let Some(stored) = stored else { return };
        let from = path.index * TILE_WIDTH;
        let place = |index: u64| usize::try_from(index - from).ok();
        if place(index).and_then(|at| stored.get(at)) == Some(leaf) {
            return;
        }
        // An entry whose hash is stored at another place, where another entry now is, was moved from there.
        let belongs =
            (from..).zip(stored.iter().zip(leaves)).find(|(_, (hash, there))| *hash == leaf && hash != there);
        self.fault(match belongs {
            Some((belongs, _)) => Fault::Moved { index, belongs, path },
            None => Fault::Changed { index, path },
        });
    }

    /// `located`: a fault within this bundle is known already; its subtree need not be reported too.
    async fn append(&mut self, index: u64, leaf: Hash, located: bool) -> Result<(), SourceError> {
        let Some(tree) = self.tree.as_mut() else { return Ok(()) };
        let mut completed = Vec::new();
        tree.append(leaf, |node, hash| {
            if node.height > 0 && node.height.is_multiple_of(8) {
                completed.push((node, hash));
            }
        });
        self.take_root(index + 1);
        for (node, hash) in completed {
            self.compare_subtree(node, hash, located).await?;
        }
        Ok(())
    }

    async fn compare_subtree(&mut self, node: Node, hash: Hash, located: bool) -> Result<(), SourceError> {
        let level = node.height / 8;
        let (tile, at) = (node.index / TILE_WIDTH, usize::try_from(node.index % TILE_WIDTH).unwrap_or(0));
        let kind = TileKind::Hashes(level);
        let Some(path) = TilePath::newest(kind, tile, available(kind, self.size)) else { return Ok(()) };
        if self.uppers.get(&level).is_none_or(|(held, _)| *held != tile) {
            let fetched = fetch_tile(self.source, path).await?;
            let hashes = self.stored_hashes(path, fetched);
            self.uppers.insert(level, (tile, hashes));
        }
        let stored = self.uppers.get(&level).and_then(|(_, hashes)| hashes.as_ref());
        let agrees = stored.is_none_or(|hashes| hashes.get(at) == Some(&hash));
        if !agrees && !located {
            self.fault(Fault::Subtree {
                path,
                from: node.index << node.height,
                to: (node.index + 1) << node.height,
            });
        }
        Ok(())
    }

    fn take_root(&mut self, size: u64) {
        if self.watch == Some(size) {
            self.walk.root_at_watch = self.tree.as_ref().map(Peaks::root);
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.walk.faults.len() < MOST_FAULTS {
            self.walk.faults.push(fault);
        } else {
            self.walk.more_faults += 1;
        }
    }
}

/// Entries below a tile that is not there.
fn missing(path: TilePath, size: u64) -> Fault {
    let span = match path.kind {
        TileKind::Hashes(level) => 1_u64.checked_shl(u32::from(level) * 8).unwrap_or(u64::MAX),
        TileKind::Entries => 1,
    };
    let from = path.index.saturating_mul(TILE_WIDTH);
    let to = from.saturating_add(u64::from(path.width())).saturating_mul(span);
    Fault::Missing { path, from: from.saturating_mul(span), to: to.min(size) }
}
