//! Why an exchange did not happen: a [`Refusal`] is the caller's side, a [`Fault`] is ours.
//!
//! Neither knows a status code: each door has its own dialect. `Display` of a refusal is safe to show to a stranger;
//! `detail` is for the operator's log and the audit log.

use crate::clock::RolledBack;
use crate::federation::TokenRefusal;
use crate::grants::AskError;
use crate::ids::IssuerName;
use crate::issuance::aws::NarrowingFault;
use crate::principal::MapError;

/// The caller's side. The list is closed and every code is stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The subject token does not hold.
    #[error("the subject token was not accepted: {0}")]
    SubjectToken(TokenRefusal),
    /// The actor token does not hold.
    #[error("the actor token was not accepted: {0}")]
    ActorToken(TokenRefusal),
    /// The claims do not have the shape that the issuer's profile promises.
    #[error("the subject token was not accepted: {0}")]
    Claims(MapError),
    /// The actor is a person: only a workload acts for somebody.
    #[error("the actor token was not accepted: an actor must be a workload")]
    ActorIsPerson,
    /// A single-use token came a second time.
    #[error("the token was presented before; its issuer is configured for single use, so fetch a new one")]
    Replayed,
    /// Unknown grant, policy denial, no elevation, a lock: to a stranger they look the same.
    #[error("the grant does not exist or the policy does not permit it")]
    Target(TargetRefusal),
    /// An elevation was named, and the grant is for everybody whom policy permits it.
    #[error("the grant is no break-glass grant; leave `elevation` out")]
    ElevationNotApplicable,
    /// Several elevations of the caller are open for the grant, and none was named.
    #[error("more than one elevation of yours for this grant is open; name one with `elevation`")]
    ElevationAmbiguous,
    /// Revoked, given back, ended or changed after policy was asked and before the entry was durable.
    #[error("the elevation ended or changed while the credential was made; nothing was issued")]
    ElevationOver,
    /// A scope that the grant does not have.
    #[error("a scope was asked for that the grant does not have")]
    Scope,
    /// `requested_token_type` does not fit the grant.
    #[error("the requested token type does not fit the grant")]
    TokenType,
    /// The lifetime that was asked for, or what is left of it.
    #[error("{0}")]
    Lifetime(#[from] AskError),
    /// The caller's claims cannot stand in the grant's scoping, pass a limit of AWS, or AWS refuses the role.
    #[error("the grant cannot be issued to this caller: {told}")]
    Scoping {
        /// For the caller.
        told: String,
        /// For the operator: may name roles and accounts.
        cause: String,
    },
    /// The caller's own session policy cannot be applied.
    #[error("the session policy was not applied: {told}")]
    Narrowing {
        /// What kind of fault: doors have their own words for each.
        fault: NarrowingFault,
        /// For the caller, in the caller's own words.
        told: String,
        /// For the operator: may speak of the grant's policy.
        cause: String,
    },
    /// Too many exchanges by this principal.
    #[error("too many requests; slow down")]
    PrincipalRate,
    /// AWS STS throttles.
    #[error("the cloud provider throttles; try again later")]
    Throttled(std::time::Duration),
    /// Our own limit on calls to STS (`sts_rate`).
    #[error("too many credentials are asked for at once; try again later")]
    StsBudget(std::time::Duration),
}

/// What a stranger sees as one refusal, kept apart for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetRefusal {
    /// No grant has that name.
    Unknown,
    /// The policy said no.
    Denied(String),
    /// A break-glass grant without an active elevation.
    NoElevation,
    /// The grant is configured otherwise than when the elevation was asked for.
    GrantChanged,
    /// Approvers lost the right to approve, so that too few are left.
    QuorumLost,
    /// A lock stops it; which one is for the record.
    Locked(String),
}

