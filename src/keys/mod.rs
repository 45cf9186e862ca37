//! Our own keys: token signing keys with their schedule, the log's key, sealing at rest. Knows when a key may sign and
//! when it must stay published; refuses to know what is signed.
//!
//! Everything but [`service`] and the key-encryption key's file is pure: bytes, rows and a moment in, values out.

mod jwk;
mod kek_file;
mod kek_ring;
mod key_ring;
pub mod note;
pub mod schedule;
mod seal;
pub mod service;
mod signing;

pub use jwk::PublicJwk;
pub use kek_file::KekFileError;
pub use kek_ring::KekRing;
pub use key_ring::KeyRing;
pub use note::NoteSigner;
pub use schedule::{KeyTimes, Schedule, ScheduleError};
pub use seal::{Kek, KekId};
pub use service::{
    KekRotation, KekRotationError, KeyService, KeyServiceError, LogKeyError, Rotation, RsaKey, Settings,
    open_or_create_log_signer,
};
pub use signing::{SigningAlgorithm, SigningKey};

/// A key could not be read, made or used. No variant holds key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The seal does not open.
    #[error("the key does not open: wrong key-encryption key or changed data")]
    Sealed,
    /// It was sealed under a key-encryption key that is not at hand.
    #[error("the key is sealed under the key-encryption key {0}, which this process does not have")]
    OtherKek(KekId),
    /// The bytes are no key that we use, or the operation does not fit the key.
    #[error("{0}")]
    Invalid(&'static str),
    /// Nothing unguessable to be had.
    #[error(transparent)]
    Entropy(#[from] crate::entropy::EntropyError),
}
