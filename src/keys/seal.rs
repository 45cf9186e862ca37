//! Private keys at rest: AES-256-GCM under a key-encryption key.
//!
//! A sealed blob is `version (1) ‖ id of the key-encryption key (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`. The version
//! and the id let a later release open old blobs while it seals new ones under another key-encryption key.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use zeroize::Zeroizing;

use super::KeyError;
use crate::entropy::{Entropy, bytes};
use crate::ids::Kid;
use crate::secret::Fingerprint;

const VERSION: u8 = 1;
const ID_LEN: usize = 8;

/// Says which key-encryption key sealed a blob, and nothing about it: the beginning of a hash of its 32 unguessable
/// bytes. Printed as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KekId([u8; ID_LEN]);

impl KekId {
    /// From the bytes that were kept.
    pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
        Self(bytes)
    }

    /// To be kept.
    pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }

    /// What a sealed blob says that it was sealed under; `None` when it is none of ours. Only opening it proves that.
    pub fn of_blob(blob: &[u8]) -> Option<Self> {
        let (version, rest) = blob.split_first()?;
        let (id, _) = rest.split_first_chunk::<ID_LEN>()?;
        (*version == VERSION).then_some(Self(*id))
    }

    fn of_secret(secret: &[u8; 32]) -> Self {
        let digest = Fingerprint::of_fields(&[b"tidegate key-encryption key", secret]);
        Self(digest.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KekId({self})")
    }
}

impl serde::Serialize for KekId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A key-encryption key: 32 bytes that never leave the process. `Debug` shows its id only.
pub struct Kek {
    key: LessSafeKey,
    /// HKDF's first half (RFC 5869 §2.2): whatever else is derived from the key tells nothing about it.
    extracted: hkdf::Prk,
    id: KekId,
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

impl Kek {
    /// From its 32 bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let key = UnboundKey::new(&AES_256_GCM, secret)
            .map_err(|_| KeyError::Invalid("a key-encryption key has 32 bytes"))?;
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tidegate key-encryption key").extract(secret);
        Ok(Self { key: LessSafeKey::new(key), extracted, id: KekId::of_secret(secret) })
    }

    /// Which one it is.
    pub fn id(&self) -> KekId {
        self.id
    }

