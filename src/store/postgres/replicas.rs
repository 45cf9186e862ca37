//! What replicas share, in PostgreSQL: marks in the head's row, leases in a table.

use futures_util::future::BoxFuture;
use sqlx::Row as _;

use super::PostgresStore;
use super::breakglass::LOCKS;
use super::rows::{self, broken};
use super::statements;
use super::unit::PostgresUnit;
use crate::locks::Lock;
use crate::secret::Fingerprint;
use crate::store::{KeyRow, Lease, Marks, Pulse, ReplicaStore, ReplicaUnit, StoreError};

const POLICY_SET: &str = "SELECT text FROM policy_set WHERE digest = $1";
const KEEP_POLICY_SET: &str =
    "INSERT INTO policy_set (digest, text) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
const USE_POLICY_SET: &str = "UPDATE log_head SET policy = $1 WHERE id = 1";
/// One row for each work: whoever finds it free, over, or their own has it until `$4`.
const LEASE: &str = "INSERT INTO lease AS held (name, holder, until) VALUES ($1, $2, $4) \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
     WHERE held.holder = excluded.holder OR held.until <= $3";
const MOVE_LOCKS: &str = "UPDATE log_head SET locks_mark = locks_mark + 1 WHERE id = 1";
const MOVE_KEYS: &str = "UPDATE log_head SET keys_mark = keys_mark + 1 WHERE id = 1";
const MOVE_ELEVATIONS: &str = "UPDATE log_head SET elevations_mark = elevations_mark + 1 WHERE id = 1";

/// Which mark moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moved {
    Locks,
    Keys,
    Elevations,
}

impl ReplicaStore for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn pulse(&self) -> BoxFuture<'_, Result<Pulse, StoreError>> {
        Box::pin(async {
            let found = self.pool.read(|| sqlx::query(statements::HEAD)).await?;
            let row = found.first().ok_or_else(|| StoreError::Corrupt("the log has no head".to_owned()))?;
            Ok(Pulse { head: rows::head(row)?, marks: rows::marks(row)? })
        })
    }

    fn hint(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn lease<'a>(&'a self, lease: Lease<'a>) -> BoxFuture<'a, Result<bool, StoreError>> {
        let query = sqlx::query(LEASE)
            .bind(lease.name.to_owned())
            .bind(lease.holder.to_string())
            .bind(lease.at.unix_millis())
            .bind(lease.at.plus(lease.span).unix_millis());
        Box::pin(async { Ok(self.write_alone(query).await? > 0) })
    }

    fn policy_set(&self, digest: Fingerprint) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            let found = self.pool.read(|| sqlx::query(POLICY_SET).bind(digest.as_bytes().to_vec())).await?;
            found.first().map(|row| row.try_get("text").map_err(broken)).transpose()
        })
    }
}

impl PostgresUnit {
    /// In the same transaction as what it stands for.
    pub(super) async fn move_mark(&mut self, moved: Moved) -> Result<(), StoreError> {
        self.lock_head().await?;
        let (mark, statement) = match moved {
            Moved::Locks => (&mut self.marks.locks, MOVE_LOCKS),
            Moved::Keys => (&mut self.marks.keys, MOVE_KEYS),
            Moved::Elevations => (&mut self.marks.elevations, MOVE_ELEVATIONS),
        };
        *mark += 1;
        self.run(sqlx::query(statement)).await.map(drop)
    }

    async fn publish(&mut self, digest: &Fingerprint, text: &str) -> Result<(), StoreError> {
        self.lock_head().await?;
        let bytes = digest.as_bytes().to_vec();
        self.run(sqlx::query(KEEP_POLICY_SET).bind(bytes.clone()).bind(text.to_owned())).await?;
        self.run(sqlx::query(USE_POLICY_SET).bind(bytes)).await?;
        self.marks.policy = Some(*digest);
        Ok(())
    }

    async fn read_marks(&mut self) -> Result<Marks, StoreError> {
        self.lock_head().await?;
        Ok(self.marks)
    }
}

impl ReplicaUnit for PostgresUnit {
    fn marks(&mut self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        Box::pin(self.read_marks())
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
