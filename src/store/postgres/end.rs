//! Either end of a copy in a PostgreSQL database: one session, with nobody else's beside it.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::connect::{Dialer, LOOKING, Limits, PATIENT, bounded};
use super::rows::{broken, only};
use super::schema;
use crate::store::StoreError;
use crate::store::copy::tables::{Column, HEAD, Kind, Row, Table, Value};
use crate::store::copy::{End, Side};
use crate::store::settings::PostgresSettings;

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

/// Between two pages the other end works, for as long as it likes.
const COPYING: Limits = Limits { idle: Duration::ZERO, ..PATIENT };

/// Two seconds in all.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'tidegate' AND pid <> pg_backend_pid()";
/// One copy into a database at a time. Any number will do that nobody else uses.
const ALONE: &str = "SELECT pg_try_advisory_lock(7236828347125)";
/// All pages are of one moment, and until the end nobody appends: a broker that is started meanwhile answers 503.
const HOLD: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE log_head IN EXCLUSIVE MODE";
const LAST_MESSAGE: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM outbox_sequence_seq";

/// One database.
pub(in crate::store) struct PostgresEnd {
    connection: PgConnection,
    /// For each call: a server that hangs at one end must not hold the other for ever.
    patience: Duration,
}

impl PostgresEnd {
    /// A source must be as this program would make it. A target is made so, when nobody uses it.
    pub(in crate::store) async fn open(settings: PostgresSettings, side: Side) -> Result<Self, StoreError> {
        Self::open_within(settings, side, COPYING).await
    }

    pub(super) async fn open_within(
        settings: PostgresSettings,
        side: Side,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let place = format!("{}/{}", settings.host, settings.database);
        let (connection, _) = Dialer::new(settings.clone(), limits).connect().await?;
        let mut end = Self { connection, patience: limits.call };
        end.must_be_alone(&place).await?;
        if side == Side::Source {
            schema::looked(&mut end.connection, end.patience.min(LOOKING)).await?.must_be_current(&place)?;
            end.run(HOLD.to_owned()).await?;
        } else {
            let alone = sqlx::query_scalar(ALONE).fetch_one(&mut end.connection);
            if !bounded::<bool>(end.patience, alone).await? {
                return Err(StoreError::Refused(format!("another copy into `{place}` is under way")));
            }
            schema::migrate(settings).await?;
        }
        Ok(end)
    }

    /// Sessions that have just been closed, our own among them, need a moment.
    async fn must_be_alone(&mut self, place: &str) -> Result<(), StoreError> {
        let mut others: i64 = 0;
        for _ in 0..LOOKS {
            let asked = sqlx::query_scalar(OTHERS).fetch_one(&mut self.connection);
            others = bounded(self.patience, asked).await?;
            if others == 0 {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(StoreError::Refused(format!(
            "`{place}` is in use: brokers or commands have {others} connections to it; stop them first"
        )))
    }

    async fn read(&mut self, table: &Table, text: String, bound: &[Value]) -> Result<Vec<Row>, StoreError> {
        let query = bind(sqlx::query(AssertSqlSafe(text)), bound);
        let found = bounded(self.patience, query.fetch_all(&mut self.connection)).await?;
        found.iter().map(|row| read_row(table, row)).collect()
    }

    async fn run(&mut self, text: String) -> Result<(), StoreError> {
        let asked = sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut self.connection);
        bounded(self.patience, asked).await.map(drop)
    }

    /// `COPY`: the server reads each column in its own type, and the rows are on their way while the last ones are written.
    async fn add(&mut self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        let statement = format!("COPY {} ({}) FROM STDIN", table.name, table.names());
        let mut text = String::new();
        for row in rows {
            write_row(&mut text, row);
        }
        let connection = &mut self.connection;
        let copied = async {
            let mut copying = connection.copy_in_raw(&statement).await?;
            copying.send(text.into_bytes()).await?;
            copying.finish().await.map(drop)
        };
        bounded(self.patience, copied).await
    }

    async fn crown(&mut self, head: &Row, last_message: i64) -> Result<(), StoreError> {
        self.run("BEGIN".to_owned()).await?;
        self.add(&HEAD, std::slice::from_ref(head)).await?;
        // The next number is one more, or the first one.
        let (value, is_called) = (last_message.max(1), last_message > 0);
        let numbered = format!("SELECT setval('outbox_sequence_seq', {value}, {is_called})");
        self.run(format!("{numbered}; COMMIT")).await
    }
}

impl End for PostgresEnd {
    fn page<'a>(
        &'a mut self,
        table: &'a Table,
        after: Option<&'a Row>,
        most: u32,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        let bound = after.map_or(&[] as &[Value], |row| table.key_of(row));
        let key = table.key_names();
        let places: Vec<String> = (1..=bound.len()).map(|place| format!("${place}")).collect();
        let behind = match bound.len() {
            0 => String::new(),
            _ => format!(" WHERE ({key}) > ({})", places.join(", ")),
        };
        let (names, order) = (read_names(table), order(table, ""));
        let text = format!("SELECT {names} FROM {}{behind} ORDER BY {order} LIMIT {most}", table.name);
        Box::pin(self.read(table, text, bound))
    }

