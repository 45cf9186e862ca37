//! The RFC 6962 tree over the log's entries: hashes, appending, proofs and their verification. Pure: hashes of stored
//! subtrees are asked of a closure.

mod path;
mod peaks;
#[cfg(test)]
mod tests;

pub use path::{
    ProofError, consistency_path, inclusion_path, nodes_of, range_root, verify_consistency, verify_inclusion,
};
pub use peaks::{Peaks, PeaksError};

/// SHA-256.
pub type Hash = [u8; 32];

/// The root of a perfect subtree: the entries from `index << height` up to, not including, `(index + 1) << height`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// 0 for a leaf.
    pub height: u8,
    /// Its place among the subtrees of this height.
    pub index: u64,
}

/// Hash of an entry (RFC 6962 §2.1). The prefix keeps an inner node from passing for an entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    digest(&[&[0], entry])
}

/// Hash of an inner node (RFC 6962 §2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    digest(&[&[1], left, right])
}

/// Root of a perfect subtree from the roots of its equal parts: a power of two of them, else `None`.
pub fn perfect_root(parts: &[Hash]) -> Option<Hash> {
    let mut row = parts.len().is_power_of_two().then(|| parts.to_vec())?;
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}

/// Root of the tree without entries.
pub fn empty_root() -> Hash {
    digest(&[])
}

fn digest(parts: &[&[u8]]) -> Hash {
    *crate::secret::Fingerprint::of_parts(parts).as_bytes()
}
