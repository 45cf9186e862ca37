//! Either end of a copy in a SQLite file, which is locked against brokers as long as this lives.

use std::path::Path;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::files::{self, FileIdentity, ProcessLock};
use super::rows::broken;
use super::{options, schema};
use crate::store::StoreError;
use crate::store::copy::tables::{HEAD, Kind, OUTBOX, Row, Table, Value};
use crate::store::copy::{End, Side};

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

const LAST_MESSAGE: &str = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
const FORGET_LAST_MESSAGE: &str = "DELETE FROM sqlite_sequence WHERE name = ?1";
const KEEP_LAST_MESSAGE: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";

/// One file.
pub(in crate::store) struct SqliteEnd {
    connection: SqliteConnection,
    _lock: ProcessLock,
}

impl SqliteEnd {
    /// A source must be there, and as this program would make it. A target is made.
    pub(in crate::store) async fn open(path: &Path, side: Side) -> Result<Self, StoreError> {
        if side == Side::Source {
            FileIdentity::of(path)
                .map_err(|error| StoreError::Refused(format!("`{}`: {error}", path.display())))?;
        }
        let lock = ProcessLock::take(path)?;
        if side == Side::Target {
            files::create_private(path)?;
        }
        let mut connection = options(path).connect().await.map_err(broken)?;
        match side {
            Side::Source => {
                schema::state(&mut connection).await?.must_be_current(&path.display().to_string())?;
            }
            Side::Target => drop(schema::migrate(&mut connection).await?),
        }
        Ok(Self { connection, _lock: lock })
    }

    async fn read(&mut self, table: &Table, text: String, bound: &[Value]) -> Result<Vec<Row>, StoreError> {
        let query = bind(sqlx::query(AssertSqlSafe(text)), bound);
        let found = query.fetch_all(&mut self.connection).await.map_err(broken)?;
        found.iter().map(|row| read_row(table, row)).collect()
    }

    async fn run(&mut self, text: String) -> Result<(), StoreError> {
        sqlx::query(AssertSqlSafe(text)).execute(&mut self.connection).await.map(drop).map_err(broken)
    }

    async fn add(&mut self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        let text = insertion(table);
        let mut transaction = self.connection.begin().await.map_err(broken)?;
        for row in rows {
            let query = bind(sqlx::query(AssertSqlSafe(text.clone())), row);
            query.execute(&mut *transaction).await.map_err(broken)?;
        }
        transaction.commit().await.map_err(broken)
    }

    async fn crown(&mut self, head: Row, last_message: i64) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin().await.map_err(broken)?;
        let queries = [
            bind(sqlx::query(AssertSqlSafe(insertion(&HEAD))), &head),
            sqlx::query(FORGET_LAST_MESSAGE).bind(OUTBOX.name),
            sqlx::query(KEEP_LAST_MESSAGE).bind(OUTBOX.name).bind(last_message),
        ];
        for query in queries {
            query.execute(&mut *transaction).await.map_err(broken)?;
        }
        transaction.commit().await.map_err(broken)
    }
}

impl End for SqliteEnd {
    fn page<'a>(
        &'a mut self,
        table: &'a Table,
        after: Option<&'a Row>,
        most: u32,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        let (names, key) = (table.names(), table.key_names());
        let bound = after.map_or(&[] as &[Value], |row| table.key_of(row));
        let behind = match bound.len() {
            0 => String::new(),
            count => format!(" WHERE ({key}) > ({})", vec!["?"; count].join(", ")),
        };
        let text = format!("SELECT {names} FROM {}{behind} ORDER BY {key} LIMIT {most}", table.name);
        Box::pin(self.read(table, text, bound))
    }

    fn last<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<Option<Row>, StoreError>> {
        let backwards = format!("{} DESC", table.key_names().replace(',', " DESC,"));
        let text = format!("SELECT {} FROM {} ORDER BY {backwards} LIMIT 1", table.names(), table.name);
        Box::pin(async { Ok(self.read(table, text, &[]).await?.pop()) })
    }

    fn last_message(&mut self) -> BoxFuture<'_, Result<i64, StoreError>> {
        Box::pin(async {
            let query = sqlx::query_scalar(LAST_MESSAGE).bind(OUTBOX.name);
            Ok(query.fetch_optional(&mut self.connection).await.map_err(broken)?.unwrap_or(0))
        })
    }

    fn behead(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.run(format!("DELETE FROM {}", HEAD.name)))
    }

    fn clear<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.run(format!("DELETE FROM {}", table.name)))
    }

    fn insert<'a>(&'a mut self, table: &'a Table, rows: &'a [Row]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.add(table, rows))
    }

    fn finish(&mut self, head: Row, last_message: i64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.crown(head, last_message))
    }
}

fn insertion(table: &Table) -> String {
    let places = vec!["?"; table.columns.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({places})", table.name, table.names())
}

fn bind<'q>(query: Query<'q>, values: &[Value]) -> Query<'q> {
    values.iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Number(number) => query.bind(*number),
        Value::Bytes(bytes) => query.bind(bytes.clone()),
        Value::Text(text) => query.bind(text.clone()),
    })
}

fn read_row(table: &Table, row: &SqliteRow) -> Result<Row, StoreError> {
    let value = |column: &crate::store::copy::tables::Column| {
        Ok(match column.kind {
            Kind::Number | Kind::Flag => row.try_get::<Option<i64>, _>(column.name)?.map(Value::Number),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(column.name)?.map(Value::Bytes),
            Kind::Text => row.try_get::<Option<String>, _>(column.name)?.map(Value::Text),
        })
    };
    let values = table.columns.iter().map(|column| value(column).map_err(broken));
    values.map(|value| value.map(|value| value.unwrap_or(Value::Null))).collect()
}
