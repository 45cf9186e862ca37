//! What a lock is and what it stops. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::ids::{ElevationId, GrantName, IssuerName, LockId, Subject};
use crate::principal::PrincipalId;

/// What is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockTarget {
    /// One person or workload.
    Principal(PrincipalId),
    /// Everybody of an issuer.
    Issuer(IssuerName),
    /// A grant, whoever asks.
    Grant(GrantName),
    /// One elevation.
    Elevation(ElevationId),
    /// Everything.
    All,
}

/// Text that names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `all`, `principal:ISSUER|SUBJECT`, `issuer:NAME`, `grant:NAME` or `elevation:ID`")]
pub struct TargetError;

impl fmt::Display for LockTarget {
    /// As [`FromStr`](std::str::FromStr) reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(id) => write!(f, "principal:{id}"),
            Self::Issuer(name) => write!(f, "issuer:{name}"),
            Self::Grant(name) => write!(f, "grant:{name}"),
            Self::Elevation(id) => write!(f, "elevation:{id}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl std::str::FromStr for LockTarget {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text == "all" {
            return Ok(Self::All);
        }
        let (kind, name) = text.split_once(':').ok_or(TargetError)?;
        let target = match kind {
            "principal" => name.split_once('|').and_then(|(issuer, subject)| {
                let issuer = IssuerName::new(issuer).ok()?;
                Some(Self::Principal(PrincipalId { issuer, subject: Subject::new(subject).ok()? }))
            }),
            "issuer" => IssuerName::new(name).ok().map(Self::Issuer),
            "grant" => GrantName::new(name).ok().map(Self::Grant),
            "elevation" => name.parse().ok().map(Self::Elevation),
            _ => None,
        };
        target.ok_or(TargetError)
    }
}

/// A freeze.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its name.
    pub id: LockId,
    /// What it stops.
    pub target: LockTarget,
    /// Why, in the words of who set it.
    pub reason: String,
    /// Who set it.
    pub by: PrincipalId,
    /// When.
    pub at: Moment,
    /// When it ends by itself; never when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

/// What one request is about, for locks.
#[derive(Clone, Copy, Debug)]
pub struct Subjects<'a> {
    /// Everybody whose token was shown: the caller and, where there is one, the actor.
    pub principals: &'a [&'a PrincipalId],
    /// Which grant.
    pub grant: Option<&'a GrantName>,
    /// Under which elevation.
    pub elevation: Option<&'a ElevationId>,
}

/// The same, kept for a question that is asked later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedSubjects {
    /// Everybody whose token was shown.
    pub principals: Vec<PrincipalId>,
    /// Which grant.
    pub grant: Option<GrantName>,
    /// Under which elevation.
    pub elevation: Option<ElevationId>,
}

impl Lock {
    /// Is it in force?
    pub fn holds(&self, at: Moment) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    /// Does it stop a request about these?
    pub fn stops(&self, about: &Subjects<'_>, at: Moment) -> bool {
        self.holds(at)
            && match &self.target {
                LockTarget::All => true,
                LockTarget::Principal(id) => about.principals.contains(&id),
                LockTarget::Issuer(name) => about.principals.iter().any(|id| id.issuer == *name),
                LockTarget::Grant(name) => about.grant == Some(name),
                LockTarget::Elevation(id) => about.elevation == Some(id),
            }
    }
}
