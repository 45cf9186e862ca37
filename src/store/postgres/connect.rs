//! Makes connections: the password asked for anew, the server looked at, the session's deadlines set.

use std::process::Stdio;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgRow, PgSslMode};
use sqlx::{ConnectOptions as _, PgConnection, Row as _};

use super::StoreError;
use super::rows::broken;
use crate::secret::SecretText;
use crate::store::settings::{PasswordSource, PostgresHost, PostgresSettings};

/// 14: what is still supported, and what the tests' statements need.
const OLDEST: i32 = 140_000;

/// How long things may take. Each wait is bounded on this side too: a server that was paused ends nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For a free connection.
    pub(super) acquire: Duration,
    /// For TCP, TLS and the server's greeting.
    pub(super) connect: Duration,
    /// For the program or file that has the password.
    pub(super) password: Duration,
    /// For the answer to one statement, on our side; longer than the server's own.
    pub(super) call: Duration,
    /// For one statement, on the server's side.
    pub(super) statement: Duration,
    /// For a row that another replica holds. Longer than `idle`, so that one that stopped in the middle of a unit costs
    /// the others a wait and not a refusal.
    pub(super) lock: Duration,
    /// Between two statements of a unit: after that the server ends it, and with it what it holds.
    pub(super) idle: Duration,
}

/// A caller of the audit log waits five seconds.
pub(super) const LIMITS: Limits = Limits {
    acquire: Duration::from_secs(2),
    connect: Duration::from_secs(3),
    password: Duration::from_secs(10),
    call: Duration::from_secs(5),
    statement: Duration::from_secs(4),
    lock: Duration::from_secs(3),
    idle: Duration::from_secs(2),
};

/// Schema changes wait for those who read and write under the old schema.
pub(super) const PATIENT: Limits = Limits {
    call: Duration::from_mins(10),
    statement: Duration::from_mins(10),
    lock: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    ..LIMITS
};

/// For a question that reads a few rows, on a session that has patience for more. A server that was paused after its greeting
/// must not hang a start.
pub(super) const LOOKING: Duration = Duration::from_secs(30);

/// Sets what the session needs and says what the server is, in one round trip.
/// `synchronous_commit`: whatever the role's or the database's default is, a commit is durable on the server when it is
/// answered, and on the standbys that `synchronous_standby_names` asks for. The keepalives are the server's: it ends the
/// session of a replica that is gone from the network, which this side cannot do.
const GREETING: &str = "SELECT pg_is_in_recovery() AS standby, \
     current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding, \
     current_setting('fsync') = 'on' AS fsync, current_setting('full_page_writes') = 'on' AS whole_pages, \
     current_setting('synchronous_standby_names') AS standbys, \
     set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), \
     set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false), \
     set_config('idle_in_transaction_session_timeout', $3, false), \
     set_config('default_transaction_isolation', 'read committed', false), \
     set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false), \
     set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '15000', false)";

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// `synchronous_standby_names`: empty when a commit waits for nobody else.
    pub(super) standbys: String,
    /// Does it sync what it commits, whole?
    pub(super) is_durable: bool,
}

/// Knows one database and how to get in.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    settings: PostgresSettings,
    limits: Limits,
}

impl Dialer {
    pub(super) fn new(settings: PostgresSettings, limits: Limits) -> Self {
        Self { settings, limits }
    }

    pub(super) const fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A session that is ours to use, or why not.
    pub(super) async fn connect(&self) -> Result<(PgConnection, Server), StoreError> {
        let options = self.options().await?;
        let greeted = async {
            let mut connection = options.connect().await.map_err(broken)?;
            let millis = |span: Duration| span.as_millis().to_string();
            let greeting = sqlx::query(GREETING)
                .bind(millis(self.limits.statement))
                .bind(millis(self.limits.lock))
                .bind(millis(self.limits.idle));
            let said = greeting.fetch_one(&mut connection).await.map_err(broken)?;
            Ok((connection, self.judge(&said)?))
        };
        let late = |_| StoreError::Unavailable(format!("`{}` did not answer in time", self.settings.host));
        tokio::time::timeout(self.limits.connect, greeted).await.map_err(late)?
    }

