//! A look at a store from outside: beside a running broker, at half a copy, at a schema of another version. Changes nothing.

use std::path::PathBuf;

use super::{PostgresSettings, SchemaState, StoreError, StoreSettings, postgres, sqlite};

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What keeps it.
    pub backend: Backend,
    /// Its schema.
    pub schema: SchemaState,
    /// Does it have a head? Not before there is a schema, and not while a copy into it has not ended.
    pub has_head: bool,
    /// Its tables, by name.
    pub tables: Vec<TableFacts>,
    /// Elevations that are not over.
    pub open_elevations: u64,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// Its name.
    pub name: String,
    /// `None` where counting would read a long table: the log's.
    pub rows: Option<u64>,
    /// With its indexes; `None` where the backend does not say.
    pub bytes: Option<u64>,
}

/// What keeps a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Files and their bytes.
    Sqlite {
        /// The database, its write-ahead log and index, where they are there.
        files: Vec<(PathBuf, u64)>,
    },
    /// A server.
    Postgres(ServerFacts),
}

/// A PostgreSQL server's settings that durability hangs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// Where it listens, and the database.
    pub place: String,
    /// Such as `15.14`.
    pub version: String,
    /// `fsync`: on or off.
    pub fsync: bool,
    /// `full_page_writes`: on or off.
    pub full_page_writes: bool,
    /// `synchronous_commit` as the role has it; a broker's own sessions use `on`, or `remote_apply` where that is set.
    pub synchronous_commit: String,
    /// `synchronous_standby_names`; empty for none.
    pub synchronous_standby_names: String,
    /// The database's bytes.
    pub database_bytes: u64,
}

impl ServerFacts {
    /// What could be lost of what was acknowledged, in plain sentences; none when nothing.
    pub fn risks(&self) -> Vec<String> {
        let mut risks = Vec::new();
        if !self.fsync || !self.full_page_writes {
            risks.push(
                "a crash of the server can lose or damage records of credentials that were delivered: `fsync` and \
                 `full_page_writes` must be on"
                    .to_owned(),
            );
        }
        if self.synchronous_standby_names.trim().is_empty() {
            risks.push(
                "a standby that is promoted can lack records of credentials that were delivered: no commit waits for a \
                 standby; set `synchronous_standby_names`, such as 'ANY 1 (*)'"
                    .to_owned(),
            );
        }
        risks
    }
}

/// Tables that are not counted.
pub(super) const LONG: &[&str] = &["log_entry", "log_node"];

/// Looks.
pub async fn inspect(settings: &StoreSettings) -> Result<Inspection, StoreError> {
    match settings {
        StoreSettings::Sqlite(path) => sqlite::inspect(path).await,
        StoreSettings::Postgres(settings) => postgres::inspect(to_look(settings)).await,
    }
}

/// What runs without `fsync` is looked at too.
fn to_look(settings: &PostgresSettings) -> PostgresSettings {
    PostgresSettings { trust_server_durability: true, ..settings.clone() }
}

/// Opens what [`inspect`] has looked at, to read from it.
pub async fn open_to_look(settings: &StoreSettings) -> Result<std::sync::Arc<dyn super::Store>, StoreError> {
    match settings {
        StoreSettings::Sqlite(_) => super::open_beside_with(settings).await,
        StoreSettings::Postgres(settings) => {
            super::open_beside_with(&StoreSettings::Postgres(Box::new(to_look(settings)))).await
        }
    }
}

