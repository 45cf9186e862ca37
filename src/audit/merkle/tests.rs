//! The tree against its recursive definition (RFC 6962 §2.1) and the vectors of the Certificate Transparency project.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// RFC 6962 §2.1, word by word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

fn tree(leaves: &[Hash]) -> Peaks {
    let mut tree = Peaks::default();
    for leaf in leaves {
        tree.append(*leaf, |_, _| {});
    }
    tree
}

/// The root of every perfect subtree.
struct Forest(HashMap<Node, Hash>);

impl Forest {
    fn over(leaves: &[Hash]) -> Self {
        let mut all = HashMap::new();
        let mut tree = Peaks::default();
        for leaf in leaves {
            tree.append(*leaf, |node, hash| assert!(all.insert(node, hash).is_none()));
        }
        Self(all)
    }

    fn roots(&self, path: &[std::ops::Range<u64>]) -> Vec<Hash> {
        let hash = |node| self.0.get(&node).copied().ok_or(());
        path.iter().map(|range| range_root(range, hash).unwrap().unwrap()).collect()
    }
}

fn hex(hash: Hash) -> String {
    crate::secret::Fingerprint::from_bytes(hash).to_string()
}

#[test]
fn known_roots_of_the_certificate_transparency_vectors() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let expected = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    for (size, expected) in expected.iter().enumerate() {
        assert_eq!(hex(tree(&leaves[..size]).root()), *expected, "size {size}");
    }
}

#[test]
fn every_root_up_to_300_is_the_recursive_one() {
    let leaves = leaves(300);
    for size in 0..=300 {
        assert_eq!(tree(&leaves[..size]).root(), naive_root(&leaves[..size]), "size {size}");
    }
}

#[test]
fn every_inclusion_up_to_300_holds_and_tampered_ones_are_refused() {
    let leaves = leaves(300);
    let forest = Forest::over(&leaves);
    for size in 1..=300_u64 {
        let root = tree(&leaves[..usize::try_from(size).unwrap()]).root();
        for index in 0..size {
            let leaf = leaves[usize::try_from(index).unwrap()];
            let proof = forest.roots(&inclusion_path(index, size).unwrap());
            assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()), "{index} of {size}");
            if size <= 20 || (size % 50 == 1 && index % 37 == 0) {
                refuses_tampered_inclusion(leaf, index, size, &proof, &root);
            }
        }
    }
}

fn refuses_tampered_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) {
    for at in 0..proof.len() {
        let mut bad = proof.to_vec();
        bad[at][0] ^= 1;
        assert_eq!(verify_inclusion(&leaf, index, size, &bad, root), Err(ProofError::WrongRoot));
        bad.remove(at);
        assert_eq!(verify_inclusion(&leaf, index, size, &bad, root), Err(ProofError::WrongLength));
    }
    let longer = [proof, &[leaf]].concat();
    assert_eq!(verify_inclusion(&leaf, index, size, &longer, root), Err(ProofError::WrongLength));
    for other in (0..size + 2).filter(|other| *other != index) {
        assert!(verify_inclusion(&leaf, other, size, proof, root).is_err(), "{index} at {other} of {size}");
    }
    assert!(verify_inclusion(&[7; 32], index, size, proof, root).is_err());
}

#[test]
fn every_consistency_up_to_300_holds_and_tampered_ones_are_refused() {
    let leaves = leaves(300);
    let forest = Forest::over(&leaves);
    let all: Vec<Hash> = (0..=300).map(|size| tree(&leaves[..size]).root()).collect();
    let root = |size: u64| &all[usize::try_from(size).unwrap()];
    for new in 0..=300 {
        for old in 0..=new {
            let proof = forest.roots(&consistency_path(old, new).unwrap());
            assert_eq!(verify_consistency((old, root(old)), (new, root(new)), &proof), Ok(()), "{old} {new}");
            if old > 0 && (new <= 20 || (new % 50 == 1 && old % 29 == 0)) {
                refuses_tampered_consistency((old, root(old)), (new, root(new)), &proof);
            }
        }
    }
    assert_eq!(consistency_path(6, 5), None);
    assert_eq!(verify_consistency((6, root(6)), (5, root(5)), &[]), Err(ProofError::OutOfRange));
}

fn refuses_tampered_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) {
    assert!(verify_consistency((old.0, &[7; 32]), new, proof).is_err());
    assert!(verify_consistency(old, (new.0, &[7; 32]), proof).is_err());
    assert!(verify_consistency(old, new, &[proof, &[[7; 32]]].concat()).is_err());
    for at in 0..proof.len() {
        let mut bad = proof.to_vec();
        bad[at][31] ^= 0x80;
        assert!(verify_consistency(old, new, &bad).is_err());
        bad.remove(at);
        assert!(verify_consistency(old, new, &bad).is_err());
    }
}

#[test]
fn peaks_lie_where_their_nodes_say() {
    let leaves = leaves(300);
    let forest = Forest::over(&leaves);
    for size in 0..=300_u64 {
        let tree = tree(&leaves[..usize::try_from(size).unwrap()]);
        let ranges: Vec<_> = Peaks::nodes(size)
            .map(|node| node.index << node.height..(node.index + 1) << node.height)
            .collect();
        assert_eq!(forest.roots(&ranges), tree.hashes(), "size {size}");
    }
}

#[test]
fn a_tree_with_the_wrong_number_of_peaks_is_refused() {
    assert!(Peaks::new(3, vec![[0; 32]]).is_err());
    assert!(Peaks::new(0, vec![[0; 32]]).is_err());
    assert!(Peaks::new(3, vec![[0; 32]; 2]).is_ok());
}

proptest! {
    #[test]
    fn any_place_in_any_tree_is_outside_or_has_a_short_path(index: u64, size: u64) {
        match inclusion_path(index, size) {
            None => prop_assert!(index >= size),
            Some(path) => {
                prop_assert!(path.len() <= 64);
                let covered: u64 = path.iter().map(|range| range.end - range.start).sum();
                prop_assert_eq!(covered, size - 1);
            }
        }
    }

    #[test]
    fn any_two_sizes_have_a_short_consistency_path(a: u64, b: u64) {
        let (old, new) = (a.min(b), a.max(b));
        prop_assert!(consistency_path(old, new).unwrap().len() <= 65);
        prop_assert!(old == new || consistency_path(new, old).is_none());
    }

    #[test]
    fn completed_subtrees_have_the_roots_of_their_entries(size in 1_u64..600) {
        let leaves = leaves(size);
        for (node, hash) in Forest::over(&leaves).0 {
            let at = |n: u64| usize::try_from(n << node.height).unwrap();
            prop_assert_eq!(perfect_root(&leaves[at(node.index)..at(node.index + 1)]), Some(hash));
        }
        prop_assert_eq!(tree(&leaves).root(), naive_root(&leaves));
    }
}
