//! Whom we speak to, and how we get in.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::secret::SecretText;
use crate::store::{PasswordSource, PostgresHost, PostgresSettings, PostgresTls};

async fn refusal(settings: PostgresSettings) -> String {
    PostgresStore::with_limits(settings, SHORT).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_server_that_its_certificate_does_not_name_is_not_spoken_to() {
    let server = Postgres::builder().tls().hba("hostssl all tidegate 127.0.0.1/32 cert").start();
    let database = server.database();
    let client = Some((server.file("client.crt"), server.file("client.key")));
    let tls = PostgresTls { ca_file: Some(server.file("ca.crt")), client };
    let good = PostgresSettings { tls: Some(tls.clone()), ..server.postgres_settings(&database) };
    let with = |tls: PostgresTls| PostgresSettings { tls: Some(tls), ..good.clone() };
    let stranger = refusal(with(PostgresTls { ca_file: None, ..tls.clone() })).await;
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    let host = PostgresHost::Tcp("localhost".to_owned(), server.port());
    let other_name = refusal(PostgresSettings { host, ..good.clone() }).await;
    assert!(other_name.contains("not valid for name"), "{other_name}");
    let anonymous = refusal(with(PostgresTls { client: None, ..tls })).await;
    assert!(anonymous.contains("certificate"), "{anonymous}");
    let plain = refusal(PostgresSettings { tls: None, ..good.clone() }).await;
    assert!(plain.contains("no encryption"), "{plain}");
    let store = PostgresStore::open(good).await.unwrap();
    assert_eq!(append(&store).await.unwrap(), 0);
    let ours = "SELECT bool_and(ssl AND client_dn = '/CN=tidegate') FROM pg_stat_ssl JOIN pg_stat_activity \
                USING (pid) WHERE usename = 'tidegate'";
    assert_eq!(server.sql("postgres", ours), "t");
}

/// A server that asks for a password, and a file to keep it in.
fn with_password() -> (Postgres, String, PathBuf) {
    let server = Postgres::builder().hba("host all tidegate 127.0.0.1/32 scram-sha-256").start();
    let database = server.database();
    let file = server.file("password");
    set_password(&server, "hunter1");
    std::fs::write(&file, "hunter1\n").unwrap();
    (server, database, file)
}

fn set_password(server: &Postgres, password: &str) {
    server.sql("postgres", &format!("ALTER ROLE tidegate PASSWORD '{password}'"));
}

fn cut_everybody_off(server: &Postgres) {
    server
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tidegate'");
}

#[tokio::test]
async fn a_password_that_changed_is_read_again_for_the_next_connection() {
    let (server, database, file) = with_password();
    let by_file = PostgresSettings {
        password: Some(PasswordSource::File(file.clone())),
        ..server.postgres_settings(&database)
    };
    let wrong = PasswordSource::Value(SecretText::new("hunter2".to_owned()));
    let wrong = refusal(PostgresSettings { password: Some(wrong), ..by_file.clone() }).await;
    assert!(wrong.contains("password authentication failed") && !wrong.contains("hunter"), "{wrong}");
    assert!(refusal(PostgresSettings { password: None, ..by_file.clone() }).await.contains("password"));
    schema::migrate(by_file.clone()).await.unwrap();
    let store = PostgresStore::with_limits(by_file, SHORT).await.unwrap();
    append(&store).await.unwrap();
    set_password(&server, "hunter3");
    append(&store).await.unwrap();
    cut_everybody_off(&server);
    let stale = is_unavailable(append(&store).await);
    assert!(stale.contains("password authentication failed") && !stale.contains("hunter"), "{stale}");
    std::fs::write(&file, "hunter3").unwrap();
    assert_eq!(append(&store).await.unwrap(), 2);
}

#[tokio::test]
async fn a_password_is_what_the_command_says_at_each_new_connection() {
    let (server, database, file) = with_password();
    let script = server.file("token");
    let text = format!(
        "#!/bin/sh\necho asked >>{0}.asked\n[ \"$1\" = --fail ] && exit 3\n[ \"$1\" = --hang ] && exec sleep 60\ncat {0}\n",
        file.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let command = |argument: Option<&str>| {
        let words = std::iter::once(script.display().to_string());
        let words = words.chain(argument.map(str::to_owned)).collect();
        let password = Some(PasswordSource::Command(words));
        PostgresSettings { password, ..server.postgres_settings(&database) }
    };
    let failed = refusal(command(Some("--fail"))).await;
    assert!(failed.contains("token` ended with exit status: 3"), "{failed}");
    let late = refusal(command(Some("--hang"))).await;
    assert!(late.contains("not there in time"), "{late}");
    schema::migrate(command(None)).await.unwrap();
    let store = PostgresStore::with_limits(command(None), SHORT).await.unwrap();
    append(&store).await.unwrap();
    let asked = || std::fs::read_to_string(format!("{}.asked", file.display())).unwrap().lines().count();
    let before = asked();
    append(&store).await.unwrap();
    assert_eq!(asked(), before, "an open connection needs no password");
    set_password(&server, "hunter3");
    std::fs::write(&file, "hunter3\n").unwrap();
    cut_everybody_off(&server);
    append(&store).await.unwrap();
    assert_eq!(asked(), before + 1);
}

#[tokio::test]
async fn a_server_that_could_lose_or_garble_what_it_has_is_refused() {
    let server = Postgres::start();
    let database = server.database();
    let strict = PostgresSettings { trust_server_durability: false, ..server.postgres_settings(&database) };
    // The resolver's short form of 127.0.0.1, which to us is a name like any other.
    let elsewhere =
        PostgresSettings { host: PostgresHost::Tcp("127.1".to_owned(), server.port()), ..strict.clone() };
    let refused = PostgresStore::open(elsewhere).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(why) if why.contains("`fsync`")), "{refused}");
    PostgresStore::open(strict).await.unwrap();
    server.sql("postgres", "CREATE DATABASE odd OWNER tidegate ENCODING 'SQL_ASCII' TEMPLATE template0");
    let refused = PostgresStore::open(server.postgres_settings("odd")).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused(why) if why.contains("UTF8")), "{refused}");
}

