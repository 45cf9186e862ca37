//! Private keys that sign tokens: parsed once, then used for every token.

use std::fmt;

use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::jwk::Numbers;
use super::{KeyError, PublicJwk};
use crate::ids::Kid;

/// NIST SP 800-131A: an RSA modulus under 2048 bits is no signature.
const SHORTEST_RSA_MODULUS_BYTES: usize = 256;

/// How our tokens are signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256: the default. Fast to sign, small, verified everywhere.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5, for verifiers that know nothing else. About 35 times the cost of ES256 per token.
    #[serde(rename = "RS256")]
    Rs256,
}

impl SigningAlgorithm {
    /// The JWS `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for SigningAlgorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        [Self::Es256, Self::EdDsa, Self::Rs256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or(KeyError::Invalid("a signing algorithm is `ES256`, `EdDSA` or `RS256`"))
    }
}

/// A parsed private key, ready to sign. `Debug` prints its `kid` only.
pub struct SigningKey {
    pair: Pair,
    jwk: PublicJwk,
    /// `ring` seals its trait for random numbers: ECDSA nonces cannot come from our [`Entropy`] port, and must not,
    /// since a repeated one gives the key away.
    ///
    /// [`Entropy`]: crate::entropy::Entropy
    random: SystemRandom,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid())
    }
}

impl SigningKey {
    /// A new key as PKCS#8, to be sealed and then read with [`from_pkcs8`](Self::from_pkcs8).
    ///
    /// RSA keys are not made here: they are imported, because `ring` makes none.
    pub fn generate_pkcs8(algorithm: SigningAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
            SigningAlgorithm::Rs256 => {
                return Err(KeyError::Invalid(
                    "an RS256 key is not made here: name one in `keys.rsa_key_file`",
                ));
            }
        };
        let document = document.map_err(|_| KeyError::Entropy(crate::entropy::EntropyError))?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// A new key that is kept nowhere.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, KeyError> {
        Self::from_pkcs8(algorithm, &Self::generate_pkcs8(algorithm)?)
    }

    /// Reads PKCS#8 DER. RSA keys under 2048 bits are refused.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, der: &[u8]) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = match algorithm {
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
                    .map(Pair::P256)
                    .map_err(|_| KeyError::Invalid("not a P-256 private key in PKCS#8"))?
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8(der)
                .map(Pair::Ed25519)
                .map_err(|_| KeyError::Invalid("not an Ed25519 private key in PKCS#8"))?,
            SigningAlgorithm::Rs256 => Pair::Rsa(rsa_pair(der)?),
        };
        let jwk = PublicJwk::of(pair.numbers()?, algorithm)?;
        Ok(Self { pair, jwk, random })
    }

    /// Takes the PKCS#8 out of a PEM text (`-----BEGIN PRIVATE KEY-----`), for keys that are imported.
    pub fn pkcs8_from_pem(pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map(|der| Zeroizing::new(der.secret_pkcs8_der().to_vec()))
            .map_err(|_| KeyError::Invalid("not one PEM `PRIVATE KEY` (PKCS#8)"))
    }

    /// The RFC 7638 thumbprint.
    pub fn kid(&self) -> &Kid {
        self.jwk.kid()
    }

    /// What it signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.jwk.algorithm()
    }

    /// The public half.
    pub fn public(&self) -> &PublicJwk {
        &self.jwk
    }

    /// JWS signature bytes over `message` (RFC 7518 §3 form).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Entropy(crate::entropy::EntropyError);
        match &self.pair {
            Pair::P256(pair) => pair.sign(&self.random, message).map(|s| s.as_ref().to_vec()).map_err(failed),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    /// Did this key make that signature over `message`?
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let outcome = match &self.pair {
            Pair::P256(pair) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
                .verify(message, signature),
            Pair::Ed25519(pair) => {
                UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref()).verify(message, signature)
            }
            Pair::Rsa(pair) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
                    .verify(message, signature)
            }
        };
        outcome.is_ok()
    }
}

impl Pair {
    fn numbers(&self) -> Result<Numbers, KeyError> {
        match self {
            Self::P256(pair) => Numbers::p256(pair.public_key().as_ref())
                .ok_or(KeyError::Invalid("not an uncompressed P-256 point")),
            Self::Ed25519(pair) => Ok(Numbers::ed25519(pair.public_key().as_ref())),
            Self::Rsa(pair) => {
                let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                Ok(Numbers::rsa(&parts.n, &parts.e))
            }
        }
    }
}

