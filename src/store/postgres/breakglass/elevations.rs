//! Elevations: one row each, changed only by compare-and-swap.

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use crate::breakglass::Elevation;
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::pool::Query;
use crate::store::postgres::rows::{broken, from_json, only, signed, to_json};
use crate::store::postgres::unit::PostgresUnit;
use crate::store::{ElevationChange, ElevationGuard, ElevationQuery, OpenLimits, StoreError, Swap};

const ONE: &str = "SELECT id, version, facts FROM elevation WHERE id = $1";
const SOME: &str = "SELECT id, version, facts FROM elevation WHERE 1 = 1";
const DUE: &str = "SELECT id, version, facts FROM elevation WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2";
const HOLDS: &str = "SELECT EXISTS (SELECT 1 FROM elevation WHERE id = $1 AND version = $2) AND $3 < $4";
/// Everything that can refuse the change stands in its own `WHERE`: the version it starts from, that it goes forward, and
/// the time.
const REPLACE: &str = "UPDATE elevation SET version = $1, state = $2, open = $3, due_at = $4, facts = $5 \
     WHERE id = $6 AND version = $7 AND version < $1 AND ($8::bigint IS NULL OR $9 < $8)";
/// The count is right because the head's lock was taken before this statement began.
const INSERT: &str = "INSERT INTO elevation \
     (version, state, open, due_at, facts, id, grant_name, requester_issuer, requester_subject) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 \
     WHERE ($10::bigint IS NULL OR $11 < $10) \
     AND ($12::bigint IS NULL OR $12 > (SELECT count(*) FROM elevation \
         WHERE open AND requester_issuer = $8 AND requester_subject = $9)) \
     AND ($13::bigint IS NULL OR $13 > (SELECT count(*) FROM elevation WHERE open AND grant_name = $7)) \
     ON CONFLICT DO NOTHING";
/// Why an insert that was in time did not happen.
const WHY_NOT: &str = "SELECT EXISTS (SELECT 1 FROM elevation WHERE id = $1) AS taken, \
     (SELECT count(*) FROM elevation WHERE open AND requester_issuer = $2 AND requester_subject = $3) AS persons, \
     (SELECT count(*) FROM elevation WHERE open AND grant_name = $4) AS grants";

impl PostgresStore {
    pub(super) async fn find_elevation(&self, id: ElevationId) -> Result<Option<Elevation>, StoreError> {
        let found = self.pool.read(|| sqlx::query(ONE).bind(id.to_string())).await?;
        found.first().map(elevation).transpose()
    }

    pub(super) async fn list_elevations(&self, asked: ElevationQuery) -> Result<Vec<Elevation>, StoreError> {
        let found = self.pool.read_built(|| listing(&asked)).await?;
        found.iter().map(elevation).collect()
    }

    pub(super) async fn list_due(&self, at: Moment, limit: u32) -> Result<Vec<Elevation>, StoreError> {
        let query = || sqlx::query(DUE).bind(at.unix_millis()).bind(i64::from(limit));
        self.pool.read(query).await?.iter().map(elevation).collect()
    }
}

impl PostgresUnit {
    pub(super) async fn guard_holds(
        &mut self,
        guard: &ElevationGuard,
        at: Moment,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(HOLDS)
            .bind(guard.id.to_string())
            .bind(signed(guard.version)?)
            .bind(at.unix_millis())
            .bind(guard.before.unix_millis());
        self.lock_head().await?;
        only(&self.fetch(query).await?)
    }

    pub(super) async fn swap(&mut self, change: &ElevationChange, at: Moment) -> Result<Swap, StoreError> {
        let query = match change.from {
            Some(from) => replace(change, from, at)?,
            None => insert(change, at)?,
        };
        let written = self.run_marked(query, |marks| &mut marks.elevations).await?;
        if written > 0 {
            return Ok(Swap::Done);
        }
        if change.before.is_some_and(|before| before <= at) {
            return Ok(Swap::Late);
        }
        match (change.from, change.room) {
            (None, Some(room)) => self.why_not(&change.next, room).await,
            _ => Ok(Swap::Lost),
        }
    }

