//! A look at a database that brokers may be using.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::connect::{Dialer, LOOKING, PATIENT, bounded};
use super::rows::{broken, only};
use super::schema;
use crate::store::copy::tables::known;
use crate::store::inspect::{Backend, Inspection, LONG, ServerFacts, TableFacts};
use crate::store::settings::PostgresSettings;
use crate::store::{StoreError, stored};

const SERVER: &str = "SELECT current_setting('server_version') AS version, current_setting('fsync') = 'on' AS fsync, \
     current_setting('full_page_writes') = 'on' AS whole_pages, \
     current_setting('synchronous_standby_names') AS standbys, \
     coalesce((SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), '') AS commits, \
     pg_database_size(current_database()) AS bytes";
/// Ours are those of the first schema in the search path, which is where statements look for them.
const TABLES: &str = "SELECT c.relname::text AS name, pg_total_relation_size(c.oid) AS bytes FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') \
     AND c.relname <> '_sqlx_migrations' ORDER BY c.relname";
const HAS_HEAD: &str = "SELECT EXISTS (SELECT 1 FROM log_head)";
const OPEN_ELEVATIONS: &str = "SELECT count(*) FROM elevation WHERE open";

pub(in crate::store) async fn inspect(settings: PostgresSettings) -> Result<Inspection, StoreError> {
    let place = format!("{}/{}", settings.host, settings.database);
    let (mut connection, _) = Dialer::new(settings, PATIENT).connect().await?;
    let said = bounded(LOOKING, sqlx::query(SERVER).fetch_one(&mut connection)).await?;
    let schema = schema::state(&mut connection).await?;
    let mut found = Inspection {
        backend: Backend::Postgres(server(place, &said)?),
        has_head: false,
        tables: Vec::new(),
        open_elevations: 0,
        schema,
    };
    if found.schema.version == 0 {
        return Ok(found);
    }
    let tables = bounded(LOOKING, sqlx::query(TABLES).fetch_all(&mut connection)).await?;
    for row in &tables {
        // Only ours, and by our own names: what else is there may be named so that it says something in SQL, or run
        // something when it is read.
        let Some(name) = known(row.try_get("name").map_err(broken)?) else { continue };
        let rows = if LONG.contains(&name) {
            None
        } else {
            Some(count(&mut connection, format!("SELECT count(*) FROM {name}")).await?)
        };
        let bytes = Some(stored::unsigned(row.try_get("bytes").map_err(broken)?)?);
        found.tables.push(TableFacts { name: name.to_owned(), rows, bytes });
    }
    let has_head = bounded(LOOKING, sqlx::query(HAS_HEAD).fetch_all(&mut connection)).await?;
    found.has_head = only(&has_head)?;
    found.open_elevations = count(&mut connection, OPEN_ELEVATIONS.to_owned()).await?;
    Ok(found)
}

async fn count(connection: &mut PgConnection, text: String) -> Result<u64, StoreError> {
    let found = bounded(PATIENT.call, sqlx::query(AssertSqlSafe(text)).fetch_all(connection)).await?;
    stored::unsigned(only(&found)?)
}

fn server(place: String, said: &PgRow) -> Result<ServerFacts, StoreError> {
    let text = |column: &str| said.try_get::<String, _>(column).map_err(broken);
    let flag = |column: &str| said.try_get::<bool, _>(column).map_err(broken);
    Ok(ServerFacts {
        place,
        version: text("version")?,
        fsync: flag("fsync")?,
        full_page_writes: flag("whole_pages")?,
        synchronous_commit: text("commits")?,
        synchronous_standby_names: text("standbys")?,
        database_bytes: stored::unsigned(said.try_get("bytes").map_err(broken)?)?,
    })
}
