//! Why a broker has no key-encryption key.

use super::KmsError;
use crate::entropy::EntropyError;
use crate::keys::{KekFileError, KekId, KeyError};
use crate::network::aws::ConnectError;
use crate::store::StoreError;

/// No key-encryption key, or not the right one. Nothing was changed, and no other one was made. The text says what to
/// mend.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file, or a value in the configuration.
    #[error(transparent)]
    File(#[from] KekFileError),
    /// AWS KMS said no, or nothing.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// No way to AWS.
    #[error("AWS KMS cannot be reached: {0}")]
    Connect(#[from] ConnectError),
    /// Nobody may start over with another one: what is sealed would be lost.
    #[error(
        "kept keys are sealed under the key-encryption key {id}, but the configuration has {held}: put the right one back, or name it as `keys.previous_kek_file` (or `previous_kek`, `previous_kek_kms`) while it is being changed"
    )]
    Unknown {
        /// What seals.
        id: KekId,
        /// What there is.
        held: String,
    },
    /// Likewise.
    #[error(
        "kept keys are sealed under the key-encryption key {id}, which `{wrapped_by}` wrapped, but the configuration has {held}: put that ARN back as `keys.kek_kms`, or name it as `keys.previous_kek_kms` while it is being changed"
    )]
    OtherKmsKey {
        /// What seals.
        id: KekId,
        /// The ARN.
        wrapped_by: String,
        /// What there is.
        held: String,
    },
    /// The row was changed, or KMS answered for another.
    #[error(
        "what `{key}` opened is not the key-encryption key {id}: the kept row was changed, or that is another KMS; restore the store from a backup"
    )]
    NotTheKey {
        /// What was expected.
        id: KekId,
        /// The ARN.
        key: String,
    },
    /// Somebody has put old rows back.
    #[error(
        "kept keys are sealed under the key-encryption key {0}, which was replaced while this broker ran: somebody has put old keys into the store; if that was you, restart the broker"
    )]
    Retired(KekId),
    /// Only whole changes are made.
    #[error(
        "a kept key is sealed under the key-encryption key {id}, but {in_force} is in force: no broker seals so; somebody has put a key into the store"
    )]
    Mixed {
        /// What seals it.
        id: KekId,
        /// What seals the log's key.
        in_force: KekId,
    },
    /// A change that changes nothing.
    #[error(
        "`keys.kek` and `keys.previous_kek` are the same key {0}: leave the previous one out, or name a new one"
    )]
    SameTwice(KekId),
    /// Likewise.
    #[error(
        "the key-encryption key {0} of the configuration seals everything already: name a new one there, the old one as `keys.previous_kek_file`, restart, and ask again"
    )]
    NothingNew(KekId),
    /// Another replica was faster.
    #[error(
        "another broker began this store at the same moment, with a key-encryption key of its own: start again"
    )]
    Overtaken,
    /// The bytes are no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nothing unguessable to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