#[tokio::test]
async fn a_standby_is_unavailable() {
    let mut server = Postgres::start();
    let database = server.database();
    let store = store(&server, &database).await;
    append(&store).await.unwrap();
    server.stop();
    std::fs::write(server.file("data/standby.signal"), "").unwrap();
    server.start_again();
    let why = is_unavailable(append(&store).await);
    assert!(why.contains("is a standby"), "{why}");
    server.sql("postgres", "SELECT pg_promote()");
    assert_eq!(append(&store).await.unwrap(), 1);
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_whatever_the_role_or_database_prefers() {
    let server = Postgres::start();
    let database = server.database();
    for (theirs, ours) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        server.sql("postgres", &format!("ALTER ROLE tidegate SET synchronous_commit = {theirs}"));
        server.sql("postgres", &format!("ALTER DATABASE {database} SET synchronous_commit = {theirs}"));
        let store = PostgresStore::with_limits(server.postgres_settings(&database), LIMITS).await.unwrap();
        let mut lease = store.pool.lease(Lane::Read).await.unwrap();
        for (setting, expected) in [
            ("synchronous_commit", ours),
            ("statement_timeout", "4s"),
            ("lock_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "2s"),
            ("default_transaction_isolation", "read committed"),
        ] {
            let found = lease.batch(format!("SHOW {setting}")).await.unwrap();
            assert_eq!(rows::only::<String>(&found).unwrap(), expected, "{setting} under {theirs}");
        }
    }
}

#[tokio::test]
async fn a_role_that_may_not_change_the_schema_opens_one_that_is_current() {
    let server = Postgres::start();
    let database = server.database();
    server.sql("postgres", "CREATE ROLE app LOGIN");
    let app = PostgresSettings { user: "app".to_owned(), ..server.postgres_settings(&database) };
    assert!(PostgresStore::open(app.clone()).await.is_err(), "it may make no table");
    let beside = PostgresStore::open_beside(app.clone()).await.unwrap_err().to_string();
    assert!(beside.contains("has no schema of Tidegate"), "{beside}");
    drop(store(&server, &database).await);
    server.sql(&database, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app");
    let store = PostgresStore::open(app.clone()).await.unwrap();
    append(&store).await.unwrap();
    assert_eq!(PostgresStore::open_beside(app).await.unwrap().head().await.unwrap().size, 1);
}

#[tokio::test]
async fn replicas_that_start_together_make_one_schema_and_a_newer_one_is_refused() {
    let server = Postgres::start();
    let database = server.database();
    let settings = server.postgres_settings(&database);
    let starting = (0..4).map(|_| tokio::spawn(PostgresStore::open(settings.clone())));
    for started in futures_util::future::join_all(starting).await {
        started.unwrap().unwrap();
    }
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 99, 'newer', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    server.sql(&database, newer);
    let refused = PostgresStore::open(settings).await.unwrap_err().to_string();
    assert!(refused.contains("schema has version 99, which a newer Tidegate made"), "{refused}");
}
