//! What only a damaged or a long table can show.

use super::*;
use crate::locks::LockTarget;
use crate::store::samples::{AT, asked, hook, lock, message, new};
use crate::store::{BreakGlassStore as _, ElevationQuery};

#[tokio::test]
async fn a_gap_in_the_log_is_corruption_and_not_a_short_page() {
    let server = Postgres::start();
    let database = server.database();
    let store = store(&server, &database).await;
    for _ in 0..5 {
        append(&store).await.unwrap();
    }
    server.sql(&database, "DELETE FROM log_entry WHERE idx = 2");
    assert!(matches!(store.entries(0, 5).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(store.tile_hashes(0, 2, 2).await, Err(StoreError::Corrupt(_))));
    assert_eq!(store.entries(3, 5).await.unwrap().len(), 2);
    // An entry where the head says that there is none: somebody else writes, or the head was put back.
    server.sql(&database, "UPDATE log_head SET size = 4, peaks = decode(repeat('07', 32), 'hex')");
    let forked = append(&store).await;
    assert!(matches!(forked, Err(StoreError::Corrupt(_))), "{forked:?}");
}

#[tokio::test]
async fn facts_that_cannot_be_read_or_are_anothers_are_corruption() {
    let server = Postgres::start();
    let (one, two) = (asked(), asked());
    let frozen = lock(LockTarget::All, AT, None);
    for (damage, is_found) in [
        ("UPDATE elevation SET facts = left(facts, 50)", false),
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
        let database = server.database();
        let store = store(&server, &database).await;
        let mut unit = store.begin().await.unwrap();
        for elevation in [&one, &two] {
            unit.swap_elevation(&new(elevation), AT).await.unwrap();
        }
        unit.put_lock(&frozen).await.unwrap();
        unit.put_messages(&[message(hook(1), &one)]).await.unwrap();
        unit.commit().await.unwrap();
        server.sql(&database, damage);
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