    /// Everything a connection needs, with the password of this moment: also for a listener beside the pool.
    pub(super) async fn options(&self) -> Result<PgConnectOptions, StoreError> {
        let PostgresSettings { host, user, database, .. } = &self.settings;
        let password = self.password().await?;
        // Everything that the driver would take from the environment is set here.
        let options = PgConnectOptions::new_without_pgpass()
            .username(user)
            .database(database)
            .password(password.as_ref().map_or("", SecretText::expose))
            .application_name("tidegate")
            .disable_statement_logging();
        let options = match host {
            PostgresHost::Tcp(host, port) => options.host(host.trim_matches(['[', ']'])).port(*port),
            PostgresHost::Socket(folder, port) => options.host("localhost").port(*port).socket(folder),
        };
        let Some(tls) = &self.settings.tls else { return Ok(options.ssl_mode(PgSslMode::Disable)) };
        let options = options.ssl_mode(PgSslMode::VerifyFull);
        let options = match &tls.ca_file {
            Some(file) => options.ssl_root_cert(file),
            None => options.ssl_root_cert_from_pem(Vec::new()),
        };
        Ok(match &tls.client {
            Some((certificate, key)) => options.ssl_client_cert(certificate).ssl_client_key(key),
            None => options,
        })
    }

    async fn password(&self) -> Result<Option<SecretText>, StoreError> {
        let asked = async {
            match &self.settings.password {
                None => Ok(None),
                Some(PasswordSource::Value(secret)) => Ok(Some(secret.clone())),
                Some(PasswordSource::File(path)) => {
                    let unreadable = |error| format!("`{}` cannot be read: {error}", path.display());
                    tokio::fs::read(path).await.map_err(unreadable).and_then(line).map(Some)
                }
                Some(PasswordSource::Command(words)) => said_by(words).await.map(Some),
            }
        };
        let late = |_| "it was not there in time".to_owned();
        let found = tokio::time::timeout(self.limits.password, asked).await.map_err(late).flatten();
        found.map_err(|why| StoreError::Unavailable(format!("no password for PostgreSQL: {why}")))
    }

    fn judge(&self, said: &PgRow) -> Result<Server, StoreError> {
        let flag = |column: &str| said.try_get::<bool, _>(column).map_err(broken);
        let text = |column: &str| said.try_get::<String, _>(column).map_err(broken);
        let refused = |why: &str| Err(StoreError::Refused(format!("`{}`: {why}", self.settings.host)));
        if flag("standby")? {
            let why = format!("`{}` is a standby: it takes no writes", self.settings.host);
            return Err(StoreError::Unavailable(why));
        }
        if said.try_get::<i32, _>("version").map_err(broken)? < OLDEST {
            return refused("it is older than PostgreSQL 14");
        }
        if text("encoding")? != "UTF8" {
            return refused("the database's encoding is not UTF8");
        }
        let is_durable = flag("fsync")? && flag("whole_pages")?;
        // On this machine it is a developer's or a test's: said loudly at each start, and let pass.
        if !is_durable && !self.settings.trust_server_durability && !self.settings.host.is_local() {
            return refused(
                "it runs with `fsync` or `full_page_writes` off: a crash would lose records of credentials that were \
                 delivered; `trust_server_durability` is for storage that needs neither",
            );
        }
        Ok(Server { standbys: text("standbys")?, is_durable })
    }
}

/// One call on a session beside the pool, bounded on this side too. After an error the session is to be given up.
pub(super) async fn bounded<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable("PostgreSQL did not answer in time".to_owned());
    tokio::time::timeout(patience, asked).await.map_err(late)?.map_err(broken)
}

/// Text without one line end at its end.
fn line(bytes: Vec<u8>) -> Result<SecretText, String> {
    let mut text = String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(SecretText::new(text)) }
}

/// What it writes to its standard error goes to ours. Ended when nobody waits for it any longer.
async fn said_by(words: &[String]) -> Result<SecretText, String> {
    let [program, arguments @ ..] = words else { return Err("the command is empty".to_owned()) };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let done = command.output().await.map_err(|error| format!("`{program}` could not be run: {error}"))?;
    if !done.status.success() {
        return Err(format!("`{program}` ended with {}", done.status));
    }
    line(done.stdout).map_err(|why| format!("`{program}`: {why}"))
}
