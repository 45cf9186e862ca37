//! What can be put to the policy: may this credential be issued, and may this person do that.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::schema::Action;
use crate::clock::Moment;
use crate::grants::{Grant, Lifetime};
use crate::ids::{ElevationId, IssuerName, Scope};
use crate::principal::{Authentication, Person, Principal, PrincipalId, Workload};

/// One request to issue, put to the policy.
#[derive(Clone, Debug)]
pub struct IssueQuestion<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// How they signed in: `context.auth`.
    pub authentication: &'a Authentication,
    /// What they ask for.
    pub grant: &'a Arc<Grant>,
    /// How long it would live: `context.ttl`.
    pub ttl: Lifetime,
    /// What it would be good for: `context.scopes`.
    pub scopes: &'a BTreeSet<Scope>,
    /// Where the request came from, as the door saw it.
    pub source_ip: Option<IpAddr>,
    /// `x5t#S256` of the client certificate (RFC 8705 §3.1), when there was one.
    pub client_cert: Option<&'a str>,
    /// Who acts for the caller (RFC 8693 §4.1), when somebody does.
    pub actor: Option<&'a Workload>,
    /// Now: `context.now`.
    pub at: Moment,
    /// Under which elevation: `context.elevation`. A break-glass grant is never permitted without one.
    pub elevation: Option<ElevationUse>,
}

/// The same, of which it owns everything: for whoever asks it again later, or in many ways.
#[derive(Clone, Debug)]
pub(super) struct OwnedIssue {
    pub(super) principal: Principal,
    pub(super) authentication: Authentication,
    pub(super) grant: Arc<Grant>,
    pub(super) ttl: Lifetime,
    pub(super) scopes: BTreeSet<Scope>,
    pub(super) source_ip: Option<IpAddr>,
    pub(super) client_cert: Option<String>,
    pub(super) actor: Option<Workload>,
    pub(super) at: Moment,
    pub(super) elevation: Option<ElevationUse>,
}

impl From<&IssueQuestion<'_>> for OwnedIssue {
    fn from(question: &IssueQuestion<'_>) -> Self {
        Self {
            principal: question.principal.clone(),
            authentication: question.authentication.clone(),
            grant: Arc::clone(question.grant),
            ttl: question.ttl,
            scopes: question.scopes.clone(),
            source_ip: question.source_ip,
            client_cert: question.client_cert.map(ToOwned::to_owned),
            actor: question.actor.cloned(),
            at: question.at,
            elevation: question.elevation,
        }
    }
}

impl OwnedIssue {
    pub(super) fn question(&self) -> IssueQuestion<'_> {
        IssueQuestion {
            principal: &self.principal,
            authentication: &self.authentication,
            grant: &self.grant,
            ttl: self.ttl,
            scopes: &self.scopes,
            source_ip: self.source_ip,
            client_cert: self.client_cert.as_deref(),
            actor: self.actor.as_ref(),
            at: self.at,
            elevation: self.elevation,
        }
    }
}

/// The elevation that a credential is asked for under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElevationUse {
    /// Its id.
    pub id: ElevationId,
    /// Its version when it was looked at.
    pub version: u64,
    /// By how many people it was approved.
    pub approvals: u32,
    /// The window's first moment.
    pub starts_at: Moment,
    /// The first moment after it.
    pub ends_at: Moment,
}

/// A person's wish to do something with a grant or an elevation.
#[derive(Clone, Debug)]
pub struct PersonQuestion<'a> {
    /// Who asks.
    pub person: &'a Person,
    /// How they signed in: `context.auth`.
    pub authentication: &'a Authentication,
    /// Where the request came from, as the door saw it.
    pub source_ip: Option<IpAddr>,
    /// Now: `context.now`.
    pub at: Moment,
    /// What they wish to do.
    pub wish: Wish<'a>,
}

/// What a person wishes to do. Durations are how long access would last.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is the schema's action of that name, with its context")]
pub enum Wish<'a> {
    Request { grant: &'a Arc<Grant>, duration: Duration },
    Approve { elevation: ElevationFacts<'a>, duration: Duration },
    Activate { grant: &'a Arc<Grant>, duration: Duration, approvals: Approvals<'a> },
    Revoke { elevation: ElevationFacts<'a> },
    View { elevation: ElevationFacts<'a> },
    Lock { grant: &'a Arc<Grant> },
    Audit { grant: &'a Arc<Grant> },
    Explain { grant: &'a Arc<Grant> },
}

/// The approvals that an elevation has: `context.approvals`.
#[derive(Clone, Copy, Debug)]
pub struct Approvals<'a> {
    /// By how many people. Counting them (and never the requester) is the caller's duty.
    pub count: u32,
    /// Who they are: they may be in groups that no token names.
    pub people: &'a BTreeSet<PrincipalId>,
    /// Every group of every approver, with the issuer that named it.
    pub groups: &'a BTreeSet<(IssuerName, String)>,
}

/// How many approvals would do for this requester?
#[derive(Clone, Copy, Debug)]
pub struct ActivateProbe<'a> {
    /// The requester, who is the one who activates.
    pub person: &'a Person,
    /// How they signed in.
    pub authentication: &'a Authentication,
    /// From where they asked.
    pub source_ip: Option<IpAddr>,
    /// Now.
    pub at: Moment,
    /// What they ask for.
    pub grant: &'a Arc<Grant>,
    /// How long access would last.
    pub duration: Duration,
    /// The approvers so far.
    pub people: &'a BTreeSet<PrincipalId>,
    /// Every group of every approver so far, with the issuer that named it.
    pub groups: &'a BTreeSet<(IssuerName, String)>,
}

/// An elevation as policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct ElevationFacts<'a> {
    /// Its id.
    pub id: &'a str,
    /// For which grant.
    pub grant: &'a Arc<Grant>,
    /// By whom.
    pub requester: &'a Person,
    /// How long access was asked for.
    pub duration: Duration,
    /// Why, in the requester's words.
    pub reason: &'a str,
    /// Where the work is tracked.
    pub ticket: Option<&'a str>,
}

impl<'a> Wish<'a> {
    /// The schema's action.
    pub fn action(&self) -> Action {
        match self {
            Self::Request { .. } => Action::Request,
            Self::Approve { .. } => Action::Approve,
            Self::Activate { .. } => Action::Activate,
            Self::Revoke { .. } => Action::Revoke,
            Self::View { .. } => Action::View,
            Self::Lock { .. } => Action::Lock,
            Self::Audit { .. } => Action::Audit,
            Self::Explain { .. } => Action::Explain,
        }
    }

    /// The grant that it is about in the end.
    pub fn grant(&self) -> &'a Arc<Grant> {
        match self {
            Self::Request { grant, .. }
            | Self::Activate { grant, .. }
            | Self::Lock { grant }
            | Self::Audit { grant }
            | Self::Explain { grant } => grant,
            Self::Approve { elevation, .. } | Self::Revoke { elevation } | Self::View { elevation } => {
                elevation.grant
            }
        }
    }

    pub(super) fn elevation(&self) -> Option<&ElevationFacts<'a>> {
        match self {
            Self::Approve { elevation, .. } | Self::Revoke { elevation } | Self::View { elevation } => {
                Some(elevation)
            }
            _ => None,
        }
    }
}
