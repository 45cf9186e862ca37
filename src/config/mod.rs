//! The configuration file: read whole, every fault at once with its place, turned into typed [`Settings`]. Knows the
//! keys of the file and what each room wants; refuses to know what any room does with it.

mod aws;
mod breakglass;
mod broker;
mod custody;
mod grants;
mod issuers;
mod net;
mod outline;
mod secrecy;
mod secret_source;
mod server;
mod shape;
mod store;
mod sts;
#[cfg(test)]
mod tests;
mod vendor;

use std::path::{Path, PathBuf};

pub use aws::{AwsMode, AwsSettings};
pub use breakglass::ClockSettings;
pub use broker::{AuditSettings, KeySettings, LogFormat, LogLevel, LogSettings};
pub use custody::KekSettings;
pub use net::web_url;
pub use outline::{Outline, outline};
pub use secret_source::SecretSource;
pub use server::{ClientCertificates, Limits, Rate, ServerSettings, TlsSettings};
pub use shape::SHAPES;

pub use crate::document::{Fault, Faults, Shape};

use crate::document::{Kind, Section};
use crate::federation::IssuerSettings;
use crate::grants::Catalog;
use crate::notify::Hook;
use crate::policy::{Settings as PolicySettings, ShadowSettings};
use crate::secret::Fingerprint;
use crate::store::StoreSettings;

/// Everything the file says, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the file and of every session policy it names: what `config.loaded` records.
    pub digest: Fingerprint,
    /// `[server]`
    pub server: ServerSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[keys]`
    pub keys: KeySettings,
    /// `[audit]`
    pub audit: AuditSettings,
    /// `[policy]`
    pub policy: PolicySettings,
    /// `[policy]`: what is tried out beside it.
    pub shadow: Option<ShadowSettings>,
    /// `[aws]`; there whenever a grant of kind `aws` is.
    pub aws: Option<AwsSettings>,
    /// `[[issuers]]`, at least one.
    pub issuers: Vec<IssuerSettings>,
    /// `[[grants]]`
    pub grants: Catalog,
    /// `[breakglass]`
    pub breakglass: crate::breakglass::Settings,
    /// `[[notify]]`
    pub notify: Vec<Hook>,
    /// `[clock]`
    pub clock: ClockSettings,
}

/// The configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file itself cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something wrong.
    #[error("`{}` has {} {}\n{faults}", path.display(), faults.iter().len(), if faults.iter().len() == 1 { "fault" } else { "faults" })]
    Faulty {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        faults: Faults,
    },
}

const KIND: Kind = Kind { shapes: SHAPES, hides: secrecy::hides, opens_files: true };

/// Reads the file and every file that it names.
pub fn load(path: &Path) -> Result<Settings, LoadError> {
    load_as(path, parse)
}

fn load_as<T>(path: &Path, parse: fn(&str, &Path) -> Result<T, Faults>) -> Result<T, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map_err(|faults| LoadError::Faulty { path: path.to_owned(), faults })
}

/// The same for text at hand; relative paths start at `folder`.
pub fn parse(text: &str, folder: &Path) -> Result<Settings, Faults> {
    crate::document::read(text, folder, &KIND, |top| read(top, text))
}

fn read(top: &Section<'_>, text: &str) -> Option<Settings> {
    let section = |name: &str, shape| top.section(name, shape);
    let server_section = section("server", &shape::SERVER);
    let server = server_section.as_ref().map(server::read);
    if server.is_none() && !top.has("server") {
        top.fault("server", "missing", "write [server] with issuer and listen");
    }
    let server = server.flatten();
    let log = broker::read_log(section("log", &shape::LOG).as_ref());
    let store = store::read_store(top, section("store", &shape::STORE).as_ref());
    let keys_section = section("keys", &shape::KEYS);
    let keys = broker::read_keys(top, keys_section.as_ref());
    let audit = broker::read_audit(section("audit", &shape::AUDIT).as_ref(), server.as_ref());
    let policy_section = section("policy", &shape::POLICY);
    let policy = broker::read_policy(top, policy_section.as_ref());
    let shadow = broker::read_shadow(policy_section.as_ref(), policy.as_ref());
    let aws = section("aws", &shape::AWS).as_ref().map(aws::read);
    let known_aws = aws.as_ref().and_then(Option::as_ref);
    if let Some((section, keys)) = keys_section.as_ref().zip(keys.as_ref()) {
        custody::check_partition(section, &keys.kek, known_aws);
        if let Some(store) = &store {
            broker::check_publish_ahead(section, keys, store);
        }
    }
    aws::check_web_identity(
        known_aws,
        server_section.as_ref().zip(server.as_ref()),
        keys_section.as_ref().zip(keys.as_ref()),
    );
    let issuers = read_issuers(top, server.as_ref(), known_aws);
    let (grants, session_policies) = grants::read(top, known_aws);
    let breakglass = breakglass::read_breakglass(section("breakglass", &shape::BREAKGLASS).as_ref());
    let notify = breakglass::read_hooks(top);
    let clock = breakglass::read_clock(section("clock", &shape::CLOCK).as_ref());
    let policy = policy.map(|policy| policy_among(policy, issuers.as_deref()));
    let mut digested: Vec<&[u8]> = vec![text.as_bytes()];
    digested.extend(session_policies.iter().map(String::as_bytes));
    Some(Settings {
        digest: Fingerprint::of_fields(&digested),
        server: server?,
        log,
        store: store?,
        keys: keys?,
        audit: audit?,
        policy: policy?,
        shadow,
        aws: aws.map_or(Some(None), |aws| aws.map(Some))?,
        issuers: issuers?,
        grants: grants?,
        breakglass,
        notify: notify?,
        clock,
    })
}

/// Policies may name the issuers that are there, and no other.
fn policy_among(policy: PolicySettings, issuers: Option<&[IssuerSettings]>) -> PolicySettings {
    let named = issuers.unwrap_or_default().iter().map(|issuer| issuer.name.clone());
    PolicySettings { issuers: Some(named.collect()), ..policy }
}

fn read_issuers(
    top: &Section<'_>,
    server: Option<&ServerSettings>,
    aws: Option<&AwsSettings>,
) -> Option<Vec<IssuerSettings>> {
    let sections = top.sections("issuers", &shape::ISSUERS);
    let read: Vec<_> = sections.iter().map(issuers::read).collect();
    let own = server.map(|server| &server.issuer);
    issuers::check_together(top, &sections, own);
    for (section, issuer) in sections.iter().zip(&read) {
        if let Some(issuer) = issuer.as_ref().filter(|issuer| Some(&issuer.url) == own) {
            aws::check_self_trust(section, &issuer.audiences, aws);
        }
    }
    read.into_iter().collect()
}
