//! Our own keys: token signing keys with their schedule, the log's key, sealing at rest. Knows when a key may sign and
//! when it must stay published; refuses to know what is signed.

use serde::Serialize;

use crate::clock::Moment;
use crate::ids::Kid;

/// How our tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm { Es256, EdDsa, Rs256 }

/// A parsed private key, ready to sign. `Debug` prints its `kid` only.
pub struct SigningKey {}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("SigningKey") }
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key does not open: wrong key-encryption key or changed data")]
    Sealed,
    #[error("{0}")]
    Invalid(&'static str),
}

impl SigningKey {
    pub fn kid(&self) -> &Kid { todo!() }
    pub fn algorithm(&self) -> SigningAlgorithm { todo!() }
    /// JWS signature bytes over `message` (RFC 7518 §3 form).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> { todo!() }
}

/// Public key as published (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwk { /* kty, crv/x/y or n/e, kid, use, alg */ }

/// The live keys: lock-free reads; the service swaps them.
#[derive(Debug)]
pub struct KeyRing {}

impl KeyRing {
    /// The key that signs at `at`; `None` when there is none (not ready).
    pub fn signer(&self, at: Moment) -> Option<std::sync::Arc<SigningKey>> { todo!() }
    /// Every key that must be published at `at`: next, active and retired ones.
    pub fn published(&self, at: Moment) -> Vec<PublicJwk> { todo!() }
}

/// Signs checkpoints: an Ed25519 key with the log's name (C2SP signed-note).
#[derive(Clone)]
pub struct NoteSigner { name: String, pair: std::sync::Arc<ring::signature::Ed25519KeyPair> }

impl std::fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("NoteSigner") }
}

impl NoteSigner {
    pub fn from_pkcs8(name: &str, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Invalid("not Ed25519"))?;
        Ok(Self { name: name.to_owned(), pair: std::sync::Arc::new(pair) })
    }
    pub fn generate_pkcs8() -> Result<zeroize::Zeroizing<Vec<u8>>, KeyError> {
        let document = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new())
            .map_err(|_| KeyError::Invalid("no randomness"))?;
        Ok(zeroize::Zeroizing::new(document.as_ref().to_vec()))
    }
    fn public(&self) -> &[u8] {
        use ring::signature::KeyPair as _;
        self.pair.public_key().as_ref()
    }
    /// The name, which is the log's origin.
    pub fn name(&self) -> &str { &self.name }
    /// `name+hex8(key id)+base64(0x01 ‖ public key)`
    pub fn verifier_key(&self) -> String {
        use base64::Engine as _;
        let key = [&[1], self.public()].concat();
        format!("{}+{:08x}+{}", self.name, u32::from_be_bytes(self.key_id()), base64::engine::general_purpose::STANDARD.encode(key))
    }
    /// 4-byte key id
    pub fn key_id(&self) -> [u8; 4] {
        let hash = crate::secret::Fingerprint::of_parts(&[self.name.as_bytes(), b"\n\x01", self.public()]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        [a, b, c, d]
    }
    /// Raw Ed25519 signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }
}