impl Refusal {
    /// Stable and bounded: for metrics, the record and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SubjectToken(refusal) | Self::ActorToken(refusal) => refusal.code(),
            Self::Claims(_) => "claims_shape",
            Self::ActorIsPerson => "actor_is_person",
            Self::Replayed => "replayed",
            Self::Target(TargetRefusal::Unknown) => "unknown_grant",
            Self::Target(TargetRefusal::Denied(_)) => "policy_denied",
            Self::Target(TargetRefusal::NoElevation) => "no_elevation",
            Self::Target(TargetRefusal::GrantChanged) => "grant_changed",
            Self::Target(TargetRefusal::QuorumLost) => "quorum_lost",
            Self::Target(TargetRefusal::Locked(_)) => "locked",
            Self::ElevationNotApplicable => "elevation_not_applicable",
            Self::ElevationAmbiguous => "elevation_ambiguous",
            Self::ElevationOver => "elevation_over",
            Self::Scope => "scope_outside_grant",
            Self::TokenType => "token_type_mismatch",
            Self::Lifetime(_) => "lifetime",
            Self::Scoping { .. } => "scoping",
            Self::Narrowing { fault, .. } => fault.code(),
            Self::PrincipalRate => "principal_rate",
            Self::Throttled(_) => "provider_throttled",
            Self::StsBudget(_) => "provider_budget",
        }
    }

    /// Is it not known who asked? Such failures are counted and held against the address, never recorded.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::SubjectToken(_) | Self::ActorToken(_) | Self::Claims(_))
    }

    /// Would a newer token of the same caller do?
    pub fn wants_a_new_token(&self) -> bool {
        match self {
            Self::SubjectToken(refusal) => matches!(refusal, TokenRefusal::Expired | TokenRefusal::TooOld),
            Self::Replayed | Self::Lifetime(_) => true,
            _ => false,
        }
    }

    /// For the operator and the auditor: what a stranger is not told.
    pub fn detail(&self) -> String {
        match self {
            Self::Target(TargetRefusal::Unknown) => "no grant has that name".to_owned(),
            Self::Target(TargetRefusal::Denied(why) | TargetRefusal::Locked(why)) => why.clone(),
            Self::Scoping { cause, .. } | Self::Narrowing { cause, .. } => cause.clone(),
            Self::Target(TargetRefusal::NoElevation) => {
                "a break-glass grant needs an active elevation".to_owned()
            }
            Self::Target(TargetRefusal::GrantChanged) => {
                "the grant's configuration is not what was approved".to_owned()
            }
            Self::Target(TargetRefusal::QuorumLost) => "too few of the approvals count today".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Our side. The caller sees "unavailable"; the cause goes to the operator's log, once, at the door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Promise 2: no credential without a record.
    #[error("the audit log is unavailable")]
    Audit,
    /// An issuer's keys are unknown or too old.
    #[error("the keys of issuer `{0}` are unavailable")]
    IssuerKeys(IssuerName),
    /// STS failed, timed out, or refused us.
    #[error("AWS STS is unavailable: {0}")]
    Sts(String),
    /// No signing key, no randomness.
    #[error("signing is unavailable: {0}")]
    Signing(String),
    /// Whether an elevation is open cannot be told.
    #[error("elevations are unavailable: {0}")]
    Elevations(String),
    /// Other policy sets decide by now, and this replica does not have them.
    #[error("the policies in force are not known here yet")]
    Policy,
    /// This replica has not heard from the store for too long to decide from memory.
    #[error("the store was not heard from lately")]
    Stale,
    /// A clock that stepped back would make what ended valid again.
    #[error("{0}")]
    Clock(RolledBack),
}

impl Fault {
    /// Stable and bounded: for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::IssuerKeys(_) => "issuer_keys",
            Self::Sts(_) => "sts",
            Self::Signing(_) => "signing",
            Self::Elevations(_) => "elevations",
            Self::Policy => "policy",
            Self::Stale => "stale",
            Self::Clock(_) => "clock",
        }
    }
}

/// Nothing was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The caller's side.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours.
    #[error(transparent)]
    Failed(#[from] Fault),
}
