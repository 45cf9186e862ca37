//! What the caller is told when it did not happen.

use crate::breakglass::{ChangeRefusal, Elevation};
use crate::ids::ElevationId;
use crate::store::StoreError;

/// It did not happen. Codes are stable; texts are for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum BreakGlassError {
    /// There is no such elevation, or the caller may not know of it: the two look the same.
    #[error("there is no such elevation")]
    NotFound,
    /// The caller may know of it, and may not do this.
    #[error("{told}")]
    Forbidden {
        /// Stable.
        code: &'static str,
        /// For the caller.
        told: String,
    },
    /// The request makes no sense as it is.
    #[error("{told}")]
    Invalid {
        /// Stable.
        code: &'static str,
        /// For the caller.
        told: String,
    },
    /// The elevation is not in a state for this.
    #[error("{told}")]
    Conflict {
        /// Stable.
        code: &'static str,
        /// For the caller.
        told: String,
        /// As it stands.
        current: Box<Elevation>,
    },
    /// Too many are open.
    #[error("{told}")]
    TooMany {
        /// Stable.
        code: &'static str,
        /// For the caller.
        told: String,
    },
    /// The idempotency key came with another request before.
    #[error("this `Idempotency-Key` was used for another request")]
    KeyReused,
    /// Ours to mend. The text is for the operator.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl BreakGlassError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden { code, .. }
            | Self::Invalid { code, .. }
            | Self::Conflict { code, .. }
            | Self::TooMany { code, .. } => code,
            Self::KeyReused => "idempotency_key_reused",
            Self::Unavailable(_) => "unavailable",
        }
    }

    pub(super) fn forbidden(code: &'static str, told: impl Into<String>) -> Self {
        Self::Forbidden { code, told: told.into() }
    }

    pub(super) fn invalid(code: &'static str, told: impl Into<String>) -> Self {
        Self::Invalid { code, told: told.into() }
    }

    pub(super) fn conflict(code: &'static str, told: impl Into<String>, current: &Elevation) -> Self {
        Self::Conflict { code, told: told.into(), current: Box::new(current.clone()) }
    }

    /// What the machine refused, about the elevation as it stands.
    pub(super) fn of_change(refusal: &ChangeRefusal, current: &Elevation) -> Self {
        let told = refusal.to_string();
        match refusal {
            ChangeRefusal::Requester => Self::forbidden("requester_cannot_decide", told),
            ChangeRefusal::NotRequester => Self::forbidden("not_the_requester", told),
            ChangeRefusal::Widens => Self::invalid("approval_widens", told),
            ChangeRefusal::NothingLeft => Self::invalid("nothing_left", told),
            ChangeRefusal::State(_) => Self::conflict("wrong_state", told, current),
            ChangeRefusal::Over(_) => Self::conflict("too_late", told, current),
            ChangeRefusal::Twice => Self::conflict("approved_already", told, current),
            ChangeRefusal::TooMany => Self::conflict("too_many_approvals", told, current),
            ChangeRefusal::NotYet(_) => Self::conflict("not_yet", told, current),
            ChangeRefusal::QuorumLost => Self::conflict("quorum_lost", told, current),
        }
    }
}

impl From<StoreError> for BreakGlassError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// No credential under an elevation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// None is open now.
    #[error("no elevation of yours for this grant is open")]
    NoElevation,
    /// More than one is open, and none was named.
    #[error("more than one elevation of yours for this grant is open; name one with `elevation`")]
    Ambiguous,
    /// The grant is not what was approved.
    #[error("the grant was changed after elevation {0} was requested; request it again")]
    GrantChanged(ElevationId),
    /// The approvals do not suffice any more.
    #[error("the approvals of elevation {0} do not suffice any more")]
    QuorumLost(ElevationId),
    /// A lock stops it.
    #[error("a lock stops it")]
    Locked,
    /// Ours to mend; the text is for the operator.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl From<StoreError> for WindowError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