fn rsa_pair(der: &[u8]) -> Result<RsaKeyPair, KeyError> {
    let pair = RsaKeyPair::from_pkcs8(der)
        .map_err(|_| KeyError::Invalid("not an RSA private key of 2048 to 4096 bits in PKCS#8"))?;
    if pair.public().modulus_len() < SHORTEST_RSA_MODULUS_BYTES {
        return Err(KeyError::Invalid("an RSA key has at least 2048 bits"));
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(algorithm: SigningAlgorithm) -> SigningKey {
        SigningKey::from_pkcs8(algorithm, &SigningKey::generate_pkcs8(algorithm).unwrap()).unwrap()
    }

    #[test]
    fn a_key_knows_its_own_signature_and_no_other() {
        let rsa = include_bytes!("testdata/throwaway-rsa-2048.p8");
        let keys = [
            made(SigningAlgorithm::Es256),
            made(SigningAlgorithm::EdDsa),
            SigningKey::from_pkcs8(SigningAlgorithm::Rs256, rsa).unwrap(),
            made(SigningAlgorithm::Es256),
        ];
        for (n, key) in keys.iter().enumerate() {
            let signature = key.sign(b"message").unwrap();
            assert!(!key.verifies(b"massage", &signature));
            assert!(!key.verifies(b"message", &signature[1..]) && !key.verifies(b"message", b""));
            for (m, other) in keys.iter().enumerate() {
                assert_eq!(other.verifies(b"message", &signature), n == m);
            }
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let ed25519 = SigningKey::generate_pkcs8(SigningAlgorithm::EdDsa).unwrap();
        for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
            assert!(matches!(SigningKey::from_pkcs8(algorithm, &ed25519), Err(KeyError::Invalid(_))));
        }
    }

    #[test]
    fn an_rsa_key_is_not_made_but_asked_for() {
        let refusal = SigningKey::generate_pkcs8(SigningAlgorithm::Rs256).unwrap_err().to_string();
        assert!(refusal.contains("`keys.rsa_key_file`"), "{refusal}");
    }

    #[test]
    fn a_short_rsa_key_is_refused() {
        let short = include_bytes!("testdata/throwaway-rsa-1024.p8");
        let refusal = SigningKey::from_pkcs8(SigningAlgorithm::Rs256, short).unwrap_err().to_string();
        assert!(refusal.contains("2048"), "{refusal}");
    }

    #[test]
    fn rs256_signs_with_an_imported_key() {
        let der = include_bytes!("testdata/throwaway-rsa-2048.p8");
        let key = SigningKey::from_pkcs8(SigningAlgorithm::Rs256, der).unwrap();
        let Pair::Rsa(pair) = &key.pair else { panic!("not RSA") };
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
            .verify(b"message", &key.sign(b"message").unwrap())
            .unwrap();
        assert_eq!(serde_json::to_value(key.public()).unwrap()["kty"], "RSA");
    }

    #[test]
    fn es256_signs_in_the_fixed_form_of_rfc_7518() {
        let key = made(SigningAlgorithm::Es256);
        let signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), 64);
        let Pair::P256(pair) = &key.pair else { panic!("not P-256") };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
            .verify(b"message", &signature)
            .unwrap();
    }

    #[test]
    fn eddsa_signs_as_rfc_8037_says() {
        let key = made(SigningAlgorithm::EdDsa);
        let Pair::Ed25519(pair) = &key.pair else { panic!("not Ed25519") };
        UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref())
            .verify(b"message", &key.sign(b"message").unwrap())
            .unwrap();
    }

    #[test]
    fn debug_shows_the_kid_and_nothing_else() {
        let key = made(SigningAlgorithm::Es256);
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.kid()));
    }

    #[test]
    fn an_algorithm_reads_back_and_no_symmetric_one_is_known() {
        assert_eq!("EdDSA".parse::<SigningAlgorithm>().unwrap(), SigningAlgorithm::EdDsa);
        for bad in ["HS256", "none", "es256", ""] {
            assert!(bad.parse::<SigningAlgorithm>().is_err(), "{bad}");
        }
    }
}
