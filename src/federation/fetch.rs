//! The room's only IO: fetches a key set over HTTPS or from a file, and believes nothing of what it gets.
//!
//! No redirect is followed, no proxy of the environment used, nothing of the answer is read beyond a cap, and every
//! address is judged when the connection is made: a name that was public when somebody looked and is private when we
//! connect (DNS rebinding) does not pass.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::address::AddressRule;
use super::json::read_object;
use super::jwk::{ParsedSet, parse_set};
use super::settings::{IssuerSettings, KeySource};
use crate::network::{SystemRoots, client_tls, roots_from};

/// No key set or discovery document is read beyond this: the body is the issuer's, the memory is ours.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// How long one request may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    /// Body included: a server that drips bytes ends here.
    pub(super) total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(5) }
    }
}

/// Why there is no new key set. For the operator: none of it reaches a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("`{0}` is not https (http is for loopback with `allow_private_network` only)")]
    NotHttps(String),
    #[error("`{0}` is at an address that needs `allow_private_network`, or that is never allowed")]
    AddressNotAllowed(String),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no answer in time")]
    Timeout,
    #[error("the answer was HTTP {0}; redirects are not followed")]
    Status(u16),
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("the discovery document is not one, or has no `jwks_uri`")]
    NotDiscovery,
    #[error("the discovery document speaks for another issuer")]
    OtherIssuer,
    #[error("the answer is not a JWK set")]
    NotAKeySet,
    #[error("the set holds no key that can be used")]
    NoUsableKey,
    #[error("cannot read `{path}`: {reason}")]
    File { path: PathBuf, reason: String },
}

impl FetchError {
    /// Stable and bounded, for a metric's label.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NotHttps(_) => "not_https",
            Self::AddressNotAllowed(_) => "address_not_allowed",
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::NotDiscovery => "not_discovery",
            Self::OtherIssuer => "other_issuer",
            Self::NotAKeySet => "not_a_key_set",
            Self::NoUsableKey => "no_usable_key",
            Self::File { .. } => "file",
        }
    }
}

/// Where one issuer's key set comes from, ready to be asked.
#[derive(Debug)]
pub(super) enum Fetcher {
    File(PathBuf),
    Jwks(Http, Url),
    Discovery { http: Http, document: Url, issuer: String },
}

impl Fetcher {
    /// From an issuer's settings. `Err` is for the operator.
    pub(super) fn new(
        settings: &IssuerSettings,
        roots: &SystemRoots,
        timeouts: Timeouts,
    ) -> Result<Self, String> {
        Ok(match &settings.keys {
            KeySource::JwksFile(path) => Self::File(path.clone()),
            KeySource::JwksUrl(url) => Self::Jwks(Http::new(settings, roots, timeouts, url)?, url.clone()),
            KeySource::Discovery => {
                let document = discovery_url(settings.url.as_str())?;
                let http = Http::new(settings, roots, timeouts, &document)?;
                Self::Discovery { http, document, issuer: settings.url.as_str().to_owned() }
            }
        })
    }

    /// Fetches. A set without a usable key is an error, so that it cannot replace a good one.
    pub(super) async fn fetch(&self) -> Result<ParsedSet, FetchError> {
        let body = match self {
            Self::File(path) => read_in_background(path.clone()).await?,
            Self::Jwks(http, url) => http.get(url).await?,
            Self::Discovery { http, document, issuer } => {
                let jwks_uri = discovered(&http.get(document).await?, issuer)?;
                http.get(&jwks_uri).await?
            }
        };
        usable(&body)
    }

    /// Reads a `jwks_file` now; `None` for what needs the network.
    pub(super) fn read_now(&self) -> Option<Result<ParsedSet, FetchError>> {
        match self {
            Self::File(path) => Some(read_file(path).and_then(|body| usable(&body))),
            Self::Jwks(..) | Self::Discovery { .. } => None,
        }
    }
}

fn usable(body: &[u8]) -> Result<ParsedSet, FetchError> {
    let set = parse_set(body).map_err(|_| FetchError::NotAKeySet)?;
    if set.keys.is_empty() { Err(FetchError::NoUsableKey) } else { Ok(set) }
}

