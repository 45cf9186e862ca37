//! What replicas share, in PostgreSQL.

use futures_util::future::BoxFuture;

use super::PostgresStore;
use super::breakglass::{LOCKS, lock};
use super::rows::{self, broken};
use super::statements;
use super::unit::PostgresUnit;
use crate::locks::Lock;
use crate::secret::Fingerprint;
use crate::store::{KeyRow, Lease, Marks, Pulse, ReplicaStore, ReplicaUnit, StoreError};

const POLICY_SET: &str = "SELECT text FROM policy_set WHERE digest = $1";
const KEEP_POLICY_SET: &str =
    "INSERT INTO policy_set (digest, text) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
const TAKE_LEASE: &str = "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
     WHERE lease.holder = excluded.holder OR lease.until <= $4";

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
        Box::pin(self.listener.hint())
    }

    fn lease<'a>(&'a self, lease: Lease<'a>) -> BoxFuture<'a, Result<bool, StoreError>> {
        let query = sqlx::query(TAKE_LEASE)
            .bind(lease.name.to_owned())
            .bind(lease.holder.to_string())
            .bind(lease.at.plus(lease.span).unix_millis())
            .bind(lease.at.unix_millis());
        Box::pin(async { Ok(self.write_alone(query).await? > 0) })
    }

    fn policy_set(&self, digest: Fingerprint) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            use sqlx::Row as _;
            let found = self.pool.read(|| sqlx::query(POLICY_SET).bind(digest.as_bytes().to_vec())).await?;
            found.first().map(|row| row.try_get("text").map_err(broken)).transpose()
        })
    }
}

impl ReplicaUnit for PostgresUnit {
    fn marks(&mut self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        Box::pin(async { self.lock_marks().await.map(|marks| *marks) })
    }

    fn locks(&mut self) -> BoxFuture<'_, Result<Vec<Lock>, StoreError>> {
        Box::pin(async { self.fetch(sqlx::query(LOCKS)).await?.iter().map(lock).collect() })
    }

    fn keys(&mut self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async { self.fetch(sqlx::query(statements::KEYS)).await?.iter().map(rows::key).collect() })
    }

    fn put_policy_set<'a>(
        &'a mut self,
        digest: &'a Fingerprint,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async {
            self.lock_marks().await?.policy = Some(*digest);
            let query = sqlx::query(KEEP_POLICY_SET).bind(digest.as_bytes().to_vec()).bind(text.to_owned());
            self.run(query).await.map(drop)
        })
    }
}