/// Brings the schema up to date without anything else; says what it was before. With `only_look` it changes nothing.
/// A SQLite file must be there, and no broker may have it open; a PostgreSQL database may be in use, and empty.
pub async fn migrate(settings: &StoreSettings, only_look: bool) -> Result<SchemaState, StoreError> {
    match settings {
        _ if only_look => Ok(inspect(settings).await?.schema),
        StoreSettings::Sqlite(path) => sqlite::migrate(path).await,
        StoreSettings::Postgres(settings) => postgres::migrate(to_look(settings)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Postgres;
    use crate::store::samples::{self, AT};
    use crate::store::{open_beside_with, open_with};

    #[test]
    fn what_could_be_lost_is_said() {
        let safe = ServerFacts {
            fsync: true,
            full_page_writes: true,
            synchronous_standby_names: "ANY 1 (*)".to_owned(),
            ..ServerFacts::default()
        };
        assert!(safe.risks().is_empty());
        let alone = ServerFacts { synchronous_standby_names: " ".to_owned(), ..safe.clone() };
        assert!(alone.risks().concat().contains("a standby that is promoted can lack records"));
        for unsafe_server in
            [ServerFacts { fsync: false, ..safe.clone() }, ServerFacts { full_page_writes: false, ..safe }]
        {
            assert!(unsafe_server.risks().concat().contains("a crash of the server can lose"));
        }
    }

    async fn ask_for_access(settings: &StoreSettings) {
        let store = open_with(settings).await.unwrap();
        let asked = samples::asked();
        let mut unit = store.begin().await.unwrap();
        unit.swap_elevation(&samples::new(&asked), AT).await.unwrap();
        unit.put_messages(&[samples::message(samples::hook(1), &asked)]).await.unwrap();
        unit.commit().await.unwrap();
        // Beside the one that is open.
        let found = inspect(settings).await.unwrap();
        let rows = |name: &str| found.tables.iter().find(|table| table.name == name).unwrap().rows;
        assert_eq!((found.open_elevations, rows("outbox"), rows("lock")), (1, Some(1), Some(0)));
        assert_eq!(rows("log_entry"), None, "a long table is not counted");
        assert!(found.has_head && found.schema.is_current());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_is_looked_at_beside_a_broker() {
        let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start());
        let file = folder.path().join("t.db");
        ask_for_access(&StoreSettings::Sqlite(file.clone())).await;
        let Backend::Sqlite { files } = inspect(&StoreSettings::Sqlite(file.clone())).await.unwrap().backend
        else {
            panic!("a file")
        };
        assert!(files.iter().any(|(path, bytes)| *path == file && *bytes > 0), "{files:?}");
        let settings = server.settings(&server.database());
        ask_for_access(&settings).await;
        let found = inspect(&settings).await.unwrap();
        assert!(found.tables.iter().all(|table| table.bytes.is_some()));
        let Backend::Postgres(server) = found.backend else { panic!("a server") };
        assert_eq!((server.fsync, server.full_page_writes, server.risks().len()), (false, true, 2));
        assert!(!server.version.is_empty() && server.database_bytes > 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn migrating_twice_at_once_is_one_migration_and_looking_is_none() {
        let server = Postgres::start();
        let settings = server.settings(&server.database());
        let look = migrate(&settings, true).await.unwrap();
        assert!(look.version == 0 && !look.is_current());
        assert!(open_beside_with(&settings).await.is_err(), "looking changes nothing");
        let all = futures_util::future::join_all((0..4).map(|_| migrate(&settings, false))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        let after = migrate(&settings, false).await.unwrap();
        assert_eq!((after.version, after.is_current()), (after.wanted, true));
        assert!(inspect(&settings).await.unwrap().has_head);
    }

    #[tokio::test]
    async fn a_file_is_migrated_only_when_it_is_there_and_nobody_has_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings::Sqlite(folder.path().join("t.db"));
        assert!(matches!(migrate(&settings, false).await, Err(StoreError::Refused(_))));
        assert!(matches!(migrate(&settings, true).await, Err(StoreError::Refused(_))));
        let broker = open_with(&settings).await.unwrap();
        let refusal = migrate(&settings, false).await.unwrap_err().to_string();
        assert!(refusal.contains("in use by another broker"), "{refusal}");
        assert!(migrate(&settings, true).await.unwrap().is_current());
        drop(broker);
        assert!(migrate(&settings, false).await.unwrap().is_current());
    }
}
