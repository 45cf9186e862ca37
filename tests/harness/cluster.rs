//! Several brokers on one PostgreSQL with a synchronous standby, and everything that can go wrong between them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::broker::{Broker, Setup};
use super::postgres::Postgres;
use super::wire::Wire;

/// What every replica calls itself.
pub(crate) const ISSUER: &str = "https://broker.test";

/// One thing that goes wrong, for a while or for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` of a replica.
    ReplicaKilled,
    /// A replica is stopped in the middle of what it does, and goes on seconds later.
    ReplicaPaused,
    /// `kill -9` of the primary; the standby takes its place.
    PrimaryKilled,
    /// The primary is stopped, and goes on.
    PrimaryPaused,
    /// The primary is started again.
    PrimaryRestarted,
    /// Every connection is closed, and every new one.
    WireCut,
    /// Connections stay open and nothing passes.
    WireSilent,
    /// No table can grow.
    DiskFull,
    /// The write-ahead log cannot be written: the server ends itself.
    LogDiskFull,
    /// Each sync takes a fifth of a second longer.
    SlowSync,
}

pub(crate) const FAULTS: [Fault; 10] = [
    Fault::ReplicaKilled,
    Fault::PrimaryKilled,
    Fault::WireCut,
    Fault::ReplicaPaused,
    Fault::DiskFull,
    Fault::SlowSync,
    Fault::PrimaryPaused,
    Fault::WireSilent,
    Fault::LogDiskFull,
    Fault::PrimaryRestarted,
];

/// How long a fault that passes lasts.
const A_WHILE: Duration = Duration::from_millis(2_500);

/// Brokers, their database and its standby.
pub(crate) struct Cluster {
    pub(crate) replicas: Vec<Broker>,
    wire: Wire,
    primary: Server,
    standby: Server,
}

impl Cluster {
    /// `count` replicas with the same configuration.
    pub(crate) async fn start(count: usize, setup: impl Fn() -> Setup) -> Self {
        let primary = Server::start(None);
        let database = primary.postgres.database();
        let standby = Server::start(Some(&primary.postgres));
        primary.postgres.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        primary.postgres.sql("postgres", "SELECT pg_reload_conf()");
        primary.await_standby();
        let wire = Wire::to(primary.postgres.port()).await;
        let url = format!("postgres://tidegate@127.0.0.1:{}/{database}", wire.port());
        let replica = |_| setup().named(ISSUER).shared(&url).start();
        Self { replicas: (0..count).map(replica).collect(), wire, primary, standby }
    }

    /// Where they listen.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.replicas.iter().map(|replica| replica.url().to_owned()).collect()
    }

    /// Does it to replica `which`, or to the database, and takes it back where it can be taken back.
    pub(crate) async fn suffer(&mut self, fault: Fault, which: usize) {
        match fault {
            Fault::ReplicaKilled => {
                self.replicas[which].kill_9();
                a_while().await;
                self.replicas[which].start_again();
            }
            Fault::ReplicaPaused => {
                self.replicas[which].signal("STOP");
                a_while().await;
                self.replicas[which].signal("CONT");
            }
            Fault::PrimaryKilled => self.fail_over(),
            Fault::PrimaryPaused => {
                self.primary.postgres.pause();
                a_while().await;
                self.primary.postgres.resume();
            }
            Fault::PrimaryRestarted => {
                self.primary.postgres.stop();
                self.primary.postgres.start_again();
            }
            Fault::WireCut => {
                self.wire.cut();
                a_while().await;
                self.wire.lead_to(self.primary.postgres.port());
            }
            Fault::WireSilent => {
                self.wire.go_silent();
                a_while().await;
                self.wire.lead_to(self.primary.postgres.port());
            }
            Fault::DiskFull => self.disk_is("full").await,
            Fault::LogDiskFull => self.disk_is("wal-full").await,
            Fault::SlowSync => self.disk_is("slow").await,
        }
    }

    /// Every replica says that it is ready.
    pub(crate) async fn recovers(&self) {
        for replica in &self.replicas {
            replica.ops_becomes("/readyz", 200).await;
        }
    }

    async fn disk_is(&mut self, how: &str) {
        let flag = self.primary.disk.join(how);
        std::fs::write(&flag, "").unwrap();
        a_while().await;
        std::fs::remove_file(flag).unwrap();
        if self.primary.postgres.has_ended() {
            self.primary.postgres.start_again();
        }
    }

    /// The old primary never comes back; the new one gets a standby of its own.
    fn fail_over(&mut self) {
        self.primary.postgres.kill_9();
        self.standby.postgres.promote();
        let standby = Server::start(Some(&self.standby.postgres));
        self.primary = std::mem::replace(&mut self.standby, standby);
        self.primary.await_standby();
        self.wire.lead_to(self.primary.postgres.port());
    }
}

async fn a_while() {
    tokio::time::sleep(A_WHILE).await;
}

/// A server on a disk that can fall ill.
struct Server {
    postgres: Postgres,
    disk: PathBuf,
    _folder: tempfile::TempDir,
}

impl Server {
    /// One that syncs; a standby waits for its own standby once it is promoted, so that nothing acknowledged is on one
    /// machine only.
    fn start(primary: Option<&Postgres>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        open_to_all(folder.path());
        open_to_all(&disk);
        let library = sick_disk(folder.path());
        let builder = Postgres::builder().durable().env("SICK_DISK", disk.to_str().unwrap());
        let builder = builder.env("LD_PRELOAD", library.to_str().unwrap());
        // A primary that is gone is missed at once, and a standby that is gone soon.
        let builder = builder.setting("wal_receiver_timeout = '2s'").setting("wal_sender_timeout = '2s'");
        let builder = builder.setting("wal_keep_size = '64MB'").setting("max_wal_senders = 5");
        let postgres = match primary {
            None => builder.start(),
            Some(primary) => builder.setting("synchronous_standby_names = '*'").standby_of(primary).start(),
        };
        Self { postgres, disk, _folder: folder }
    }

    /// Until what is committed here is known there.
    fn await_standby(&self) {
        let asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        for _ in 0..1_200 {
            if self.postgres.sql("postgres", asked) == "1" {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no standby follows:\n{}", self.postgres.log());
    }
}

fn sick_disk(folder: &Path) -> PathBuf {
    let library = folder.join("sick_disk.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/counterparts/sick_disk.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl");
    let done = compiler.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    library
}

/// The server runs as somebody else.
fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
