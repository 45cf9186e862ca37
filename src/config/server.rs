//! `[server]`: who we are, where we listen, and how much we take at once.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::net::web_url;
use super::secret_source::readable_file;
use super::shape;
use crate::document::quoted;
use crate::document::{At, Section};
use crate::ids::IssuerUrl;
use crate::network::Network;

/// The listeners and their limits.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// `iss` of our JWTs, byte for byte.
    pub issuer: IssuerUrl,
    /// The same, parsed: where our documents are found.
    pub issuer_url: Url,
    /// The public listener.
    pub listen: SocketAddr,
    /// The listener for health and metrics. Plain HTTP.
    pub ops_listen: SocketAddr,
    /// `None` only when `listen` is a loopback address.
    pub tls: Option<TlsSettings>,
    /// How much is taken at once.
    pub limits: Limits,
    /// Whose `X-Forwarded-For` is believed. Nobody's, unless said.
    pub trusted_proxies: Vec<Network>,
}

/// TLS on the public listener.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Client certificates, when any are wanted.
    pub clients: Option<ClientCertificates>,
}

/// Whose client certificates are accepted, and whether one is needed.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    /// The authorities, PEM.
    pub ca_file: PathBuf,
    /// Is a connection without one refused?
    pub required: bool,
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body.
    pub max_body_bytes: usize,
    /// From the first byte of a request to the last of its answer.
    pub request_timeout: Duration,
    /// Open connections on the public listener.
    pub max_connections: u32,
    /// Requests being worked on; more are answered 503 at once.
    pub max_concurrent_requests: u32,
    /// Per source address (the /64 for IPv6).
    pub per_ip: Option<Rate>,
    /// Per principal, once it is known.
    pub per_principal: Option<Rate>,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Refill.
    pub per_second: NonZeroU32,
    /// Size.
    pub burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Four times the largest token (16 KiB): room for a subject token, an actor token and form encoding.
            max_body_bytes: 64 * 1024,
            request_timeout: Duration::from_secs(10),
            max_connections: 10_000,
            max_concurrent_requests: 1_024,
            per_ip: Rate::new(100, 2_000),
            per_principal: Rate::new(500, 5_000),
        }
    }
}

impl Rate {
    /// `None` when either is zero: no limit.
    pub const fn new(per_second: u32, burst: u32) -> Option<Self> {
        match (NonZeroU32::new(per_second), NonZeroU32::new(burst)) {
            (Some(per_second), Some(burst)) => Some(Self { per_second, burst }),
            _ => None,
        }
    }
}

pub(super) fn read(section: &Section<'_>) -> Option<ServerSettings> {
    let issuer =
        section.require("issuer", own_issuer(section), "such as issuer = \"https://broker.example.com\"");
    let listen = section.require("listen", address(section, "listen"), "such as listen = \"0.0.0.0:8443\"");
    let ops_listen = address(section, "ops_listen");
    let tls_section = section.section("tls", &shape::TLS);
    let tls = tls_section.as_ref().map(read_tls);
    let limits =
        section.section("limits", &shape::LIMITS).map_or_else(Limits::default, |limits| read_limits(&limits));
    let trusted_proxies = read_proxies(section);
    if let Some(listen) = &listen
        && !section.has("tls")
        && !listen.value.ip().is_loopback()
    {
        let shown = quoted(&listen.value.to_string());
        section.fault_at(
            &listen.place,
            format!("{shown} without `tls`: plain HTTP is accepted only on a loopback address"),
            "add tls = { cert_file = \"tls.crt\", key_file = \"tls.key\" } or listen on 127.0.0.1",
        );
    }
    let (issuer, issuer_url) = issuer?;
    Some(ServerSettings {
        issuer,
        issuer_url,
        listen: listen?.value,
        ops_listen: ops_listen.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090)), |at| at.value),
        tls: tls.map_or(Some(None), |tls| tls.map(Some))?,
        limits,
        trusted_proxies,
    })
}

