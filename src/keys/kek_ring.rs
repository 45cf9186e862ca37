//! The key-encryption keys in memory: usually one, two while it is being changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::{Kek, KekId, KeyError};
use crate::ids::Kid;

/// Opens what any of its keys has sealed. One that was replaced is retired and never comes back in the life of this process:
/// it may have been replaced because somebody else has it.
#[derive(Debug, Default)]
pub struct KekRing {
    held: ArcSwap<Held>,
}

#[derive(Clone, Debug, Default)]
struct Held {
    keks: Vec<Arc<Kek>>,
    retired: BTreeSet<KekId>,
}

impl KekRing {
    /// With these, the one that is wanted first.
    pub fn new(keks: impl IntoIterator<Item = Arc<Kek>>) -> Self {
        let ring = Self::default();
        for kek in keks {
            ring.add(&kek);
        }
        ring
    }

    /// Adds one, unless it is there or was retired.
    pub fn add(&self, kek: &Arc<Kek>) {
        self.held.rcu(|held| {
            let mut next = Held::clone(held);
            let is_known = next.keks.iter().any(|other| other.id() == kek.id());
            if !is_known && !next.retired.contains(&kek.id()) {
                next.keks.push(Arc::clone(kek));
            }
            next
        });
    }

    /// Takes one away for good: it opens nothing and proves nothing any more.
    pub fn retire(&self, id: KekId) {
        self.held.rcu(|held| {
            let mut next = Held::clone(held);
            next.keks.retain(|kek| kek.id() != id);
            next.retired.insert(id);
            next
        });
    }

    /// Was it replaced while this process ran?
    pub fn is_retired(&self, id: KekId) -> bool {
        self.held.load().retired.contains(&id)
    }

    /// The one with that id.
    pub fn get(&self, id: KekId) -> Option<Arc<Kek>> {
        self.held.load().keks.iter().find(|kek| kek.id() == id).cloned()
    }

    /// All of them, the first one first.
    pub fn all(&self) -> Vec<Arc<Kek>> {
        self.held.load().keks.clone()
    }

    /// Opens what [`Kek::seal`] made for the same purpose and `kid`, under whichever key it names.
    pub fn open(&self, purpose: &str, kid: &Kid, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let id = KekId::of_blob(blob).ok_or(KeyError::Sealed)?;
        self.get(id).ok_or(KeyError::OtherKek(id))?.open(purpose, kid, blob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn kek(byte: u8) -> Arc<Kek> {
        Arc::new(Kek::from_bytes(&[byte; 32]).unwrap())
    }

    #[test]
    fn what_another_key_sealed_is_refused_by_its_name() {
        let kid = Kid::new("k1").unwrap();
        let blob = kek(3).seal("token", &kid, b"private", &SystemEntropy::new()).unwrap();
        let ring = KekRing::new([kek(1), kek(2)]);
        let refusal = ring.open("token", &kid, &blob).unwrap_err();
        assert!(matches!(&refusal, KeyError::OtherKek(id) if *id == kek(3).id()), "{refusal}");
        assert!(matches!(ring.open("token", &kid, b"nonsense"), Err(KeyError::Sealed)));
        ring.add(&kek(3));
        assert_eq!(&**ring.open("token", &kid, &blob).unwrap(), b"private");
    }

    #[test]
    fn a_retired_key_opens_nothing_and_does_not_come_back() {
        let kid = Kid::new("k1").unwrap();
        let blob = kek(1).seal("token", &kid, b"private", &SystemEntropy::new()).unwrap();
        let ring = KekRing::new([kek(1), kek(2)]);
        ring.retire(kek(1).id());
        ring.add(&kek(1));
        assert!(matches!(ring.open("token", &kid, &blob), Err(KeyError::OtherKek(id)) if id == kek(1).id()));
        assert!(ring.is_retired(kek(1).id()) && !ring.is_retired(kek(2).id()));
        assert_eq!(ring.all().len(), 1);
    }

    #[test]
    fn a_name_of_another_key_in_front_of_a_blob_opens_nothing() {
        let kid = Kid::new("k1").unwrap();
        let ring = KekRing::new([kek(1), kek(2)]);
        let mut blob = kek(1).seal("token", &kid, b"private", &SystemEntropy::new()).unwrap();
        blob[1..9].copy_from_slice(kek(2).id().as_bytes());
        assert!(matches!(ring.open("token", &kid, &blob), Err(KeyError::Sealed)));
    }

    #[test]
    fn the_same_key_is_held_once_and_the_wanted_one_is_first() {
        let ring = KekRing::new([kek(2), kek(1), kek(2)]);
        assert_eq!(ring.all().iter().map(|kek| kek.id()).collect::<Vec<_>>(), [kek(2).id(), kek(1).id()]);
    }
}
