//! What only a damaged or a long file can show.

use std::collections::BTreeSet;

use sqlx::{Executor as _, Row as _};

use super::elevations::{DUE, INSERT, ONE, WHY_NOT, listing};
use super::*;
use crate::breakglass::StateName;
use crate::ids::GrantName;
use crate::locks::LockTarget;
use crate::store::Store as _;
use crate::store::samples::{AT, asked, hook, lock, message, new, person_id};

#[tokio::test]
async fn facts_that_cannot_be_read_or_are_anothers_are_corruption() {
    let (one, two) = (asked(), asked());
    let frozen = lock(LockTarget::All, AT, None);
    for (damage, is_found) in [
        ("UPDATE elevation SET facts = substr(facts, 1, 50)", false),
        ("UPDATE elevation SET facts = replace(facts, '\"version\":1', '\"version\":2')", false),
        ("UPDATE elevation SET version = 2", false),
        (
            "UPDATE elevation SET facts = (SELECT facts FROM elevation WHERE id <> (SELECT max(id) FROM elevation))",
            false,
        ),
        ("UPDATE lock SET facts = '{}'", false),
        ("UPDATE lock SET id = 'lck-another'", false),
        ("UPDATE outbox SET body = '[]'", false),
        ("UPDATE outbox SET attempts = 4294967296", false),
        ("UPDATE outbox SET attempts = 4294967295", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("t.db")).await.unwrap();
        let mut unit = store.begin().await.unwrap();
        for elevation in [&one, &two] {
            unit.swap_elevation(&new(elevation), AT).await.unwrap();
        }
        unit.put_lock(&frozen).await.unwrap();
        unit.put_messages(&[message(hook(1), &one)]).await.unwrap();
        unit.commit().await.unwrap();
        store.writer.slot().await.unwrap().connection().unwrap().execute(damage).await.unwrap();
        let all = ElevationQuery { limit: 9, ..ElevationQuery::default() };
        let found = [
            store.elevations(all).await.map(drop),
            store.due_elevations(one.ask.expires_at, 9).await.map(drop),
            store.locks().await.map(drop),
            store.due_messages(hook(1), AT, 9).await.map(drop),
        ];
        let corrupt = found.iter().filter(|found| matches!(found, Err(StoreError::Corrupt(_)))).count();
        let broken = found.iter().filter(|found| found.is_err()).count();
        assert_eq!((corrupt > 0, corrupt), (!is_found, broken), "{damage}: {found:?}");
    }
}

#[tokio::test]
async fn what_grows_for_ever_is_searched_by_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("t.db")).await.unwrap();
    let list =
        |query: ElevationQuery| listing(ElevationQuery { limit: 9, ..query }).sql().as_str().to_owned();
    let states = BTreeSet::from([StateName::Requested, StateName::Active]);
    let grant = Some(GrantName::new("orders").unwrap());
    let requester = Some(person_id("ann"));
    let all = ElevationQuery::default;
    let mut slot = store.writer.slot().await.unwrap();
    for (query, expected) in [
        (ONE.to_owned(), vec!["SEARCH elevation USING INDEX sqlite_autoindex_elevation_1 (id=?)"]),
        (DUE.to_owned(), vec!["SEARCH elevation USING INDEX elevation_due (due_at<?)"]),
        (INSERT.to_owned(), vec!["INDEX elevation_open_person", "INDEX elevation_open_grant"]),
        (WHY_NOT.to_owned(), vec!["INDEX elevation_open_person", "INDEX elevation_open_grant"]),
        (list(all()), vec!["SCAN elevation USING INDEX sqlite_autoindex_elevation_1"]),
        (list(ElevationQuery { states, ..all() }), vec!["SEARCH elevation USING INDEX elevation_by_state"]),
        (list(ElevationQuery { grant, ..all() }), vec!["SEARCH elevation USING INDEX elevation_by_grant"]),
        (
            list(ElevationQuery { requester, before: Some(asked().id), ..all() }),
            vec!["SEARCH elevation USING INDEX elevation_by_requester"],
        ),
        (super::outbox::DUE.to_owned(), vec!["COVERING INDEX outbox_by_receiver (hook=?)"]),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let plan = sqlx::query(explain).fetch_all(slot.connection().unwrap()).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
        for index in expected {
            assert!(plan.iter().any(|step| step.contains(index)), "{query}: {plan:?}");
        }
    }
}
