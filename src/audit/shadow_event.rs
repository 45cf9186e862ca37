//! What the log says about policies that are tried out.

use serde::Serialize;

use super::{FactsRecord, PolicyRecord, PrincipalRecord};

/// A decision that policies on trial would have made otherwise. It changed nothing.
#[derive(Clone, Debug, Serialize)]
pub struct ShadowEntry {
    /// `newly_allowed` or `newly_denied`.
    pub kind: &'static str,
    /// The schema's action.
    pub action: &'static str,
    /// Who asked.
    pub principal: PrincipalRecord,
    /// About which grant.
    pub grant: String,
    /// What was answered.
    pub live: VerdictRecord,
    /// What they would have answered.
    pub shadow: VerdictRecord,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactsRecord>,
    /// How many of its kind and grant were counted and not written down since the last one that was.
    pub passed_over: u64,
}

/// An answer. Not under the name `policy`: entries with that rest on it.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictRecord {
    /// Yes or no.
    pub allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who decided.
    #[serde(flatten)]
    pub policy: PolicyRecord,
}
