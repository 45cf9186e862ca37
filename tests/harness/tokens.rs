//! Mints tokens for tests: well formed ones, and every malformed one that a test can spell.
//!
//! Needs only ring, base64 and `serde_json`, so that unit tests may include it by `#[path]` too.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot mint a token has failed; inside a unit test these are allowed already"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use serde_json::{Value, json};

/// A private key of a pretended issuer, and the `kid` that its key set calls it by.
pub struct TestKey {
    pub kid: String,
    alg: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl TestKey {
    /// The checked-in 2,048-bit RSA key; signs RS256 unless told otherwise.
    pub fn rsa(kid: &str) -> Self {
        Self::from_rsa(kid, include_bytes!("../vectors/keys/rsa-2048.der"))
    }

    /// Another one.
    pub fn rsa_other(kid: &str) -> Self {
        Self::from_rsa(kid, include_bytes!("../vectors/keys/rsa-2048-other.der"))
    }

    /// The checked-in P-256 key (ES256).
    pub fn p256(kid: &str) -> Self {
        Self::from_ec(
            kid,
            "ES256",
            "P-256",
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            include_bytes!("../vectors/keys/p256.der"),
        )
    }

    /// The checked-in P-384 key (ES384).
    pub fn p384(kid: &str) -> Self {
        Self::from_ec(
            kid,
            "ES384",
            "P-384",
            &ECDSA_P384_SHA384_FIXED_SIGNING,
            include_bytes!("../vectors/keys/p384.der"),
        )
    }

    /// A new P-256 key.
    pub fn fresh_p256(kid: &str) -> Self {
        let der =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self::from_ec(kid, "ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref())
    }

    /// The Ed25519 key whose seed is 32 bytes 07 (`EdDSA`).
    pub fn ed25519(kid: &str) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        Self { kid: kid.to_owned(), alg: "EdDSA", pair: Pair::Ed(pair) }
    }

    fn from_rsa(kid: &str, der: &[u8]) -> Self {
        let pair = Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).unwrap()));
        Self { kid: kid.to_owned(), alg: "RS256", pair }
    }

    fn from_ec(
        kid: &str,
        alg: &'static str,
        curve: &'static str,
        scheme: &'static EcdsaSigningAlgorithm,
        der: &[u8],
    ) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(scheme, der, &SystemRandom::new()).unwrap();
        Self { kid: kid.to_owned(), alg, pair: Pair::Ec(pair, curve) }
    }

    /// What this key signs with when nobody says otherwise.
    pub fn alg(&self) -> &'static str {
        self.alg
    }

    /// The public half, as a key set publishes it.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": base64url(&public.n), "e": base64url(&public.e)})
            }
            Pair::Ec(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token with an ordinary header.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with_header(&json!({"alg": self.alg, "typ": "JWT", "kid": self.kid}), claims)
    }

    /// A token with any header; signed with the header's `alg` where this key can, else with its own.
    pub fn token_with_header(&self, header: &Value, claims: &Value) -> String {
        let alg = header["alg"].as_str().unwrap_or(self.alg);
        self.token_from_text(alg, &header.to_string(), &claims.to_string())
    }

    /// A token whose header and payload are the very text given.
    pub fn token_from_text(&self, alg: &str, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
        let signature = self.sign(alg, input.as_bytes());
        format!("{input}.{}", base64url(&signature))
    }

    /// A signature of `input`; an `alg` that this key cannot do becomes its own.
    pub fn sign(&self, alg: &str, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let scheme: &dyn ring::signature::RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(scheme, &random, input, &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair, _) => pair.sign(&random, input).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }
}

/// A key set.
pub fn jwks(keys: &[&TestKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// Ordinary claims, issued at `at` (seconds) and good for five minutes.
pub fn claims(issuer: &str, subject: &str, audience: &str, at: i64) -> Value {
    json!({"iss": issuer, "sub": subject, "aud": audience, "iat": at, "exp": at + 300})
}

/// `claims` with some members replaced; `null` removes one.
pub fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
