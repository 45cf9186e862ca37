//! What is said, before it has a format.

use serde::{Deserialize, Serialize};

use crate::breakglass::StateName;
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::secret::Fingerprint;

/// One configured receiver: the fingerprint of its URL, so that a reordered configuration sends nothing elsewhere and no
/// secret path stands in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HookId(pub Fingerprint);

/// What happened to an elevation. The `json` format sends it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The audit entry's type, such as `elevation.approved`, or `elevation.ending`.
    pub event: String,
    /// Which.
    pub elevation: ElevationId,
    /// Its version after the change: receivers order and deduplicate by it.
    pub version: u64,
    /// Its state after the change.
    pub state: StateName,
    /// For which grant.
    pub grant: String,
    /// `<issuer name>|<sub>` of who asked.
    pub requester: String,
    /// Their name, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester_name: Option<String>,
    /// Why.
    pub reason: String,
    /// Where the work is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// `<issuer name>|<sub>` of who did it; nobody when it was the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it became true.
    pub at: Moment,
    /// When access ends, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Moment>,
    /// How many have approved.
    pub approvals: u32,
    /// How many must.
    pub approvals_needed: u32,
}