    fn last<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<Option<Row>, StoreError>> {
        let (names, backwards) = (read_names(table), order(table, " DESC"));
        let text = format!("SELECT {names} FROM {} ORDER BY {backwards} LIMIT 1", table.name);
        Box::pin(async { Ok(self.read(table, text, &[]).await?.pop()) })
    }

    fn last_message(&mut self) -> BoxFuture<'_, Result<i64, StoreError>> {
        Box::pin(async {
            let asked = sqlx::query(LAST_MESSAGE).fetch_all(&mut self.connection);
            only(&bounded(self.patience, asked).await?)
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
        Box::pin(async move { self.crown(&head, last_message).await })
    }
}

/// By the columns themselves: an unqualified name would be what is selected under it, which no index knows.
fn order(table: &Table, direction: &str) -> String {
    let column = |column: &Column| format!("{}.{}{direction}", table.name, column.name);
    table.columns.iter().take(table.key).map(column).collect::<Vec<_>>().join(", ")
}

/// Numbers of every width are read as the widest.
fn read_names(table: &Table) -> String {
    let name = |column: &Column| match column.kind {
        Kind::Number => format!("{}.{1}::bigint AS {1}", table.name, column.name),
        Kind::Flag => format!("{}.{1}::int::bigint AS {1}", table.name, column.name),
        Kind::Bytes | Kind::Text => column.name.to_owned(),
    };
    table.columns.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn bind<'q>(query: Query<'q>, values: &[Value]) -> Query<'q> {
    values.iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Number(number) => query.bind(*number),
        Value::Bytes(bytes) => query.bind(bytes.clone()),
        Value::Text(text) => query.bind(text.clone()),
    })
}

fn read_row(table: &Table, row: &PgRow) -> Result<Row, StoreError> {
    let value = |column: &Column| {
        Ok(match column.kind {
            Kind::Number | Kind::Flag => row.try_get::<Option<i64>, _>(column.name)?.map(Value::Number),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(column.name)?.map(Value::Bytes),
            Kind::Text => row.try_get::<Option<String>, _>(column.name)?.map(Value::Text),
        })
    };
    let values = table.columns.iter().map(|column| value(column).map_err(broken));
    values.map(|value| value.map(|value| value.unwrap_or(Value::Null))).collect()
}

/// In `COPY`'s text format: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>.
fn write_row(text: &mut String, row: &Row) {
    for (place, value) in row.iter().enumerate() {
        if place > 0 {
            text.push('\t');
        }
        match value {
            Value::Null => text.push_str("\\N"),
            Value::Number(number) => drop(write!(text, "{number}")),
            Value::Bytes(bytes) => {
                text.push_str("\\\\x");
                for byte in bytes {
                    let _ = write!(text, "{byte:02x}");
                }
            }
            Value::Text(value) => value.chars().for_each(|char| write_char(text, char)),
        }
    }
    text.push('\n');
}

fn write_char(text: &mut String, char: char) {
    match char {
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        other => text.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copy_would_read_as_something_else_is_escaped() {
        let mut text = String::new();
        write_row(
            &mut text,
            &vec![
                Value::Text("a\tb\nc\rd\\Ne\\.".to_owned()),
                Value::Null,
                Value::Bytes(vec![0, 0xff, b'\n']),
                Value::Number(-5),
                Value::Text(String::new()),
            ],
        );
        assert_eq!(text, "a\\tb\\nc\\rd\\\\Ne\\\\.\t\\N\t\\\\x00ff0a\t-5\t\n");
    }
}
