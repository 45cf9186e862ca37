//! Ports to what is kept, and one unit of work. Knows rows and transactions; refuses to know why they are written.
//!
//! A [`UnitOfWork`] is consumed by `commit` and rolled back on drop. Not found is `Option` or an empty list; a lost
//! race is a value, never an error.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::clock::Moment;
use crate::ids::{IssuerName, Kid};
use crate::secret::Fingerprint;

/// The storage failed. The cause is for the operator's log, never for a caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Full disk, closed or locked database, lost connection.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// What was read cannot be what was written.
    #[error("storage is corrupt: {0}")]
    Corrupt(String),
}

/// A single-use token that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayClaim { pub issuer: IssuerName, pub key: Fingerprint, pub until: Moment }

/// The log's head: how many entries, and the roots of its perfect subtrees from the largest to the smallest.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LogHead { pub size: u64, pub peaks: Vec<[u8; 32]> , /* time of the last entry: the clock's floor */ pub last_at: Option<Moment> }

/// One entry ready to be kept.
#[derive(Clone, Debug)]
pub struct LogRow { pub index: u64, pub leaf_hash: [u8; 32], pub bytes: Bytes }

/// A stored hash of a full subtree of 256^level leaves (level ≥ 1); level 0 are the entries' leaf hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileHash { pub level: u8, pub index: u64, pub hash: [u8; 32] }

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose { /// Signs tokens. 
    Token, /// Signs checkpoints.
    Log }

/// A key as kept: the private half only sealed.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub kid: Kid,
    pub purpose: KeyPurpose,
    pub algorithm: String,
    pub sealed_private: Vec<u8>,
    /// Public JWK (token keys) or raw 32 bytes in base64 (log key), for listing without the KEK.
    pub public: String,
    pub created_at: Moment,
    /// From when it may sign (published before).
    pub active_from: Moment,
    /// Set once a newer key took over: signs no more.
    pub retired_at: Option<Moment>,
    /// Set with `retired_at`: stays in the JWKS until then.
    pub published_until: Option<Moment>,
}

/// Everything that can be read without a unit of work, and the way to begin one.
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn UnitOfWork>, StoreError>>;
    fn head(&self) -> BoxFuture<'_, Result<LogHead, StoreError>>;
    /// Entries `from..from+limit`, fewer at the end.
    fn entries(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<LogRow>, StoreError>>;
    /// Hashes `from..from+count` of tile level `level`, fewer at the end.
    fn tile_hashes(&self, level: u8, from: u64, count: u32) -> BoxFuture<'_, Result<Vec<[u8; 32]>, StoreError>>;
    fn keys(&self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>>;
    /// Forgets claims that ended before `at`, at most `most`; returns how many.
    fn purge_claims(&self, at: Moment, most: u32) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// Proves that a write would become durable now (for `/readyz`).
    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// One transaction.
pub trait UnitOfWork: Send {
    /// The head, locked against other writers until the end.
    fn head(&mut self) -> BoxFuture<'_, Result<LogHead, StoreError>>;
    /// Takes each claim that is free; `false` where it was taken (also within `claims`).
    fn claim<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<Vec<bool>, StoreError>>;
    /// Gives claims back: nothing was issued for them.
    fn release<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<(), StoreError>>;
    fn append<'a>(&'a mut self, rows: &'a [LogRow], hashes: &'a [TileHash], head: &'a LogHead) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Inserts or replaces by `kid`.
    fn put_key<'a>(&'a mut self, key: &'a KeyRow) -> BoxFuture<'a, Result<(), StoreError>>;
    fn delete_key<'a>(&'a mut self, kid: &'a Kid) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Durable when this returns `Ok`.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// Opens what `url` names: `sqlite:PATH`, migrated to the newest schema.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> { let _ = url; todo!() }
