//! What the log says about deliveries: answers from memory with a credential whose issue is an entry of its own.

use std::net::IpAddr;

use serde::Serialize;

use super::event::{GrantRecord, PolicyRecord, PrincipalRecord};
use crate::clock::Moment;
use crate::secret::Fingerprint;

/// Deliveries of one credential since the entry about it before this one.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveriesEntry {
    /// To whom.
    pub principal: PrincipalRecord,
    /// For which grant.
    pub grant: GrantRecord,
    /// Who permitted them: each was decided by itself, and by the same policy sets.
    pub policy: PolicyRecord,
    /// What was delivered.
    pub credential: DeliveredCredential,
    /// How often.
    pub count: u64,
    /// The first of them.
    pub first_at: Moment,
    /// The last of them.
    pub last_at: Moment,
    /// From where: the addresses that came first.
    pub sources: Vec<SourceRecord>,
    /// How many came from any other address, or from one that is not known.
    pub other_sources: u64,
}

/// Which credential.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveredCredential {
    /// `aws`
    pub kind: &'static str,
    /// What CloudTrail names.
    pub access_key_id: String,
    /// SHA-256 of the session token.
    pub sha256: Fingerprint,
    /// When access ends.
    pub expires_at: Moment,
    /// The index of the entry that it was issued on.
    pub issue_index: u64,
}

/// Deliveries to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SourceRecord {
    /// The address.
    pub ip: IpAddr,
    /// How many.
    pub count: u64,
}
