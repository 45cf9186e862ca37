//! Connections that wait to be used again, and turns for those who want one. Not sqlx's own pool: that one keeps its
//! connect options, and with them a password that may have ended, and pings what it hands out.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StoreError;
use super::connect::Dialer;
use super::rows::{broken, is_lost};

pub(super) type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

/// For what a connection is wanted. Readers never take the turn of a unit of work: many proofs at once must not keep an
/// exchange from being recorded. Nor that of whoever asks what other replicas have changed: many of them would make every
/// replica deaf, and so unready.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane {
    Read,
    Unit,
    /// A connection of its own beside [`max_connections`](crate::store::PostgresSettings::max_connections).
    Follow,
}

#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dialer: Dialer,
    idle: Mutex<Vec<PgConnection>>,
    readers: Arc<Semaphore>,
    units: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

/// A statement that failed.
#[derive(Debug)]
pub(super) struct Failure {
    error: StoreError,
    /// The connection was gone: nothing is known of the statement.
    is_lost: bool,
}

impl Failure {
    pub(super) fn into_error(self) -> StoreError {
        self.error
    }
}

impl Pool {
    pub(super) fn new(dialer: Dialer) -> Self {
        let most = dialer.settings().max_connections.max(2) as usize;
        let (units, readers) = (most / 2, most - most / 2);
        let (units, readers) = (Arc::new(Semaphore::new(units)), Arc::new(Semaphore::new(readers)));
        let followers = Arc::new(Semaphore::new(1));
        Self(Arc::new(Inner { dialer, idle: Mutex::default(), readers, units, followers }))
    }

    /// A connection, new or used before, when there is a turn.
    pub(super) async fn lease(&self, lane: Lane) -> Result<Lease, StoreError> {
        let turns = match lane {
            Lane::Read => &self.0.readers,
            Lane::Unit => &self.0.units,
            Lane::Follow => &self.0.followers,
        };
        let turn = tokio::time::timeout(self.0.dialer.limits().acquire, Arc::clone(turns).acquire_owned());
        let busy = |_| StoreError::Unavailable("every connection was busy".to_owned());
        let closed = |_| StoreError::Unavailable("the store is closed".to_owned());
        let turn = turn.await.map_err(busy)?.map_err(closed)?;
        let used = self.idle().pop();
        let was_used = used.is_some();
        let connection = match used {
            Some(connection) => connection,
            None => self.dial().await?,
        };
        Ok(Lease {
            pool: self.clone(),
            connection: Some(connection),
            was_used,
            in_flight: false,
            in_transaction: false,
            turn: Some(turn),
        })
    }

    /// Only [`open`](crate::store::open) refuses; later, a server that is not as it has to be may be so again.
    async fn dial(&self) -> Result<PgConnection, StoreError> {
        match self.0.dialer.connect().await {
            Ok((connection, _)) => Ok(connection),
            Err(StoreError::Refused(why)) => Err(StoreError::Unavailable(why)),
            Err(error) => Err(error),
        }
    }

    /// Reads. What a connection that had waited was lost for is asked once more on a new one: the server was restarted
    /// meanwhile, or ended it.
    pub(super) async fn read(&self, query: impl Fn() -> Query) -> Result<Vec<PgRow>, StoreError> {
        self.read_in(Lane::Read, query).await
    }

    /// The same for what other replicas have changed.
    pub(super) async fn follow(&self, query: impl Fn() -> Query) -> Result<Vec<PgRow>, StoreError> {
        self.read_in(Lane::Follow, query).await
    }

    async fn read_in(&self, lane: Lane, query: impl Fn() -> Query) -> Result<Vec<PgRow>, StoreError> {
        let mut lease = self.lease(lane).await?;
        match lease.fetch(query()).await {
            Err(failure) if lease.is_worth_another(&failure) => {
                lease.reconnect().await?;
                lease.fetch(query()).await.map_err(Failure::into_error)
            }
            done => done.map_err(Failure::into_error),
        }
    }

