//! The server goes away, hangs, or ends things; and comes back.

use std::sync::Arc;

use super::*;
use crate::store::{BreakGlassStore as _, CustodyStore as _, ReplayClaim, ReplicaStore as _};

/// Longer than any of [`SHORT`] together, much shorter than for ever.
const BOUND: Duration = Duration::from_secs(10);

pub(super) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what).await.expect("it has a deadline")
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again_by_the_same_store() {
    let mut server = Postgres::builder().durable().start();
    let database = server.database();
    let store = store(&server, &database).await;
    append(&store).await.unwrap();
    for (number, end) in [Postgres::stop, Postgres::kill_9].into_iter().enumerate() {
        let number = number as u64;
        end(&mut server);
        is_unavailable(in_time(append(&store)).await);
        is_unavailable(in_time(store.head()).await);
        is_unavailable(in_time(store.probe()).await);
        server.start_again();
        assert_eq!(store.head().await.unwrap().size, number + 1);
        assert_eq!(append(&store).await.unwrap(), number + 1);
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_deadline_and_not_a_restart() {
    let server = Postgres::start();
    let database = server.database();
    let store = store(&server, &database).await;
    append(&store).await.unwrap();
    server.pause();
    let why = is_unavailable(in_time(append(&store)).await);
    assert!(why.contains("in time"), "{why}");
    is_unavailable(in_time(store.head()).await);
    server.resume();
    in_time(append(&store)).await.unwrap();
}

#[tokio::test]
async fn connections_that_the_server_ended_while_they_waited_cost_nobody_a_refusal() {
    let server = Postgres::start();
    let database = server.database();
    let store = store(&server, &database).await;
    for round in 0..3 {
        let several = futures_util::future::join_all((0..4).map(|_| store.head())).await;
        assert!(several.iter().all(|head| head.as_ref().unwrap().size == round));
        server.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tidegate'",
        );
        assert_eq!(append(&store).await.unwrap(), round);
    }
}

#[tokio::test]
async fn a_replica_that_stops_inside_a_unit_does_not_keep_the_others_from_the_log() {
    let server = Postgres::start();
    let database = server.database();
    let (stuck, other) = (store(&server, &database).await, store(&server, &database).await);
    let mut unit = stuck.begin().await.unwrap();
    assert_eq!(unit.head().await.unwrap().size, 0);
    let (row, head) = next(0);
    unit.append(&[row], &[], &head).await.unwrap();
    // Nothing more is heard of it: the server ends it, and what it wrote is gone.
    assert_eq!(in_time(append(&other)).await.unwrap(), 0);
    is_unavailable(unit.commit().await);
    assert_eq!(append(&stuck).await.unwrap(), 1);
}

#[tokio::test]
async fn what_no_standby_has_is_never_called_durable() {
    let server = Postgres::start();
    let database = server.database();
    let store = store(&server, &database).await;
    append(&store).await.unwrap();
    server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    // A new session, so that the setting is certainly the one it has. No deadline of ours may end the wait on the
    // server's side: it would answer that all is well.
    server
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tidegate'");
    let patient = Limits { call: Duration::from_secs(4), ..SHORT };
    let waiting = PostgresStore::with_limits(server.postgres_settings(&database), patient).await.unwrap();
    is_unavailable(in_time(append(&waiting)).await);
    server.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("postgres", "SELECT pg_reload_conf()");
    append(&store).await.unwrap();
}

#[tokio::test]
async fn a_primary_that_was_made_read_only_is_unavailable() {
    let server = Postgres::start();
    let database = server.database();
    let store = store(&server, &database).await;
    append(&store).await.unwrap();
    server.sql("postgres", &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    server
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tidegate'");
    let why = is_unavailable(append(&store).await);
    assert!(why.contains("read-only"), "{why}");
    assert_eq!(store.head().await.unwrap().size, 1);
}

#[tokio::test]
async fn readers_never_take_the_turn_of_a_unit_of_work() {
    let server = Postgres::start();
    let database = server.database();
    let settings =
        crate::store::PostgresSettings { max_connections: 2, ..server.postgres_settings(&database) };
    schema::migrate(settings.clone()).await.unwrap();
    let store = PostgresStore::with_limits(settings, SHORT).await.unwrap();
    let reading = store.pool.lease(Lane::Read).await.unwrap();
    let why = is_unavailable(in_time(store.head()).await);
    assert!(why.contains("busy"), "{why}");
    append(&store).await.unwrap();
    drop(reading);
    assert_eq!(store.head().await.unwrap().size, 1);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tidegate'";
    assert_eq!(server.sql("postgres", count), "2");
}

#[tokio::test]
async fn what_a_replica_follows_by_waits_for_no_reader() {
    let server = Postgres::start();
    let database = server.database();
    let settings =
        crate::store::PostgresSettings { max_connections: 2, ..server.postgres_settings(&database) };
    schema::migrate(settings.clone()).await.unwrap();
    let store = PostgresStore::with_limits(settings, SHORT).await.unwrap();
    let _reading = store.pool.lease(Lane::Read).await.unwrap();
    let _writing = store.pool.lease(Lane::Unit).await.unwrap();
    is_unavailable(in_time(store.head()).await);
    assert_eq!(store.pulse().await.unwrap().head.size, 0);
    assert!(store.locks().await.unwrap().is_empty() && store.keys().await.unwrap().is_empty());
    assert!(store.wrapped_keks().await.unwrap().is_empty());
    assert_eq!(store.policy_set(crate::secret::Fingerprint::of(b"none")).await.unwrap(), None);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tidegate'";
    assert_eq!(server.sql("postgres", count), "3", "one more than the pool's, however much is asked");
}

#[tokio::test]
async fn an_error_of_the_server_is_over_in_a_minute_or_it_is_not() {
    let server = Postgres::start();
    let database = server.database();
    let store = store(&server, &database).await;
    for (code, is_corrupt) in [
        ("40001", false),
        ("40P01", false),
        ("25006", false),
        ("53100", false),
        ("53300", false),
        ("55P03", false),
        ("57014", false),
        ("57P01", false),
        ("58030", false),
        ("23505", true),
        ("23514", true),
        ("XX001", true),
        ("XX002", true),
    ] {
        let mut lease = store.pool.lease(Lane::Unit).await.unwrap();
        let raise = format!("DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$");
        let error = lease.batch(raise).await.unwrap_err().into_error();
        assert_eq!(matches!(error, StoreError::Corrupt(_)), is_corrupt, "{code}: {error}");
        assert_eq!(matches!(error, StoreError::Unavailable(_)), !is_corrupt, "{code}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_is_dropped_at_any_point_gives_its_connection_or_its_turn_back() {
    let server = Postgres::start();
    let database = server.database();
    let store = Arc::new(store(&server, &database).await);
    let claim = ReplayClaim {
        issuer: crate::ids::IssuerName::new("ci").unwrap(),
        key: crate::secret::Fingerprint::of(b"token"),
        until: Moment::from_unix_seconds(1),
    };
    for steps in 0..40_usize {
        let life = async {
            let mut unit = store.begin().await.unwrap();
            unit.head().await.unwrap();
            unit.claim(std::slice::from_ref(&claim)).await.unwrap();
            std::future::pending::<()>().await;
        };
        let mut life = Box::pin(life);
        for _ in 0..=steps {
            let _ = futures_util::poll!(&mut life);
            tokio::task::yield_now().await;
        }
        drop(life);
    }
    let mut unit = store.begin().await.unwrap();
    assert_eq!(unit.claim(std::slice::from_ref(&claim)).await.unwrap(), [true]);
    unit.commit().await.unwrap();
}
