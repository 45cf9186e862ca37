//! What is written down. Plain strings and numbers on purpose: the format outlives our type names. Fields may be added;
//! none may be renamed or change its meaning without a new entry version.

use std::net::IpAddr;

use serde::Serialize;

use crate::clock::Moment;
use crate::secret::Fingerprint;

/// Who.
#[derive(Clone, Debug, Serialize)]
pub struct PrincipalRecord {
    /// `workload` or `person`.
    pub kind: &'static str,
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The verified token's `sub`.
    pub subject: String,
}

/// On whose behalf (RFC 8693 `act`).
pub type ActorRecord = PrincipalRecord;

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct GrantRecord {
    /// As the caller named it.
    pub name: String,
    /// `jwt` or `aws`; absent when the grant does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Digest of the grant's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Fingerprint>,
}

/// The subject token, by fingerprint.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRecord {
    /// SHA-256 of the compact JWS.
    pub sha256: Fingerprint,
    /// Its `iat`.
    pub issued_at: Moment,
    /// Its `exp`.
    pub expires_at: Moment,
}

/// Who decided.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyRecord {
    /// Digest of both policy sets.
    pub digest: Fingerprint,
    /// Ids of the deciding policies.
    pub decided_by: Vec<String>,
}

/// What was issued; no secret. The access key id and the `jti` are what other logs join on.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum CredentialRecord {
    /// A token that we signed.
    Jwt {
        /// Its `jti`.
        jti: String,
        /// The key that signed it.
        kid: String,
        /// SHA-256 of the compact JWS.
        sha256: Fingerprint,
        /// Its scopes, space-separated.
        scope: String,
        /// Its `exp`.
        expires_at: Moment,
    },
    /// Credentials from AWS STS.
    Aws {
        /// CloudTrail names it in every call made with them.
        access_key_id: String,
        /// The assumed role.
        role_arn: String,
        /// `RoleSessionName`.
        session_name: String,
        /// `SourceIdentity`; CloudTrail keeps it across role chaining.
        source_identity: String,
        /// SHA-256 of the session token.
        sha256: Fingerprint,
        /// When access ends, which may be before AWS's own expiration.
        expires_at: Moment,
        /// Answered from the cache: no STS call of its own.
        cached: bool,
        /// How much of the packed-size limit the session policy and tags took, as AWS reported it.
        #[serde(skip_serializing_if = "Option::is_none")]
        packed_policy_percent: Option<i32>,
    },
}

/// One thing that happened. `type` in the entry.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
pub enum Event {
    /// A credential was made and may now be delivered.
    #[serde(rename = "credential.issued")]
    CredentialIssued {
        /// Who asked.
        principal: PrincipalRecord,
        /// On whose behalf.
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<ActorRecord>,
        /// What was asked for.
        grant: GrantRecord,
        /// With which token.
        token: TokenRecord,
        /// Who permitted it.
        policy: PolicyRecord,
        /// What was issued.
        credential: CredentialRecord,
        /// From where.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_ip: Option<IpAddr>,
    },
    /// A verified caller was refused.
    #[serde(rename = "credential.refused")]
    CredentialRefused {
        /// Who asked.
        principal: PrincipalRecord,
        /// On whose behalf.
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<ActorRecord>,
        /// What was asked for.
        grant: GrantRecord,
        /// With which token.
        token: TokenRecord,
        /// Who refused it, when policy did.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<PolicyRecord>,
        /// Stable code.
        reason: &'static str,
        /// For the operator and the auditor; no secret.
        detail: String,
        /// From where.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_ip: Option<IpAddr>,
    },
    /// STS is about to be called: CloudTrail's record of the call finds its cause here even if we die before the answer.
    #[serde(rename = "aws.assume_role.requested")]
    AwsAssumeRoleRequested {
        /// For whom.
        principal: PrincipalRecord,
        /// For which grant.
        grant: GrantRecord,
        /// The role.
        role_arn: String,
        /// `RoleSessionName`.
        session_name: String,
        /// `SourceIdentity`.
        source_identity: String,
        /// When access will end.
        ends_at: Moment,
    },
    /// A key was made and published.
    #[serde(rename = "key.created")]
    KeyCreated {
        /// Its id.
        kid: String,
        /// `token` or `log`.
        purpose: &'static str,
        /// `ES256`, `EdDSA`, `RS256`.
        algorithm: String,
        /// From when it signs.
        active_from: Moment,
    },
    /// A key began to sign.
    #[serde(rename = "key.activated")]
    KeyActivated {
        /// Its id.
        kid: String,
    },
    /// A key signs no more.
    #[serde(rename = "key.retired")]
    KeyRetired {
        /// Its id.
        kid: String,
        /// Until when verifiers still find it.
        published_until: Moment,
    },
    /// A policy set took effect.
    #[serde(rename = "policy.loaded")]
    PolicyLoaded {
        /// Digest of both policy sets.
        digest: Fingerprint,
    },
    /// A configuration took effect.
    #[serde(rename = "config.loaded")]
    ConfigLoaded {
        /// Digest of the file.
        digest: Fingerprint,
    },
    /// The broker began to serve.
    #[serde(rename = "broker.started")]
    BrokerStarted {
        /// Of the program.
        version: &'static str,
    },
    /// The broker stopped as asked. A crash leaves no such entry.
    #[serde(rename = "broker.stopped")]
    BrokerStopped {
        /// Why.
        reason: String,
    },
}