/// RFC 8414 §2: https, no query, no fragment. A trailing slash is refused because half of the verifiers would cut it off
/// and the other half would then compare two different strings.
fn own_issuer(section: &Section<'_>) -> Option<(IssuerUrl, Url)> {
    let parsed = section.parsed("issuer", |text| {
        let url = web_url(text)?;
        let faulty = |what: &str, help: &str| Err((format!("{} {what}", quoted(text)), help.to_owned()));
        if text.contains(['?', '#']) {
            return faulty("has a query or fragment", "leave it out (RFC 8414 §2)");
        }
        if text.ends_with('/') {
            return faulty(
                "ends with a slash",
                "leave the last slash out: issuers are compared byte by byte",
            );
        }
        if url.as_str().trim_end_matches('/') != text {
            return faulty(
                "is not in its normal form",
                &format!("write \"{}\"", url.as_str().trim_end_matches('/')),
            );
        }
        let issuer = IssuerUrl::new(text).map_err(|error| (error.to_string(), String::new()))?;
        Ok((issuer, url))
    })?;
    Some(parsed.value)
}

fn address(section: &Section<'_>, key: &str) -> Option<At<SocketAddr>> {
    section.parsed(key, |text| {
        text.parse().map_err(|_| {
            let help = "an IP address and a port, such as \"0.0.0.0:8443\" or \"[::1]:8443\"; port 0 picks a free one";
            (format!("{} is no address to listen on", quoted(text)), help.to_owned())
        })
    })
}

fn read_tls(section: &Section<'_>) -> Option<TlsSettings> {
    let file =
        |key: &str| section.require(key, readable_file(section, key), &format!("such as {key} = \"…\""));
    let (cert_file, key_file) = (file("cert_file"), file("key_file"));
    let ca_file = readable_file(section, "client_ca_file");
    let required = section.one_of("client_auth", &[("optional", false), ("required", true)]);
    if section.has("client_auth") && !section.has("client_ca_file") {
        section.fault(
            "client_auth",
            "there is no `client_ca_file`",
            "name the authorities that sign client certificates",
        );
    }
    if section.has("client_ca_file") && ca_file.is_none() {
        return None;
    }
    let required = required.is_some_and(|required| required.value);
    Some(TlsSettings {
        cert_file: cert_file?.value,
        key_file: key_file?.value,
        clients: ca_file.map(|ca| ClientCertificates { ca_file: ca.value, required }),
    })
}

fn read_limits(section: &Section<'_>) -> Limits {
    let usual = Limits::default();
    let number =
        |key: &str, least: u32, most: u32, usual: u32| section.number(key, least, most).unwrap_or(usual);
    let body = section
        .number("max_body_bytes", 1_024, 16 * 1024 * 1024)
        .and_then(|bytes| usize::try_from(bytes).ok());
    Limits {
        max_body_bytes: body.unwrap_or(usual.max_body_bytes),
        request_timeout: section.duration("request_timeout").map_or(usual.request_timeout, |at| at.value),
        max_connections: number("max_connections", 1, 1_000_000, usual.max_connections),
        max_concurrent_requests: number(
            "max_concurrent_requests",
            1,
            1_000_000,
            usual.max_concurrent_requests,
        ),
        per_ip: read_rate(section, "rate_per_ip", "burst_per_ip", usual.per_ip),
        per_principal: read_rate(section, "rate_per_principal", "burst_per_principal", usual.per_principal),
    }
}

/// Without a burst of its own a bucket holds two seconds' worth.
fn read_rate(section: &Section<'_>, rate_key: &str, burst_key: &str, usual: Option<Rate>) -> Option<Rate> {
    let per_second = section.number(rate_key, 0, 1_000_000);
    let burst = section.number(burst_key, 1, 2_000_000);
    let usual_rate = usual.map_or(0, |rate| rate.per_second.get());
    let usual_burst =
        per_second.map_or(usual.map_or(0, |rate| rate.burst.get()), |rate| rate.saturating_mul(2));
    Rate::new(per_second.unwrap_or(usual_rate), burst.unwrap_or(usual_burst))
}

fn read_proxies(section: &Section<'_>) -> Vec<Network> {
    let texts = section.texts("trusted_proxies").unwrap_or_default();
    let networks = texts.into_iter().filter_map(|text| {
        section.parse_at(text, |text| {
            Network::parse(text).ok_or_else(|| {
                (format!("{} is no network", quoted(text)), "such as \"10.0.0.0/8\"".to_owned())
            })
        })
    });
    networks.map(|at| at.value).collect()
}
