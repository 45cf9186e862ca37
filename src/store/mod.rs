//! Ports to what is kept, and one unit of work. Knows rows and transactions; refuses to know why they are written.
//!
//! A [`UnitOfWork`] is consumed by `commit` and rolled back on drop. Not found is `Option` or an empty list; a lost
//! race is a value, never an error. Every backend passes the same conformance suite (`conformance.rs`).

mod breakglass;
#[cfg(test)]
mod conformance;
mod copy;
mod custody;
#[cfg(test)]
mod fixture;
mod inspect;
mod postgres;
mod replicas;
#[cfg(test)]
pub(crate) mod samples;
mod schema;
mod settings;
mod sqlite;
mod stored;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use breakglass::{
    AnswerRow, BreakGlassStore, BreakGlassUnit, ElevationChange, ElevationGuard, ElevationQuery, OpenLimits,
    OutboxRow, RevokedToken, Swap, WaitingMessage,
};
pub use copy::{Copied, CopyError, Step, copy};
pub use custody::{CustodyStore, CustodyUnit, ResealedKey, Resealing, WrappedKek, kek_in_force};
pub use inspect::{Backend, Inspection, ServerFacts, TableFacts, inspect, migrate, open_to_look};
pub use replicas::{Lease, Marks, Pulse, ReplicaStore, ReplicaUnit};
pub use schema::{SchemaState, SchemaStep};
pub use settings::{
    PasswordSource, PostgresHost, PostgresSettings, PostgresTls, StoreSettings, USUAL_CONNECTIONS, UrlFault,
};

use crate::clock::Moment;
use crate::ids::{IssuerName, Kid};
use crate::secret::Fingerprint;

/// The storage failed. The cause is for the operator's log, never for a caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Full disk, closed or locked database, lost connection: may work again later, without a restart.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// What was read cannot be what was written.
    #[error("storage is corrupt: {0}")]
    Corrupt(String),
    /// It must not be opened: wrong address, newer schema, or another broker has it. Only [`open`] says so.
    #[error("storage cannot be opened: {0}")]
    Refused(String),
}

/// A single-use token that is taken. Two claims are the same when issuer and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayClaim {
    /// Whose token.
    pub issuer: IssuerName,
    /// What makes the token unique to its issuer, hashed.
    pub key: Fingerprint,
    /// From when the token is refused for its age anyway, and the claim may be forgotten.
    pub until: Moment,
}

/// The log's head: how many entries, and the roots of its perfect subtrees from the largest to the smallest.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LogHead {
    /// How many entries.
    pub size: u64,
    /// One hash for each 1-bit of `size`.
    pub peaks: Vec<[u8; 32]>,
    /// Time of the last entry: the clock's floor.
    pub last_at: Option<Moment>,
}

/// One entry ready to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Its place, from 0, without gaps.
    pub index: u64,
    /// RFC 6962 leaf hash of `bytes`.
    pub leaf_hash: [u8; 32],
    /// The entry.
    pub bytes: Bytes,
}

/// A stored hash of a full subtree of 256^level leaves (level ≥ 1); level 0 are the entries' leaf hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileHash {
    /// 1 to 7.
    pub level: u8,
    /// Its place within the level, from 0, without gaps.
    pub index: u64,
    /// The subtree's root.
    pub hash: [u8; 32],
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Signs tokens.
    Token,
    /// Signs checkpoints.
    Log,
}

impl KeyPurpose {
    /// As stored and shown: `token` or `log`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Log => "log",
        }
    }
}

/// A key as kept: the private half only sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// RFC 7638 thumbprint.
    pub kid: Kid,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// `ES256`, `EdDSA`, `RS256`.
    pub algorithm: String,
    /// The private key, sealed under the key-encryption key.
    pub sealed_private: Vec<u8>,
    /// Public JWK (token keys) or raw 32 bytes in base64 (log key), for listing without the KEK.
    pub public: String,
    /// When it was made.
    pub created_at: Moment,
    /// From when it may sign (published before).
    pub active_from: Moment,
    /// Set once a newer key took over: signs no more.
    pub retired_at: Option<Moment>,
    /// Set with `retired_at`: stays in the JWKS until then.
    pub published_until: Option<Moment>,
}

