//! A store's log beside a checkpoint that was saved before: is it still the same log, and not an older one?
//!
//! Quick, whatever the log's length: believes the stored hashes of subtrees. [`super::verify`] believes none.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::checkpoint::{Checkpoint, VerifierKey, VerifierKeyError};
use super::merkle::{Hash, empty_root};
use super::reader::{LogReader, peaks_of};
use super::verify::{Saved, compare};
use crate::store::{KeyPurpose, LogHead, Store, StoreError};

/// The key of the log in `store`; `None` when no broker has made it yet.
pub async fn verifier_key_of(store: &dyn Store) -> Result<Option<VerifierKey>, StoreError> {
    let rows = store.keys().await?;
    let Some(row) = rows.iter().find(|row| row.purpose == KeyPurpose::Log) else { return Ok(None) };
    let corrupt = |why: &str| StoreError::Corrupt(format!("the stored key of the log is none: {why}"));
    let public = BASE64.decode(&row.public).map_err(|_| corrupt("it is no base64"))?;
    let typed: Vec<u8> = std::iter::once(1).chain(public).collect();
    let text = format!("{}+{}", row.kid.as_str(), BASE64.encode(typed));
    text.parse().map(Some).map_err(|error: VerifierKeyError| corrupt(&error.to_string()))
}

/// The root of the tree that a head remembers.
pub fn root_of(head: &LogHead) -> Hash {
    peaks_of(head).root()
}

/// How the log in `store` compares with `saved`, whose signature the caller has verified.
pub async fn compare_with(store: &Arc<dyn Store>, saved: &Checkpoint) -> Result<Saved, StoreError> {
    let head = store.head().await?;
    let now = Checkpoint { origin: saved.origin.clone(), size: head.size, root: root_of(&head) };
    let reader = LogReader::new(Arc::clone(store));
    let root_then = match saved.size {
        0 => Some(empty_root()),
        then if then > head.size => None,
        then => reader.root_of(then, head.size).await.ok(),
    };
    Ok(compare(saved, &now, root_then))
}
