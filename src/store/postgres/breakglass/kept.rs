//! What is kept for a while: answers, locks, revoked tokens; and the latest time.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::clock::Moment;
use crate::ids::LockId;
use crate::locks::Lock;
use crate::secret::Fingerprint;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::rows::{self, broken, only, to_json};
use crate::store::postgres::unit::PostgresUnit;
use crate::store::{AnswerRow, RevokedToken, StoreError};

const ANSWER: &str = "SELECT key, request, outcome, until FROM answer WHERE key = $1";
const HAS_ANSWER: &str = "SELECT EXISTS (SELECT 1 FROM answer WHERE key = $1)";
const KEEP_ANSWER: &str =
    "INSERT INTO answer (key, request, outcome, until) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
/// All: a lock that is left out lets somebody in. People set them one by one.
pub(in crate::store::postgres) const LOCKS: &str = "SELECT id, facts FROM lock ORDER BY id";
const PUT_LOCK: &str = "INSERT INTO lock (id, until, facts) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const DELETE_LOCK: &str = "DELETE FROM lock WHERE id = $1";
const IS_REVOKED: &str = "SELECT EXISTS (SELECT 1 FROM revoked_token WHERE jti = $1)";
const PUT_REVOKED: &str = "INSERT INTO revoked_token (jti, until) VALUES ($1, $2) \
     ON CONFLICT (jti) DO UPDATE SET until = greatest(revoked_token.until, excluded.until)";
const HIGH_WATER: &str = "SELECT at FROM high_water WHERE id = 1";
const RAISE: &str = "INSERT INTO high_water (id, at) VALUES (1, $1) \
     ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE excluded.at > high_water.at";
const ANY_ENDED: &str = "SELECT EXISTS (SELECT 1 FROM answer WHERE until <= $1) \
     OR EXISTS (SELECT 1 FROM revoked_token WHERE until <= $1) OR EXISTS (SELECT 1 FROM lock WHERE until <= $1)";
/// What another replica is forgetting is left to it.
const FORGET: [&str; 3] = [
    "DELETE FROM answer WHERE key IN \
     (SELECT key FROM answer WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM revoked_token WHERE jti IN \
     (SELECT jti FROM revoked_token WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM lock WHERE id IN \
     (SELECT id FROM lock WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)",
];

impl PostgresStore {
    pub(super) async fn find_answer(&self, key: Fingerprint) -> Result<Option<AnswerRow>, StoreError> {
        let found = self.pool.read(|| sqlx::query(ANSWER).bind(key.as_bytes().to_vec())).await?;
        found.first().map(answer).transpose()
    }

    pub(super) async fn list_locks(&self) -> Result<Vec<Lock>, StoreError> {
        self.pool.follow(|| sqlx::query(LOCKS)).await?.iter().map(rows::lock).collect()
    }

    pub(super) async fn has_revoked(&self, jti: String) -> Result<bool, StoreError> {
        only(&self.pool.read(|| sqlx::query(IS_REVOKED).bind(jti.clone())).await?)
    }

    /// A reader looks first: when nothing has ended, nobody writes.
    pub(super) async fn forget_ended(&self, at: Moment, most: u32) -> Result<u64, StoreError> {
        let any: bool = only(&self.pool.read(|| sqlx::query(ANY_ENDED).bind(at.unix_millis())).await?)?;
        if !any {
            return Ok(0);
        }
        let (mut unit, mut forgotten) = (self.begin_unit().await?, 0);
        for statement in FORGET {
            let query = sqlx::query(statement).bind(at.unix_millis()).bind(i64::from(most));
            forgotten += unit.run(query).await?;
        }
        unit.finish().await?;
        Ok(forgotten)
    }

    pub(super) async fn latest_time(&self) -> Result<Option<Moment>, StoreError> {
        let found = self.pool.read(|| sqlx::query(HIGH_WATER)).await?;
        found.first().map(|row| rows::moment(row, "at")).transpose().map(Option::flatten)
    }

    pub(super) async fn keep_latest_time(&self, at: Moment) -> Result<(), StoreError> {
        self.write_alone(sqlx::query(RAISE).bind(at.unix_millis())).await.map(drop)
    }
}

impl PostgresUnit {
    pub(super) async fn finds_answer(&mut self, key: &Fingerprint) -> Result<bool, StoreError> {
        self.lock_head().await?;
        only(&self.fetch(sqlx::query(HAS_ANSWER).bind(key.as_bytes().to_vec())).await?)
    }

    pub(super) async fn add_answer(&mut self, answer: &AnswerRow) -> Result<(), StoreError> {
        let query = sqlx::query(KEEP_ANSWER)
            .bind(answer.key.as_bytes().to_vec())
            .bind(answer.request.as_bytes().to_vec())
            .bind(answer.outcome.clone())
            .bind(answer.until.unix_millis());
        match self.run(query).await? {
            0 => Err(StoreError::Corrupt("an answer was kept under a key that has one".to_owned())),
            _ => Ok(()),
        }
    }

    pub(super) async fn add_lock(&mut self, lock: &Lock) -> Result<(), StoreError> {
        let query = sqlx::query(PUT_LOCK)
            .bind(lock.id.to_string())
            .bind(lock.until.map(Moment::unix_millis))
            .bind(to_json(lock, "a lock")?);
        self.run_marked(query, |marks| &mut marks.locks).await.map(drop)
    }

    pub(super) async fn remove_lock(&mut self, id: &LockId) -> Result<(), StoreError> {
        let query = sqlx::query(DELETE_LOCK).bind(id.to_string());
        self.run_marked(query, |marks| &mut marks.locks).await.map(drop)
    }

    pub(super) async fn add_revoked(&mut self, token: &RevokedToken) -> Result<(), StoreError> {
        let query = sqlx::query(PUT_REVOKED).bind(token.jti.clone()).bind(token.until.unix_millis());
        self.run(query).await.map(drop)
    }
}

fn answer(row: &PgRow) -> Result<AnswerRow, StoreError> {
    let until = rows::moment(row, "until")?;
    Ok(AnswerRow {
        key: rows::fingerprint(row, "key")?,
        request: rows::fingerprint(row, "request")?,
        outcome: row.try_get("outcome").map_err(broken)?,
        until: until.ok_or_else(|| StoreError::Corrupt("a kept answer has no end".to_owned()))?,
    })
}