    async fn why_not(&mut self, next: &Elevation, room: OpenLimits) -> Result<Swap, StoreError> {
        let requester = next.ask.requester.id();
        let query = sqlx::query(WHY_NOT)
            .bind(next.id.to_string())
            .bind(requester.issuer.as_str().to_owned())
            .bind(requester.subject.as_str().to_owned())
            .bind(next.ask.grant.as_str().to_owned());
        let found = self.fetch(query).await?;
        let row = found.first().ok_or_else(|| broken(sqlx::Error::RowNotFound))?;
        let count = |column: &str| row.try_get::<i64, _>(column).map_err(broken);
        Ok(match (row.try_get("taken").map_err(broken)?, count("persons")?, count("grants")?) {
            (true, ..) => Swap::Lost,
            (false, persons, _) if persons >= i64::from(room.per_person) => Swap::PersonFull,
            (false, _, grants) if grants >= i64::from(room.per_grant) => Swap::GrantFull,
            _ => return Err(StoreError::Corrupt("an elevation had room and was not written".to_owned())),
        })
    }
}

/// Only the filters that were asked for: a plan that fits `$1 IS NULL OR …` uses no index.
fn listing(asked: &ElevationQuery) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(SOME);
    if !asked.states.is_empty() {
        query.push(" AND state IN (");
        let mut states = query.separated(", ");
        for state in &asked.states {
            states.push_bind(state.as_str());
        }
        query.push(")");
    }
    if let Some(grant) = &asked.grant {
        query.push(" AND grant_name = ").push_bind(grant.as_str().to_owned());
    }
    if let Some(requester) = &asked.requester {
        query.push(" AND requester_issuer = ").push_bind(requester.issuer.as_str().to_owned());
        query.push(" AND requester_subject = ").push_bind(requester.subject.as_str().to_owned());
    }
    if let Some(before) = asked.before {
        query.push(" AND id < ").push_bind(before.to_string());
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(asked.limit));
    query
}

fn replace(change: &ElevationChange, from: u64, at: Moment) -> Result<Query, StoreError> {
    let query = bind_facts(sqlx::query(REPLACE), &change.next)?.bind(signed(from)?);
    Ok(query.bind(change.before.map(Moment::unix_millis)).bind(at.unix_millis()))
}

fn insert(change: &ElevationChange, at: Moment) -> Result<Query, StoreError> {
    let ask = &change.next.ask;
    let query = bind_facts(sqlx::query(INSERT), &change.next)?
        .bind(ask.grant.as_str().to_owned())
        .bind(ask.requester.id().issuer.as_str().to_owned())
        .bind(ask.requester.id().subject.as_str().to_owned())
        .bind(change.before.map(Moment::unix_millis))
        .bind(at.unix_millis())
        .bind(change.room.map(|room| i64::from(room.per_person)));
    Ok(query.bind(change.room.map(|room| i64::from(room.per_grant))))
}

/// What a change writes, and the id.
fn bind_facts(query: Query, next: &Elevation) -> Result<Query, StoreError> {
    Ok(query
        .bind(signed(next.version)?)
        .bind(next.state_name().as_str())
        .bind(next.is_open())
        .bind(next.next_due().map(Moment::unix_millis))
        .bind(to_json(next, "an elevation")?)
        .bind(next.id.to_string()))
}

fn elevation(row: &PgRow) -> Result<Elevation, StoreError> {
    let found: Elevation = from_json(row, "facts", "elevation")?;
    let (id, version): (&str, i64) =
        (row.try_get("id").map_err(broken)?, row.try_get("version").map_err(broken)?);
    if found.id.to_string() != id || signed(found.version)? != version {
        return Err(StoreError::Corrupt(format!("the facts of elevation {} are another's", found.id)));
    }
    Ok(found)
}
