//! Why nothing was issued.

use std::time::Duration;

use super::aws::PlanError;
use crate::entropy::EntropyError;
use crate::keys::KeyError;

/// Nothing was issued. `Display` is for the operator's log and may quote AWS; it holds no secret.
/// [`public_text`](Self::public_text) is what a caller may see.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IssueError {
    /// No key may sign now.
    #[error("no signing key is active")]
    NoSigningKey,
    /// The permit is for a grant of the other kind: a fault of ours.
    #[error("the grant makes another kind of credential")]
    WrongKind,
    /// The permit for a break-glass grant names no elevation: a fault of ours.
    #[error("the permit for a break-glass grant names no elevation")]
    NoElevation,
    /// The elevation ends before a credential could begin.
    #[error("the elevation ends now")]
    Ended,
    /// Signing failed.
    #[error("signing failed: {0}")]
    Signing(std::sync::Arc<KeyError>),
    /// Nothing unguessable to be had.
    #[error("the operating system gave no random bytes")]
    Entropy,
    /// The credential cannot be made for this caller: a template, or one of AWS's limits.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// AWS said no, and will say no again.
    #[error("aws refused with `{code}`: {message}")]
    Refused {
        /// AWS's error code.
        code: String,
        /// AWS's words, cut. They name roles and accounts.
        message: String,
    },
    /// AWS wants fewer calls.
    #[error("aws is throttling, again in {retry_after:?}")]
    SlowDown {
        /// When to ask again.
        retry_after: Duration,
    },
    /// So many calls were made that our own limit on them is reached; this one was not.
    #[error("the limit on calls to aws is reached, again in {retry_after:?}")]
    NoBudget {
        /// When to ask again.
        retry_after: Duration,
    },
    /// AWS did not answer in time, or not in a way that can be understood.
    #[error("aws is unavailable: {0}")]
    Unavailable(String),
    /// The intent could not be recorded, so AWS was not called.
    #[error("the intent was not recorded, so aws was not called: {0}")]
    Unrecorded(String),
}

/// How a caller should take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller or the configuration: asking again changes nothing.
    Request,
    /// Too many calls: ask again after that time.
    Pace(Duration),
    /// Ours or AWS's: it may pass.
    Service,
}

impl IssueError {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Plan(PlanError::NoElevation)
            | Self::NoSigningKey
            | Self::WrongKind
            | Self::NoElevation
            | Self::Signing(_)
            | Self::Entropy
            | Self::Unavailable(_)
            | Self::Unrecorded(_) => Blame::Service,
            Self::Plan(_) | Self::Refused { .. } | Self::Ended => Blame::Request,
            Self::SlowDown { retry_after } | Self::NoBudget { retry_after } => Blame::Pace(*retry_after),
        }
    }

    /// May it pass by itself, and says nothing about whether the caller should have a credential? Then one that is held and
    /// still lives may stand in. What AWS refuses may have been closed on purpose, and without a record nothing leaves.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::SlowDown { .. } | Self::NoBudget { .. } | Self::Unavailable(_))
    }

    /// What a caller may see: which limit they ran into, but no ARN, no account and none of AWS's words.
    pub fn public_text(&self) -> String {
        match self {
            Self::Plan(PlanError::NoElevation) => "credentials cannot be issued at the moment".to_owned(),
            Self::Plan(PlanError::Narrowing(error)) => error.told(),
            Self::Plan(limit) => limit.to_string(),
            Self::Ended => self.to_string(),
            Self::Refused { code, .. } => match code.as_str() {
                "PackedPolicyTooLarge" => {
                    "session policy and tags are too large for AWS when packed".to_owned()
                }
                "MalformedPolicyDocument" => "AWS does not understand the grant's session policy".to_owned(),
                _ => "AWS refused to issue credentials for this grant".to_owned(),
            },
            Self::SlowDown { .. } => "AWS is throttling, ask again later".to_owned(),
            Self::NoBudget { .. } => "too many credentials are asked for at once, ask again later".to_owned(),
            _ => "credentials cannot be issued at the moment".to_owned(),
        }
    }
}

impl From<KeyError> for IssueError {
    fn from(error: KeyError) -> Self {
        Self::Signing(std::sync::Arc::new(error))
    }
}

impl From<EntropyError> for IssueError {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}
