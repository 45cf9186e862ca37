//! The outbox: messages wait in the order in which they were written, each receiver's and each elevation's apart.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::clock::Moment;
use crate::notify::HookId;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::rows::{broken, from_json, only, signed, to_json};
use crate::store::postgres::unit::PostgresUnit;
use crate::store::{OutboxRow, StoreError, WaitingMessage, stored};

const PUT: &str = "INSERT INTO outbox (hook, elevation, version, body) VALUES ($1, $2, $3, $4)";
/// Only the first one of each elevation: the next one would overtake it.
const DUE: &str = "SELECT sequence, body, attempts FROM outbox WHERE sequence IN \
     (SELECT min(sequence) FROM outbox WHERE hook = $1 GROUP BY elevation) \
     AND (next_try IS NULL OR next_try <= $2) ORDER BY sequence LIMIT $3";
const ARRIVED: &str = "DELETE FROM outbox WHERE sequence = $1";
const FAILED: &str = "UPDATE outbox SET attempts = attempts + 1, next_try = $2 WHERE sequence = $1";
const COUNT: &str = "SELECT count(*) FROM outbox";

impl PostgresStore {
    pub(super) async fn list_due_messages(
        &self,
        hook: HookId,
        at: Moment,
        limit: u32,
    ) -> Result<Vec<WaitingMessage>, StoreError> {
        let query = || {
            let query = sqlx::query(DUE).bind(hook.0.as_bytes().to_vec());
            query.bind(at.unix_millis()).bind(i64::from(limit))
        };
        self.pool.read(query).await?.iter().map(waiting).collect()
    }

    pub(super) async fn forget_message(&self, sequence: u64) -> Result<(), StoreError> {
        self.write_alone(sqlx::query(ARRIVED).bind(signed(sequence)?)).await.map(drop)
    }

    pub(super) async fn postpone_message(&self, sequence: u64, next_try: Moment) -> Result<(), StoreError> {
        let query = sqlx::query(FAILED).bind(signed(sequence)?).bind(next_try.unix_millis());
        self.write_alone(query).await.map(drop)
    }

    pub(super) async fn count_messages(&self) -> Result<u64, StoreError> {
        stored::unsigned(only(&self.pool.read(|| sqlx::query(COUNT)).await?)?)
    }
}

impl PostgresUnit {
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

fn waiting(row: &PgRow) -> Result<WaitingMessage, StoreError> {
    let corrupt = |_| StoreError::Corrupt("a waiting message has an impossible number".to_owned());
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(broken);
    Ok(WaitingMessage {
        sequence: u64::try_from(number("sequence")?).map_err(corrupt)?,
        message: from_json(row, "body", "message")?,
        attempts: u32::try_from(number("attempts")?).map_err(corrupt)?,
    })
}
