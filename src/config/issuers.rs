//! `[[issuers]]`: whom we trust, and how little each of them is trusted with.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::net::{is_loopback, is_private, web_url};
use super::secret_source::readable_file;
use crate::claims::Profile;
use crate::document::quoted;
use crate::document::{At, Section};
use crate::federation::{
    Algorithm, IssuerSettings, KeySource, ReplayMode, immutable_id_claims, is_shared, safe_defaults,
};
use crate::ids::{Audience, IssuerName, IssuerUrl};

const ALGORITHMS: [(&str, Algorithm); 10] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
    ("Ed25519", Algorithm::EdDsa),
];

pub(super) fn read(section: &Section<'_>) -> Option<IssuerSettings> {
    let name = section.require("name", section.parsed("name", name), "such as name = \"prod-cluster\"");
    let profiles = Profile::ALL.map(|profile| (profile.as_str(), profile));
    let profile =
        section.require("profile", section.one_of("profile", &profiles), "such as profile = \"kubernetes\"");
    let profile = profile.map(|at| at.value);
    let allow_private_network = section.flag("allow_private_network").unwrap_or(false);
    let keys = read_keys(section, allow_private_network);
    let url = section.require("url", read_url(section), "such as url = \"https://idp.example.com\"");
    if let (Some(url), Some(keys)) = (&url, &keys) {
        check_url(section, url, keys, profile, allow_private_network);
    }
    let audiences =
        section.require("audiences", read_audiences(section), "such as audiences = [\"tidegate\"]");
    let algorithms = read_algorithms(section);
    let require = read_require(section);
    let shared = url.as_ref().is_some_and(|url| read_shared(section, url.issuer.as_str(), profile, &require));
    let replay = section
        .one_of("replay", &[("single-use", ReplayMode::SingleUse), ("reusable", ReplayMode::Reusable)])
        .map(|at| at.value);
    let (age, lifetime) = (section.duration("max_token_age"), section.duration("max_token_lifetime"));
    let ca_file = readable_file(section, "ca_file");
    let may_approve = read_may_approve(section, profile);
    // Its meaning is checked in `check_together`; here only that it is a flag.
    let _ = section.flag("trust_self");
    let defaults = safe_defaults(profile?);
    Some(IssuerSettings {
        name: name?.value,
        url: url?.issuer,
        profile: profile?,
        audiences: audiences?,
        algorithms: algorithms?,
        keys: keys?,
        ca_file: ca_file.map(|at| at.value),
        allow_private_network,
        replay: replay.unwrap_or(defaults.replay),
        max_token_age: age.map_or(defaults.max_token_age, |at| at.value),
        max_token_lifetime: lifetime.map_or(defaults.max_token_lifetime, |at| at.value),
        require,
        shared,
        may_approve,
    })
}

/// Two issuers may share neither a name nor a URL, and ourselves we trust only when told to.
pub(super) fn check_together(top: &Section<'_>, sections: &[Section<'_>], own: Option<&IssuerUrl>) {
    let (mut names, mut urls) = (BTreeSet::new(), BTreeSet::new());
    for section in sections {
        if let Some(name) = section.quiet_text("name")
            && !names.insert(name)
        {
            section.fault(
                "name",
                format!("two issuers are called {}", quoted(name)),
                "give one another name",
            );
        }
        if let Some(url) = section.quiet_text("url") {
            if !urls.insert(url) {
                let help = "one trust for each issuer: put every audience and algorithm into it";
                section.fault("url", format!("two issuers have the URL {}", quoted(url)), help);
            }
            let ourselves = own.is_some_and(|own| own.as_str() == url.trim_end_matches('/'));
            if ourselves && section.quiet_flag("trust_self") != Some(true) {
                section.fault(
                    "url",
                    "this is our own `server.issuer`: a credential that we issued could be exchanged for another one",
                    "remove it, or write trust_self = true when that is wanted",
                );
            }
        }
    }
    if sections.is_empty() && !top.has("issuers") {
        top.fault("issuers", "missing: without a trusted issuer no token is accepted", "write [[issuers]]");
    }
}

fn name(text: &str) -> Result<IssuerName, (String, String)> {
    IssuerName::new(text).map_err(|error| (error.to_string(), "such as \"prod-cluster\"".to_owned()))
}

struct TrustedUrl {
    issuer: IssuerUrl,
    parsed: Url,
    place: crate::document::Place,
}

