//! Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2) and their verification (RFC 9162 §2.1.3.2, §2.1.4.2).
//!
//! A proof is a list of subtrees, each a range of entries. Ranges are found without any hash; the hash of a range is
//! folded from the perfect subtrees that it is made of, which are what a log stores.

use std::ops::Range;

use super::{Hash, Node, node_hash};

/// A proof that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry's index is not below the tree's size, or the old size is above the new one.
    #[error("the proof is for a place outside the tree")]
    OutOfRange,
    /// Too many or too few hashes for its place.
    #[error("the proof has the wrong number of hashes for its place")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// The subtrees whose roots prove that entry `index` is in the tree of `size`, from the leaf's sibling upward.
/// `None` when it is not in it.
pub fn inclusion_path(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    let mut path = Vec::new();
    let mut range = (index < size).then_some(0..size)?;
    while width(&range) > 1 {
        let (left, right) = halves(&range);
        let (inside, sibling) = if index < left.end { (left, right) } else { (right, left) };
        path.push(sibling);
        range = inside;
    }
    path.reverse();
    Some(path)
}

/// The subtrees whose roots prove that the tree of `new` begins with the tree of `old`. `None` when it is shorter.
/// Nothing needs to be proved about an empty or an equal tree.
pub fn consistency_path(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    let mut path = Vec::new();
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(path);
    }
    let mut range = 0..new;
    // RFC 6962's SUBPROOF: go down to where the old tree ends on a subtree's edge.
    while range.end != old {
        let (left, right) = halves(&range);
        let (inside, sibling) = if old <= left.end { (left, right) } else { (right, left) };
        path.push(sibling);
        range = inside;
    }
    // The old tree's own root is known to whoever asks; a smaller piece of it is not.
    if range.start != 0 {
        path.push(range);
    }
    path.reverse();
    Some(path)
}

/// The perfect subtrees that a range of a proof is made of, from left to right.
pub fn nodes_of(range: &Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let fits = (range.end - start).ilog2();
        let height = fits.min(start.trailing_zeros());
        nodes.push(Node { height: u8::try_from(height).unwrap_or(63), index: start >> height });
        start += 1 << height;
    }
    nodes
}

/// The root over a range of a proof. `hash_of` gives the roots of perfect subtrees.
pub fn range_root<E>(
    range: &Range<u64>,
    mut hash_of: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Option<Hash>, E> {
    let mut root = None;
    for node in nodes_of(range).into_iter().rev() {
        let left = hash_of(node)?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(root)
}

/// Does `proof` show that the entry with `leaf` is at `index` in the tree of `size` with `root`?
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    let path = inclusion_path(index, size).ok_or(ProofError::OutOfRange)?;
    if path.len() != proof.len() {
        return Err(ProofError::WrongLength);
    }
    let climb = |below: Hash, (sibling, range): (&Hash, &Range<u64>)| {
        if range.start > index { node_hash(&below, sibling) } else { node_hash(sibling, &below) }
    };
    let reached = proof.iter().zip(&path).fold(*leaf, climb);
    if reached == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Does `proof` show that the tree of `new` with `new_root` begins with the tree of `old` with `old_root`?
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    let path = consistency_path(old, new).ok_or(ProofError::OutOfRange)?;
    if path.len() != proof.len() {
        return Err(ProofError::WrongLength);
    }
    if old == 0 {
        return Ok(());
    }
    if old == new {
        return if old_root == new_root { Ok(()) } else { Err(ProofError::WrongRoot) };
    }
    let mut steps = path.iter().zip(proof);
    // Where the old tree is one perfect subtree, its root is the start and is not in the proof.
    let start =
        if old.is_power_of_two() { *old_root } else { *steps.next().ok_or(ProofError::WrongLength)?.1 };
    let (mut old_reached, mut new_reached) = (start, start);
    for (range, hash) in steps {
        if range.start >= old {
            new_reached = node_hash(&new_reached, hash);
        } else {
            old_reached = node_hash(hash, &old_reached);
            new_reached = node_hash(hash, &new_reached);
        }
    }
    if old_reached == *old_root && new_reached == *new_root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

fn width(range: &Range<u64>) -> u64 {
    range.end - range.start
}

/// Split at the largest power of two that is smaller than the width (at least 2).
fn halves(range: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let split = range.start + (1 << (width(range) - 1).ilog2());
    (range.start..split, split..range.end)
}
