//! The outbox: messages wait in the order in which they were written, each receiver's and each elevation's apart.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::clock::Moment;
use crate::notify::HookId;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::rows::{broken, from_json, signed, to_json};
use crate::store::sqlite::unit::SqliteUnit;
use crate::store::{OutboxRow, StoreError, WaitingMessage};

const PUT: &str = "INSERT INTO outbox (hook, elevation, version, body) VALUES (?1, ?2, ?3, ?4)";
/// Only the first one of each elevation: the next one would overtake it.
pub(super) const DUE: &str = "SELECT sequence, body, attempts FROM outbox WHERE sequence IN \
     (SELECT min(sequence) FROM outbox WHERE hook = ?1 GROUP BY elevation) \
     AND (next_try IS NULL OR next_try <= ?2) ORDER BY sequence LIMIT ?3";
const ARRIVED: &str = "DELETE FROM outbox WHERE sequence = ?1";
const FAILED: &str = "UPDATE outbox SET attempts = attempts + 1, next_try = ?2 WHERE sequence = ?1";
const COUNT: &str = "SELECT count(*) FROM outbox";

impl SqliteStore {
    pub(super) async fn list_due_messages(
        &self,
        hook: HookId,
        at: Moment,
        limit: u32,
    ) -> Result<Vec<WaitingMessage>, StoreError> {
        let query = sqlx::query(DUE).bind(hook.0.as_bytes().to_vec()).bind(at.unix_millis()).bind(limit);
        let found = query.fetch_all(&self.readers).await.map_err(broken)?;
        found.iter().map(waiting).collect()
    }

    pub(super) async fn forget_message(&self, sequence: u64) -> Result<(), StoreError> {
        self.write_alone(sqlx::query(ARRIVED).bind(signed(sequence)?)).await
    }

    pub(super) async fn postpone_message(&self, sequence: u64, next_try: Moment) -> Result<(), StoreError> {
        self.write_alone(sqlx::query(FAILED).bind(signed(sequence)?).bind(next_try.unix_millis())).await
    }

    pub(super) async fn count_messages(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&self.readers).await.map_err(broken)?;
        u64::try_from(count).map_err(|_| StoreError::Corrupt(format!("{count} messages cannot be")))
    }
}

impl SqliteUnit {
    pub(super) async fn queue_messages(&mut self, messages: &[OutboxRow]) -> Result<(), StoreError> {
        for OutboxRow { hook, message } in messages {
            let query = sqlx::query(PUT)
                .bind(hook.0.as_bytes().to_vec())
                .bind(message.elevation.to_string())
                .bind(signed(message.version)?)
                .bind(to_json(message, "a message")?);
            self.run(query).await?;
        }
        Ok(())
    }
}

fn waiting(row: &SqliteRow) -> Result<WaitingMessage, StoreError> {
    let corrupt = |_| StoreError::Corrupt("a waiting message has an impossible number".to_owned());
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(broken);
    Ok(WaitingMessage {
        sequence: u64::try_from(number("sequence")?).map_err(corrupt)?,
        message: from_json(row, "body", "message")?,
        attempts: u32::try_from(number("attempts")?).map_err(corrupt)?,
    })
}
