//! The small sections: `[log]`, `[keys]`, `[audit]`, `[policy]`.

use std::time::Duration;

use super::custody::{self, KekSettings};
use super::secret_source::{SecretSource, secret};
use super::server::ServerSettings;
use crate::document::Section;
use crate::document::quoted;
use crate::keys::SigningAlgorithm;
use crate::policy::{Settings as PolicySettings, ShadowSettings};
use crate::store::StoreSettings;

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// The least severe lines that are written.
    pub level: LogLevel,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Severities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures of ours.
    Error,
    /// What an operator should look at.
    Warn,
    /// One line for each exchange.
    Info,
    /// Steps.
    Debug,
}

impl LogLevel {
    /// As the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// `[keys]`
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// How our tokens are signed.
    pub algorithm: SigningAlgorithm,
    /// How long a key signs.
    pub rotate_every: Duration,
    /// How long a key is published before it signs. Shorter than `rotate_every`.
    pub publish_ahead: Duration,
    /// What seals private keys at rest.
    pub kek: KekSettings,
    /// The RSA key (PEM) for RS256, and only for it.
    pub rsa_key: Option<SecretSource>,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The log's name: the first line of every checkpoint and the name of its key.
    pub origin: String,
    /// Do entries say what decisions depended on?
    pub facts: bool,
}

/// Enough to see what differs, and less than a busy grant would write in a second.
const SHADOW_LOG_PER_HOUR: u32 = 4;
const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

pub(super) fn read_log(section: Option<&Section<'_>>) -> LogSettings {
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug]
        .map(|level| (level.as_str(), level));
    let format = section.and_then(|section| section.one_of("format", &formats));
    let level = section.and_then(|section| section.one_of("level", &levels));
    LogSettings {
        format: format.map_or(LogFormat::Json, |at| at.value),
        level: level.map_or(LogLevel::Info, |at| at.value),
    }
}

pub(super) fn read_keys(top: &Section<'_>, section: Option<&Section<'_>>) -> Option<KeySettings> {
    let Some(section) = section else {
        if !top.has("keys") {
            top.fault(
                "keys",
                "missing",
                "write [keys] with kek_file = \"kek\" (openssl rand -base64 32 > kek)",
            );
        }
        return None;
    };
    let words = [
        ("ES256", SigningAlgorithm::Es256),
        ("EdDSA", SigningAlgorithm::EdDsa),
        ("RS256", SigningAlgorithm::Rs256),
    ];
    let algorithm = section.one_of("algorithm", &words);
    let rotate_every = section.duration("rotate_every").map_or(DAY, |at| at.value);
    let publish_ahead = section.duration("publish_ahead");
    if publish_ahead.as_ref().is_some_and(|ahead| ahead.value >= rotate_every) {
        section.fault(
            "publish_ahead",
            "not shorter than `rotate_every`",
            "a key is published, then signs, then rests",
        );
    }
    let kek = custody::read(section);
    let rsa_key = secret(section, "rsa_key", "rsa_key_file");
    let algorithm = algorithm.map_or(SigningAlgorithm::Es256, |at| at.value);
    check_rsa_key(section, algorithm);
    Some(KeySettings {
        algorithm,
        rotate_every,
        publish_ahead: publish_ahead.map_or(HOUR.min(rotate_every / 2), |at| at.value),
        kek: kek?,
        rsa_key: rsa_key.map(|at| at.value),
    })
}

/// Replicas hear of a new key within a second; one that signs before all others publish it is a key that verifiers refuse.
const LEAST_AHEAD_OF_REPLICAS: Duration = Duration::from_secs(10);

