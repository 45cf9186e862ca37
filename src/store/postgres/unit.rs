//! One transaction on one connection.

use std::collections::HashSet;
use std::fmt::Write as _;

use futures_util::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::StoreError;
use super::pool::{Failure, Lease, Query};
use super::rows::{self, broken, signed};
use super::statements::{self, pieces};
use crate::clock::Moment;
use crate::ids::Kid;
use crate::secret::Fingerprint;
use crate::store::stored::{ClaimKey, claim_key};
use crate::store::{KeyRow, LogHead, LogRow, Marks, Pulse, ReplayClaim, TileHash, UnitOfWork, stored};

/// `BEGIN` is sent with what is asked first. Whatever decides on what it has read takes the head's row lock before:
/// appending, changing an elevation, a key or a lock, looking whether an elevation still stands or a request was answered.
/// So those units run one after the other on all replicas, each sees what the one before has committed, and none can wait
/// for another in a circle. What decides nothing (claims alone, deliveries, forgetting) does not wait for them.
pub(super) struct PostgresUnit {
    lease: Lease,
    has_begun: bool,
    head: Option<Head>,
}

/// The head's row, locked.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// As it was found.
    found: Pulse,
    /// As this unit leaves it; written with the commit.
    pub(super) left: Pulse,
}

impl std::fmt::Debug for PostgresUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresUnit").field("head", &self.head).finish_non_exhaustive()
    }
}

impl PostgresUnit {
    pub(super) fn new(lease: Lease) -> Self {
        Self { lease, has_begun: false, head: None }
    }

    /// Sends the first statement of the transaction; on a new connection when one that had waited turns out to be lost,
    /// for nothing was done yet.
    async fn begin(&mut self, text: &str) -> Result<Vec<PgRow>, StoreError> {
        let first = self.lease.batch(text.to_owned()).await;
        let found = match first {
            Err(failure) if self.lease.is_worth_another(&failure) => {
                self.lease.reconnect().await?;
                self.lease.batch(text.to_owned()).await
            }
            done => done,
        };
        self.has_begun = true;
        self.lease.in_transaction(true);
        found.map_err(Failure::into_error)
    }

    async fn begun(&mut self) -> Result<(), StoreError> {
        if self.has_begun { Ok(()) } else { self.begin(statements::BEGIN).await.map(drop) }
    }

    /// How many rows changed.
    pub(super) async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        self.begun().await?;
        self.lease.run(query).await.map_err(Failure::into_error)
    }

    /// Every row.
    pub(super) async fn fetch(&mut self, query: Query) -> Result<Vec<PgRow>, StoreError> {
        self.begun().await?;
        self.lease.fetch(query).await.map_err(Failure::into_error)
    }

    /// A change of what replicas keep in memory: when it changes something, its mark moves with it.
    pub(super) async fn run_marked(
        &mut self,
        query: Query,
        mark: impl FnOnce(&mut Marks) -> &mut u64,
    ) -> Result<u64, StoreError> {
        // Before the statement, so that every unit has the head's lock first.
        self.lock_head().await?;
        let changed = self.run(query).await?;
        if changed > 0 {
            *mark(&mut self.lock_head().await?.left.marks) += 1;
        }
        Ok(changed)
    }

    /// Locks the head for the rest of the unit, once.
    pub(super) async fn lock_head(&mut self) -> Result<&mut Head, StoreError> {
        if self.head.is_none() {
            let found = if self.has_begun {
                self.fetch(sqlx::query(statements::LOCK_HEAD)).await?
            } else {
                self.begin(statements::BEGIN_WITH_HEAD).await?
            };
            let row = found.first().ok_or_else(stored::no_head)?;
            let found = Pulse { head: rows::head(row)?, marks: rows::marks(row)? };
            self.head = Some(Head { left: found.clone(), found });
        }
        self.head.as_mut().ok_or_else(stored::no_head)
    }

    /// Durable when this returns `Ok`.
    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        if !self.has_begun {
            return Ok(());
        }
        let text = match &self.head {
            Some(head) if head.left != head.found => head.commit()?,
            _ => "COMMIT".to_owned(),
        };
        self.lease.batch(text).await.map_err(Failure::into_error)?;
        self.lease.in_transaction(false);
        Ok(())
    }

    async fn try_claim(&mut self, claims: &[ReplayClaim]) -> Result<Vec<bool>, StoreError> {
        let rows: Vec<(ClaimKey, i64)> =
            claims.iter().map(|claim| (claim_key(claim), claim.until.unix_millis())).collect();
        // In one order everywhere: two units that take each other's tokens must not wait for each other.
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        let mut won = HashSet::with_capacity(rows.len());
        for piece in pieces(&sorted, |_| statements::CLAIM_BYTES) {
            let (keys, ends): (Vec<_>, Vec<_>) =
                piece.iter().map(|(key, until)| (key.to_vec(), *until)).unzip();
            for row in self.fetch(sqlx::query(statements::CLAIM).bind(keys).bind(ends)).await? {
                won.insert(row.try_get::<Vec<u8>, _>("token").map_err(broken)?);
            }
        }
        // Only the first of those that are the same within the call.
        Ok(rows.iter().map(|(key, _)| won.remove(key.as_slice())).collect())
    }

    async fn try_release(&mut self, claims: &[ReplayClaim]) -> Result<(), StoreError> {
        for piece in pieces(claims, |_| statements::CLAIM_BYTES) {
            let mut keys: Vec<Vec<u8>> = piece.iter().map(|claim| claim_key(claim).to_vec()).collect();
            keys.sort_unstable();
            self.run(sqlx::query(statements::RELEASE).bind(keys)).await?;
        }
        Ok(())
    }

    async fn try_append(
        &mut self,
        new: &[LogRow],
        hashes: &[TileHash],
        head: &LogHead,
    ) -> Result<(), StoreError> {
        let from = head.size.checked_sub(new.len() as u64);
        let from = from.filter(|from| new.iter().zip(*from..).all(|(row, index)| row.index == index));
        let from =
            from.ok_or_else(|| StoreError::Corrupt("the new rows do not end at the new head".to_owned()))?;
        let before = self.lock_head().await?.left.head.size;
        if before != from {
            return Err(StoreError::Corrupt(format!(
                "the log has {before} entries, and the new ones begin at {from}"
            )));
        }
        for piece in pieces(new, |row| row.bytes.len() + statements::ENTRY_BYTES) {
            let first = piece.first().map_or(from, |row| row.index);
            let (hashes, bodies): (Vec<_>, Vec<_>) =
                piece.iter().map(|row| (row.leaf_hash.to_vec(), row.bytes.to_vec())).unzip();
            let query = sqlx::query(statements::INSERT_ENTRIES).bind(signed(first)?);
            self.run(query.bind(hashes).bind(bodies)).await?;
        }
        for piece in pieces(hashes, |_| statements::NODE_BYTES) {
            let levels: Vec<i16> = piece.iter().map(|node| i16::from(node.level)).collect();
            let indexes = piece.iter().map(|node| signed(node.index)).collect::<Result<Vec<_>, _>>()?;
            let hashes: Vec<Vec<u8>> = piece.iter().map(|node| node.hash.to_vec()).collect();
            self.run(sqlx::query(statements::INSERT_NODES).bind(levels).bind(indexes).bind(hashes)).await?;
        }
        self.lock_head().await?.left.head = head.clone();
        Ok(())
    }
}

