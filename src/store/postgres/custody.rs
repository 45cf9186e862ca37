//! Wrapped key-encryption keys and sealing anew, in PostgreSQL.

use futures_util::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::rows::{broken, moment};
use super::unit::PostgresUnit;
use crate::ids::Kid;
use crate::keys::KekId;
use crate::store::{CustodyStore, CustodyUnit, StoreError, WrappedKek};

const WRAPPED: &str = "SELECT id, kms_key, wrapped, created_at FROM wrapped_kek ORDER BY created_at, id";
const PUT_WRAPPED: &str = "INSERT INTO wrapped_kek (id, kms_key, wrapped, created_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT DO NOTHING";
const DELETE_WRAPPED: &str = "DELETE FROM wrapped_kek WHERE id = $1";
const RESEAL: &str = "UPDATE signing_key SET sealed_private = $2 WHERE kid = $1";

impl CustodyStore for PostgresStore {
    fn wrapped_keks(&self) -> BoxFuture<'_, Result<Vec<WrappedKek>, StoreError>> {
        Box::pin(async { self.pool.follow(|| sqlx::query(WRAPPED)).await?.iter().map(wrapped_kek).collect() })
    }
}

impl PostgresUnit {
    async fn reseal(&mut self, kid: &Kid, sealed: &[u8]) -> Result<(), StoreError> {
        let query = sqlx::query(RESEAL).bind(kid.as_str().to_owned()).bind(sealed.to_vec());
        self.run_marked(query, |marks| &mut marks.keys).await.map(drop)
    }
}

impl CustodyUnit for PostgresUnit {
    fn wrapped_keks(&mut self) -> BoxFuture<'_, Result<Vec<WrappedKek>, StoreError>> {
        Box::pin(async { self.fetch(sqlx::query(WRAPPED)).await?.iter().map(wrapped_kek).collect() })
    }

    fn reseal_key<'a>(&'a mut self, kid: &'a Kid, sealed: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.reseal(kid, sealed))
    }

    fn put_wrapped_kek<'a>(&'a mut self, kek: &'a WrappedKek) -> BoxFuture<'a, Result<(), StoreError>> {
        let query = sqlx::query(PUT_WRAPPED)
            .bind(kek.id.as_bytes().to_vec())
            .bind(kek.kms_key.clone())
            .bind(kek.wrapped.clone())
            .bind(kek.created_at.unix_millis());
        Box::pin(async { self.run(query).await.map(drop) })
    }

    fn delete_wrapped_kek(&mut self, id: KekId) -> BoxFuture<'_, Result<(), StoreError>> {
        let query = sqlx::query(DELETE_WRAPPED).bind(id.as_bytes().to_vec());
        Box::pin(async { self.run(query).await.map(drop) })
    }
}

fn wrapped_kek(row: &PgRow) -> Result<WrappedKek, StoreError> {
    let corrupt =
        |what: &str| StoreError::Corrupt(format!("a wrapped key-encryption key has no valid {what}"));
    let id: &[u8] = row.try_get("id").map_err(broken)?;
    Ok(WrappedKek {
        id: KekId::from_bytes(id.try_into().map_err(|_| corrupt("id"))?),
        kms_key: row.try_get("kms_key").map_err(broken)?,
        wrapped: row.try_get("wrapped").map_err(broken)?,
        created_at: moment(row, "created_at")?.ok_or_else(|| corrupt("created_at"))?,
    })
}
