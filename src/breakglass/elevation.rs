//! One elevation with everything that happened to it: what is kept, and what every decision is read from.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::cloud::CloudEnd;
use super::state::{State, StateName};
use crate::clock::Moment;
use crate::ids::{ElevationId, IssuerName, Scope, Subject};
use crate::principal::{Authentication, Person, PrincipalId};

/// A person as their token showed them when they acted: policy is asked again about these facts later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Who.
    pub person: Person,
    /// How they had signed in.
    pub authentication: Authentication,
}

impl Participant {
    /// Who; the only thing that two people are compared by.
    pub fn id(&self) -> &PrincipalId {
        &self.person.id
    }
}

/// A person for display. The name decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRef {
    /// The configured name of the issuer.
    pub issuer: IssuerName,
    /// The token's `sub`.
    pub subject: Subject,
    /// For display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl From<&Person> for PersonRef {
    fn from(person: &Person) -> Self {
        let PrincipalId { issuer, subject } = person.id.clone();
        Self { issuer, subject, name: person.name.clone() }
    }
}

/// How an approver makes the access smaller than was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowing {
    /// At most this long.
    #[serde(default, with = "crate::span::seconds::optional", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// At most these scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<BTreeSet<Scope>>,
}

/// One person's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who said it.
    pub by: Participant,
    /// When.
    pub at: Moment,
    /// Where they sat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<std::net::IpAddr>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What they cut off.
    #[serde(default)]
    pub narrowing: Narrowing,
}

/// From when until when access lasts. The end is the first moment without access, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first moment.
    pub starts_at: Moment,
    /// The first moment after it.
    pub ends_at: Moment,
}

impl Window {
    /// Opens at `starts_at` and lasts `duration`; its end is rounded down to a second, because credentials end at seconds.
    pub fn new(starts_at: Moment, duration: Duration) -> Self {
        Self { starts_at, ends_at: starts_at.plus(duration).floor_second() }
    }

    /// Is it open?
    pub fn holds(&self, at: Moment) -> bool {
        self.starts_at <= at && at < self.ends_at
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.ends_at.since(self.starts_at)
    }
}

/// A word about the coming end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Five minutes are left.
    FiveMinutes,
    /// One minute is left.
    OneMinute,
}

impl Warning {
    /// Both, the earlier one first.
    pub const ALL: [Self; 2] = [Self::FiveMinutes, Self::OneMinute];

    /// How long before the end it is said.
    pub const fn before_end(self) -> Duration {
        match self {
            Self::FiveMinutes => Duration::from_mins(5),
            Self::OneMinute => Duration::from_mins(1),
        }
    }
}

/// What happened, as history and the record name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the change of that name")]
pub enum Change {
    Requested,
    Approved,
    Activated,
    Denied,
    Withdrawn,
    Lapsed,
    Warned,
    Expired,
    Revoked,
    Ended,
    SessionsEndAsked,
    SessionsEndFailed,
    SessionsEndConfirmed,
    SessionsEndLifted,
}

/// One line of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When it became true: for what the clock did, not when it was noticed.
    pub at: Moment,
    /// What.
    pub event: Change,
    /// By whom; nobody when it was the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<PersonRef>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One break-glass request and its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elevation {
    /// Its name for ever.
    pub id: ElevationId,
    /// One more with every change: what compare-and-swap compares.
    pub version: u64,
    /// What was asked for. Never changes.
    pub ask: Ask,
    /// Every yes, in the order in which they came.
    pub approvals: Vec<Approval>,
    /// How many approvals policy wanted when it was last asked. For display; what counts is what policy says then.
    pub approvals_needed: u32,
    /// The policies that permitted the last change.
    pub decided_policies: Vec<String>,
    /// Where it stands.
    pub state: State,
    /// What was said about the end so far.
    #[serde(default)]
    pub warned: BTreeSet<Warning>,
    /// Cutting off AWS sessions that were issued before an early end.
    #[serde(default)]
    pub cloud: CloudEnd,
    /// Everything that happened, oldest first. Never shortened.
    pub history: Vec<Happening>,
}

impl Elevation {
    /// How long access would last, or lasts: the shortest of what was asked for and approved.
    pub fn duration(&self) -> Duration {
        let narrowed = self.approvals.iter().filter_map(|approval| approval.narrowing.duration);
        narrowed.fold(self.ask.duration, Duration::min)
    }

    /// The scopes that are left: what was asked for and everybody approved. `None` for AWS.
    pub fn scope(&self) -> Option<BTreeSet<Scope>> {
        let approved = self.approvals.iter().filter_map(|approval| approval.narrowing.scope.as_ref());
        let mut sets = self.ask.scope.iter().chain(approved);
        let first = sets.next()?.clone();
        Some(sets.fold(first, |left, next| left.intersection(next).cloned().collect()))
    }

    /// When access lasts, once that is known.
    pub fn window(&self) -> Option<Window> {
        self.state.window()
    }

    /// Is this the person who asked?
    pub fn is_requester(&self, id: &PrincipalId) -> bool {
        self.ask.requester.id() == id
    }

    /// The state's name as it is kept.
    pub fn state_name(&self) -> StateName {
        self.state.name()
    }

    /// Is it still waiting for something or open?
    pub fn is_open(&self) -> bool {
        !self.state.is_terminal()
    }

    /// May a credential be made with it at `at`? Only the clock and the state; policy and locks are asked beside this.
    pub fn is_active(&self, at: Moment) -> bool {
        matches!(&self.state, State::Active { window, .. } if window.holds(at))
    }

    /// Until when the state's own facts hold; a change must be durable before.
    pub fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Requested => Some(self.ask.expires_at),
            State::Approved { window } | State::Active { window, .. } => Some(window.ends_at),
            _ => None,
        }
    }

    /// When somebody must look at it again although nobody asks.
    pub fn next_due(&self) -> Option<Moment> {
        let by_state = match &self.state {
            State::Requested => Some(self.ask.expires_at),
            State::Approved { window } => Some(window.starts_at),
            State::Active { window, .. } => Some(self.next_warning(window).unwrap_or(window.ends_at)),
            _ => None,
        };
        by_state.or_else(|| self.cloud.next_due())
    }

    fn next_warning(&self, window: &Window) -> Option<Moment> {
        let due = Warning::ALL.into_iter().filter(|warning| self.may_warn(*warning, window));
        due.map(|warning| window.ends_at.minus(warning.before_end())).min()
    }

    /// A window that is not longer than the warning's time was announced by its opening.
    pub(super) fn may_warn(&self, warning: Warning, window: &Window) -> bool {
        !self.warned.contains(&warning) && window.length() > warning.before_end()
    }

    /// The next version, after `event`.
    pub(super) fn next(&self, state: State, happening: Happening) -> Self {
        let mut next = Self { version: self.version.saturating_add(1), state, ..self.clone() };
        next.history.push(happening);
        next
    }
}
