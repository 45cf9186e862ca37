//! Between rows and values. What does not fit a type is corruption, not a panic.

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use crate::clock::Moment;
use crate::ids::Kid;
use crate::locks::Lock;
use crate::secret::Fingerprint;
pub(super) use crate::store::stored::{signed, to_json};
use crate::store::{KeyPurpose, KeyRow, LogHead, LogRow, Marks, stored};

/// Primary result codes (<https://www.sqlite.org/rescode.html>) that say the file itself is wrong.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// What a failed statement means to the rooms above.
pub(super) fn broken(error: sqlx::Error) -> StoreError {
    if let sqlx::Error::Database(ref cause) = error {
        let code = cause.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
        // The low byte is the primary code of an extended one.
        if matches!(code & 0xff, SQLITE_CORRUPT | SQLITE_NOTADB) {
            return StoreError::Corrupt(error.to_string());
        }
    }
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::RowNotFound => {
            StoreError::Corrupt(error.to_string())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

pub(super) fn head(row: &SqliteRow) -> Result<LogHead, StoreError> {
    let peaks: &[u8] = row.try_get("peaks").map_err(broken)?;
    let size = row.try_get("size").map_err(broken)?;
    stored::head(size, peaks, row.try_get("last_at").map_err(broken)?)
}

pub(super) fn marks(row: &SqliteRow) -> Result<Marks, StoreError> {
    let count = |column: &str| stored::unsigned(row.try_get(column).map_err(broken)?);
    let policy: Option<&[u8]> = row.try_get("policy").map_err(broken)?;
    Ok(Marks {
        locks: count("locks_mark")?,
        keys: count("keys_mark")?,
        elevations: count("elevations_mark")?,
        policy: policy.map(|digest| stored::fingerprint(digest, "policy")).transpose()?,
    })
}

/// As kept: the column `id` must agree with the facts.
pub(super) fn lock(row: &SqliteRow) -> Result<Lock, StoreError> {
    let found: Lock = from_json(row, "facts", "lock")?;
    if found.id.to_string() != row.try_get::<&str, _>("id").map_err(broken)? {
        return Err(StoreError::Corrupt(format!("the facts of lock {} are another's", found.id)));
    }
    Ok(found)
}

pub(super) fn entry(row: &SqliteRow, index: u64) -> Result<LogRow, StoreError> {
    let leaf_hash = numbered_hash(row, index)?;
    let body: &[u8] = row.try_get("body").map_err(broken)?;
    Ok(LogRow { index, leaf_hash, bytes: Bytes::copy_from_slice(body) })
}

/// A hash whose row must be the one at `index`.
pub(super) fn numbered_hash(row: &SqliteRow, index: u64) -> Result<[u8; 32], StoreError> {
    let hash: &[u8] = row.try_get("hash").map_err(broken)?;
    stored::numbered_hash(row.try_get("idx").map_err(broken)?, hash, index)
}

pub(super) fn key(row: &SqliteRow) -> Result<KeyRow, StoreError> {
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

pub(super) fn moment(row: &SqliteRow, column: &str) -> Result<Option<Moment>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column).map_err(broken)?.map(Moment::from_unix_millis))
}

/// A value that is kept as JSON text.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
    what: &str,
) -> Result<T, StoreError> {
    stored::from_json(row.try_get(column).map_err(broken)?, what)
}

pub(super) fn fingerprint(row: &SqliteRow, column: &str) -> Result<Fingerprint, StoreError> {
    stored::fingerprint(row.try_get(column).map_err(broken)?, column)
}

/// The one value of a query that always has one.
pub(super) fn only<'r, T>(rows: &'r [SqliteRow]) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let row = rows.first().ok_or_else(|| broken(sqlx::Error::RowNotFound))?;
    row.try_get(0).map_err(broken)
}
