//! What the log says about elevations, locks and the clock. Plain strings and numbers, like all of the format.

use std::net::IpAddr;

use serde::Serialize;

use super::event::{PolicyRecord, PrincipalRecord, TokenRecord};
use super::facts::FactsRecord;
use crate::clock::Moment;

/// One approval.
#[derive(Clone, Debug, Serialize)]
pub struct ApprovalRecord {
    /// By whom.
    pub by: PrincipalRecord,
    /// When.
    pub at: Moment,
    /// To how much they cut the duration, such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// To which scopes they cut it, space-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// An elevation after a change: enough to tell its whole story from the log alone.
#[derive(Clone, Debug, Serialize)]
pub struct ElevationRecord {
    /// Its id.
    pub id: String,
    /// Its version before the change; 0 when there was none.
    pub version_before: u64,
    /// Its version after it.
    pub version: u64,
    /// Its state after it.
    pub state: &'static str,
    /// For which grant.
    pub grant: String,
    /// Digest of the grant's configuration when it was asked for.
    pub grant_version: crate::secret::Fingerprint,
    /// By whom.
    pub requester: PrincipalRecord,
    /// Why.
    pub reason: String,
    /// Where the work is tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// How long access was asked for, such as `1h`.
    pub requested_duration: String,
    /// How long it would last or lasts.
    pub duration: String,
    /// The scopes that are left, space-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Not earlier than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Moment>,
    /// The window's first moment, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Moment>,
    /// The first moment after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Moment>,
    /// Every approval so far.
    pub approvals: Vec<ApprovalRecord>,
    /// How many policy wanted.
    pub approvals_needed: u32,
}

/// A change of an elevation.
#[derive(Clone, Debug, Serialize)]
pub struct ElevationEntry {
    /// What it became.
    pub elevation: ElevationRecord,
    /// Who did it; absent when it was the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<PrincipalRecord>,
    /// With which token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// Which policies permitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRecord>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactsRecord>,
    /// In their words: a comment or a reason; or what AWS answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it became true, where that was not now: the entry's own `at` is when it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub became_true_at: Option<Moment>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
}

/// Something that an authenticated person tried and that did not happen.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedEntry {
    /// Who.
    pub by: PrincipalRecord,
    /// What: `request`, `approve`, `deny`, `withdraw`, `end`, `revoke`, `view`, `lock`, `lift`, `audit`.
    pub attempted: &'static str,
    /// On which elevation or lock, as they named it, cut to what an id can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// For which grant, as they named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Its version when they tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Stable code.
    pub reason: &'static str,
    /// For the operator and the auditor; no secret.
    pub detail: String,
    /// Which policies refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRecord>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactsRecord>,
    /// With which token.
    pub token: TokenRecord,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
}

/// A lock that was set or lifted.
#[derive(Clone, Debug, Serialize)]
pub struct LockEntry {
    /// Its id.
    pub lock: String,
    /// What it stops: `all`, `principal:ISSUER|SUBJECT`, `issuer:NAME`, `grant:NAME`, `elevation:ID`.
    pub target: String,
    /// Why.
    pub reason: String,
    /// Who did it; absent when it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<PrincipalRecord>,
    /// With which token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// Which policies permitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRecord>,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactsRecord>,
    /// From when it was in force; before the entry when the log could not be written at first.
    pub in_force_since: Moment,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
}

/// Under which elevation a credential was made.
#[derive(Clone, Debug, Serialize)]
pub struct ElevationUseRecord {
    /// Its id; also the `SourceIdentity` of AWS sessions.
    pub id: String,
    /// Its version at that moment.
    pub version: u64,
    /// By how many people it was approved.
    pub approvals: u32,
    /// When it ends.
    pub ends_at: Moment,
}
