//! The store in a PostgreSQL database that several replicas share. Knows SQL, connections and their deadlines; refuses
//! to know of other replicas anything that the database does not say.

mod breakglass;
mod connect;
mod custody;
mod end;
mod inspect;
mod pool;
mod replicas;
mod rows;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod unit;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use self::connect::{Dialer, LIMITS, Limits, Server};
pub(super) use self::end::PostgresEnd;
pub(super) use self::inspect::inspect;
use self::pool::{Lane, Pool};
use self::replicas::News;
use self::rows::signed;
pub(super) use self::schema::migrate;
use self::unit::PostgresUnit;
use super::settings::PostgresSettings;
use super::{KeyRow, LogHead, LogRow, Store, StoreError, UnitOfWork, stored};
use crate::clock::Moment;

/// One database.
#[derive(Debug)]
pub(super) struct PostgresStore {
    pool: Pool,
    news: Arc<News>,
    /// Empty beside a broker. Ends with the store.
    listener: JoinSet<()>,
}

impl PostgresStore {
    /// Brings the schema up to date, if it is not, and opens.
    pub(super) async fn open(settings: PostgresSettings) -> Result<Self, StoreError> {
        let mut store = Self::with_limits(settings.clone(), LIMITS).await?;
        schema::migrate(settings.clone()).await?;
        store.head().await?;
        store.listener.spawn(replicas::listen(Dialer::new(settings, LIMITS), Arc::clone(&store.news)));
        Ok(store)
    }

    /// Opens what is there, and changes no schema.
    pub(super) async fn open_beside(settings: PostgresSettings) -> Result<Self, StoreError> {
        schema::must_be_there(&settings).await?;
        let store = Self::with_limits(settings, LIMITS).await?;
        store.head().await?;
        Ok(store)
    }

    /// The first connection is made here: what must not be used is refused, what an operator should know is said.
    async fn with_limits(settings: PostgresSettings, limits: Limits) -> Result<Self, StoreError> {
        let dialer = Dialer::new(settings, limits);
        let (connection, server) = dialer.connect().await?;
        say_what_can_be_lost(&server);
        let pool = Pool::new(dialer);
        pool.put_back(connection);
        Ok(Self { pool, news: Arc::default(), listener: JoinSet::new() })
    }

    async fn begin_unit(&self) -> Result<PostgresUnit, StoreError> {
        self.pool.lease(Lane::Unit).await.map(PostgresUnit::new)
    }

    /// One statement in a transaction of its own, durable when this returns how many rows it changed.
    async fn write_alone(&self, query: pool::Query) -> Result<u64, StoreError> {
        let mut unit = self.begin_unit().await?;
        let changed = unit.run(query).await?;
        unit.finish().await?;
        Ok(changed)
    }
}

fn say_what_can_be_lost(server: &Server) {
    if !server.is_durable {
        tracing::warn!(
            "PostgreSQL runs with `fsync` or `full_page_writes` off: unless its storage makes up for that, a crash loses \
             records of credentials that were delivered"
        );
    }
    if server.standbys.is_empty() {
        tracing::warn!(
            "PostgreSQL has no `synchronous_standby_names`: a standby that takes its place may lack records of \
             credentials that were delivered"
        );
    }
}

impl Store for PostgresStore {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn UnitOfWork>, StoreError>> {
        Box::pin(async { Ok(Box::new(self.begin_unit().await?) as Box<dyn UnitOfWork>) })
    }

    fn head(&self) -> BoxFuture<'_, Result<LogHead, StoreError>> {
        Box::pin(async {
            let found = self.pool.read(|| sqlx::query(statements::HEAD)).await?;
            let row = found.first().ok_or_else(stored::no_head)?;
            rows::head(row)
        })
    }

    fn entries(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<LogRow>, StoreError>> {
        Box::pin(async move {
            let (low, high) = (signed(from)?, signed(from.saturating_add(u64::from(limit)))?);
            let query = || sqlx::query(statements::ENTRIES).bind(low).bind(high);
            let found = self.pool.read(query).await?;
            found.iter().zip(from..).map(|(row, index)| rows::entry(row, index)).collect()
        })
    }

    fn tile_hashes(
        &self,
        level: u8,
        from: u64,
        count: u32,
    ) -> BoxFuture<'_, Result<Vec<[u8; 32]>, StoreError>> {
        Box::pin(async move {
            let (low, high) = (signed(from)?, signed(from.saturating_add(u64::from(count)))?);
            let text = if level == 0 { statements::LEAF_HASHES } else { statements::NODE_HASHES };
            let query = || sqlx::query(text).bind(low).bind(high).bind(i16::from(level));
            let found = self.pool.read(query).await?;
            found.iter().zip(from..).map(|(row, index)| rows::numbered_hash(row, index)).collect()
        })
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async {
            let found = self.pool.follow(|| sqlx::query(statements::KEYS)).await?;
            found.iter().map(rows::key).collect()
        })
    }

    fn purge_claims(&self, at: Moment, most: u32) -> BoxFuture<'_, Result<u64, StoreError>> {
        let query = sqlx::query(statements::FORGET_CLAIMS).bind(at.unix_millis()).bind(i64::from(most));
        Box::pin(self.write_alone(query))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { self.write_alone(sqlx::query(statements::TOUCH)).await.map(drop) })
    }
}
