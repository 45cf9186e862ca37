//! Elevations: one row each, changed only by compare-and-swap.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use crate::breakglass::Elevation;
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::replicas::Moved;
use crate::store::sqlite::rows::{broken, from_json, only, signed, to_json};
use crate::store::sqlite::unit::{Query, SqliteUnit};
use crate::store::{ElevationChange, ElevationGuard, ElevationQuery, OpenLimits, StoreError, Swap};

pub(super) const ONE: &str = "SELECT id, version, facts FROM elevation WHERE id = ?1";
const SOME: &str = "SELECT id, version, facts FROM elevation WHERE 1 = 1";
pub(super) const DUE: &str =
    "SELECT id, version, facts FROM elevation WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2";
const HOLDS: &str = "SELECT EXISTS (SELECT 1 FROM elevation WHERE id = ?1 AND version = ?2 AND ?3 < ?4)";
/// Everything that can refuse the change stands in its own `WHERE`: the version it starts from, that it goes forward, and
/// the time.
const REPLACE: &str = "UPDATE elevation SET version = ?1, state = ?2, open = ?3, due_at = ?4, facts = ?5 \
     WHERE id = ?6 AND version = ?7 AND version < ?1 AND (?8 IS NULL OR ?9 < ?8)";
pub(super) const INSERT: &str = "INSERT INTO elevation \
     (version, state, open, due_at, facts, id, grant_name, requester_issuer, requester_subject) \
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 \
     WHERE (?10 IS NULL OR ?11 < ?10) \
     AND (?12 IS NULL OR ?12 > (SELECT count(*) FROM elevation \
         WHERE open = 1 AND requester_issuer = ?8 AND requester_subject = ?9)) \
     AND (?13 IS NULL OR ?13 > (SELECT count(*) FROM elevation WHERE open = 1 AND grant_name = ?7)) \
     ON CONFLICT DO NOTHING";
/// Why an insert that was in time did not happen.
pub(super) const WHY_NOT: &str = "SELECT EXISTS (SELECT 1 FROM elevation WHERE id = ?1) AS taken, \
     (SELECT count(*) FROM elevation WHERE open = 1 AND requester_issuer = ?2 AND requester_subject = ?3) AS persons, \
     (SELECT count(*) FROM elevation WHERE open = 1 AND grant_name = ?4) AS grants";

impl SqliteStore {
    pub(super) async fn find_elevation(&self, id: ElevationId) -> Result<Option<Elevation>, StoreError> {
        let query = sqlx::query(ONE).bind(id.to_string());
        let found = query.fetch_optional(&self.readers).await.map_err(broken)?;
        found.as_ref().map(elevation).transpose()
    }

    pub(super) async fn list_elevations(&self, asked: ElevationQuery) -> Result<Vec<Elevation>, StoreError> {
        let mut query = listing(asked);
        let found = query.build().fetch_all(&self.readers).await.map_err(broken)?;
        found.iter().map(elevation).collect()
    }

    pub(super) async fn list_due(&self, at: Moment, limit: u32) -> Result<Vec<Elevation>, StoreError> {
        let query = sqlx::query(DUE).bind(at.unix_millis()).bind(limit);
        let found = query.fetch_all(&self.readers).await.map_err(broken)?;
        found.iter().map(elevation).collect()
    }
}

impl SqliteUnit {
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
        only(&self.fetch(query).await?)
    }

    pub(super) async fn swap(&mut self, change: &ElevationChange, at: Moment) -> Result<Swap, StoreError> {
        let written = match change.from {
            Some(from) => self.run(replace(change, from, at)?).await?,
            None => self.run(insert(change, at)?).await?,
        };
        if written > 0 {
            self.move_mark(Moved::Elevations).await?;
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

/// Only the filters that were asked for: SQLite finds no index for `?1 IS NULL OR …`.
pub(super) fn listing(asked: ElevationQuery) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(SOME);
    if !asked.states.is_empty() {
        query.push(" AND state IN (");
        let mut states = query.separated(", ");
        for state in &asked.states {
            states.push_bind(state.as_str());
        }
        query.push(")");
    }
    if let Some(grant) = asked.grant {
        query.push(" AND grant_name = ").push_bind(grant.as_str().to_owned());
    }
    if let Some(requester) = asked.requester {
        query.push(" AND requester_issuer = ").push_bind(requester.issuer.as_str().to_owned());
        query.push(" AND requester_subject = ").push_bind(requester.subject.as_str().to_owned());
    }
    if let Some(before) = asked.before {
        query.push(" AND id < ").push_bind(before.to_string());
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(asked.limit);
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
        .bind(change.room.map(|room| room.per_person));
    Ok(query.bind(change.room.map(|room| room.per_grant)))
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

fn elevation(row: &SqliteRow) -> Result<Elevation, StoreError> {
    let found: Elevation = from_json(row, "facts", "elevation")?;
    let (id, version): (&str, i64) =
        (row.try_get("id").map_err(broken)?, row.try_get("version").map_err(broken)?);
    if found.id.to_string() != id || signed(found.version)? != version {
        return Err(StoreError::Corrupt(format!("the facts of elevation {} are another's", found.id)));
    }
    Ok(found)
}
