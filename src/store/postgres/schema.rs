//! The schema: brought up to date by whichever replica starts first, under an advisory lock.
//!
//! How replicas of two versions serve side by side is said in `store/schema.rs`.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::StoreError;
use super::connect::{Dialer, LIMITS, LOOKING, PATIENT, bounded};
use super::rows::broken;
use crate::store::schema::{self, Applied, SchemaState, migration};
use crate::store::settings::PostgresSettings;

const IS_THERE: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";

fn migrations() -> Vec<Migration> {
    vec![migration(1, "first", include_str!("migrations/0001_first.sql"))]
}

/// Applies what is missing; says what it was before. A role that may not change the schema can open one that is up to
/// date.
pub(in crate::store) async fn migrate(settings: PostgresSettings) -> Result<SchemaState, StoreError> {
    let (mut connection, _) = Dialer::new(settings, PATIENT).connect().await?;
    let before = state(&mut connection).await?;
    if !before.is_current() {
        // `run` takes anything that can be acquired, which keeps this future from being `Send`. It takes an advisory lock
        // first and looks again: who comes second finds nothing to do.
        let migrator = schema::migrator(migrations());
        let done = tokio::time::timeout(PATIENT.call, migrator.run_direct(None, &mut connection, false));
        let late = |_| StoreError::Unavailable("the schema was not brought up to date in time".to_owned());
        done.await.map_err(late)?.map_err(refused)?;
    }
    Ok(before)
}

/// For those who must not make one.
pub(super) async fn must_be_there(settings: &PostgresSettings) -> Result<(), StoreError> {
    let (mut connection, _) = Dialer::new(settings.clone(), LIMITS).connect().await?;
    if state(&mut connection).await?.version == 0 {
        return Err(StoreError::Refused(format!(
            "`{}`: database `{}` has no schema of Tidegate; start the broker once",
            settings.host, settings.database
        )));
    }
    Ok(())
}

/// What is applied and what is missing.
pub(super) async fn state(connection: &mut PgConnection) -> Result<SchemaState, StoreError> {
    looked(connection, LOOKING).await
}

pub(super) async fn looked(
    connection: &mut PgConnection,
    patience: Duration,
) -> Result<SchemaState, StoreError> {
    let is_there: bool = bounded(patience, sqlx::query_scalar(IS_THERE).fetch_one(&mut *connection)).await?;
    let found = if is_there {
        bounded(patience, sqlx::query(schema::APPLIED).fetch_all(connection)).await?
    } else {
        Vec::new()
    };
    let applied = found.iter().map(applied).collect::<Result<Vec<_>, _>>()?;
    SchemaState::of(&migrations(), &applied)
}

fn applied(row: &PgRow) -> Result<Applied, StoreError> {
    Ok(Applied {
        version: row.try_get("version").map_err(broken)?,
        description: row.try_get("description").map_err(broken)?,
        checksum: row.try_get("checksum").map_err(broken)?,
    })
}

fn refused(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => broken(error),
        other => schema::refused(other),
    }
}
