//! The witness that an entry is durable.

use crate::ids::RequestId;
use crate::secret::Fingerprint;

/// Proof that the audit entry of one request is durable. Only a committed append makes one, and a credential
/// can be opened only with the receipt of its own request. Not `Clone`: there is one of each, and whoever shows it got it
/// from the commit. A session that is delivered again is opened with the one of its issue.
#[derive(Debug)]
pub struct Receipt {
    request_id: RequestId,
    index: u64,
    leaf_hash: Fingerprint,
}

impl Receipt {
    /// Only this room, after a commit.
    pub(in crate::audit) fn of_committed(request_id: RequestId, index: u64, leaf_hash: Fingerprint) -> Self {
        Self { request_id, index, leaf_hash }
    }

    /// A receipt for the tests of other rooms.
    #[cfg(test)]
    pub(crate) fn for_test(request_id: RequestId) -> Self {
        Self::of_committed(request_id, 0, Fingerprint::of(b"an entry"))
    }

    /// The same, of an entry elsewhere in the log.
    #[cfg(test)]
    pub(crate) fn for_test_at(request_id: RequestId, index: u64) -> Self {
        Self::of_committed(request_id, index, Fingerprint::of(&index.to_be_bytes()))
    }

    /// The request whose entry is durable.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// The entry's place in the log, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// RFC 6962 leaf hash of the entry.
    pub fn leaf_hash(&self) -> Fingerprint {
        self.leaf_hash
    }
}
