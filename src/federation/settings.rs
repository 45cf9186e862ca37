//! One trusted issuer, as configured, and what must hold for the configuration to make sense.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::algorithm::Algorithm;
use crate::claims::Profile;
use crate::ids::{Audience, IssuerName, IssuerUrl};

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `<url>/.well-known/openid-configuration`, then its `jwks_uri` (OIDC Discovery §4).
    Discovery,
    /// A key set at a URL.
    JwksUrl(url::Url),
    /// A key set in a file, read again as it changes.
    JwksFile(PathBuf),
}

/// May a token be presented more than once?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayMode {
    /// Once. The claim is kept until the token's end and the leeway.
    SingleUse,
    /// Until it ends.
    Reusable,
}

/// One trusted issuer, as configured.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// What the configuration calls it.
    pub name: IssuerName,
    /// The `iss` of its tokens, byte by byte. For `spiffe`: `spiffe://<trust domain>`.
    pub url: IssuerUrl,
    /// How its tokens are read.
    pub profile: Profile,
    /// Never empty.
    pub audiences: BTreeSet<Audience>,
    /// Never empty.
    pub algorithms: BTreeSet<Algorithm>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// PEM roots that replace the system's for this issuer: a private CA means only that CA.
    pub ca_file: Option<PathBuf>,
    /// Its key set may be at a private or loopback address.
    pub allow_private_network: bool,
    /// May its tokens be presented again?
    pub replay: ReplayMode,
    /// A token older than this (by `iat`) is refused.
    pub max_token_age: Duration,
    /// A token whose `exp` lies further than this after its `iat` is refused.
    pub max_token_lifetime: Duration,
    /// Claims a token must carry, each with one of the listed values. A name that starts with `/` is a JSON pointer.
    pub require: BTreeMap<String, BTreeSet<String>>,
    /// Do many tenants share it, so that `iss` and `aud` alone say nothing about whose a token is?
    pub shared: bool,
    /// Whether its people may approve: a vendor's issuer is barred with `false`.
    pub may_approve: bool,
}

impl IssuerSettings {
    /// What cannot work, in words for the operator. `config` says more and says it earlier; this is the last gate.
    pub(super) fn fault(&self) -> Option<String> {
        if self.audiences.is_empty() {
            return Some("`audiences` is empty: any token of the issuer would be accepted".to_owned());
        }
        if self.algorithms.is_empty() {
            return Some("`algorithms` is empty".to_owned());
        }
        if self.require.values().any(BTreeSet::is_empty) {
            return Some("`require` lists a claim without values: no token could meet it".to_owned());
        }
        match self.profile {
            Profile::Spiffe => self.spiffe_fault(),
            _ => None,
        }
    }

    fn spiffe_fault(&self) -> Option<String> {
        let domain = self.url.as_str().strip_prefix("spiffe://");
        if !domain.is_some_and(is_trust_domain) {
            return Some(format!("`{}` is not `spiffe://<trust domain>`", self.url));
        }
        (self.keys == KeySource::Discovery)
            .then(|| "a SPIFFE trust domain has no discovery: set `jwks_url` or `jwks_file`".to_owned())
    }
}

/// SPIFFE-ID §2.1: 1-255 of `a-z 0-9 . - _`.
pub(super) fn is_trust_domain(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}
