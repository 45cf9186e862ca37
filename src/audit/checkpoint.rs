//! C2SP checkpoints as signed notes: writing, strict reading, and verification with a verifier key. Pure.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::merkle::Hash;
use crate::keys::NoteSigner;
use crate::secret::Fingerprint;

/// The byte that says Ed25519 in key ids and verifier keys (C2SP signed-note).
const ED25519_TYPE: u8 = 1;
/// A checkpoint is a few hundred bytes; a note with more is not one.
const MOST_NOTE_BYTES: usize = 64 * 1024;

/// The state of a log at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: a URL without scheme.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

/// A note that is no valid checkpoint of the expected log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("the note is malformed: {0}")]
    Malformed(&'static str),
    /// No signature by the expected key.
    #[error("the note is not signed by `{0}`")]
    Unsigned(String),
    /// A signature that claims to be the expected key's and is not.
    #[error("the signature of `{0}` does not fit the note")]
    BadSignature(String),
    /// A valid note of another log.
    #[error("the checkpoint is of the log `{found}`, not of `{expected}`")]
    OtherOrigin {
        /// In the note.
        found: String,
        /// The key's name.
        expected: String,
    },
}

impl Checkpoint {
    /// The signed text: three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// The signed note.
    pub fn sign(&self, signer: &NoteSigner) -> String {
        let text = self.text();
        let mut blob = signer.key_id().to_vec();
        blob.extend_from_slice(&signer.sign(text.as_bytes()));
        format!("{text}\n\u{2014} {} {}\n", signer.name(), BASE64.encode(blob))
    }

    /// Reads a signed note and verifies `key`'s signature. Signatures by other keys are ignored; one by `key` that does
    /// not fit rejects the note, even beside one that does.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        let mut signed = false;
        for (name, blob) in &note.signatures {
            let Some((id, signature)) = blob.split_first_chunk::<4>() else { continue };
            if *name != key.name || *id != key.id() {
                continue;
            }
            let public = UnparsedPublicKey::new(&ED25519, &key.public);
            if public.verify(note.text.as_bytes(), signature).is_err() {
                return Err(NoteError::BadSignature(key.name.clone()));
            }
            signed = true;
        }
        if !signed {
            return Err(NoteError::Unsigned(key.name.clone()));
        }
        let checkpoint = Self::parse(note.text)?;
        if checkpoint.origin == key.name {
            Ok(checkpoint)
        } else {
            Err(NoteError::OtherOrigin { found: checkpoint.origin, expected: key.name.clone() })
        }
    }

    /// What a note claims, without any verification: for commands that only need to know where to read.
    pub fn read_unverified(note: &str) -> Result<Self, NoteError> {
        Self::parse(Note::parse(note)?.text)
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        const NO: NoteError = NoteError::Malformed("its text is not origin, size and root, each on a line");
        let mut lines = text.strip_suffix('\n').ok_or(NO)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NO);
        };
        let size = size.parse::<u64>().ok().filter(|number| number.to_string() == size).ok_or(NO)?;
        let root = BASE64.decode(root).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(NO)?;
        if origin.is_empty() { Err(NO) } else { Ok(Self { origin: origin.to_owned(), size, root }) }
    }
}

/// Text and signature lines of a note.
struct Note<'a> {
    /// With its final line feed.
    text: &'a str,
    signatures: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Note<'a> {
    fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > MOST_NOTE_BYTES {
            return Err(NoteError::Malformed("it is over 64 KiB"));
        }
        if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(NoteError::Malformed("it has a control character"));
        }
        // Split at the last empty line: an earlier one would be part of what was signed.
        let split = note.rfind("\n\n").and_then(|at| note.split_at_checked(at + 1));
        let (text, rest) = split.ok_or(NoteError::Malformed("it has no empty line before its signatures"))?;
        let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or(NoteError::Malformed("its last line does not end"))?;
        let signatures = lines.split('\n').map(signature_line).collect::<Option<Vec<_>>>();
        match signatures {
            Some(signatures) => Ok(Self { text, signatures }),
            None => Err(NoteError::Malformed("a signature line is not `— name base64`")),
        }
    }
}

fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let blob = BASE64.decode(blob).ok().filter(|blob| blob.len() > 4)?;
    is_key_name(name).then_some((name, blob))
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace)
}

/// What verifies a log's checkpoints. Prints as `name+hex8(key id)+base64(0x01 ‖ public key)`.
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
    /// The log's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
    pub fn id(&self) -> [u8; 4] {
        let hash = Fingerprint::of_parts(&[self.name.as_bytes(), &[b'\n', ED25519_TYPE], &self.public]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        [a, b, c, d]
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
        write!(f, "{}+{}+{}", self.name, hex(self.id()), BASE64.encode(key))
    }
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
