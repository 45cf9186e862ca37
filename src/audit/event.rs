//! What is written down. Plain strings and numbers on purpose: the format outlives our type names.

use std::net::IpAddr;

use serde::Serialize;

use crate::clock::Moment;
use crate::secret::Fingerprint;

/// Who.
#[derive(Clone, Debug, Serialize)]
pub struct PrincipalRecord {
    /// `workload` or `person`
    pub kind: &'static str,
    pub issuer: String,
    pub subject: String,
}

/// On whose behalf (RFC 8693 `act`).
pub type ActorRecord = PrincipalRecord;

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct GrantRecord {
    pub name: String,
    /// `jwt` or `aws`; absent when the grant does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Fingerprint>,
}

/// The subject token, by fingerprint.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRecord {
    pub sha256: Fingerprint,
    pub issued_at: Moment,
    pub expires_at: Moment,
}

/// Who decided.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyRecord {
    pub digest: Fingerprint,
    pub decided_by: Vec<String>,
}

/// What was issued; no secret. The access key id and the `jti` are what other logs join on.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum CredentialRecord {
    Jwt { jti: String, kid: String, sha256: Fingerprint, scope: String, expires_at: Moment },
    Aws { access_key_id: String, role_arn: String, session_name: String, source_identity: String, sha256: Fingerprint,
          expires_at: Moment, cached: bool, #[serde(skip_serializing_if = "Option::is_none")] packed_policy_percent: Option<i32> },
}

/// One thing that happened. `type` in the entry.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
pub enum Event {
    #[serde(rename = "credential.issued")]
    CredentialIssued {
        principal: PrincipalRecord,
        #[serde(skip_serializing_if = "Option::is_none")] actor: Option<ActorRecord>,
        grant: GrantRecord,
        token: TokenRecord,
        policy: PolicyRecord,
        credential: CredentialRecord,
        #[serde(skip_serializing_if = "Option::is_none")] source_ip: Option<IpAddr>,
    },
    #[serde(rename = "credential.refused")]
    CredentialRefused {
        principal: PrincipalRecord,
        #[serde(skip_serializing_if = "Option::is_none")] actor: Option<ActorRecord>,
        grant: GrantRecord,
        token: TokenRecord,
        #[serde(skip_serializing_if = "Option::is_none")] policy: Option<PolicyRecord>,
        /// Stable code.
        reason: &'static str,
        /// For the operator and the auditor; no secret.
        detail: String,
        #[serde(skip_serializing_if = "Option::is_none")] source_ip: Option<IpAddr>,
    },
    #[serde(rename = "aws.assume_role.requested")]
    AwsAssumeRoleRequested {
        principal: PrincipalRecord,
        grant: GrantRecord,
        role_arn: String,
        session_name: String,
        source_identity: String,
        ends_at: Moment,
    },
    #[serde(rename = "key.created")]
    KeyCreated { kid: String, purpose: &'static str, algorithm: String, active_from: Moment },
    #[serde(rename = "key.activated")]
    KeyActivated { kid: String },
    #[serde(rename = "key.retired")]
    KeyRetired { kid: String, published_until: Moment },
    #[serde(rename = "policy.loaded")]
    PolicyLoaded { digest: Fingerprint },
    #[serde(rename = "config.loaded")]
    ConfigLoaded { digest: Fingerprint },
    #[serde(rename = "broker.started")]
    BrokerStarted { version: &'static str },
    #[serde(rename = "broker.stopped")]
    BrokerStopped { reason: String },
}
