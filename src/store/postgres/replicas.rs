//! What replicas share, in PostgreSQL: marks beside the head, leases, policy sets, and a word when a mark has moved.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;

use super::PostgresStore;
use super::breakglass::LOCKS;
use super::connect::{Dialer, bounded};
use super::rows::{self, broken};
use super::statements;
use super::unit::PostgresUnit;
use crate::locks::Lock;
use crate::secret::Fingerprint;
use crate::store::{KeyRow, Lease, Marks, Pulse, ReplicaStore, ReplicaUnit, StoreError, stored};

const CHANNEL: &str = "tidegate";
/// Silence after which the listener asks whether the server is still there.
const QUIET: Duration = Duration::from_secs(15);
/// Between attempts to listen again.
const PAUSE: Duration = Duration::from_secs(1);

const POLICY_SET: &str = "SELECT text FROM policy_set WHERE digest = $1";
const KEEP_POLICY_SET: &str =
    "INSERT INTO policy_set (digest, text) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
const LEASE: &str = "SELECT holder, until FROM lease WHERE name = $1";
const TAKE_LEASE: &str = "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
     WHERE lease.holder = excluded.holder OR lease.until <= $4";

/// Wakes [`ReplicaStore::hint`]. One word may stand for many.
#[derive(Debug, Default)]
pub(super) struct News(Notify);

/// Listens until it is aborted, on a connection beside the pool; each time with the password of that moment.
pub(super) async fn listen(dialer: Dialer, news: Arc<News>) {
    loop {
        if let Err(cause) = listen_once(&dialer, &news).await {
            tracing::debug!(%cause, "nothing is heard of other replicas at once; the store is asked each second");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_once(dialer: &Dialer, news: &News) -> Result<(), StoreError> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(dialer.limits().connect);
    let pool = pool.connect_with(dialer.options().await?).await.map_err(broken)?;
    let call = dialer.limits().call;
    let mut listener = bounded(call, PgListener::connect_with(&pool)).await?;
    listener.eager_reconnect(false);
    bounded(call, listener.listen(CHANNEL)).await?;
    // Something may have been said before.
    news.0.notify_one();
    loop {
        match tokio::time::timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(_))) => news.0.notify_one(),
            // It would connect by itself, with the password that it was given.
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(broken(error)),
            Err(_) => {
                bounded(call, sqlx::query("SELECT 1").execute(&mut listener)).await?;
            }
        }
    }
}

impl PostgresStore {
    /// A reader looks first: a lease is asked for each second, and mostly nothing is to be changed.
    async fn take_lease(&self, lease: Lease<'_>) -> Result<bool, StoreError> {
        let (name, holder) = (lease.name.to_owned(), lease.holder.to_string());
        let found = self.pool.read(|| sqlx::query(LEASE).bind(name.clone())).await?;
        let until = lease.at.plus(lease.span);
        if let Some(row) = found.first() {
            let is_ours = row.try_get::<&str, _>("holder").map_err(broken)? == holder;
            let ends = rows::moment(row, "until")?.unwrap_or(lease.at);
            if is_ours && ends > until.minus(lease.span / 4) {
                return Ok(true);
            }
            if !is_ours && ends > lease.at {
                return Ok(false);
            }
        }
        let query = sqlx::query(TAKE_LEASE).bind(name).bind(holder);
        let query = query.bind(until.unix_millis()).bind(lease.at.unix_millis());
        Ok(self.write_alone(query).await? > 0)
    }
}

impl ReplicaStore for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn pulse(&self) -> BoxFuture<'_, Result<Pulse, StoreError>> {
        Box::pin(async {
            let found = self.pool.follow(|| sqlx::query(statements::HEAD)).await?;
            let row = found.first().ok_or_else(stored::no_head)?;
            Ok(Pulse { head: rows::head(row)?, marks: rows::marks(row)? })
        })
    }

    fn hint(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.news.0.notified())
    }

    fn lease<'a>(&'a self, lease: Lease<'a>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.take_lease(lease))
    }

    fn policy_set(&self, digest: Fingerprint) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            let found = self.pool.follow(|| sqlx::query(POLICY_SET).bind(digest.as_bytes().to_vec())).await?;
            found.first().map(|row| row.try_get("text").map_err(broken)).transpose()
        })
    }
}

impl PostgresUnit {
    async fn publish(&mut self, digest: &Fingerprint, text: &str) -> Result<(), StoreError> {
        self.lock_head().await?;
        let query = sqlx::query(KEEP_POLICY_SET).bind(digest.as_bytes().to_vec()).bind(text.to_owned());
        self.run(query).await?;
        self.lock_head().await?.left.marks.policy = Some(*digest);
        Ok(())
    }
}

impl ReplicaUnit for PostgresUnit {
    fn marks(&mut self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        Box::pin(async { self.lock_head().await.map(|head| head.left.marks) })
    }

    fn locks(&mut self) -> BoxFuture<'_, Result<Vec<Lock>, StoreError>> {
        Box::pin(async { self.fetch(sqlx::query(LOCKS)).await?.iter().map(rows::lock).collect() })
    }

    fn keys(&mut self) -> BoxFuture<'_, Result<Vec<KeyRow>, StoreError>> {
        Box::pin(async { self.fetch(sqlx::query(statements::KEYS)).await?.iter().map(rows::key).collect() })
    }

    fn put_policy_set<'a>(
        &'a mut self,
        digest: &'a Fingerprint,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.publish(digest, text))
    }
}
