//! Changing over to another key-encryption key: every kept key is sealed anew, in one commit with its entry.

use zeroize::Zeroizing;

use super::KeyService;
use crate::audit::{Effect, Event, Overtaken, RecordError, Submission};
use crate::clock::Moment;
use crate::custody::{CustodyError, NextKek};
use crate::entropy::EntropyError;
use crate::ids::{Kid, RequestId};
use crate::keys::{KekId, KeyError};
use crate::store::{KeyRow, ResealedKey, Resealing, StoreError, WrappedKek, kek_in_force};

/// A key that was made or forgotten in between makes it start over; more often than this is a fault of ours.
const TRIES: u32 = 4;

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KekRotation {
    /// The key-encryption key that seals everything now.
    pub kek: KekId,
    /// Where it is: `file`, `value` or `kms`.
    pub custody: &'static str,
    /// What sealed before.
    pub previous: Vec<KekId>,
    /// What was sealed anew.
    pub resealed: Vec<Kid>,
}

/// Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KekRotationError {
    /// The request was signed with another key-encryption key: it was answered before, or somebody else was faster.
    #[error("the key-encryption key {signed} is not in force, {in_force} is: list the keys and ask again")]
    NotInForce {
        /// What the operator had.
        signed: KekId,
        /// What seals.
        in_force: KekId,
    },
    /// No key to change over to.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// A kept key does not open. Sealing the others anew would hide that.
    #[error("the kept key `{kid}`: {source}")]
    Kept {
        /// Which.
        kid: Kid,
        /// Why.
        source: KeyError,
    },
    /// Keys came and went each time.
    #[error("the kept keys kept changing meanwhile: ask again")]
    Restless,
    /// It could not be recorded.
    #[error("the change was not recorded: {0}")]
    Record(#[from] RecordError),
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing unguessable to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl KeyService {
    /// Seals every kept key, the log's too, under the key-encryption key that the configuration wants. `signed` is the one
    /// that the operator's request was signed with: only the one in force may be changed, so that a request that was
    /// recorded changes nothing when it is sent again.
    ///
    /// A crash leaves all of the old seals or all of the new ones. Live keys go on signing.
    pub async fn rotate_kek(&self, signed: KekId, at: Moment) -> Result<KekRotation, KekRotationError> {
        let _turn = self.turn.lock().await;
        let mut rows = self.store.keys().await?;
        self.custody.look(&rows).await?;
        must_be_in_force(signed, &rows)?;
        let next = self.custody.next(at).await?;
        for _ in 0..TRIES {
            let resealing = self.resealing(&rows, &next).await?;
            match self.commit(&resealing, &rows, &next, at).await {
                Ok(rotation) => {
                    self.custody.put_in_force(&next.kek);
                    tracing::info!(kek.id = %rotation.kek, custody = next.custody, keys = rows.len(), "the key-encryption key was changed");
                    return Ok(rotation);
                }
                Err(RecordError::Overtaken(Overtaken::Change)) => rows = self.store.keys().await?,
                Err(error) => return Err(error.into()),
            }
            self.custody.look(&rows).await?;
            must_be_in_force(signed, &rows)?;
        }
        Err(KekRotationError::Restless)
    }

    async fn resealing(&self, rows: &[KeyRow], next: &NextKek) -> Result<Resealing, KekRotationError> {
        let resealed = |row: &KeyRow| {
            self.reseal(row, next).map_err(|source| KekRotationError::Kept { kid: row.kid.clone(), source })
        };
        let keys = rows.iter().map(resealed).collect::<Result<_, _>>()?;
        let wrapped = self.store.wrapped_keks().await?;
        let forgotten =
            wrapped.iter().map(|kept: &WrappedKek| kept.id).filter(|id| *id != next.kek.id()).collect();
        Ok(Resealing { keys, wrapped: next.wrapped.clone(), forgotten })
    }

    /// Opened again before it is believed: what is written replaces the only copy.
    fn reseal(&self, row: &KeyRow, next: &NextKek) -> Result<ResealedKey, KeyError> {
        let (purpose, kid) = (row.purpose.as_str(), &row.kid);
        let private: Zeroizing<Vec<u8>> = self.custody.ring().open(purpose, kid, &row.sealed_private)?;
        let now = next.kek.seal(purpose, kid, &private, &*self.entropy)?;
        if *next.kek.open(purpose, kid, &now)? != *private {
            return Err(KeyError::Sealed);
        }
        Ok(ResealedKey { kid: kid.clone(), was: row.sealed_private.clone(), now })
    }

    async fn commit(
        &self,
        resealing: &Resealing,
        rows: &[KeyRow],
        next: &NextKek,
        at: Moment,
    ) -> Result<KekRotation, RecordError> {
        let mut previous: Vec<KekId> = rows.iter().filter_map(KeyRow::sealed_under).collect();
        previous.sort_unstable();
        previous.dedup();
        let resealed: Vec<Kid> = rows.iter().map(|row| row.kid.clone()).collect();
        let event = Event::KeyResealed {
            kek: next.kek.id().to_string(),
            custody: next.custody,
            kms_key: next.wrapped.as_ref().map(|wrapped| wrapped.kms_key.clone()),
            previous: previous.iter().map(ToString::to_string).collect(),
            kids: resealed.iter().map(ToString::to_string).collect(),
        };
        let request_id = RequestId::new(at, &*self.entropy).map_err(|_| RecordError::Unavailable)?;
        let effects = vec![Effect::Reseal(Box::new(resealing.clone()))];
        self.audit.record(Submission::new(request_id, event).with(effects)).await?;
        Ok(KekRotation { kek: next.kek.id(), custody: next.custody, previous, resealed })
    }
}

fn must_be_in_force(signed: KekId, rows: &[KeyRow]) -> Result<(), KekRotationError> {
    match kek_in_force(rows) {
        Some(in_force) if in_force != signed => Err(KekRotationError::NotInForce { signed, in_force }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "rekey_tests.rs"]
mod tests;
