//! C2SP checkpoints, which are signed notes: writing, strict reading, and verification with a verifier key. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::merkle::Hash;
use crate::keys::NoteSigner;
use crate::keys::note::{self, NoteFault};
pub use crate::keys::note::{VerifierKey, VerifierKeyError};

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
    /// Not a note, not a checkpoint, or not signed by the expected key.
    #[error(transparent)]
    Note(#[from] NoteFault),
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
        note::sign(&self.text(), &[signer])
    }

    /// Reads a signed note and verifies `key`'s signature. Signatures by other keys are ignored; one by `key` that does
    /// not fit rejects the note, even beside one that does.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let checkpoint = Self::parse(note::open(note, key)?)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(NoteError::OtherOrigin { found: checkpoint.origin, expected: key.name().to_owned() })
        }
    }

    /// What a note claims, without any verification: for commands that only need to know where to read.
    pub fn read_unverified(note: &str) -> Result<Self, NoteError> {
        Self::parse(note::text_unverified(note)?)
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        const NO: NoteError =
            NoteError::Note(NoteFault::Malformed("its text is not origin, size and root, each on a line"));
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

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