/// With several replicas a key is published on all of them before any signs with it.
pub(super) fn check_publish_ahead(section: &Section<'_>, keys: &KeySettings, store: &StoreSettings) {
    if matches!(store, StoreSettings::Postgres(_)) && keys.publish_ahead < LEAST_AHEAD_OF_REPLICAS {
        let key = if section.has("publish_ahead") { "publish_ahead" } else { "rotate_every" };
        section.fault(
            key,
            "a key would sign before every replica publishes it",
            "with PostgreSQL publish_ahead is at least 10s, and rotate_every longer than it",
        );
    }
}

fn check_rsa_key(section: &Section<'_>, algorithm: SigningAlgorithm) {
    let key = if section.has("rsa_key") { "rsa_key" } else { "rsa_key_file" };
    match (algorithm, section.has(key)) {
        (SigningAlgorithm::Rs256, false) => section.fault(
            "algorithm",
            "RS256 needs `rsa_key_file`: we do not make RSA keys ourselves",
            "make one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`, or use ES256",
        ),
        (SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa, true) => {
            section.fault(key, "an RSA key is used only with algorithm = \"RS256\"", "leave it out");
        }
        _ => {}
    }
}

pub(super) fn read_audit(
    section: Option<&Section<'_>>,
    server: Option<&ServerSettings>,
) -> Option<AuditSettings> {
    let facts = section.and_then(|section| section.flag("facts")).unwrap_or(true);
    if let Some(section) = section.filter(|section| section.has("origin")) {
        let origin = section.parsed("origin", |text| {
            origin_fault(text).map_or_else(
                || Ok(text.to_owned()),
                |what| {
                    Err((
                        format!("{} {what}", quoted(text)),
                        "such as \"broker.example.com/tidegate\"".to_owned(),
                    ))
                },
            )
        })?;
        return Some(AuditSettings { origin: origin.value, facts });
    }
    let url = &server?.issuer_url;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(AuditSettings { origin: format!("{}{port}/tidegate", url.host_str().unwrap_or_default()), facts })
}

/// C2SP tlog-checkpoint: schema-less; signed-note: a key's name has no space and no plus.
fn origin_fault(text: &str) -> Option<&'static str> {
    match text {
        "" => Some("is empty"),
        _ if text.len() > 255 => Some("is longer than 255 bytes"),
        _ if text.contains("://") => Some("has a scheme"),
        _ if text.contains('+') => Some("has a plus"),
        _ if text.chars().any(|c| c.is_whitespace() || c.is_control()) => Some("has a space"),
        _ => None,
    }
}

pub(super) fn read_policy(top: &Section<'_>, section: Option<&Section<'_>>) -> Option<PolicySettings> {
    let written = section.and_then(|section| section.path("dir"));
    if written.is_none() && section.is_some_and(|section| section.has("dir")) {
        return None;
    }
    let dir = written.map_or_else(|| top.folder().join("policies"), |at| at.value);
    if !dir.is_dir() {
        let (place, key) = section.map_or((top, "policy"), |section| (section, "dir"));
        let help = "a folder with customer/*.cedar: without a policy nothing is permitted";
        place.fault(key, format!("`{}` is no folder", dir.display()), help);
        return None;
    }
    Some(PolicySettings { dir })
}

/// Whether there is such a folder is not asked here: what is tried out must not keep the broker from starting.
pub(super) fn read_shadow(
    section: Option<&Section<'_>>,
    policy: Option<&PolicySettings>,
) -> Option<ShadowSettings> {
    let section = section?;
    let log_per_hour = section.number("shadow_log_per_hour", 0, 1_000);
    let Some(dir) = section.path("shadow_dir") else {
        if section.has("shadow_log_per_hour") {
            section.fault("shadow_log_per_hour", "there is no `shadow_dir`", "name the folder to try out");
        }
        return None;
    };
    if policy.is_some_and(|policy| policy.dir == dir.value) {
        let help = "name the folder with the policies that you want to try out";
        section.fault("shadow_dir", "is the folder that decides", help);
    }
    Some(ShadowSettings { dir: dir.value, log_per_hour: log_per_hour.unwrap_or(SHADOW_LOG_PER_HOUR) })
}
