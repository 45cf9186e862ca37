//! Signed notes (C2SP signed-note): a text, and Ed25519 signatures under it by keys that have names. Knows the format
//! and who signed; refuses to know what the text says.

mod signer;
mod verifier;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};

pub use signer::NoteSigner;
pub use verifier::{VerifierKey, VerifierKeyError};

/// signed-note's byte for "Ed25519 over the text as it is".
const ED25519_TYPE: u8 = 1;

/// What we sign is a few hundred bytes; a note with more is none of ours.
const MOST_BYTES: usize = 64 * 1024;

/// Not a note, or not one of the expected key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// Not a signed note.
    #[error("the note is malformed: {0}")]
    Malformed(&'static str),
    /// No signature by the expected key.
    #[error("the note is not signed by `{0}`")]
    Unsigned(String),
    /// A signature that claims to be the expected key's and is not.
    #[error("the signature of `{0}` does not fit the note")]
    BadSignature(String),
}

/// The note over `text`, which ends with a line feed, with a signature of each signer.
pub fn sign(text: &str, signers: &[&NoteSigner]) -> String {
    let mut note = format!("{text}\n");
    for signer in signers {
        let mut blob = signer.key_id().to_vec();
        blob.extend_from_slice(&signer.sign(text.as_bytes()));
        // Writing to a string cannot fail.
        let _ = writeln!(note, "\u{2014} {} {}", signer.name(), BASE64.encode(blob));
    }
    note
}

/// The text of a note that `key` signed. Signatures by other keys are ignored; one by `key` that does not fit rejects the
/// note, even beside one that does.
pub fn open<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, NoteFault> {
    let note = Note::parse(note)?;
    let mut signed = false;
    for (name, blob) in &note.signatures {
        let Some((id, signature)) = blob.split_first_chunk::<4>() else { continue };
        if *name != key.name() || *id != key.id() {
            continue;
        }
        let public = UnparsedPublicKey::new(&ED25519, key.public());
        if public.verify(note.text.as_bytes(), signature).is_err() {
            return Err(NoteFault::BadSignature(key.name().to_owned()));
        }
        signed = true;
    }
    if signed { Ok(note.text) } else { Err(NoteFault::Unsigned(key.name().to_owned())) }
}

/// The text of a note, without any verification: for those who only need to know what it claims.
pub fn text_unverified(note: &str) -> Result<&str, NoteFault> {
    Note::parse(note).map(|note| note.text)
}

/// Text and signature lines of a note.
struct Note<'a> {
    /// With its final line feed.
    text: &'a str,
    signatures: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Note<'a> {
    fn parse(note: &'a str) -> Result<Self, NoteFault> {
        if note.len() > MOST_BYTES {
            return Err(NoteFault::Malformed("it is over 64 KiB"));
        }
        if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(NoteFault::Malformed("it has a control character"));
        }
        // Split at the last empty line: an earlier one would be part of what was signed.
        let split = note.rfind("\n\n").and_then(|at| note.split_at_checked(at + 1));
        let (text, rest) = split.ok_or(NoteFault::Malformed("it has no empty line before its signatures"))?;
        let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or(NoteFault::Malformed("its last line does not end"))?;
        let signatures = lines.split('\n').map(signature_line).collect::<Option<Vec<_>>>();
        match signatures {
            Some(signatures) => Ok(Self { text, signatures }),
            None => Err(NoteFault::Malformed("a signature line is not `— name base64`")),
        }
    }
}

fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let blob = BASE64.decode(blob).ok().filter(|blob| blob.len() > 4)?;
    verifier::is_key_name(name).then_some((name, blob))
}
