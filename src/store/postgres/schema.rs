//! The schema: brought up to date by whichever replica starts first, under an advisory lock.
//!
//! A version only adds what the one before it does not miss (columns with defaults, tables, indexes); what nobody needs
//! any longer goes one version later. So replicas of both versions serve side by side.

use sqlx::migrate::{AppliedMigration, Migrate as _, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr as _};

use super::StoreError;
use super::connect::{Dialer, LIMITS, PATIENT};
use super::rows::broken;
use crate::store::settings::PostgresSettings;

const TABLE: &str = "_sqlx_migrations";
const IS_THERE: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";

fn migrations() -> Vec<Migration> {
    let migration = |version, name: &'static str, text: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    vec![
        migration(1, "first", include_str!("migrations/0001_first.sql")),
        migration(2, "replicas", include_str!("migrations/0002_replicas.sql")),
    ]
}

/// A role that may not change the schema can open one that is up to date.
pub(super) async fn migrate(settings: PostgresSettings) -> Result<(), StoreError> {
    let (mut connection, _) = Dialer::new(settings, PATIENT).connect().await?;
    if is_current(&applied(&mut connection).await?) {
        return Ok(());
    }
    // `run` takes anything that can be acquired, which keeps this future from being `Send`.
    let done = Migrator::with_migrations(migrations()).run_direct(None, &mut connection, false).await;
    done.map_err(refused)
}

/// For those who must not make one.
pub(super) async fn must_be_there(settings: &PostgresSettings) -> Result<(), StoreError> {
    let (mut connection, _) = Dialer::new(settings.clone(), LIMITS).connect().await?;
    if applied(&mut connection).await?.is_empty() {
        return Err(StoreError::Refused(format!(
            "`{}`: database `{}` has no schema of Tidegate; start the broker once",
            settings.host, settings.database
        )));
    }
    Ok(())
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedMigration>, StoreError> {
    let is_there: bool = sqlx::query_scalar(IS_THERE).fetch_one(&mut *connection).await.map_err(broken)?;
    if !is_there {
        return Ok(Vec::new());
    }
    connection.list_applied_migrations(TABLE).await.map_err(refused)
}

fn is_current(applied: &[AppliedMigration]) -> bool {
    let ours = migrations();
    ours.len() == applied.len()
        && ours
            .iter()
            .zip(applied)
            .all(|(our, theirs)| our.version == theirs.version && our.checksum == theirs.checksum)
}

fn refused(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::Refused(format!(
            "its schema has version {version}, which a newer Tidegate made; start that version or restore a backup"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "its schema version {version} was made by a different Tidegate build"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => broken(error),
        other => StoreError::Refused(other.to_string()),
    }
}