/// The text stays as it is: the `iss` of a token is compared with it byte by byte.
fn read_url(section: &Section<'_>) -> Option<TrustedUrl> {
    let read = section.parsed("url", |text| {
        let parsed = if text.starts_with("spiffe://") { trust_domain(text)? } else { web_url(text)? };
        if text.contains(['?', '#']) {
            let help = "an issuer has neither (OIDC Discovery §3)";
            return Err((format!("{} has a query or fragment", quoted(text)), help.to_owned()));
        }
        let issuer = IssuerUrl::new(text).map_err(|error| (error.to_string(), String::new()))?;
        Ok((issuer, parsed))
    })?;
    let (issuer, parsed) = read.value;
    Some(TrustedUrl { issuer, parsed, place: read.place })
}

fn trust_domain(text: &str) -> Result<Url, (String, String)> {
    let domain = text.strip_prefix("spiffe://").unwrap_or_default();
    let fits = (1..=255).contains(&domain.len())
        && domain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b));
    let refusal = || {
        (format!("{} is no trust domain", quoted(text)), "such as \"spiffe://prod.example.com\"".to_owned())
    };
    if fits { Url::parse(text).map_err(|_| refusal()) } else { Err(refusal()) }
}

fn check_url(
    section: &Section<'_>,
    url: &TrustedUrl,
    keys: &KeySource,
    profile: Option<Profile>,
    private: bool,
) {
    let spiffe = url.parsed.scheme() == "spiffe";
    match profile {
        Some(Profile::Spiffe) if !spiffe => {
            let help = "write url = \"spiffe://<trust domain>\": SVIDs are trusted by their trust domain";
            section.fault_at(&url.place, "profile `spiffe` trusts a trust domain", help);
        }
        Some(Profile::Spiffe) | None => {}
        Some(_) if spiffe => {
            section.fault_at(
                &url.place,
                "a trust domain is for profile `spiffe`",
                "write profile = \"spiffe\"",
            );
        }
        Some(_) => {}
    }
    if spiffe && *keys == KeySource::Discovery {
        let help = "write jwks_url = \"https://…\" (the trust bundle endpoint) or jwks_file = \"…\"";
        section.fault_at(&url.place, "a trust domain has no discovery document", help);
    }
    // Only what is fetched can be aimed at our own network; with a key file nothing is.
    if *keys == KeySource::Discovery && is_private(&url.parsed) && !private {
        let what = if is_loopback(&url.parsed) { "this machine" } else { "a private address" };
        let help = "write allow_private_network = true when that is meant";
        section.fault_at(&url.place, format!("{} is {what}", quoted(url.issuer.as_str())), help);
    }
}

fn read_keys(section: &Section<'_>, private: bool) -> Option<KeySource> {
    let file = readable_file(section, "jwks_file");
    let url = section.parsed("jwks_url", web_url);
    match (section.has("jwks_file"), section.has("jwks_url")) {
        (true, true) => {
            section.fault("jwks_url", "`jwks_file` and `jwks_url` exclude each other", "keep one of them");
            None
        }
        (true, false) => key_file(section, file?),
        (false, true) => {
            let url = url?;
            if is_private(&url.value) && !private {
                let message = format!("{} is a private address", quoted(url.value.as_str()));
                section.fault_at(
                    &url.place,
                    message,
                    "write allow_private_network = true when that is meant",
                );
            }
            Some(KeySource::JwksUrl(url.value))
        }
        (false, false) => Some(KeySource::Discovery),
    }
}

fn key_file(section: &Section<'_>, file: At<std::path::PathBuf>) -> Option<KeySource> {
    if !section.opens_files() {
        return Some(KeySource::JwksFile(file.value));
    }
    let text = std::fs::read_to_string(&file.value).unwrap_or_default();
    let set = serde_json::from_str::<serde_json::Value>(&text).ok();
    if set.is_some_and(|set| set.get("keys").is_some_and(serde_json::Value::is_array)) {
        return Some(KeySource::JwksFile(file.value));
    }
    let message = format!("`{}` is no JWK set", file.value.display());
    section.fault_at(&file.place, message, "JSON such as {\"keys\": [ … ]} (RFC 7517 §5)");
    None
}

