//! The journeys' PostgreSQL, for the tests of this room.

#![allow(dead_code, reason = "each user of the harness uses its own part of it")]

#[path = "../../tests/harness/certificates.rs"]
mod certificates;
#[path = "../../tests/harness/postgres.rs"]
mod postgres;

pub(super) use postgres::Postgres;

use super::settings::{PostgresSettings, StoreSettings};

impl Postgres {
    /// How to open a database: this server syncs nothing.
    pub(super) fn settings(&self, database: &str) -> StoreSettings {
        StoreSettings::Postgres(Box::new(self.postgres_settings(database)))
    }

    pub(super) fn postgres_settings(&self, database: &str) -> PostgresSettings {
        match StoreSettings::from_url(&self.url(database)).unwrap() {
            StoreSettings::Postgres(settings) => {
                PostgresSettings { trust_server_durability: true, ..*settings }
            }
            StoreSettings::Sqlite(path) => panic!("{}", path.display()),
        }
    }
}

#[test]
fn a_server_keeps_its_data_whatever_ends_it_and_leaves_nothing_behind() {
    let mut server = Postgres::builder().tls().hba("hostssl all tidegate 127.0.0.1/32 cert").start();
    let database = server.database();
    server.sql(&database, "CREATE TABLE t (n int)");
    for (number, end) in [Postgres::stop, Postgres::kill_9].iter().enumerate() {
        server.sql(&database, &format!("INSERT INTO t VALUES ({number})"));
        end(&mut server);
        server.start_again();
    }
    assert_eq!(server.sql(&database, "SELECT n FROM t ORDER BY n"), "0\n1");
    server.pause();
    server.resume();
    assert_eq!(server.sql(&database, "SHOW ssl"), "on");
    let (folder, port) = (server.file(""), server.port());
    assert!(folder.exists());
    drop(server);
    assert!(!folder.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
