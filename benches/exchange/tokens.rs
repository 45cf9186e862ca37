//! Subject tokens of two issuers, one per algorithm, each token once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::reference::Verifier;

/// A test key: it signs nothing but these tokens.
const RSA_KEY: &[u8] = include_bytes!("../../tests/vectors/keys/rsa-2048.der");

const PODS: usize = 200;

/// The issuer that both servers trust.
pub enum Issuer {
    Es256(EcdsaKeyPair, SystemRandom),
    Rs256(RsaKeyPair, SystemRandom),
}

impl Issuer {
    pub fn es256() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .expect("a key");
        Self::Es256(key, random)
    }

    pub fn rs256() -> Self {
        let key =
            RsaKeyPair::from_pkcs8(RSA_KEY).or_else(|_| RsaKeyPair::from_der(RSA_KEY)).expect("the test key");
        Self::Rs256(key, SystemRandom::new())
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(..) => "ES256",
            Self::Rs256(..) => "RS256",
        }
    }

    pub fn verifier(&self) -> Verifier {
        match self {
            Self::Es256(key, _) => Verifier::Es256(key.public_key().as_ref().to_vec()),
            Self::Rs256(key, _) => {
                let public = ring::signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                Verifier::Rs256 { n: public.n, e: public.e }
            }
        }
    }

    pub fn jwks(&self) -> Value {
        let key = match self.verifier() {
            Verifier::Es256(point) => json!({
                "kty": "EC", "crv": "P-256", "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..]),
                "alg": "ES256", "use": "sig", "kid": "bench",
            }),
            Verifier::Rs256 { n, e } => json!({
                "kty": "RSA", "n": B64.encode(n), "e": B64.encode(e), "alg": "RS256", "use": "sig", "kid": "bench",
            }),
        };
        json!({ "keys": [key] })
    }

    /// A service account's token, as Kubernetes makes them; the account's tokens come from many pods.
    pub fn token(&self, number: usize, issued_at: i64) -> String {
        let header = json!({ "alg": self.algorithm(), "kid": "bench" });
        let pod = format!("invoicer-{}", number % PODS);
        let claims = json!({
            "iss": "https://bench.example.com", "aud": ["tidegate"],
            "sub": "system:serviceaccount:billing:invoicer",
            "iat": issued_at, "nbf": issued_at, "exp": issued_at + 3600, "jti": format!("bench-{number}"),
            "kubernetes.io": {
                "namespace": "billing",
                "node": { "name": "node-1", "uid": "5c5c1e1e-0000-4000-8000-000000000000" },
                "pod": { "name": pod, "uid": "9b1d7c2a-0000-4000-8000-000000000000" },
                "serviceaccount": { "name": "invoicer", "uid": "3f0d4c1e-0000-4000-8000-000000000000" },
                "warnafter": issued_at + 3607,
            },
        });
        let encode = |value: &Value| B64.encode(serde_json::to_vec(value).expect("JSON"));
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", B64.encode(signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(key, random) => key.sign(random, message).expect("a signature").as_ref().to_vec(),
            Self::Rs256(key, random) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).expect("a signature");
                signature
            }
        }
    }
}
