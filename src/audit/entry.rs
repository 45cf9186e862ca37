//! From an event to the bytes in the log.

use bytes::Bytes;
use serde::Serialize;

use super::Event;
use crate::clock::Moment;
use crate::ids::{RequestId, UniqueId};

/// An entry bundle gives each entry 16 bits of length.
pub(super) const MOST_ENTRY_BYTES: usize = 65_535;

/// Version of the entry's format: the `v` in it.
const VERSION: u8 = 1;

/// One entry: UTF-8 JSON on one line. Its index is not in it: the tree says where it is.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    v: u8,
    id: UniqueId,
    at: Moment,
    request_id: RequestId,
    #[serde(flatten)]
    event: &'a Event,
}

impl<'a> Entry<'a> {
    pub(super) const fn new(id: UniqueId, at: Moment, request_id: RequestId, event: &'a Event) -> Self {
        Self { v: VERSION, id, at, request_id, event }
    }

    /// `None` when it would be too large for the log.
    pub(super) fn encode(&self) -> Option<Bytes> {
        let text = serde_json::to_vec(self).ok()?;
        (text.len() <= MOST_ENTRY_BYTES).then(|| Bytes::from(text))
    }
}
