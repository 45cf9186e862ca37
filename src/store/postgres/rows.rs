//! Between rows and values, and what the server's errors mean.

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::StoreError;
use crate::clock::Moment;
use crate::ids::Kid;
use crate::locks::Lock;
use crate::secret::Fingerprint;
pub(super) use crate::store::stored::{signed, to_json};
use crate::store::{KeyPurpose, KeyRow, LogHead, LogRow, Marks, stored};

/// What a failed statement means to the rooms above. <https://www.postgresql.org/docs/current/errcodes-appendix.html>:
/// class 23 is a constraint that our statements never break by themselves, XX001 and XX002 are damaged files. All else
/// can be over in a minute: a lost connection, a deadlock, a deadline, a server that was demoted (25006), a full disk.
pub(super) fn broken(error: sqlx::Error) -> StoreError {
    let code = code(&error);
    if code.starts_with("23") || matches!(code.as_str(), "XX001" | "XX002") {
        return StoreError::Corrupt(error.to_string());
    }
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::RowNotFound => {
            StoreError::Corrupt(error.to_string())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// Is the connection gone, by whosever doing? Class 08 and 57P: a connection that broke, a server that ends it.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    let code = code(error);
    let gone = code.starts_with("08") || code.starts_with("57P") || code == "25P03";
    gone || matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_))
}

fn code(error: &sqlx::Error) -> String {
    let cause = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    cause.map(String::from).unwrap_or_default()
}

pub(super) fn head(row: &PgRow) -> Result<LogHead, StoreError> {
    let peaks: Vec<u8> = row.try_get("peaks").map_err(broken)?;
    let size = row.try_get("size").map_err(broken)?;
    stored::head(size, &peaks, row.try_get("last_at").map_err(broken)?)
}

pub(super) fn marks(row: &PgRow) -> Result<Marks, StoreError> {
    let count = |column: &str| stored::unsigned(row.try_get(column).map_err(broken)?);
    let policy: Option<Vec<u8>> = row.try_get("policy").map_err(broken)?;
    Ok(Marks {
        locks: count("locks_mark")?,
        keys: count("keys_mark")?,
        elevations: count("elevations_mark")?,
        policy: policy.map(|digest| stored::fingerprint(&digest, "policy")).transpose()?,
    })
}

/// As kept: the column `id` must agree with the facts.
pub(super) fn lock(row: &PgRow) -> Result<Lock, StoreError> {
    let found: Lock = from_json(row, "facts", "lock")?;
    if found.id.to_string() != row.try_get::<&str, _>("id").map_err(broken)? {
        return Err(StoreError::Corrupt(format!("the facts of lock {} are another's", found.id)));
    }
    Ok(found)
}

pub(super) fn entry(row: &PgRow, index: u64) -> Result<LogRow, StoreError> {
    let leaf_hash = numbered_hash(row, index)?;
    let body: &[u8] = row.try_get("body").map_err(broken)?;
    Ok(LogRow { index, leaf_hash, bytes: Bytes::copy_from_slice(body) })
}

/// A hash whose row must be the one at `index`.
pub(super) fn numbered_hash(row: &PgRow, index: u64) -> Result<[u8; 32], StoreError> {
    let hash: &[u8] = row.try_get("hash").map_err(broken)?;
    stored::numbered_hash(row.try_get("idx").map_err(broken)?, hash, index)
}

pub(super) fn key(row: &PgRow) -> Result<KeyRow, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("a stored key has no valid {what}"));
    let text = |column: &str| row.try_get::<String, _>(column).map_err(broken);
    let required = |column: &str| moment(row, column)?.ok_or_else(|| corrupt(column));
    let purpose = match text("purpose")?.as_str() {
        "token" => KeyPurpose::Token,
        "log" => KeyPurpose::Log,
        _ => return Err(corrupt("purpose")),
    };
    Ok(KeyRow {
        kid: Kid::new(&text("kid")?).map_err(|_| corrupt("kid"))?,
        purpose,
        algorithm: text("algorithm")?,
        sealed_private: row.try_get("sealed_private").map_err(broken)?,
        public: text("public")?,
        created_at: required("created_at")?,
        active_from: required("active_from")?,
        retired_at: moment(row, "retired_at")?,
        published_until: moment(row, "published_until")?,
    })
}

pub(super) fn moment(row: &PgRow, column: &str) -> Result<Option<Moment>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column).map_err(broken)?.map(Moment::from_unix_millis))
}

/// A value that is kept as JSON text.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    row: &PgRow,
    column: &str,
    what: &str,
) -> Result<T, StoreError> {
    stored::from_json(row.try_get(column).map_err(broken)?, what)
}

pub(super) fn fingerprint(row: &PgRow, column: &str) -> Result<Fingerprint, StoreError> {
    stored::fingerprint(row.try_get(column).map_err(broken)?, column)
}

/// The one value of a query that always has one.
pub(super) fn only<'r, T>(rows: &'r [PgRow]) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let row = rows.first().ok_or_else(|| broken(sqlx::Error::RowNotFound))?;
    row.try_get(0).map_err(broken)
}