impl std::fmt::Debug for KeyRow {
    /// Without the sealed bytes: they are of no use to a reader and of some use to a thief.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRow")
            .field("kid", &self.kid)
            .field("purpose", &self.purpose)
            .field("algorithm", &self.algorithm)
            .field("active_from", &self.active_from)
            .field("retired_at", &self.retired_at)
            .finish_non_exhaustive()
    }
}

/// Everything that can be read without a unit of work, and the way to begin one.
pub trait Store:
    BreakGlassStore + CustodyStore + ReplicaStore + Send + Sync + std::fmt::Debug + 'static
{
    /// Begins a unit of work that may write. Waits for the one before it.
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn UnitOfWork>, StoreError>>;
    /// The committed head.
    fn head(&self) -> BoxFuture<'_, Result<LogHead, StoreError>>;
    /// Entries `from..from+limit`, fewer at the end. A gap is [`StoreError::Corrupt`].
    fn entries(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<LogRow>, StoreError>>;
    /// Hashes `from..from+count` of tile level `level`, fewer at the end. A gap is [`StoreError::Corrupt`].
    fn tile_hashes(
        &self,
        level: u8,
        from: u64,
        count: u32,
    ) -> BoxFuture<'_, Result<Vec<[u8; 32]>, StoreError>>;
    /// Every key, oldest first.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>>;
    /// Forgets claims that ended before `at`, at most `most`; returns how many.
    fn purge_claims(&self, at: Moment, most: u32) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// Proves that a write would become durable now (for `/readyz`).
    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// One transaction. After any error only dropping it is left.
pub trait UnitOfWork: BreakGlassUnit + CustodyUnit + ReplicaUnit + Send {
    /// The head, locked against other writers until the end.
    fn head(&mut self) -> BoxFuture<'_, Result<LogHead, StoreError>>;
    /// Takes each claim that is free; `false` where it was taken (also within `claims`). A claim stays taken until it
    /// is released or purged, even past `until`: the store has no clock.
    fn claim<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<Vec<bool>, StoreError>>;
    /// Gives claims back: nothing was issued for them. A claim that is not taken is no error.
    fn release<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Appends rows and the subtree hashes they complete, and moves the head from where they begin to `head`.
    /// Refuses with [`StoreError::Corrupt`] when the stored head is not where they begin.
    fn append<'a>(
        &'a mut self,
        rows: &'a [LogRow],
        hashes: &'a [TileHash],
        head: &'a LogHead,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Inserts it; one with the same `kid` gets its times, and keeps its seal and all else.
    fn put_key<'a>(&'a mut self, key: &'a KeyRow) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Deletes it if it is there.
    fn delete_key<'a>(&'a mut self, kid: &'a Kid) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Durable when this returns `Ok`. After an error nobody knows: it may or may not be.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// Opens what `url` names ([`StoreSettings::from_url`]), with [`open_with`].
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    open_with(&from_url(url)?).await
}

/// Opens it, migrated to the newest schema. One broker at a time may have a SQLite file open; a PostgreSQL database may
/// be open in any number.
pub async fn open_with(settings: &StoreSettings) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match settings {
        StoreSettings::Sqlite(path) => Arc::new(sqlite::SqliteStore::open(path).await?),
        StoreSettings::Postgres(settings) => {
            Arc::new(postgres::PostgresStore::open(settings.as_ref().clone()).await?)
        }
    })
}

/// Opens what `url` names beside a broker that may be running: for commands that read or change single rows. Does not
/// create, does not migrate, and must not append to the log.
pub async fn open_beside(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    open_beside_with(&from_url(url)?).await
}

/// The same for what the configuration says.
pub async fn open_beside_with(settings: &StoreSettings) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match settings {
        StoreSettings::Sqlite(path) => Arc::new(sqlite::SqliteStore::open_beside(path).await?),
        StoreSettings::Postgres(settings) => {
            Arc::new(postgres::PostgresStore::open_beside(settings.as_ref().clone()).await?)
        }
    })
}

fn from_url(url: &str) -> Result<StoreSettings, StoreError> {
    StoreSettings::from_url(url)
        .map_err(|fault| StoreError::Refused(format!("the store's URL: {}", fault.what)))
}
