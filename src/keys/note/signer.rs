//! The private half of a note's key: an Ed25519 key with a name.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::ED25519_TYPE;
use crate::keys::KeyError;
use crate::secret::SecretText;

/// What a private key begins with where it is a text (as Go's `golang.org/x/mod/sumdb/note` writes it).
const PRIVATE: &str = "PRIVATE+KEY+";

/// Signs notes: checkpoints with the log's key, policy bundles with a vendor's. Cheap to clone.
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

    /// Reads PKCS#8 DER and gives the key its name, without a space or a `+`: of a log, its origin.
    pub fn from_pkcs8(name: &str, der: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(der)
            .map_err(|_| KeyError::Invalid("not an Ed25519 private key in PKCS#8"))?;
        Self::named(name, pair)
    }

    /// A new key from 32 bytes that nobody can guess, and its text for [`from_text`](Self::from_text).
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<(Self, SecretText), KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| KeyError::Invalid("not the seed of an Ed25519 key"))?;
        let signer = Self::named(name, pair)?;
        let typed: Zeroizing<Vec<u8>> = Zeroizing::new(std::iter::once(ED25519_TYPE).chain(*seed).collect());
        let encoded = Zeroizing::new(STANDARD.encode(&*typed));
        let text = format!("{PRIVATE}{}+{}", signer.identity(), *encoded);
        Ok((signer, SecretText::new(text)))
    }

    /// Reads `PRIVATE+KEY+name+hex8(key id)+base64(0x01 ‖ seed)`, the text that goes with signed-note's verifier keys.
    pub fn from_text(text: &SecretText) -> Result<Self, KeyError> {
        const FORM: KeyError = KeyError::Invalid("a private key has the form `PRIVATE+KEY+name+hash+key`");
        let mut parts = text.expose().trim().strip_prefix(PRIVATE).ok_or(FORM)?.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(FORM);
        };
        let typed = Zeroizing::new(STANDARD.decode(key).map_err(|_| FORM)?);
        let seed = match typed.split_first() {
            Some((&ED25519_TYPE, seed)) => Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_| FORM)?),
            _ => return Err(KeyError::Invalid("the private key is not an Ed25519 key")),
        };
        let (signer, _) = Self::from_seed(name, &seed)?;
        if format!("{:08x}", u32::from_be_bytes(signer.key_id)) == hash {
            Ok(signer)
        } else {
            Err(KeyError::Invalid("the private key's hash does not fit its name and key"))
        }
    }

    fn named(name: &str, pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        if !is_note_name(name) {
            return Err(KeyError::Invalid(
                "a key's name is 1 to 200 characters without space, `+` or control characters",
            ));
        }
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { name: Arc::from(name), pair: Arc::new(pair), public, key_id: note_key_id(name, &public) })
    }

    /// The name: of a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `name+hex8(key id)+base64(0x01 ‖ public key)`
    pub fn verifier_key(&self) -> String {
        let mut typed = vec![ED25519_TYPE];
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
    pub(in crate::keys) fn identity(&self) -> String {
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
    let digest = crate::secret::Fingerprint::of_parts(&[name.as_bytes(), &[b'\n', ED25519_TYPE], public]);
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
    fn a_private_key_reads_back_from_its_text_and_from_no_other() {
        let (signer, text) = NoteSigner::from_seed("vendor.example/policies", &[7; 32]).unwrap();
        assert!(text.expose().starts_with("PRIVATE+KEY+vendor.example/policies+"));
        let line = SecretText::new(format!("{}\n", text.expose()));
        assert_eq!(NoteSigner::from_text(&line).unwrap().verifier_key(), signer.verifier_key());
        for bad in [
            signer.verifier_key(),
            text.expose().replace("vendor.example", "vandor.example"),
            text.expose().replace("PRIVATE+", ""),
            format!("{PRIVATE}x+00000000+{}", STANDARD.encode([ED25519_TYPE; 32])),
            format!("{PRIVATE}x+00000000+{}", STANDARD.encode([2; 33])),
            String::new(),
        ] {
            assert!(NoteSigner::from_text(&SecretText::new(bad.clone())).is_err(), "{bad}");
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
