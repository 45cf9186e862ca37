//! Offline receipts in the C2SP `tlog-proof` format: one entry's place in the log, to be believed with nothing but the
//! entry and the verifier key. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::checkpoint::{Checkpoint, NoteError, VerifierKey};
use super::merkle::{Hash, ProofError, leaf_hash, verify_inclusion};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^64 entries has no longer path.
const MOST_HASHES: usize = 64;

/// That an entry is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// The entry's place.
    pub index: u64,
    /// From the leaf's sibling upward.
    pub hashes: Vec<Hash>,
    /// A signed note, verbatim: others may have added their signatures.
    pub checkpoint: String,
}

/// A receipt that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Not the format.
    #[error("not a tlog-proof: {0}")]
    Malformed(&'static str),
    /// Its checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// The entry is another one, or at another place.
    #[error("the entry is not in the log at index {index}: {why}")]
    NotIncluded {
        /// Where the receipt says it is.
        index: u64,
        /// What failed.
        why: ProofError,
    },
}

impl TlogProof {
    /// Reads a `.tlog-proof` file. An `extra` line is allowed and not kept: it proves nothing.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        use TlogProofError::Malformed;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(Malformed("it has no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(Malformed("its first line is not `c2sp.org/tlog-proof@v1`"));
        }
        if let Some(extra) = lines.next_if(|line| line.starts_with("extra ")) {
            let extra = extra.strip_prefix("extra ").unwrap_or_default();
            BASE64.decode(extra).map_err(|_| Malformed("its extra line is not base64"))?;
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or(Malformed("its index line is not `index <number>`"))?;
        let hashes = lines.map(hash).collect::<Option<Vec<_>>>();
        let hashes = hashes.filter(|hashes| hashes.len() <= MOST_HASHES);
        let hashes = hashes.ok_or(Malformed("a line of the proof is not a hash in base64"))?;
        Ok(Self { index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Verifies that `entry` is at `index` in the log that `key` signs for; gives the checkpoint that says so.
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<Checkpoint, TlogProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        let index = self.index;
        verify_inclusion(&leaf_hash(entry), index, checkpoint.size, &self.hashes, &checkpoint.root)
            .map_err(|why| TlogProofError::NotIncluded { index, why })?;
        Ok(checkpoint)
    }
}

impl std::fmt::Display for TlogProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{FIRST_LINE}\nindex {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn hash(line: &str) -> Option<Hash> {
    BASE64.decode(line).ok()?.try_into().ok()
}
