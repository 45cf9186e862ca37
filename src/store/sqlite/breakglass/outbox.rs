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
/// The same again, within the transaction that takes them.
const TAKE: &str = "UPDATE outbox SET next_try = ?4 WHERE sequence IN (SELECT sequence FROM outbox WHERE sequence IN \
     (SELECT min(sequence) FROM outbox WHERE hook = ?1 GROUP BY elevation) \
     AND (next_try IS NULL OR next_try <= ?2) ORDER BY sequence LIMIT ?3) RETURNING sequence, body, attempts";
const ARRIVED: &str = "DELETE FROM outbox WHERE sequence = ?1";
const FAILED: &str = "UPDATE outbox SET attempts = attempts + 1, next_try = ?2 WHERE sequence = ?1";
const COUNT: &str = "SELECT count(*) FROM outbox";

impl SqliteStore {
    /// A reader looks first: when nothing is due, nobody writes.
    pub(super) async fn take_due_messages(
        &self,
        hook: HookId,
        (at, until): (Moment, Moment),
        limit: u32,
    ) -> Result<Vec<WaitingMessage>, StoreError> {
        let bound = |text| {
            let query = sqlx::query(text).bind(hook.0.as_bytes().to_vec());
            query.bind(at.unix_millis()).bind(limit)
        };
        if bound(DUE).fetch_optional(&self.readers).await.map_err(broken)?.is_none() {
            return Ok(Vec::new());
        }
        let mut unit = self.writer.begin().await?;
        let found = unit.fetch(bound(TAKE).bind(until.unix_millis())).await?;
        let mut taken = found.iter().map(waiting).collect::<Result<Vec<_>, _>>()?;
        unit.finish().await?;
        taken.sort_unstable_by_key(|waiting| waiting.sequence);
        Ok(taken)
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