    /// The same for statements whose text depends on what is asked.
    pub(super) async fn read_built(
        &self,
        build: impl Fn() -> QueryBuilder<Postgres>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut lease = self.lease(Lane::Read).await?;
        match lease.fetch_built(build()).await {
            Err(failure) if lease.is_worth_another(&failure) => {
                lease.reconnect().await?;
                lease.fetch_built(build()).await.map_err(Failure::into_error)
            }
            done => done.map_err(Failure::into_error),
        }
    }

    /// One that nobody has had yet.
    pub(super) fn put_back(&self, connection: PgConnection) {
        self.idle().push(connection);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection for one user. When it is dropped, it is put back; with a transaction open, after that was rolled back; in
/// the middle of a statement, it is closed.
pub(super) struct Lease {
    pool: Pool,
    connection: Option<PgConnection>,
    was_used: bool,
    /// A statement was sent and its end was not heard of.
    in_flight: bool,
    in_transaction: bool,
    turn: Option<OwnedSemaphorePermit>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take().filter(|_| !self.in_flight) else { return };
        if !self.in_transaction {
            self.pool.idle().push(connection);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (pool, turn, was_used) = (self.pool.clone(), self.turn.take(), self.was_used);
            let mut lease = Self {
                pool,
                connection: Some(connection),
                was_used,
                in_flight: false,
                in_transaction: false,
                turn,
            };
            runtime.spawn(async move { lease.batch("ROLLBACK".to_owned()).await.map(drop) });
        }
    }
}

impl Lease {
    pub(super) fn is_worth_another(&self, failure: &Failure) -> bool {
        self.was_used && failure.is_lost
    }

    /// A new connection in the place of one that was lost; those that wait are as old, and go too.
    pub(super) async fn reconnect(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        self.pool.idle().clear();
        self.connection = Some(self.pool.dial().await?);
        (self.was_used, self.in_flight) = (false, false);
        Ok(())
    }

    /// A transaction is open from here on, or is not any longer.
    pub(super) fn in_transaction(&mut self, open: bool) {
        self.in_transaction = open;
    }

    /// Every row.
    pub(super) async fn fetch(&mut self, query: Query) -> Result<Vec<PgRow>, Failure> {
        self.call(async |connection| query.fetch_all(connection).await).await
    }

    async fn fetch_built(&mut self, mut built: QueryBuilder<Postgres>) -> Result<Vec<PgRow>, Failure> {
        self.call(async |connection| built.build().fetch_all(connection).await).await
    }

    /// How many rows changed.
    pub(super) async fn run(&mut self, query: Query) -> Result<u64, Failure> {
        self.call(async |connection| query.execute(connection).await.map(|done| done.rows_affected())).await
    }

    /// Statements without parameters, in one message: after one that fails, none of the others is run.
    pub(super) async fn batch(&mut self, text: String) -> Result<Vec<PgRow>, Failure> {
        let text = sqlx::raw_sql(sqlx::AssertSqlSafe(text));
        self.call(async |connection| text.fetch_all(connection).await).await
    }

    /// After any failure the connection is given up: what state it is in is not worth knowing.
    async fn call<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Failure> {
        let gone = || StoreError::Unavailable("the connection was lost".to_owned());
        self.in_flight = true;
        let connection = self.connection.as_mut().ok_or_else(|| Failure { error: gone(), is_lost: false })?;
        let answer = tokio::time::timeout(self.pool.0.dialer.limits().call, ask(connection)).await;
        let failure = match answer {
            Ok(Ok(answer)) => {
                self.in_flight = false;
                return Ok(answer);
            }
            Ok(Err(error)) => Failure { is_lost: is_lost(&error), error: broken(error) },
            Err(_) => {
                // The others are likely to hang in the same way.
                self.pool.idle().clear();
                let error = StoreError::Unavailable("PostgreSQL did not answer in time".to_owned());
                Failure { is_lost: false, error }
            }
        };
        self.connection = None;
        Err(failure)
    }
}
