//! What replicas share, in SQLite: there is one process, so leases are in memory and nobody else's news come.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::SqliteStore;
use super::breakglass::LOCKS;
use super::rows::{self, broken};
use super::statements;
use super::unit::SqliteUnit;
use crate::clock::Moment;
use crate::ids::UniqueId;
use crate::locks::Lock;
use crate::secret::Fingerprint;
use crate::store::{KeyRow, Lease, Marks, Pulse, ReplicaStore, ReplicaUnit, StoreError};

const POLICY_SET: &str = "SELECT text FROM policy_set WHERE digest = ?1";
const KEEP_POLICY_SET: &str =
    "INSERT INTO policy_set (digest, text) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING";
const USE_POLICY_SET: &str = "UPDATE log_head SET policy = ?1 WHERE id = 1";

/// Which mark moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moved {
    Locks,
    Keys,
    Elevations,
}

/// Who holds which lease until when.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<BTreeMap<String, (UniqueId, Moment)>>);

impl Leases {
    fn take(&self, lease: Lease<'_>) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free =
            held.get(lease.name).is_none_or(|(holder, until)| *holder == lease.holder || *until <= lease.at);
        if free {
            held.insert(lease.name.to_owned(), (lease.holder, lease.at.plus(lease.span)));
        }
        free
    }
}

impl ReplicaStore for SqliteStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn pulse(&self) -> BoxFuture<'_, Result<Pulse, StoreError>> {
        Box::pin(async {
            let row = sqlx::query(statements::HEAD).fetch_one(&self.readers).await.map_err(broken)?;
            Ok(Pulse { head: rows::head(&row)?, marks: rows::marks(&row)? })
        })
    }

    fn hint(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn lease<'a>(&'a self, lease: Lease<'a>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.leases.take(lease)) })
    }

    fn policy_set(&self, digest: Fingerprint) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            let query = sqlx::query_scalar(POLICY_SET).bind(digest.as_bytes().to_vec());
            query.fetch_optional(&self.readers).await.map_err(broken)
        })
    }
}

impl SqliteUnit {
    /// In the same transaction as what it stands for.
    pub(super) async fn move_mark(&mut self, moved: Moved) -> Result<(), StoreError> {
        let (mark, statement) = match moved {
            Moved::Locks => (&mut self.marks.locks, statements::MOVE_LOCKS_MARK),
            Moved::Keys => (&mut self.marks.keys, statements::MOVE_KEYS_MARK),
            Moved::Elevations => (&mut self.marks.elevations, statements::MOVE_ELEVATIONS_MARK),
        };
        *mark += 1;
        self.run(sqlx::query(statement)).await.map(drop)
    }

    async fn publish(&mut self, digest: &Fingerprint, text: &str) -> Result<(), StoreError> {
        let bytes = digest.as_bytes().to_vec();
        self.run(sqlx::query(KEEP_POLICY_SET).bind(bytes.clone()).bind(text.to_owned())).await?;
        self.run(sqlx::query(USE_POLICY_SET).bind(bytes)).await?;
        self.marks.policy = Some(*digest);
        Ok(())
    }
}

impl ReplicaUnit for SqliteUnit {
    fn marks(&mut self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        let marks = self.marks;
        Box::pin(async move { Ok(marks) })
    }

    fn locks(&mut self) -> BoxFuture<'_, Result<Vec<Lock>, StoreError>> {
        Box::pin(async { self.fetch(sqlx::query(LOCKS)).await?.iter().map(rows::lock).collect() })
    }

    fn keys(&mut self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async { self.fetch(sqlx::query(statements::KEYS)).await?.iter().map(rows::key).collect() })
    }

    fn put_policy_set<'a>(
        &'a mut self,
        digest: &'a Fingerprint,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.publish(digest, text))
    }
}
