//! The public half of a note's key, as it is pinned and passed around.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::ED25519_TYPE;
use crate::secret::Fingerprint;

/// What verifies notes of one key. Prints as `name+hex8(key id)+base64(0x01 ‖ public key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

/// Not a verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not three parts.
    #[error("a verifier key has the form `name+hash+key`")]
    Form,
    /// Another algorithm.
    #[error("the verifier key is not an Ed25519 key")]
    Algorithm,
    /// A typing error, or a name that was changed.
    #[error("the verifier key's hash does not fit its name and key")]
    Hash,
}

impl VerifierKey {
    /// Whose key: of a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
    pub fn id(&self) -> [u8; 4] {
        let hash = Fingerprint::of_parts(&[self.name.as_bytes(), &[b'\n', ED25519_TYPE], &self.public]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        [a, b, c, d]
    }

    /// `name+hex8(key id)`: which key, without the key.
    pub fn identity(&self) -> String {
        format!("{}+{}", self.name, hex(self.id()))
    }

    pub(super) fn public(&self) -> &[u8; 32] {
        &self.public
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        // The key is base64 and may hold a `+`; name and hash may not.
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Form);
        };
        let key = BASE64.decode(key).map_err(|_| VerifierKeyError::Form)?;
        let (kind, public) = key.split_first().ok_or(VerifierKeyError::Form)?;
        let public =
            public.try_into().ok().filter(|_| *kind == ED25519_TYPE).ok_or(VerifierKeyError::Algorithm)?;
        if !is_key_name(name) {
            return Err(VerifierKeyError::Form);
        }
        let key = Self { name: name.to_owned(), public };
        if hex(key.id()) == hash { Ok(key) } else { Err(VerifierKeyError::Hash) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<u8> = std::iter::once(ED25519_TYPE).chain(self.public).collect();
        write!(f, "{}+{}", self.identity(), BASE64.encode(key))
    }
}

pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace)
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}