fn read_audiences(section: &Section<'_>) -> Option<BTreeSet<Audience>> {
    let texts = section.texts("audiences")?;
    if texts.is_empty() {
        let message = "empty: a token made for anybody would be accepted";
        section.fault(
            "audiences",
            message,
            "name the audience that callers ask their issuer for, such as \"tidegate\"",
        );
        return None;
    }
    let parse = |text: &str| Audience::new(text).map_err(|error| (error.to_string(), String::new()));
    let audiences = texts.into_iter().map(|text| section.parse_at(text, parse).map(|at| at.value));
    all(audiences.collect())
}

/// Every one of them, or nothing when one is wrong: all were looked at, so all faults are noted.
fn all<T: Ord>(read: Vec<Option<T>>) -> Option<BTreeSet<T>> {
    read.into_iter().collect()
}

/// RS256 when nothing is said: what an `OpenID` provider signs with unless told otherwise (OIDC Core §15.1).
fn read_algorithms(section: &Section<'_>) -> Option<BTreeSet<Algorithm>> {
    if !section.has("algorithms") {
        return Some(BTreeSet::from([Algorithm::Rs256]));
    }
    let texts = section.texts("algorithms")?;
    if texts.is_empty() {
        section.fault("algorithms", "empty: no token could be accepted", "such as [\"RS256\"]");
        return None;
    }
    let algorithms = texts.into_iter().map(|text| section.parse_at(text, algorithm).map(|at| at.value));
    all(algorithms.collect())
}

fn algorithm(text: &str) -> Result<Algorithm, (String, String)> {
    if let Some((_, algorithm)) = ALGORITHMS.iter().find(|(word, _)| *word == text) {
        return Ok(*algorithm);
    }
    let mut known: Vec<&str> = ALGORITHMS.iter().map(|(word, _)| *word).collect();
    known.dedup();
    let help = format!("one of: {}", known.join(", "));
    let upper = text.to_ascii_uppercase();
    let message = match upper.as_str() {
        "HS256" | "HS384" | "HS512" => {
            format!("{} is symmetric: whoever can check such a token can also make one", quoted(text))
        }
        "NONE" => "`none` is no signature".to_owned(),
        _ => format!("unknown algorithm {}", quoted(text)),
    };
    Err((message, help))
}

fn read_require(section: &Section<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let pairs = section.text_set_pairs("require");
    let mut require = BTreeMap::new();
    for (claim, values) in pairs {
        if values.value.is_empty() || values.value.iter().any(|value| value.is_empty()) {
            let help = "list the values that are accepted, such as [\"1234\"]";
            section.fault_at(&values.place, format!("claim {} has no value to match", quoted(claim)), help);
            continue;
        }
        require.insert(claim.to_owned(), values.value.iter().map(|value| (*value).to_owned()).collect());
    }
    require
}

/// Do many tenants share it? Then a claim must pin one of them.
fn read_shared(
    section: &Section<'_>,
    url: &str,
    profile: Option<Profile>,
    require: &BTreeMap<String, BTreeSet<String>>,
) -> bool {
    let (marked, known) = (section.flag("shared"), is_shared(url));
    if marked == Some(false) && known {
        section.fault("shared", "this issuer is known to serve many tenants", "leave `shared` out");
    }
    if !known && marked != Some(true) {
        return false;
    }
    let ids = immutable_id_claims(profile.unwrap_or(Profile::Generic), url);
    let pinned =
        if ids.is_empty() { !require.is_empty() } else { ids.iter().any(|id| require.contains_key(*id)) };
    if pinned {
        return true;
    }
    let help = match ids.first() {
        Some(first) => format!(
            "add require = {{ {first} = [\"…\"] }}, or another id that is never given twice ({})",
            ids.join(", ")
        ),
        None => "add require = { … = [\"…\"] } with the claim that names your tenant by an id".to_owned(),
    };
    section.fault(
        if section.has("require") { "require" } else { "url" },
        "many tenants share this issuer, and no claim pins yours: every one of them could get a token accepted",
        help,
    );
    true
}

fn read_may_approve(section: &Section<'_>, profile: Option<Profile>) -> bool {
    let written = section.flag("may_approve");
    if written.is_some() && profile.is_some_and(|profile| profile != Profile::Person) {
        section.fault("may_approve", "only people approve", "leave it out, or write profile = \"person\"");
    }
    written.unwrap_or(true) && profile == Some(Profile::Person)
}
