//! `[store]`.

use super::*;
use crate::store::{PasswordSource, PostgresSettings, PostgresTls};

fn store(lines: &str) -> String {
    format!("{GOOD}\n[store]\n{lines}")
}

fn postgres(lines: &str) -> String {
    store(&format!("url = \"postgres://tidegate@db.example.com/broker\"\n{lines}"))
}

fn read_postgres(lines: &str) -> PostgresSettings {
    match settings(&postgres(lines)).store {
        StoreSettings::Postgres(settings) => *settings,
        StoreSettings::Sqlite(path) => panic!("{}", path.display()),
    }
}

#[test]
fn a_store_that_is_not_known_or_not_durable_is_refused() {
    refuses(&[
        (store("url = \"mysql:x\""), "store.url: no store that is known", "sqlite:"),
        (store("url = \"sqlite:\""), "the path is missing", ""),
        (store("url = \"sqlite::memory:\""), "forgets the audit log", ""),
        (store("url = \"sqlite:x?mode=ro\""), "parameters are not supported", ""),
        (store("max_connections = 5"), "only with PostgreSQL", "leave it out"),
        (store("url = \"sqlite:x\"\npassword_file = \"kek\""), "only with PostgreSQL", "leave it out"),
    ]);
}

#[test]
fn a_way_into_postgres_that_is_not_whole_or_not_safe_is_refused() {
    let local = |parameters: &str, lines: &str| {
        store(&format!("url = \"postgres://me@127.0.0.1/x{parameters}\"\n{lines}"))
    };
    refuses(&[
        (store("url = \"postgres://db/x\""), "store.url: the role is missing", "postgres://"),
        (store("url = \"postgres://me@db\""), "the database is missing", ""),
        (store("url = \"postgres://me@db/x?sslmode=require\""), "`sslmode`", "verify-full"),
        (store("url = \"postgres://me@db/x?options=-cfsync\""), "a parameter that is not supported", ""),
        (store("url = \"postgres://me@db/x?sslrootcert=ca\""), "`sslrootcert` is not supported", "ca_file"),
        (postgres("password_file = \"absent\""), "store.password_file: `", ""),
        (postgres("password_command = []"), "an empty command", ""),
        (postgres("password_command = [\"token\"]"), "no absolute path", ""),
        (postgres("password_command = \"/bin/token\""), "expected a list", ""),
        (
            postgres("password_file = \"kek\"\npassword_command = [\"/bin/token\"]"),
            "exclude each other",
            "keep one",
        ),
        (
            store("url = \"postgres://me:hunter2@db/x\"\npassword_file = \"kek\""),
            "in the URL and elsewhere",
            "out of the URL",
        ),
        (postgres("tls = { cert_file = \"tls.crt\" }"), "missing beside `cert_file`", ""),
        (postgres("tls = { key_file = \"tls.key\" }"), "missing beside `key_file`", ""),
        (postgres("tls = { ca_file = \"absent\" }"), "store.tls.ca_file: `", ""),
        (postgres("tls = { ca = \"tls.crt\" }"), "unknown key `ca`", ""),
        (local("?sslmode=disable", "tls = { ca_file = \"tls.crt\" }"), "beside `tls`", ""),
        (
            store("url = \"postgres:///x?host=/run&user=me\"\ntls = { ca_file = \"tls.crt\" }"),
            "a Unix socket has no TLS",
            "",
        ),
        (postgres("max_connections = 1"), "out of range", "from 2"),
        (postgres("pool = 3"), "unknown key `pool`", ""),
    ]);
}

#[test]
fn a_password_in_the_url_is_never_shown() {
    for url in ["postgres://me:hunter2@db", "postgres://me:hunter2@db/x?sslmode=prefer"] {
        let faults = read(&store(&format!("url = \"{url}\""))).unwrap_err();
        assert!(!format!("{faults:?}").contains("hunter2"), "{faults:?}");
    }
    let settings = settings(&store("url = \"postgres://me:hunter2@db/x\""));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn every_way_into_postgres_is_read() {
    let plain = read_postgres("");
    assert_eq!(plain.tls, Some(PostgresTls::default()), "another machine is never spoken to without TLS");
    assert!(plain.password.is_none() && !plain.trust_server_durability);
    assert_eq!(plain.max_connections, 10);
    let all = read_postgres(
        "password_command = [\"/bin/token\", \"-x\"]\nmax_connections = 30\ntrust_server_durability = true\n\
         tls = { ca_file = \"tls.crt\", cert_file = \"tls.crt\", key_file = \"tls.key\" }",
    );
    assert!(matches!(all.password, Some(PasswordSource::Command(words)) if words == ["/bin/token", "-x"]));
    assert!(all.tls.is_some_and(|tls| tls.ca_file.is_some() && tls.client.is_some()));
    assert_eq!((all.max_connections, all.trust_server_durability), (30, true));
    let file = read_postgres("password_file = \"kek\"");
    assert!(matches!(file.password, Some(PasswordSource::File(path)) if path.is_absolute()));
}