    /// 32 bytes that are good for `purpose` only (HKDF-SHA256, RFC 5869).
    pub fn derive(&self, purpose: &str) -> Result<[u8; 32], KeyError> {
        let mut derived = [0; 32];
        self.extracted
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut derived))
            .map_err(|_| KeyError::Invalid("nothing can be derived for that purpose"))?;
        Ok(derived)
    }

    /// Seals `private`, which is used for `purpose` (such as `token`). The blob opens only for the same purpose and `kid`, so that whoever can write to the store
    /// cannot pass one key off as another.
    pub fn seal(
        &self,
        purpose: &str,
        kid: &Kid,
        private: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, KeyError> {
        // A random nonce is safe for 2^32 blobs under one key (NIST SP 800-38D §8.3); a broker seals a few a day.
        let nonce = bytes::<NONCE_LEN>(entropy)?;
        let mut blob = vec![VERSION];
        blob.extend_from_slice(&self.id.0);
        blob.extend_from_slice(&nonce);
        let mut secret = Zeroizing::new(private.to_vec());
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                self.context(purpose, kid),
                secret.as_mut_slice(),
            )
            .map_err(|_| KeyError::Invalid("the key is too long to be sealed"))?;
        blob.extend_from_slice(&secret);
        blob.extend_from_slice(tag.as_ref());
        Ok(blob)
    }

    /// Opens what [`seal`](Self::seal) made for the same purpose and `kid`.
    pub fn open(&self, purpose: &str, kid: &Kid, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (nonce, sealed) = self.take_apart(blob).ok_or(KeyError::Sealed)?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let length = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                self.context(purpose, kid),
                buffer.as_mut_slice(),
            )
            .map_err(|_| KeyError::Sealed)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Nonce and ciphertext with its tag; `None` when the blob is of another version or key-encryption key.
    fn take_apart<'a>(&self, blob: &'a [u8]) -> Option<([u8; NONCE_LEN], &'a [u8])> {
        let (_, rest) = blob.split_at_checked(1 + ID_LEN)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        (KekId::of_blob(blob) == Some(self.id)).then_some((*nonce, sealed))
    }

    fn context(&self, purpose: &str, kid: &Kid) -> Aad<[u8; 32]> {
        let fields =
            Fingerprint::of_fields(&[&[VERSION], &self.id.0, purpose.as_bytes(), kid.as_str().as_bytes()]);
        Aad::from(*fields.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn kid(text: &str) -> Kid {
        Kid::new(text).unwrap()
    }

    fn sealed() -> (Kek, Vec<u8>) {
        let kek = Kek::from_bytes(&[7; 32]).unwrap();
        let blob = kek.seal("token", &kid("k1"), b"private", &SystemEntropy::new()).unwrap();
        (kek, blob)
    }

    #[test]
    fn another_key_encryption_key_does_not_open() {
        let (_, blob) = sealed();
        let other = Kek::from_bytes(&[8; 32]).unwrap();
        assert!(matches!(other.open("token", &kid("k1"), &blob), Err(KeyError::Sealed)));
    }

    #[test]
    fn a_blob_does_not_open_in_the_place_of_another_key() {
        let (kek, blob) = sealed();
        assert!(matches!(kek.open("token", &kid("k2"), &blob), Err(KeyError::Sealed)));
        assert!(matches!(kek.open("log", &kid("k1"), &blob), Err(KeyError::Sealed)));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let (kek, blob) = sealed();
        for place in 0..blob.len() {
            let mut changed = blob.clone();
            changed[place] ^= 1;
            assert!(kek.open("token", &kid("k1"), &changed).is_err(), "byte {place}");
            assert!(kek.open("token", &kid("k1"), &blob[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn a_blob_names_the_key_that_sealed_it_and_nothing_else_does() {
        let (kek, blob) = sealed();
        assert_eq!(KekId::of_blob(&blob), Some(kek.id()));
        assert_eq!(kek.id().to_string().len(), 16);
        for none in [&[][..], &[VERSION; 8], &[2; 40]] {
            assert_eq!(KekId::of_blob(none), None);
        }
    }

    /// Made by another implementation from the description above: what was sealed by any release opens.
    #[test]
    fn a_blob_of_the_first_release_opens() {
        let blob = "012d919a29ed009cfd000102030405060708090a0b68f380067c7dbc6a469ab65df138bf1f3b2aaeb44fc064";
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let blob: Vec<u8> = blob.as_bytes().chunks(2).map(byte).collect();
        let kek = Kek::from_bytes(&[7; 32]).unwrap();
        assert_eq!(kek.id().to_string(), "2d919a29ed009cfd");
        assert_eq!(&**kek.open("token", &kid("k1"), &blob).unwrap(), b"private");
    }

    #[test]
    fn it_opens_for_its_own_key_and_hides_it_meanwhile() {
        let (kek, blob) = sealed();
        assert!(!blob.windows(7).any(|window| window == b"private"));
        assert_eq!(&**kek.open("token", &kid("k1"), &blob).unwrap(), b"private");
    }

    #[test]
    fn what_is_derived_differs_by_purpose_and_key() {
        let (kek, _) = sealed();
        let other = Kek::from_bytes(&[8; 32]).unwrap();
        assert_ne!(kek.derive("a").unwrap(), kek.derive("b").unwrap());
        assert_ne!(kek.derive("a").unwrap(), other.derive("a").unwrap());
        assert_eq!(kek.derive("a").unwrap(), kek.derive("a").unwrap());
    }

    #[test]
    fn sealing_twice_gives_two_blobs() {
        let (kek, blob) = sealed();
        let again = kek.seal("token", &kid("k1"), b"private", &SystemEntropy::new()).unwrap();
        assert_ne!(blob, again);
    }

    #[test]
    fn debug_shows_no_byte_of_the_key() {
        let (kek, _) = sealed();
        assert!(!format!("{kek:?}").contains("07070707"));
    }
}
