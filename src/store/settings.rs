//! Where the store is and how it is reached, as written in the configuration. Reads nothing and connects to nothing.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use url::Url;

use crate::secret::SecretText;

/// How many connections to a PostgreSQL server one broker has at most, when nothing is said.
pub const USUAL_CONNECTIONS: u32 = 10;
const POSTGRES_PORT: u16 = 5432;

/// What keeps the state.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// One file of one process.
    Sqlite(PathBuf),
    /// A server that several replicas share.
    Postgres(Box<PostgresSettings>),
}

/// A PostgreSQL database, and how to get in.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// Where it listens.
    pub host: PostgresHost,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// What proves the role, beside a client certificate.
    pub password: Option<PasswordSource>,
    /// `None` only on this machine.
    pub tls: Option<PostgresTls>,
    /// The address says that there is to be none.
    pub refuses_tls: bool,
    /// At least 2: one is kept for units of work.
    pub max_connections: u32,
    /// Takes a server that says that it does not sync what it commits.
    pub trust_server_durability: bool,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostgresHost {
    /// Over TCP.
    Tcp(String, u16),
    /// The folder of its Unix socket, and the port that is part of the socket's name.
    Socket(PathBuf, u16),
}

/// Whose word is taken for the server, and what shows ours. Names are always checked (`verify-full`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostgresTls {
    /// Authorities (PEM) beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where a password comes from. Files and commands are asked again for each new connection.
#[derive(Clone, Debug)]
pub enum PasswordSource {
    /// In the address itself.
    Value(SecretText),
    /// In a file, without the line end at its end.
    File(PathBuf),
    /// The standard output of a program, without the line end at its end: path and arguments, no shell.
    Command(Vec<String>),
}

/// What is wrong with an address, without quoting it (it may hold a password), and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlFault {
    /// What is wrong.
    pub what: String,
    /// What to write.
    pub help: String,
}

fn fault<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, UrlFault> {
    Err(UrlFault { what: what.into(), help: help.into() })
}

impl StoreSettings {
    /// From an address alone: `sqlite:PATH` or `postgres://USER@HOST:PORT/DATABASE`. A path may be relative.
    pub fn from_url(url: &str) -> Result<Self, UrlFault> {
        match url.split_once(':') {
            Some(("sqlite", path)) => sqlite_path(path).map(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => {
                PostgresSettings::from_url(url).map(Box::new).map(Self::Postgres)
            }
            _ => fault(
                "no store that is known; expected `sqlite:PATH` or `postgres://USER@HOST/DATABASE`",
                "such as \"sqlite:tidegate.db\"",
            ),
        }
    }
}

fn sqlite_path(path: &str) -> Result<PathBuf, UrlFault> {
    let help = "such as \"sqlite:tidegate.db\"";
    match path {
        "" => fault("the path is missing; expected `sqlite:PATH`", help),
        path if path.contains(":memory:") => {
            fault("a database in memory forgets the audit log when the process ends; name a file", help)
        }
        path if path.contains(['?', '#']) => {
            fault("parameters are not supported; expected `sqlite:PATH`", help)
        }
        path => Ok(Path::new(path.strip_prefix("//").unwrap_or(path)).to_owned()),
    }
}

impl PostgresHost {
    /// Is it on this machine, where nobody can listen in between?
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket(..) => true,
            Self::Tcp(host, _) => {
                let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
                host == "localhost" || address.is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// A Unix socket?
    pub const fn is_socket(&self) -> bool {
        matches!(self, Self::Socket(..))
    }
}

impl std::fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Socket(folder, port) => write!(f, "{}:{port}", folder.display()),
        }
    }
}

impl PostgresSettings {
    fn from_url(text: &str) -> Result<Self, UrlFault> {
        let example = "such as \"postgres://tidegate@db.example.com/tidegate\"";
        let Ok(url) = Url::parse(text) else { return fault("it is no URL", example) };
        let Parameters { ssl_mode, socket, user } = Parameters::of(&url)?;
        let port = url.port().unwrap_or(POSTGRES_PORT);
        let host = match (url.host_str().filter(|host| !host.is_empty()), socket) {
            (Some(host), None) => PostgresHost::Tcp(host.to_owned(), port),
            (None, Some(folder)) => PostgresHost::Socket(folder, port),
            (None, None) => return fault("the host is missing", example),
            (Some(_), Some(_)) => {
                return fault("it names a host and a socket", "leave out `host=`, or the host before it");
            }
        };
        let decoded = |text: &str, what: &str| match decode(text) {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => fault(format!("the {what} is missing"), example),
            None => fault(format!("the {what} is no UTF-8 text"), example),
        };
        let password = match url.password() {
            Some(password) => Some(PasswordSource::Value(SecretText::new(decoded(password, "password")?))),
            None => None,
        };
        let user = match user {
            Some(_) if !url.username().is_empty() => return fault("it names two roles", example),
            Some(user) => user,
            None => decoded(url.username(), "role")?,
        };
        Ok(Self {
            user,
            database: decoded(url.path().trim_start_matches('/'), "database")?,
            password,
            tls: tls_of(&host, ssl_mode.as_deref())?,
            refuses_tls: ssl_mode.as_deref() == Some("disable"),
            host,
            max_connections: USUAL_CONNECTIONS,
            trust_server_durability: false,
        })
    }
}

/// What may stand behind the `?`.
struct Parameters {
    ssl_mode: Option<String>,
    socket: Option<PathBuf>,
    /// Beside a socket: a URL without a host has no place for it.
    user: Option<String>,
}

