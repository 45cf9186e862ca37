//! What is kept about key-encryption keys, and how kept keys are sealed anew.

use futures_util::future::BoxFuture;

use super::{KeyPurpose, KeyRow, StoreError, UnitOfWork};
use crate::clock::Moment;
use crate::ids::Kid;
use crate::keys::KekId;

/// A key-encryption key that AWS KMS has wrapped.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKek {
    /// Which one it is.
    pub id: KekId,
    /// The ARN of the KMS key that wrapped it.
    pub kms_key: String,
    /// What KMS answered: only KMS opens it.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: Moment,
}

impl std::fmt::Debug for WrappedKek {
    /// Without the wrapped bytes: they are of no use to a reader and of some use to a thief.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrappedKek")
            .field("id", &self.id)
            .field("kms_key", &self.kms_key)
            .finish_non_exhaustive()
    }
}

impl KeyRow {
    /// What its seal says that it was sealed under.
    pub fn sealed_under(&self) -> Option<KekId> {
        KekId::of_blob(&self.sealed_private)
    }
}

/// Under which key-encryption key new keys are sealed: the one that seals the log's key, of which there is always one. So
/// the store itself says when replicas change over, all at the same moment.
pub fn kek_in_force(keys: &[KeyRow]) -> Option<KekId> {
    keys.iter().find(|key| key.purpose == KeyPurpose::Log)?.sealed_under()
}

/// Every kept key, sealed anew.
#[derive(Clone, Debug)]
pub struct Resealing {
    /// All of them.
    pub keys: Vec<ResealedKey>,
    /// The new key-encryption key, when KMS has wrapped it.
    pub wrapped: Option<WrappedKek>,
    /// Wrapped key-encryption keys that seal nothing from then on.
    pub forgotten: Vec<KekId>,
}

/// One of them.
#[derive(Clone)]
pub struct ResealedKey {
    /// Which.
    pub kid: Kid,
    /// As it is kept.
    pub was: Vec<u8>,
    /// As it shall be kept.
    pub now: Vec<u8>,
}

impl std::fmt::Debug for ResealedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResealedKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Resealing {
    /// Is `kept` what it was made of? A key that came or went meanwhile, or was sealed anew by somebody else, is not.
    pub fn fits(&self, kept: &[KeyRow]) -> bool {
        let is_here =
            |row: &KeyRow| self.keys.iter().any(|key| key.kid == row.kid && key.was == row.sealed_private);
        kept.len() == self.keys.len() && kept.iter().all(is_here)
    }

    /// Writes it. Ask [`fits`](Self::fits) in the same unit before.
    pub async fn apply(&self, unit: &mut dyn UnitOfWork) -> Result<(), StoreError> {
        if let Some(wrapped) = &self.wrapped {
            unit.put_wrapped_kek(wrapped).await?;
        }
        for key in &self.keys {
            unit.reseal_key(&key.kid, &key.now).await?;
        }
        for id in &self.forgotten {
            unit.delete_wrapped_kek(*id).await?;
        }
        Ok(())
    }
}

/// Reading.
pub trait CustodyStore {
    /// Every wrapped key-encryption key, oldest first.
    fn wrapped_keks(&self) -> BoxFuture<'_, Result<Vec<WrappedKek>, StoreError>>;
}

/// Within a unit of work.
pub trait CustodyUnit {
    /// Every wrapped key-encryption key as this unit sees it, oldest first.
    fn wrapped_keks(&mut self) -> BoxFuture<'_, Result<Vec<WrappedKek>, StoreError>>;
    /// Replaces the sealed private half of a key, and nothing else; a key that is not there is no error.
    fn reseal_key<'a>(&'a mut self, kid: &'a Kid, sealed: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Inserts it; one with the same id stays as it is.
    fn put_wrapped_kek<'a>(&'a mut self, kek: &'a WrappedKek) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Deletes it if it is there.
    fn delete_wrapped_kek(&mut self, id: KekId) -> BoxFuture<'_, Result<(), StoreError>>;
}
