//! A stranger with 500 malformed or altered tokens gets nothing, leaves nothing and breaks nothing.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use crate::harness::{OidcProvider, Setup, http, log};

const TOKENS: usize = 500;

#[tokio::test]
async fn five_hundred_bad_tokens_yield_no_credential_no_entry_and_no_panic() {
    let issuer = OidcProvider::start();
    let mut broker =
        Setup::new().issuer("idp", issuer.url(), "replay = \"reusable\"").jwt_grant("ledger").start();
    let good = issuer.token("es256").await;
    let bad = bad_tokens(&good);
    assert_eq!(bad.len(), TOKENS);
    // The issuer's keys are known from here on, and the good token is good.
    broker.exchange("ledger", &good).await.granted();
    let size = log::size(&broker).await;

    let client = http::client();
    for (number, token) in bad.iter().enumerate() {
        let answer = broker.try_exchange(&client, "ledger", token, &[]).await.unwrap();
        assert!(matches!(answer.status, 400 | 413), "token {number} `{token:.120}`: {answer:?}");
        assert!(answer.body.get("access_token").is_none(), "token {number}: {answer:?}");
    }

    assert_eq!(log::size(&broker).await, size, "a stranger must not grow the log");
    broker.exchange("ledger", &good).await.granted();
    let logs = broker.stop();
    assert!(!logs.contains("panicked"), "{logs}");
}

/// The same 500 every time, for the same good token.
fn bad_tokens(good: &str) -> Vec<String> {
    let made = [shapes(good), headers(good), payloads(good), truncations(good)].concat();
    // One that was made twice counts once.
    let mut bad: BTreeSet<_> = made.into_iter().collect();
    bad.extend(flips(good, TOKENS - bad.len()));
    bad.into_iter().collect()
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

fn encode(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

/// Not the compact serialization of one JWS.
fn shapes(good: &str) -> Vec<String> {
    let [header, payload, signature] = parts(good);
    let general =
        json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] });
    let flattened = json!({ "payload": payload, "protected": header, "signature": signature });
    [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "null".to_owned(),
        "\u{0}".to_owned(),
        "\u{202e}\u{1f600}".to_owned(),
        "a".repeat(16 * 1024 + 1),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        format!("{header}={payload}={signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{}", "A".repeat(signature.len())),
        format!("{header}.{payload}.{}", "A".repeat(20 * 1024)),
        format!("{payload}.{header}.{signature}"),
        format!("Bearer {good}"),
        general.to_string(),
        flattened.to_string(),
    ]
    .to_vec()
}

/// The header says what the signature does not.
fn headers(good: &str) -> Vec<String> {
    let [header, payload, signature] = parts(good);
    let header = decode(header);
    let changes = [
        json!({ "alg": "none" }),
        json!({ "alg": "None" }),
        json!({ "alg": null }),
        json!({ "alg": "" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "EdDSA" }),
        json!({ "alg": ["ES256"] }),
        json!({ "kid": "another" }),
        json!({ "kid": null }),
        json!({ "kid": "../../etc/passwd" }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "b64": false, "crit": ["b64"] }),
        json!({ "enc": "A256GCM" }),
        json!({ "zip": "DEF" }),
        json!({ "jku": "http://127.0.0.1:1/keys" }),
        json!({ "x5u": "http://127.0.0.1:1/cert" }),
        json!({ "jwk": { "kty": "oct", "k": "AA" } }),
        json!({ "typ": "JWE" }),
    ];
    let altered = changes.iter().map(|change| encode(&merged(&header, change)));
    let mut bad: Vec<_> = altered.clone().map(|header| format!("{header}.{payload}.{signature}")).collect();
    bad.extend(altered.map(|header| format!("{header}.{payload}.")));
    bad
}

/// The payload says what was not signed.
fn payloads(good: &str) -> Vec<String> {
    let [header, payload, signature] = parts(good);
    let claims = decode(payload);
    let changes = [
        json!({ "sub": "administrator" }),
        json!({ "aud": "tidegate2" }),
        json!({ "aud": ["tidegate", "others"] }),
        json!({ "aud": null }),
        json!({ "iss": "https://attacker.example" }),
        json!({ "iss": "http://169.254.169.254/" }),
        json!({ "iss": format!("{}/", claims["iss"].as_str().unwrap()) }),
        json!({ "iss": 7 }),
        json!({ "exp": 99_999_999_999_u64 }),
        json!({ "exp": "99999999999" }),
        json!({ "exp": 1e300 }),
        json!({ "exp": null }),
        json!({ "exp": -1 }),
        json!({ "nbf": "tomorrow" }),
        json!({ "iat": 0 }),
        json!({ "jti": "" }),
        json!({ "jti": "fresh" }),
        json!({ "department": "*" }),
    ];
    let mut bad: Vec<_> = changes
        .iter()
        .map(|change| format!("{header}.{}.{signature}", encode(&merged(&claims, change))))
        .collect();
    let deep = format!("{}1{}", "[".repeat(3000), "]".repeat(3000));
    for text in ["", "null", "[]", "\"text\"", "{", "{\"exp\":1,\"exp\":99999999999}", deep.as_str()] {
        bad.push(format!("{header}.{}.{signature}", BASE64.encode(text)));
        bad.push(format!("{}.{payload}.{signature}", BASE64.encode(text)));
    }
    bad
}

fn merged(object: &Value, change: &Value) -> Value {
    let mut object = object.clone();
    for (name, value) in change.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

/// The good token, cut short.
fn truncations(good: &str) -> Vec<String> {
    let length = good.len();
    (0..100).map(|step| good.get(..length - 1 - step * (length - 2) / 100).unwrap().to_owned()).collect()
}

/// One character of the good token exchanged, all over it, the last one too.
fn flips(good: &str, count: usize) -> Vec<String> {
    let last = good.len() - 1;
    (0..count)
        .map(|number| {
            let mut bytes = good.as_bytes().to_vec();
            let place = if number == 0 { last } else { number * last / count };
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .collect()
}
