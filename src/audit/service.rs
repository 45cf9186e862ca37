//! One writer: groups what is waiting into one transaction, then releases everybody.

use std::sync::Arc;

use super::{Event, Receipt};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::ids::RequestId;
use crate::keys::NoteSigner;
use crate::store::{KeyRow, ReplayClaim, Store};

/// A change that must become durable together with its entry, or not at all.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Take a single-use token; the submission is refused with [`RecordError::Replayed`] when it is taken.
    Claim(ReplayClaim),
    /// Give it back.
    Release(ReplayClaim),
    PutKey(KeyRow),
    DeleteKey(crate::ids::Kid),
}

/// One entry and what goes with it.
#[derive(Clone, Debug)]
pub struct Submission { pub request_id: RequestId, pub event: Event, pub effects: Vec<Effect> }

/// Nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the token was presented before")]
    Replayed,
    #[error("the audit log is unavailable")]
    Unavailable,
    #[error("the entry would be over 65535 bytes")]
    TooLarge,
}

/// A handle to the log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {}

impl AuditLog {
    /// Starts the writer task.
    pub async fn start(store: Arc<dyn Store>, signer: NoteSigner, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, crate::store::StoreError> { todo!() }
    /// Returns when the entry and its effects are durable.
    pub async fn record(&self, submission: Submission) -> Result<Receipt, RecordError> { todo!() }
    /// The signed checkpoint of the newest durable size.
    pub fn checkpoint(&self) -> String { todo!() }
    pub fn size(&self) -> u64 { todo!() }
    // … tile(level, index, width), entry bundle, inclusion proof, consistency proof, verifier key, drain
}
