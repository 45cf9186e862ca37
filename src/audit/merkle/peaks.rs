//! The compact range from 0: everything that appending needs to remember, 32 bytes for each 1-bit of the size.

use super::{Hash, Node, empty_root, node_hash};

/// A tree that remembers only the roots of its perfect subtrees, from the largest to the smallest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    size: u64,
    hashes: Vec<Hash>,
}

/// The number of hashes does not fit the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} entries has {} peaks, not {found}", size.count_ones())]
pub struct PeaksError {
    size: u64,
    found: usize,
}

impl Peaks {
    /// Takes a remembered tree up again.
    pub fn new(size: u64, hashes: Vec<Hash>) -> Result<Self, PeaksError> {
        if usize::try_from(size.count_ones()) == Ok(hashes.len()) {
            Ok(Self { size, hashes })
        } else {
            Err(PeaksError { size, found: hashes.len() })
        }
    }

    /// How many entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots, from the largest subtree to the smallest.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The subtrees that the hashes are roots of.
    pub fn nodes(size: u64) -> impl Iterator<Item = Node> {
        (0_u8..64).rev().filter(move |height| size >> height & 1 == 1).map(move |height| {
            // Everything before this peak is made of larger subtrees: the bits above it.
            Node { height, index: (size >> height) - 1 }
        })
    }

    /// Adds one entry and tells `completed` each perfect subtree that it completes, from the smallest, with its root.
    pub fn append(&mut self, leaf: Hash, mut completed: impl FnMut(Node, Hash)) {
        let mut node = Node { height: 0, index: self.size };
        let mut hash = leaf;
        completed(node, hash);
        while node.index & 1 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            node = Node { height: node.height + 1, index: node.index >> 1 };
            completed(node, hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let folded = self.hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(empty_root)
    }
}
