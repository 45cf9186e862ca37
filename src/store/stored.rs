//! What every backend reads and writes in the same way: numbers, JSON, the head, the key of a claim.

use super::{LogHead, ReplayClaim, StoreError};
use crate::clock::Moment;
use crate::secret::Fingerprint;

/// What a claim is kept under: the first half of SHA-256(issuer, key), each with its length before it. A collision, which
/// takes 2^64 tokens, would refuse the second one; it lets nobody in.
pub(super) type ClaimKey = [u8; 16];

pub(super) fn claim_key(claim: &ReplayClaim) -> ClaimKey {
    let whole = Fingerprint::of_fields(&[claim.issuer.as_str().as_bytes(), claim.key.as_bytes()]);
    let mut half = ClaimKey::default();
    half.iter_mut().zip(whole.as_bytes()).for_each(|(to, from)| *to = *from);
    half
}

/// Integers of databases are signed.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::Corrupt(format!("{number} is more than a database can count")))
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} entries cannot be")))
}

/// [`store copy`](super::copy) takes the head away first and gives it last.
pub(super) fn no_head() -> StoreError {
    StoreError::Corrupt(
        "its log has no head: `tidegate store copy` into it has not ended, and running that again goes on; or the head was \
         deleted"
            .to_owned(),
    )
}

pub(super) fn head(size: i64, peaks: &[u8], last_at: Option<i64>) -> Result<LogHead, StoreError> {
    let (peaks, rest) = peaks.as_chunks::<32>();
    let size = unsigned(size)?;
    if !rest.is_empty() || usize::try_from(size.count_ones()) != Ok(peaks.len()) {
        return Err(StoreError::Corrupt(format!(
            "the log's head has the wrong number of hashes for {size} entries"
        )));
    }
    Ok(LogHead { size, peaks: peaks.to_vec(), last_at: last_at.map(Moment::from_unix_millis) })
}

/// The hash of the row that must be the one at `index`.
pub(super) fn numbered_hash(found: i64, hash: &[u8], index: u64) -> Result<[u8; 32], StoreError> {
    if unsigned(found)? != index {
        return Err(StoreError::Corrupt(format!("row {index} of the log is missing")));
    }
    hash.try_into().map_err(|_| StoreError::Corrupt(format!("row {index} of the log has no 32-byte hash")))
}

/// A value that is kept as JSON text.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, StoreError> {
    // The parser's message can quote the text, which is not ours to show; line and column say enough.
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        StoreError::Corrupt(format!("a stored {what} cannot be read at line {line}, column {column}"))
    })
}

pub(super) fn to_json<T: serde::Serialize>(value: &T, what: &str) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Corrupt(format!("{what} cannot be written: {error}")))
}

pub(super) fn fingerprint(bytes: &[u8], what: &str) -> Result<Fingerprint, StoreError> {
    let bytes =
        bytes.try_into().map_err(|_| StoreError::Corrupt(format!("a stored {what} has no 32 bytes")))?;
    Ok(Fingerprint::from_bytes(bytes))
}
