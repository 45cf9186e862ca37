//! The log's key: an Ed25519 key with a name (C2SP signed-note).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::KeyError;

/// signed-note's byte for "Ed25519 over the text as it is".
const ED25519: u8 = 0x01;

/// Signs checkpoints: an Ed25519 key with the log's name (C2SP signed-note). Cheap to clone.
#[derive(Clone)]
pub struct NoteSigner {
    name: Arc<str>,
    pair: Arc<Ed25519KeyPair>,
    public: [u8; 32],
    key_id: [u8; 4],
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoteSigner(")?;
        write_id(f, &self.name, self.key_id)?;
        f.write_str(")")
    }
}

impl NoteSigner {
    /// A new key as PKCS#8, to be sealed and then read with [`from_pkcs8`](Self::from_pkcs8).
    pub fn generate_pkcs8() -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map(|document| Zeroizing::new(document.as_ref().to_vec()))
            .map_err(|_| KeyError::Entropy(crate::entropy::EntropyError))
    }

    /// Reads PKCS#8 DER and gives the key its name: the log's origin, without a space or a `+`.
    pub fn from_pkcs8(name: &str, der: &[u8]) -> Result<Self, KeyError> {
        if !is_note_name(name) {
            return Err(KeyError::Invalid(
                "a log's origin is 1 to 200 characters without space, `+` or control characters",
            ));
        }
        let pair = Ed25519KeyPair::from_pkcs8(der)
            .map_err(|_| KeyError::Invalid("not an Ed25519 private key in PKCS#8"))?;
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { name: Arc::from(name), pair: Arc::new(pair), public, key_id: note_key_id(name, &public) })
    }

    /// The name, which is the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `name+hex8(key id)+base64(0x01 ‖ public key)`
    pub fn verifier_key(&self) -> String {
        let mut typed = vec![ED25519];
        typed.extend_from_slice(&self.public);
        format!("{}+{}", self.identity(), STANDARD.encode(typed))
    }

    /// The first four bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ public key).
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// The raw public key (RFC 8032).
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Raw Ed25519 signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }

    /// `name+hex8(key id)`: how the key is called where it is kept.
    pub(super) fn identity(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write_id(&mut text, &self.name, self.key_id);
        text
    }
}

/// A key name: not empty, no space of any script, no `+`, no control character (it stands on a line of its own). The
/// length keeps it inside a key id.
fn is_note_name(name: &str) -> bool {
    (1..=200).contains(&name.len()) && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

fn note_key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let digest = crate::secret::Fingerprint::of_parts(&[name.as_bytes(), &[b'\n', ED25519], public]);
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn write_id(out: &mut impl fmt::Write, name: &str, key_id: [u8; 4]) -> fmt::Result {
    write!(out, "{name}+{:08x}", u32::from_be_bytes(key_id))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519 as ALGORITHM, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_name_that_could_break_a_line_or_a_verifier_key_is_refused() {
        let der = NoteSigner::generate_pkcs8().unwrap();
        for bad in ["", "a b", "a\u{2003}b", "a+b", "a\nb", "a\u{7f}b", &"x".repeat(201)] {
            assert!(NoteSigner::from_pkcs8(bad, &der).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_independent_reader_accepts_the_verifier_key_and_the_signature() {
        use signed_note::{StandardVerifier, Verifier as _};
        let signer =
            NoteSigner::from_pkcs8("broker.example.com/tidegate", &NoteSigner::generate_pkcs8().unwrap())
                .unwrap();
        let verifier = StandardVerifier::new(&signer.verifier_key()).unwrap();
        assert_eq!(verifier.name(), signer.name());
        assert_eq!(verifier.key_id(), u32::from_be_bytes(signer.key_id()));
        assert!(verifier.verify(b"text\n", &signer.sign(b"text\n")));
        assert!(!verifier.verify(b"texT\n", &signer.sign(b"text\n")));
    }

    #[test]
    fn the_signature_is_plain_ed25519() {
        let signer = NoteSigner::from_pkcs8("log", &NoteSigner::generate_pkcs8().unwrap()).unwrap();
        UnparsedPublicKey::new(&ALGORITHM, signer.public()).verify(b"x", &signer.sign(b"x")).unwrap();
    }

    #[test]
    fn debug_shows_the_name_and_the_key_id_only() {
        let signer = NoteSigner::from_pkcs8("log", &NoteSigner::generate_pkcs8().unwrap()).unwrap();
        assert_eq!(format!("{signer:?}"), format!("NoteSigner({})", signer.identity()));
    }
}
