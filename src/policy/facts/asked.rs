//! What was asked for: one variant for each action, with what only its context has.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{FactsError, PrincipalFacts};
use crate::clock::Moment;
use crate::grants::Lifetime;
use crate::ids::{ElevationId, IssuerName, Scope, Subject};
use crate::policy::activation::Hoped;
use crate::policy::question::{Approvals, ElevationFacts, ElevationUse, IssueQuestion, Wish};
use crate::policy::schema::Action;
use crate::principal::PrincipalId;
use crate::span;

/// A question, by its action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
#[expect(missing_docs, reason = "each variant is the schema's action of that name, with its context")]
pub enum Asked {
    Issue {
        #[serde(with = "span::text")]
        ttl: Duration,
        #[serde(default)]
        scopes: BTreeSet<Scope>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_cert: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<Box<PrincipalFacts>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        elevation: Option<ElevationWindow>,
    },
    Request {
        #[serde(with = "span::text")]
        duration: Duration,
    },
    Approve {
        elevation: Box<ElevationSeen>,
        #[serde(with = "span::text")]
        duration: Duration,
    },
    Activate {
        #[serde(with = "span::text")]
        duration: Duration,
        approvals: ApprovalFacts,
    },
    Revoke {
        elevation: Box<ElevationSeen>,
    },
    View {
        elevation: Box<ElevationSeen>,
    },
    Lock,
    Audit,
    Explain,
}

/// The elevation that a credential is asked for under: `context.elevation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElevationWindow {
    /// Its id; policy does not see it.
    pub id: ElevationId,
    /// Its version when it was looked at; policy does not see it.
    pub version: u64,
    /// By how many people it was approved.
    pub approvals: u32,
    /// The window's first moment.
    pub starts_at: Moment,
    /// The first moment after it.
    pub ends_at: Moment,
}

/// An elevation that somebody decides about or looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElevationSeen {
    /// Its id.
    pub id: String,
    /// By whom it was asked for.
    pub requester: PrincipalFacts,
    /// How long access was asked for.
    #[serde(with = "span::text")]
    pub duration: Duration,
    /// Why, in the requester's words.
    pub reason: String,
    /// Where the work is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// `context.approvals`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalFacts {
    /// By how many people.
    pub count: u32,
    /// Every group of every approver, as their tokens name them: `<issuer name>/<group>`.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// The approvers, who may be in groups that no token names: `<issuer name>|<sub>`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub people: BTreeSet<String>,
}

impl Asked {
    /// The schema's action.
    pub const fn action(&self) -> Action {
        match self {
            Self::Issue { .. } => Action::Issue,
            Self::Request { .. } => Action::Request,
            Self::Approve { .. } => Action::Approve,
            Self::Activate { .. } => Action::Activate,
            Self::Revoke { .. } => Action::Revoke,
            Self::View { .. } => Action::View,
            Self::Lock => Action::Lock,
            Self::Audit => Action::Audit,
            Self::Explain => Action::Explain,
        }
    }

    pub(super) fn of_issue(question: &IssueQuestion<'_>) -> Self {
        Self::Issue {
            ttl: question.ttl.duration(),
            scopes: question.scopes.clone(),
            client_cert: question.client_cert.map(str::to_owned),
            actor: question.actor.map(|actor| Box::new(PrincipalFacts::of_workload(actor))),
            elevation: question.elevation.map(ElevationWindow::from),
        }
    }

    pub(super) fn of_wish(wish: &Wish<'_>) -> Self {
        match wish {
            Wish::Request { duration, .. } => Self::Request { duration: *duration },
            Wish::Approve { elevation, duration } => {
                Self::Approve { elevation: Box::new(ElevationSeen::of(elevation)), duration: *duration }
            }
            Wish::Activate { duration, approvals, .. } => {
                Self::Activate { duration: *duration, approvals: ApprovalFacts::of(approvals) }
            }
            Wish::Revoke { elevation } => Self::Revoke { elevation: Box::new(ElevationSeen::of(elevation)) },
            Wish::View { elevation } => Self::View { elevation: Box::new(ElevationSeen::of(elevation)) },
            Wish::Lock { .. } => Self::Lock,
            Wish::Audit { .. } => Self::Audit,
            Wish::Explain { .. } => Self::Explain,
        }
    }
}

impl From<ElevationUse> for ElevationWindow {
    fn from(used: ElevationUse) -> Self {
        let ElevationUse { id, version, approvals, starts_at, ends_at } = used;
        Self { id, version, approvals, starts_at, ends_at }
    }
}

impl From<ElevationWindow> for ElevationUse {
    fn from(window: ElevationWindow) -> Self {
        let ElevationWindow { id, version, approvals, starts_at, ends_at } = window;
        Self { id, version, approvals, starts_at, ends_at }
    }
}

impl ElevationSeen {
    fn of(elevation: &ElevationFacts<'_>) -> Self {
        Self {
            id: elevation.id.to_owned(),
            requester: PrincipalFacts::of_person(elevation.requester),
            duration: elevation.duration,
            reason: elevation.reason.to_owned(),
            ticket: elevation.ticket.map(str::to_owned),
        }
    }
}

impl ApprovalFacts {
    fn of(approvals: &Approvals<'_>) -> Self {
        let groups = approvals.groups.iter().map(|(issuer, group)| format!("{issuer}/{group}"));
        let people = approvals.people.iter().map(ToString::to_string);
        Self { count: approvals.count, groups: groups.collect(), people: people.collect() }
    }

    /// So many approvals by these, and by whom is hoped for.
    pub(in crate::policy) fn hoping(&self, hoped: &Hoped) -> Self {
        let groups = hoped.groups.iter().map(|(issuer, group)| format!("{issuer}/{group}"));
        let people = hoped.people.iter().map(ToString::to_string);
        Self {
            count: self.count,
            groups: self.groups.iter().cloned().chain(groups).collect(),
            people: self.people.iter().cloned().chain(people).collect(),
        }
    }

    /// Taken apart again.
    ///
    /// # Errors
    /// A group without an issuer's name in front.
    pub fn taken_apart(&self) -> Result<BTreeSet<(IssuerName, String)>, FactsError> {
        let group = |text: &String| {
            let (issuer, group) = text
                .split_once('/')
                .ok_or_else(|| FactsError(format!("`{text}` is no group: write `<issuer name>/<group>`")))?;
            Ok((IssuerName::new(issuer).map_err(FactsError::of)?, group.to_owned()))
        };
        self.groups.iter().map(group).collect()
    }

    /// The approvers.
    ///
    /// # Errors
    /// One that nobody can be.
    pub fn approvers(&self) -> Result<BTreeSet<PrincipalId>, FactsError> {
        let person = |text: &String| {
            let (issuer, subject) = text
                .split_once('|')
                .ok_or_else(|| FactsError(format!("`{text}` is nobody: write `<issuer name>|<sub>`")))?;
            let issuer = IssuerName::new(issuer).map_err(FactsError::of)?;
            Ok(PrincipalId { issuer, subject: Subject::new(subject).map_err(FactsError::of)? })
        };
        self.people.iter().map(person).collect()
    }
}

/// A lifetime that a credential can have.
pub(in crate::policy) fn lifetime(ttl: Duration) -> Result<Lifetime, FactsError> {
    let whole = i64::try_from(ttl.as_secs()).ok().filter(|_| ttl.subsec_nanos() == 0);
    whole.and_then(|seconds| Lifetime::from_seconds(seconds).ok()).ok_or_else(|| {
        FactsError(format!("`ttl` is a whole number of seconds from 1 to {}", Lifetime::LONGEST.seconds()))
    })
}