/// OIDC Discovery §4.1: a trailing `/` of the issuer is removed before the path is appended.
fn discovery_url(issuer: &str) -> Result<Url, String> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let document = Url::parse(&format!("{base}/.well-known/openid-configuration"))
        .map_err(|fault| format!("`{issuer}` is not a URL ({fault}): set `jwks_url` or `jwks_file`"))?;
    match (document.query(), document.fragment(), document.username(), document.password()) {
        (None, None, "", None) => Ok(document),
        _ => Err(format!("`{issuer}` has a query, a fragment or a user: set `jwks_url` or `jwks_file`")),
    }
}

/// The document must speak for the issuer byte by byte (OIDC Discovery §4.3): otherwise one tenant of a host could
/// answer for another.
fn discovered(body: &[u8], issuer: &str) -> Result<Url, FetchError> {
    let document = read_object(body).map_err(|_| FetchError::NotDiscovery)?;
    if document.text("issuer") != Some(issuer) {
        return Err(FetchError::OtherIssuer);
    }
    let jwks_uri = document.text("jwks_uri").ok_or(FetchError::NotDiscovery)?;
    Url::parse(jwks_uri).map_err(|_| FetchError::NotDiscovery)
}

/// A client that obeys one issuer's address rule.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    rule: AddressRule,
}

impl Http {
    fn new(
        settings: &IssuerSettings,
        roots: &SystemRoots,
        timeouts: Timeouts,
        first: &Url,
    ) -> Result<Self, String> {
        let rule = AddressRule { allow_private: settings.allow_private_network };
        admit(first, rule).map_err(|fault| fault.to_string())?;
        let store = match &settings.ca_file {
            Some(path) => Arc::new(roots_from(path)?),
            None => roots.get(),
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(client_tls(store)?)
            .dns_resolver(GuardedResolver { rule })
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .pool_max_idle_per_host(0) // one request in minutes: a kept connection would only hide a moved address
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|fault| format!("no HTTP client: {fault}"))?;
        Ok(Self { client, rule })
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        admit(url, self.rule)?;
        let mut response = self.client.get(url.clone()).send().await.map_err(|fault| sort(&fault))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|fault| sort(&fault))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Scheme and literal addresses are judged here; names when they are resolved, by [`GuardedResolver`].
fn admit(url: &Url, rule: AddressRule) -> Result<(), FetchError> {
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err(FetchError::NotHttps(url.to_string())),
    };
    let loopback = literal.map_or(url.host_str() == Some(LOCALHOST), |address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if loopback && rule.allow_private => {}
        _ => return Err(FetchError::NotHttps(url.to_string())),
    }
    if literal.is_some_and(|address| !rule.allows(address)) {
        return Err(FetchError::AddressNotAllowed(url.to_string()));
    }
    Ok(())
}

const LOCALHOST: &str = "localhost";

/// Resolves names and keeps only the addresses that the rule allows: the connection is made to one of those and to no
/// other, so there is no second look-up between check and use.
struct GuardedResolver {
    rule: AddressRule,
}

/// Found in an error's chain of causes, to tell a forbidden address from a name that does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("no address of the name is allowed")]
struct NoAllowedAddress;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.rule;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            // plain http is admitted for `localhost`: a hosts file that sends it elsewhere must not carry keys in clear
            let local_only = name.as_str() == LOCALHOST;
            let allowed: Vec<_> = found
                .filter(|address| rule.allows(address.ip()) && (!local_only || address.ip().is_loopback()))
                .collect();
            if allowed.is_empty() {
                return Err(NoAllowedAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn sort(fault: &reqwest::Error) -> FetchError {
    let mut cause = std::error::Error::source(fault);
    let mut deepest = fault.to_string();
    while let Some(inner) = cause {
        if inner.is::<NoAllowedAddress>() {
            return FetchError::AddressNotAllowed(fault.url().map_or_else(String::new, Url::to_string));
        }
        deepest = inner.to_string();
        cause = inner.source();
    }
    if fault.is_timeout() { FetchError::Timeout } else { FetchError::Connect(deepest) }
}

async fn read_in_background(path: PathBuf) -> Result<Vec<u8>, FetchError> {
    let shown = path.clone();
    tokio::task::spawn_blocking(move || read_file(&path))
        .await
        .unwrap_or_else(|fault| Err(FetchError::File { path: shown, reason: fault.to_string() }))
}

fn read_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    let fault = |fault: std::io::Error| FetchError::File { path: path.to_owned(), reason: fault.to_string() };
    let mut body = Vec::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut body).map_err(fault)?;
    if body.len() > MAX_BODY_BYTES { Err(FetchError::TooLarge) } else { Ok(body) }
}
