//! What is done on sessions beside the pool: looking, copying, bringing the schema up to date.

use super::outage::in_time;
use super::*;
use crate::store::copy::tables::HEAD;
use crate::store::copy::{End as _, Side};

#[tokio::test]
async fn a_table_whose_name_says_something_in_sql_is_not_read() {
    let server = Postgres::start();
    let database = server.database();
    store(&server, &database).await;
    for statement in [
        "CREATE TABLE seen (at int)",
        "GRANT ALL ON seen TO PUBLIC",
        "CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'INSERT INTO seen VALUES (1) RETURNING at'",
        "CREATE TABLE \"lock\"\", evil() x --\" (a int)",
    ] {
        server.sql(&database, statement);
    }
    let found = inspect(server.postgres_settings(&database)).await.unwrap();
    assert_eq!(server.sql(&database, "SELECT count(*) FROM seen"), "0", "somebody else's function was run");
    assert!(found.tables.iter().all(|table| table.name != "seen" && !table.name.contains("evil")));
    let locks = found.tables.iter().find(|table| table.name == "lock").unwrap();
    assert_eq!(locks.rows, Some(0));
}

#[tokio::test]
async fn a_server_that_hangs_after_its_greeting_ends_a_look_and_a_copy() {
    let server = Postgres::start();
    let database = server.database();
    let settings = server.postgres_settings(&database);
    schema::migrate(settings.clone()).await.unwrap();
    let mut end = PostgresEnd::open_within(settings.clone(), Side::Source, SHORT).await.unwrap();
    let (mut looking, _) = Dialer::new(settings, SHORT).connect().await.unwrap();
    server.pause();
    let why = is_unavailable(in_time(end.last(&HEAD)).await.map(|row| row.is_some()));
    assert!(why.contains("in time"), "{why}");
    is_unavailable(in_time(end.behead()).await);
    is_unavailable(in_time(schema::looked(&mut looking, SHORT.call)).await);
    server.resume();
}

#[tokio::test]
async fn a_target_that_somebody_uses_gets_no_schema() {
    let server = Postgres::start();
    let database = server.database();
    let settings = server.postgres_settings(&database);
    let used = Dialer::new(settings.clone(), SHORT).connect().await.unwrap();
    let refusal = PostgresEnd::open(settings.clone(), Side::Target).await.err().unwrap().to_string();
    assert!(refusal.contains("in use"), "{refusal}");
    assert_eq!(server.sql(&database, "SELECT to_regclass('_sqlx_migrations') IS NULL"), "t");
    drop(used);
    PostgresEnd::open(settings, Side::Target).await.unwrap();
    assert_eq!(server.sql(&database, "SELECT to_regclass('log_head') IS NULL"), "f");
}
