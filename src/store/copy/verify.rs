//! Reads the copy back. Believes no hash: the tree is computed from the copied entries.

use super::tables::{ENTRIES, NODES, Row, Table, Value};
use super::{CopyError, End, PAGE, Step};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::merkle::{Hash, Peaks, leaf_hash};
use crate::store::{LogHead, stored};

/// The root over the copied entries, once everything is what the source's head says.
pub(super) async fn log(
    target: &mut dyn End,
    head: &LogHead,
    saved: Option<&Checkpoint>,
    progress: &mut (dyn FnMut(Step, u64, u64) + Send),
) -> Result<Hash, CopyError> {
    let mut tree = Tree::new(saved);
    let mut after = None;
    loop {
        let page = target.page(&ENTRIES, after.as_ref(), PAGE).await?;
        for row in &page {
            tree.add(row)?;
        }
        progress(Step::Verifying(ENTRIES.name), tree.peaks.size(), head.size);
        let Some(last) = page.into_iter().next_back() else { break };
        after = Some(last);
    }
    nodes(target, &mut tree.nodes, progress).await?;
    if tree.peaks.size() != head.size || tree.peaks.hashes() != head.peaks {
        let found = tree.peaks.size();
        return differs(format!("its {found} entries do not give the head of {} entries", head.size));
    }
    match saved {
        Some(saved) if tree.root_then != Some(saved.root) => differs(format!(
            "the first {} entries of the log are not those of the saved checkpoint: it was rewritten, or goes on from an \
             older backup",
            saved.size
        )),
        _ => Ok(tree.peaks.root()),
    }
}

/// Row by row.
pub(super) async fn same(
    source: &mut dyn End,
    target: &mut dyn End,
    table: &'static Table,
    progress: &mut (dyn FnMut(Step, u64, u64) + Send),
) -> Result<(), CopyError> {
    let (mut after, mut rows) = (None, 0);
    loop {
        let ours = source.page(table, after.as_ref(), PAGE).await?;
        let theirs = target.page(table, after.as_ref(), PAGE).await?;
        if ours != theirs {
            return differs(format!("rows {rows} and following of `{}` are not the same", table.name));
        }
        rows += ours.len() as u64;
        progress(Step::Verifying(table.name), rows, 0);
        let Some(last) = ours.into_iter().next_back() else { return Ok(()) };
        after = Some(last);
    }
}

struct Tree {
    peaks: Peaks,
    /// Level, index and root of each full subtree that tiles are made of.
    nodes: Vec<(i64, i64, Hash)>,
    then: Option<u64>,
    /// Over the first entries, as many as the saved checkpoint has.
    root_then: Option<Hash>,
}

impl Tree {
    fn new(saved: Option<&Checkpoint>) -> Self {
        let mut tree = Self {
            peaks: Peaks::default(),
            nodes: Vec::new(),
            then: saved.map(|saved| saved.size),
            root_then: None,
        };
        tree.look();
        tree
    }

    fn add(&mut self, row: &Row) -> Result<(), CopyError> {
        let index = self.peaks.size();
        let [Value::Number(number), Value::Bytes(hash), Value::Bytes(body)] = row.as_slice() else {
            return differs(format!("entry {index} is no entry"));
        };
        let leaf = leaf_hash(body);
        if stored::signed(index)? != *number || *hash != leaf {
            return differs(format!("entry {index} is missing, or not what was appended"));
        }
        let nodes = &mut self.nodes;
        self.peaks.append(leaf, |node, hash| {
            if node.height > 0 && node.height.is_multiple_of(8) {
                // Below 2^63: the entries are numbered by a signed integer.
                nodes.push((i64::from(node.height / 8), i64::try_from(node.index).unwrap_or(-1), hash));
            }
        });
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        if self.then == Some(self.peaks.size()) {
            self.root_then = Some(self.peaks.root());
        }
    }
}

async fn nodes(
    target: &mut dyn End,
    computed: &mut [(i64, i64, Hash)],
    progress: &mut (dyn FnMut(Step, u64, u64) + Send),
) -> Result<(), CopyError> {
    computed.sort_unstable();
    let mut expected = computed.iter();
    let mut after = None;
    loop {
        let page = target.page(&NODES, after.as_ref(), PAGE).await?;
        for row in &page {
            let fits = expected.next().is_some_and(|(level, index, hash)| {
                *row == [Value::Number(*level), Value::Number(*index), Value::Bytes(hash.to_vec())]
            });
            if !fits {
                return differs("a stored subtree's hash is not that of its entries".to_owned());
            }
        }
        progress(Step::Verifying(NODES.name), 0, 0);
        let Some(last) = page.into_iter().next_back() else { break };
        after = Some(last);
    }
    match expected.next() {
        None => Ok(()),
        Some(_) => differs("a subtree's hash is missing".to_owned()),
    }
}

fn differs<T>(what: String) -> Result<T, CopyError> {
    Err(CopyError::Differs(what))
}