impl Head {
    /// The end of a unit that changed the row, in one message: it moves only from where it was locked (from anywhere else
    /// `size` would be NULL, which the table refuses), and only then is it committed.
    fn commit(&self) -> Result<String, StoreError> {
        let Pulse { head, marks } = &self.left;
        // Numbers and hexadecimal digits: nothing in here is anybody's text.
        let last_at = head.last_at.map_or("NULL".to_owned(), |at| at.unix_millis().to_string());
        let policy = marks.policy.map_or("NULL".to_owned(), |digest| format!("'\\x{digest}'"));
        let peaks = head.peaks.iter().fold(String::new(), |mut text, peak| {
            let _ = write!(text, "{}", Fingerprint::from_bytes(*peak));
            text
        });
        let (from, to) = (signed(self.found.head.size)?, signed(head.size)?);
        let mut text = format!(
            "UPDATE log_head SET size = CASE WHEN size = {from} THEN {to} END, last_at = {last_at}, \
             peaks = '\\x{peaks}', locks_mark = {}, keys_mark = {}, elevations_mark = {}, policy = {policy} \
             WHERE id = 1; ",
            signed(marks.locks)?,
            signed(marks.keys)?,
            signed(marks.elevations)?
        );
        if *marks != self.found.marks {
            text.push_str(statements::SAY);
        }
        text.push_str("COMMIT");
        Ok(text)
    }
}

impl UnitOfWork for PostgresUnit {
    fn head(&mut self) -> BoxFuture<'_, Result<LogHead, StoreError>> {
        Box::pin(async { self.lock_head().await.map(|head| head.left.head.clone()) })
    }

    fn claim<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<Vec<bool>, StoreError>> {
        Box::pin(self.try_claim(claims))
    }

    fn release<'a>(&'a mut self, claims: &'a [ReplayClaim]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.try_release(claims))
    }

    fn append<'a>(
        &'a mut self,
        rows: &'a [LogRow],
        hashes: &'a [TileHash],
        head: &'a LogHead,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.try_append(rows, hashes, head))
    }

    fn put_key<'a>(&'a mut self, key: &'a KeyRow) -> BoxFuture<'a, Result<(), StoreError>> {
        let query = sqlx::query(statements::PUT_KEY)
            .bind(key.kid.as_str().to_owned())
            .bind(key.purpose.as_str())
            .bind(key.algorithm.clone())
            .bind(key.sealed_private.clone())
            .bind(key.public.clone())
            .bind(key.created_at.unix_millis())
            .bind(key.active_from.unix_millis())
            .bind(key.retired_at.map(Moment::unix_millis))
            .bind(key.published_until.map(Moment::unix_millis));
        Box::pin(async { self.run_marked(query, |marks| &mut marks.keys).await.map(drop) })
    }

    fn delete_key<'a>(&'a mut self, kid: &'a Kid) -> BoxFuture<'a, Result<(), StoreError>> {
        let query = sqlx::query(statements::DELETE_KEY).bind(kid.as_str().to_owned());
        Box::pin(async { self.run_marked(query, |marks| &mut marks.keys).await.map(drop) })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(self.finish())
    }
}
