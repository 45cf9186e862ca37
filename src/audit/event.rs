//! What is written down. Plain strings and numbers on purpose: the format outlives our type names. Fields may be added;
//! none may be renamed or change its meaning without a new entry version.

use std::net::IpAddr;

use serde::Serialize;

use super::delivery_event::DeliveriesEntry;
use super::elevation_event::{ElevationEntry, ElevationUseRecord, LockEntry, RefusedEntry};
use super::facts::FactsRecord;
use super::shadow_event::ShadowEntry;
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
        /// SHA-256 of the policy by which the caller narrowed the session, as it was sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        narrowed_by: Option<Fingerprint>,
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
        /// On what.
        #[serde(skip_serializing_if = "Option::is_none")]
        facts: Option<FactsRecord>,
        /// What was issued.
        credential: CredentialRecord,
        /// Under which elevation.
        #[serde(skip_serializing_if = "Option::is_none")]
        elevation: Option<ElevationUseRecord>,
        /// From where.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_ip: Option<IpAddr>,
    },
    /// A credential that was issued before was delivered again, so often.
    #[serde(rename = "credential.delivered")]
    CredentialDelivered(Box<DeliveriesEntry>),
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
        /// On what it was refused, when policy did.
        #[serde(skip_serializing_if = "Option::is_none")]
        facts: Option<FactsRecord>,
        /// Stable code.
        reason: &'static str,
        /// For the operator and the auditor; no secret.
        detail: String,
        /// The elevation that was named, or used.
        #[serde(skip_serializing_if = "Option::is_none")]
        elevation: Option<String>,
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
        /// How STS is asked: `assume_role` or `web_identity`, which are two names of events in CloudTrail.
        mode: &'static str,
        /// In which region: whose CloudTrail has the event.
        region: String,
        /// Managed session policies.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        policy_arns: Vec<String>,
        /// When access will end.
        ends_at: Moment,
    },
    /// A break-glass request was made.
    #[serde(rename = "elevation.requested")]
    ElevationRequested(Box<ElevationEntry>),
    /// One person approved it. With enough of them its window is fixed.
    #[serde(rename = "elevation.approved")]
    ElevationApproved(Box<ElevationEntry>),
    /// Its window opened.
    #[serde(rename = "elevation.activated")]
    ElevationActivated(Box<ElevationEntry>),
    /// An approver said no.
    #[serde(rename = "elevation.denied")]
    ElevationDenied(Box<ElevationEntry>),
    /// The requester took it back.
    #[serde(rename = "elevation.withdrawn")]
    ElevationWithdrawn(Box<ElevationEntry>),
    /// Nobody decided in time, or its window passed without being opened.
    #[serde(rename = "elevation.lapsed")]
    ElevationLapsed(Box<ElevationEntry>),
    /// Its window ended.
    #[serde(rename = "elevation.expired")]
    ElevationExpired(Box<ElevationEntry>),
    /// It was taken away.
    #[serde(rename = "elevation.revoked")]
    ElevationRevoked(Box<ElevationEntry>),
    /// The requester gave it back.
    #[serde(rename = "elevation.ended")]
    ElevationEnded(Box<ElevationEntry>),
    /// Its end is near; receivers were told.
    #[serde(rename = "elevation.ending")]
    ElevationEnding(Box<ElevationEntry>),
    /// AWS sessions that it issued are to be cut off.
    #[serde(rename = "elevation.sessions_end.asked")]
    ElevationSessionsEndAsked(Box<ElevationEntry>),
    /// AWS did not take the Deny; it is tried again.
    #[serde(rename = "elevation.sessions_end.failed")]
    ElevationSessionsEndFailed(Box<ElevationEntry>),
    /// AWS took the Deny.
    #[serde(rename = "elevation.sessions_end.confirmed")]
    ElevationSessionsEndConfirmed(Box<ElevationEntry>),
    /// No session can be left; the Deny was taken away.
    #[serde(rename = "elevation.sessions_end.lifted")]
    ElevationSessionsEndLifted(Box<ElevationEntry>),
    /// A person who had signed in tried something that did not happen.
    #[serde(rename = "elevation.refused")]
    ElevationRefused(Box<RefusedEntry>),
    /// A lock came into force.
    #[serde(rename = "lock.set")]
    LockSet(Box<LockEntry>),
    /// A lock was lifted, or ended by itself.
    #[serde(rename = "lock.lifted")]
    LockLifted(Box<LockEntry>),
    /// A token of ours was revoked before its end.
    #[serde(rename = "token.revoked")]
    TokenRevoked {
        /// Its `jti`.
        jti: String,
        /// Its `sub`: whose it was.
        subject: String,
        /// Its own end.
        expires_at: Moment,
    },
    /// The clock stepped back; minting and approving stopped until it caught up.
    #[serde(rename = "clock.rollback")]
    ClockRollback {
        /// What the clock showed.
        clock: Moment,
        /// What was seen before.
        highest: Moment,
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
    /// Every kept key was sealed under another key-encryption key.
    #[serde(rename = "key.resealed")]
    KeyResealed {
        /// The id of the key-encryption key that seals from then on.
        kek: String,
        /// Where it is: `file`, `value` or `kms`.
        custody: &'static str,
        /// The ARN of the KMS key that wrapped it.
        #[serde(skip_serializing_if = "Option::is_none")]
        kms_key: Option<String>,
        /// Ids of those that sealed before.
        previous: Vec<String>,
        /// What was sealed anew: the log's key and every kept token key.
        kids: Vec<String>,
    },
    /// A policy set took effect.
    #[serde(rename = "policy.loaded")]
    PolicyLoaded {
        /// Digest of both policy sets.
        digest: Fingerprint,
    },
    /// Policies on trial would have decided otherwise.
    #[serde(rename = "policy.shadow.difference")]
    PolicyShadowDifference(Box<ShadowEntry>),
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

impl Event {
    /// Where the facts stand, in an entry that rests on a decision of policy.
    pub(super) fn facts_mut(&mut self) -> Option<&mut Option<FactsRecord>> {
        match self {
            Self::CredentialIssued { facts, .. } | Self::CredentialRefused { facts, .. } => Some(facts),
            Self::ElevationRequested(entry)
            | Self::ElevationApproved(entry)
            | Self::ElevationActivated(entry)
            | Self::ElevationDenied(entry)
            | Self::ElevationRevoked(entry) => Some(&mut entry.facts),
            Self::ElevationRefused(entry) => Some(&mut entry.facts),
            Self::LockSet(entry) | Self::LockLifted(entry) => Some(&mut entry.facts),
            Self::PolicyShadowDifference(entry) => Some(&mut entry.facts),
            _ => None,
        }
    }
}
