//! A look at a file that a broker may have open.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::files::{FileIdentity, ProcessLock};
use super::rows::broken;
use super::{options, schema};
use crate::store::copy::tables::known;
use crate::store::inspect::{Backend, Inspection, LONG, TableFacts};
use crate::store::{SchemaState, StoreError, stored};

const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
     AND name <> '_sqlx_migrations' ORDER BY name";
const HAS_HEAD: &str = "SELECT EXISTS (SELECT 1 FROM log_head)";
const OPEN_ELEVATIONS: &str = "SELECT count(*) FROM elevation WHERE open = 1";

pub(in crate::store) async fn inspect(path: &Path) -> Result<Inspection, StoreError> {
    must_be_there(path)?;
    let mut connection = options(path).pragma("query_only", "1").connect().await.map_err(broken)?;
    let schema = schema::state(&mut connection).await?;
    let mut found = Inspection {
        backend: Backend::Sqlite { files: files(path) },
        has_head: false,
        tables: Vec::new(),
        open_elevations: 0,
        schema,
    };
    if found.schema.version == 0 {
        return Ok(found);
    }
    let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut connection).await.map_err(broken)?;
    // Only ours: a file that somebody else has written may hold tables that run something when they are read.
    for name in names.iter().filter_map(|name| known(name)) {
        let rows = if LONG.contains(&name) {
            None
        } else {
            Some(count(&mut connection, format!("SELECT count(*) FROM {name}")).await?)
        };
        found.tables.push(TableFacts { name: name.to_owned(), rows, bytes: None });
    }
    found.has_head = sqlx::query_scalar(HAS_HEAD).fetch_one(&mut connection).await.map_err(broken)?;
    found.open_elevations = count(&mut connection, OPEN_ELEVATIONS.to_owned()).await?;
    Ok(found)
}

/// Of a file that is there and that nobody has open.
pub(in crate::store) async fn migrate(path: &Path) -> Result<SchemaState, StoreError> {
    must_be_there(path)?;
    let _lock = ProcessLock::take(path)?;
    let mut connection = options(path).connect().await.map_err(broken)?;
    schema::migrate(&mut connection).await
}

fn must_be_there(path: &Path) -> Result<(), StoreError> {
    let found = FileIdentity::of(path);
    found.map(drop).map_err(|error| StoreError::Refused(format!("`{}`: {error}", path.display())))
}

async fn count(connection: &mut SqliteConnection, text: String) -> Result<u64, StoreError> {
    let found = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(connection).await.map_err(broken)?;
    stored::unsigned(found)
}

fn files(path: &Path) -> Vec<(PathBuf, u64)> {
    let beside = ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    let sized = |path: PathBuf| std::fs::metadata(&path).ok().map(|facts| (path, facts.len()));
    beside.into_iter().filter_map(sized).collect()
}
