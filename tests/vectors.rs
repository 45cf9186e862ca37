//! Runs every case of `tests/vectors/*.json` against the verifier.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "harness/tokens.rs"]
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::claims::Profile;
use tidegate::clock::{ManualClock, Moment};
use tidegate::entropy::SystemEntropy;
use tidegate::federation::{
    Algorithm, Federation, IssuerSettings, KeySource, ReplayMode, TokenRefusal, UnverifiedToken, VerifyError,
};
use tidegate::ids::{Audience, IssuerName, IssuerUrl};
use tokens::{TestKey, base64url};

fn key(name: &str) -> TestKey {
    match name {
        "rsa" => TestKey::rsa(name),
        "rsa-other" => TestKey::rsa_other(name),
        "p256" => TestKey::p256(name),
        "p384" => TestKey::p384(name),
        "ed25519" => TestKey::ed25519(name),
        other => panic!("no key `{other}`"),
    }
}

/// The good keys and, beside them, every key that must not be used.
fn mixed_set() -> String {
    let mut keys: Vec<Value> = ["rsa", "p256", "p384", "ed25519"].map(|name| key(name).jwk()).to_vec();
    let weak: Value = serde_json::from_str(include_str!("vectors/keys/weak.json")).unwrap();
    for jwk in weak["keys"].as_array().unwrap() {
        let mut jwk = jwk.clone();
        if let Some(same) = jwk.as_object_mut().unwrap().remove("same_modulus_as") {
            jwk["n"] = key(same.as_str().unwrap()).jwk()["n"].clone();
        }
        keys.push(jwk);
    }
    json!({ "keys": keys }).to_string()
}

fn issuer(folder: &Path, name: &str, url: &str, set: &str) -> IssuerSettings {
    let path = folder.join(name);
    std::fs::write(&path, set).unwrap();
    IssuerSettings {
        name: IssuerName::new(name).unwrap(),
        url: IssuerUrl::new(url).unwrap(),
        profile: Profile::Generic,
        audiences: BTreeSet::from([Audience::new("tidegate").unwrap()]),
        algorithms: BTreeSet::from(Algorithm::ALL),
        keys: KeySource::JwksFile(path),
        ca_file: None,
        allow_private_network: false,
        replay: ReplayMode::SingleUse,
        max_token_age: Duration::from_mins(10),
        max_token_lifetime: Duration::from_hours(1),
        require: BTreeMap::new(),
        shared: false,
        may_approve: false,
    }
}

fn token_of(case: &Value) -> String {
    if let Some(token) = case["token"].as_str() {
        return token.to_owned();
    }
    let (header, payload) = (case["header"].as_str().unwrap(), case["payload"].as_str().unwrap());
    if let Some(signature) = case["signature"].as_str() {
        return format!("{}.{}.{signature}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
    }
    let named = serde_json::from_str::<Value>(header)
        .ok()
        .and_then(|header| Some(header["alg"].as_str()?.to_owned()));
    let alg = case["sign_as"].as_str().map(str::to_owned).or(named).unwrap_or_default();
    key(case["key"].as_str().unwrap()).token_from_text(&alg, header, payload)
}

async fn run(file: &str, text: &str) {
    let vectors: Value = serde_json::from_str(text).unwrap();
    let now = Moment::from_unix_seconds(vectors["now"].as_i64().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let other = tokens::jwks(&[&key("rsa-other")]);
    let issuers = vec![
        issuer(folder.path(), "issuer", "https://issuer.example", &mixed_set()),
        issuer(folder.path(), "other", "https://other.example", &other),
    ];
    let federation =
        Federation::new(issuers, Arc::new(ManualClock::at(now)), Arc::new(SystemEntropy::new())).unwrap();
    let mut wrong = Vec::new();
    for case in vectors["cases"].as_array().unwrap() {
        let outcome = match federation.verify(&UnverifiedToken::new(token_of(case)), now).await {
            Ok(_) => "accepted",
            Err(VerifyError::Refused(refusal)) => refusal.code(),
            Err(VerifyError::KeysUnavailable(_)) => "keys_unavailable",
        };
        if case["expect"] != outcome {
            wrong.push(format!("{}: expected {}, was {outcome}", case["name"], case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{file}\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn algorithms() {
    run("algorithms.json", include_str!("vectors/algorithms.json")).await;
}

#[tokio::test]
async fn serialization() {
    run("serialization.json", include_str!("vectors/serialization.json")).await;
}

#[tokio::test]
async fn header() {
    run("header.json", include_str!("vectors/header.json")).await;
}

#[tokio::test]
async fn claims() {
    run("claims.json", include_str!("vectors/claims.json")).await;
}

/// Reasons that need another trust, or a server, than the vectors have; each has its own test in `federation`.
const ELSEWHERE: [&str; 3] = ["algorithm_not_allowed", "ambiguous_key", "requirement_unmet"];

#[test]
fn every_reason_to_refuse_has_a_case() {
    let all = [
        include_str!("vectors/algorithms.json"),
        include_str!("vectors/serialization.json"),
        include_str!("vectors/header.json"),
        include_str!("vectors/claims.json"),
    ];
    for code in TokenRefusal::CODES.iter().filter(|code| !ELSEWHERE.contains(code)) {
        assert!(all.iter().any(|text| text.contains(&format!("\"expect\": \"{code}\""))), "{code}");
    }
}