impl Parameters {
    fn of(url: &Url) -> Result<Self, UrlFault> {
        let mut found = Self { ssl_mode: None, socket: None, user: None };
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "sslmode" => found.ssl_mode = Some(value.into_owned()),
                "user" if !value.is_empty() => found.user = Some(value.into_owned()),
                "host" if value.starts_with('/') => found.socket = Some(PathBuf::from(value.as_ref())),
                "host" => {
                    return fault("`host=` is for the folder of a socket", "write the host before the `/`");
                }
                "sslrootcert" | "sslcert" | "sslkey" => {
                    return fault(
                        format!("parameter `{key}` is not supported"),
                        "write tls = { ca_file = \"…\", cert_file = \"…\", key_file = \"…\" } in [store]",
                    );
                }
                _ => {
                    // Not quoted: a mistyped address can have anything here.
                    return fault(
                        "it has a parameter that is not supported",
                        "`sslmode`, `host` and `user` are",
                    );
                }
            }
        }
        Ok(found)
    }
}

/// TLS that does not check whom it speaks to keeps nobody out who can answer in the server's place.
fn tls_of(host: &PostgresHost, ssl_mode: Option<&str>) -> Result<Option<PostgresTls>, UrlFault> {
    let help = "leave `sslmode` out, or write sslmode=verify-full";
    match (ssl_mode, host) {
        (Some("verify-full"), PostgresHost::Socket(..)) => {
            fault("a Unix socket has no TLS", "leave `sslmode` out")
        }
        (None, host) if !host.is_local() => Ok(Some(PostgresTls::default())),
        (Some("verify-full"), PostgresHost::Tcp(..)) => Ok(Some(PostgresTls::default())),
        (None | Some("disable"), host) if host.is_local() => Ok(None),
        (Some("disable" | "allow" | "prefer" | "require" | "verify-ca"), _) => {
            fault("that `sslmode` does not make sure whom we speak to", help)
        }
        _ => fault("`sslmode` is not one that is known", help),
    }
}

/// `%XX` (RFC 3986 §2.1).
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(url: &str) -> PostgresSettings {
        match StoreSettings::from_url(url).unwrap() {
            StoreSettings::Postgres(settings) => *settings,
            StoreSettings::Sqlite(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn an_address_that_would_not_make_sure_of_the_server_is_refused() {
        for mode in ["disable", "allow", "prefer", "require", "verify-ca", "sometimes"] {
            let url = format!("postgres://me:hunter2@db.example.com/x?sslmode={mode}");
            let refusal = StoreSettings::from_url(&url).unwrap_err();
            assert!(refusal.what.contains("`sslmode`"), "{mode}: {refusal:?}");
        }
        for local in ["127.0.0.1", "[::1]", "localhost"] {
            let url = format!("postgres://me@{local}/x");
            assert_eq!(postgres(&url).tls, None, "{local}");
            assert_eq!(postgres(&format!("{url}?sslmode=disable")).tls, None, "{local}");
            assert!(postgres(&format!("{url}?sslmode=verify-full")).tls.is_some(), "{local}");
            for mode in ["allow", "prefer", "require", "verify-ca"] {
                assert!(StoreSettings::from_url(&format!("{url}?sslmode={mode}")).is_err(), "{local} {mode}");
            }
        }
        for far in
            ["db.example.com", "10.0.0.1", "[2001:db8::1]", "127.0.0.1.example.com", "localhost.example"]
        {
            assert!(postgres(&format!("postgres://me@{far}/x")).tls.is_some(), "{far}");
        }
    }

    #[test]
    fn a_refusal_and_debug_show_no_password() {
        for url in [
            "postgres://me:hunter2@/x",
            "postgres://me:hunter2@db",
            "postgres://:hunter2@db/x",
            "postgres://me:hunter2@db/x?password=hunter2",
            "postgres://me:hunter2@db/x?sslmode=hunter2",
            "postgres://me:hunter2@db:hunter2/x",
            "postgres://me:hunter2%zz@db/x",
            "postgres://me:hunter2@db/x?host=hunter2",
            "mysql://me:hunter2@db/x",
        ] {
            let refusal = StoreSettings::from_url(url).unwrap_err();
            assert!(!format!("{refusal:?}").contains("hunter2"), "{url}: {refusal:?}");
        }
        let settings = StoreSettings::from_url("postgres://me:hunter2@db/x").unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
    }

    #[test]
    fn every_part_of_an_address_is_read() {
        let settings = postgres("postgresql://a%40b:p%2Fw%25@[::1]:6543/d%20b");
        assert_eq!(settings.host, PostgresHost::Tcp("[::1]".to_owned(), 6543));
        assert_eq!((settings.user.as_str(), settings.database.as_str()), ("a@b", "d b"));
        assert!(matches!(settings.password, Some(PasswordSource::Value(text)) if text.expose() == "p/w%"));
        let socket = postgres("postgres:///x?host=/run/postgresql&user=me");
        assert_eq!(socket.host, PostgresHost::Socket("/run/postgresql".into(), 5432));
        assert_eq!((socket.tls, socket.user.as_str()), (None, "me"));
        assert!(StoreSettings::from_url("postgres:///x?host=/run&user=me&sslmode=verify-full").is_err());
        for wrong in
            ["postgres://me@db/x?host=/run", "postgres:///x?host=/run", "postgres://me@db/x?user=you"]
        {
            assert!(StoreSettings::from_url(wrong).is_err(), "{wrong}");
        }
    }
}
