//! The schema, brought up to date by whoever has the file alone.

use sqlx::Row as _;
use sqlx::migrate::{MigrateError, Migration};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::StoreError;
use super::rows::broken;
use crate::store::schema::{self, Applied, SchemaState, migration};

const IS_THERE: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations')";

fn migrations() -> Vec<Migration> {
    vec![
        migration(1, "first", include_str!("migrations/0001_first.sql")),
        migration(2, "claims by end", include_str!("migrations/0002_claims_by_end.sql")),
        migration(3, "replicas (serves 2)", include_str!("migrations/0003_replicas.sql")),
        migration(4, "wrapped keks (serves 2)", include_str!("migrations/0004_wrapped_keks.sql")),
    ]
}

/// What is applied and what is missing.
pub(super) async fn state(connection: &mut SqliteConnection) -> Result<SchemaState, StoreError> {
    let is_there: bool = sqlx::query_scalar(IS_THERE).fetch_one(&mut *connection).await.map_err(broken)?;
    let found = if is_there {
        sqlx::query(schema::APPLIED).fetch_all(connection).await.map_err(broken)?
    } else {
        Vec::new()
    };
    let applied = found.iter().map(applied).collect::<Result<Vec<_>, _>>()?;
    SchemaState::of(&migrations(), &applied)
}

/// Applies what is missing; says what it was before.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<SchemaState, StoreError> {
    let before = state(connection).await?;
    if !before.is_current() {
        // `run` takes anything that can be acquired, which keeps this future from being `Send`.
        let done = schema::migrator(migrations()).run_direct(None, connection, false).await;
        done.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => broken(error),
            other => schema::refused(other),
        })?;
    }
    Ok(before)
}

fn applied(row: &SqliteRow) -> Result<Applied, StoreError> {
    Ok(Applied {
        version: row.try_get("version").map_err(broken)?,
        description: row.try_get("description").map_err(broken)?,
        checksum: row.try_get("checksum").map_err(broken)?,
    })
}
