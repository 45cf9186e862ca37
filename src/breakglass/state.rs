//! The machine: each state carries its facts, each command takes who and when, and the answer is the next elevation or why
//! not. Terminal is terminal.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::elevation::{Approval, Change, Elevation, Happening, PersonRef, Warning, Window};
use super::quorum::{Judge, Tally};
use crate::clock::Moment;
use crate::principal::{Person, PrincipalId};

/// Every approval stands in every later entry of the log, whose size is bounded; policy wants far fewer.
const MOST_APPROVALS: usize = 20;

/// Where an elevation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are what the state's name says")]
pub enum State {
    /// Waits for approvals until `ask.expires_at`.
    Requested,
    /// Enough approvals; waits for its window, or for policy and locks at its opening.
    Approved {
        window: Window,
    },
    /// Credentials can be made inside the window, if policy, locks and clock agree each time.
    Active {
        window: Window,
        quorum: u32,
    },
    Denied {
        at: Moment,
        by: PersonRef,
        reason: String,
    },
    Withdrawn {
        at: Moment,
    },
    /// Nobody decided in time, or the window passed without being opened.
    Lapsed {
        at: Moment,
        window: Option<Window>,
    },
    Expired {
        window: Window,
    },
    Revoked {
        at: Moment,
        by: PersonRef,
        reason: String,
        window: Window,
    },
    /// Given back.
    Ended {
        at: Moment,
        window: Window,
    },
}

/// A state without its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the state of that name")]
pub enum StateName {
    Requested,
    Approved,
    Active,
    Denied,
    Withdrawn,
    Lapsed,
    Expired,
    Revoked,
    Ended,
}

impl StateName {
    /// Every one, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Approved,
        Self::Active,
        Self::Denied,
        Self::Withdrawn,
        Self::Lapsed,
        Self::Expired,
        Self::Revoked,
        Self::Ended,
    ];

    /// As the API and the record spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Active => "active",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Lapsed => "lapsed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
        }
    }

    /// From the API's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl State {
    /// Without the facts.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Requested => StateName::Requested,
            Self::Approved { .. } => StateName::Approved,
            Self::Active { .. } => StateName::Active,
            Self::Denied { .. } => StateName::Denied,
            Self::Withdrawn { .. } => StateName::Withdrawn,
            Self::Lapsed { .. } => StateName::Lapsed,
            Self::Expired { .. } => StateName::Expired,
            Self::Revoked { .. } => StateName::Revoked,
            Self::Ended { .. } => StateName::Ended,
        }
    }

    /// Does nothing lead out of it?
    pub const fn is_terminal(&self) -> bool {
        !matches!(self, Self::Requested | Self::Approved { .. } | Self::Active { .. })
    }

    /// When access lasts or lasted, where that was ever known. Its end is not moved by an early end.
    pub const fn window(&self) -> Option<Window> {
        match self {
            Self::Approved { window }
            | Self::Active { window, .. }
            | Self::Expired { window }
            | Self::Revoked { window, .. }
            | Self::Ended { window, .. } => Some(*window),
            Self::Lapsed { window, .. } => *window,
            Self::Requested | Self::Denied { .. } | Self::Withdrawn { .. } => None,
        }
    }
}

/// A change that did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    /// The elevation is not in a state that the command starts from.
    #[error("the elevation is {0}; that cannot be changed so")]
    State(StateName),
    /// By now the clock has ended it, whether or not that is written down.
    #[error("the elevation has {0} by now")]
    Over(StateName),
    /// The requester would count.
    #[error("the requester cannot decide about their own request")]
    Requester,
    /// The command is the requester's own.
    #[error("only the requester can do that")]
    NotRequester,
    /// One person, one approval.
    #[error("you have approved this request already")]
    Twice,
    /// Of so many, those that count decide already, or never will.
    #[error("the request has {MOST_APPROVALS} approvals; no more are taken")]
    TooMany,
    /// An approver can only make access smaller.
    #[error("an approval can narrow the request, never widen it")]
    Widens,
    /// Nothing that anybody could use would be left.
    #[error("nothing would be left of the request")]
    NothingLeft,
    /// The window is not open yet.
    #[error("the window opens at {0}")]
    NotYet(Moment),
    /// Approvals that counted do so no longer, or policy wants more of them by now.
    #[error("the approvals do not suffice any more")]
    QuorumLost,
}

/// Who does something, and when.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Who.
    pub by: &'a Person,
    /// When.
    pub at: Moment,
}

impl Act<'_> {
    fn happening(&self, event: Change, note: Option<&str>) -> Happening {
        Happening { at: self.at, event, by: Some(self.by.into()), note: note.map(str::to_owned) }
    }
}

impl Elevation {
    /// A new request. Whoever calls has checked `ask` by its rules and asked policy.
    pub fn requested(
        id: crate::ids::ElevationId,
        ask: super::Ask,
        approvals_needed: u32,
        decided_policies: Vec<String>,
    ) -> Self {
        let asked = Happening {
            at: ask.created_at,
            event: Change::Requested,
            by: Some(PersonRef::from(&ask.requester.person)),
            note: None,
        };
        Self {
            id,
            version: 1,
            ask,
            approvals: Vec::new(),
            approvals_needed,
            decided_policies,
            state: State::Requested,
            warned: BTreeSet::new(),
            cloud: super::CloudEnd::NotNeeded,
            history: vec![asked],
        }
    }

    /// One more person says yes. When that makes enough, the window is fixed and never moves again.
    pub fn approve(&self, approval: Approval, judge: &mut dyn Judge) -> Result<Self, ChangeRefusal> {
        let at = approval.at;
        self.must_be(matches!(self.state, State::Requested), at)?;
        self.may_be_approved_by(approval.by.id())?;
        self.must_narrow(&approval)?;
        let act = Act { by: &approval.by.person, at };
        let happening = act.happening(Change::Approved, approval.comment.as_deref());
        let mut next = self.next(State::Requested, happening);
        next.approvals.push(approval);
        if next.duration() < std::time::Duration::from_secs(1)
            || next.scope().is_some_and(|scope| scope.is_empty())
        {
            return Err(ChangeRefusal::NothingLeft);
        }
        let tally = Tally::of(&next, judge);
        if tally.count() > 0 && judge.suffices(&next, &tally, next.duration()) {
            let start = next.ask.not_before.map_or(at, |start| start.max(at));
            let window = Window::new(start, next.duration());
            if window.ends_at <= at {
                return Err(ChangeRefusal::NothingLeft);
            }
            next.state = State::Approved { window };
        }
        Ok(next)
    }

    /// An approver says no.
    pub fn deny(&self, act: Act<'_>, reason: &str) -> Result<Self, ChangeRefusal> {
        self.must_be(matches!(self.state, State::Requested), act.at)?;
        if self.is_requester(&act.by.id) {
            return Err(ChangeRefusal::Requester);
        }
        let state = State::Denied { at: act.at, by: act.by.into(), reason: reason.to_owned() };
        Ok(self.next(state, act.happening(Change::Denied, Some(reason))))
    }

    /// The requester takes it back before it is open.
    pub fn withdraw(&self, act: Act<'_>) -> Result<Self, ChangeRefusal> {
        self.must_be_requesters(act)?;
        self.must_be(matches!(self.state, State::Requested | State::Approved { .. }), act.at)?;
        Ok(self.next(State::Withdrawn { at: act.at }, act.happening(Change::Withdrawn, None)))
    }

    /// Opens the window. Everything is decided again: approvals that counted may count no longer.
    pub fn activate(&self, at: Moment, judge: &mut dyn Judge) -> Result<Self, ChangeRefusal> {
        self.must_be(matches!(self.state, State::Approved { .. }), at)?;
        let State::Approved { window } = self.state else {
            return Err(ChangeRefusal::State(self.state_name()));
        };
        if at < window.starts_at {
            return Err(ChangeRefusal::NotYet(window.starts_at));
        }
        let tally = Tally::of(self, judge);
        if tally.count() == 0 || !judge.suffices(self, &tally, window.length()) {
            return Err(ChangeRefusal::QuorumLost);
        }
        let opened = Happening { at: window.starts_at, event: Change::Activated, by: None, note: None };
        Ok(self.next(State::Active { window, quorum: tally.count() }, opened))
    }

    /// The requester gives it back before its end.
    pub fn end(&self, act: Act<'_>) -> Result<Self, ChangeRefusal> {
        self.must_be_requesters(act)?;
        self.must_be(matches!(self.state, State::Active { .. }), act.at)?;
        let window = self.window().ok_or(ChangeRefusal::State(self.state_name()))?;
        Ok(self.next(State::Ended { at: act.at, window }, act.happening(Change::Ended, None)))
    }

    /// Somebody whom policy lets takes it away.
    pub fn revoke(&self, act: Act<'_>, reason: &str) -> Result<Self, ChangeRefusal> {
        self.must_be(matches!(self.state, State::Approved { .. } | State::Active { .. }), act.at)?;
        let window = self.window().ok_or(ChangeRefusal::State(self.state_name()))?;
        let (by, reason) = (PersonRef::from(act.by), reason.to_owned());
        let happening = act.happening(Change::Revoked, Some(&reason));
        Ok(self.next(State::Revoked { at: act.at, by, reason, window }, happening))
    }

    /// What the clock has made of it, when that is not written down yet.
    pub fn passed(&self, at: Moment) -> Option<Self> {
        let deadline = self.deadline().filter(|deadline| *deadline <= at)?;
        let (state, event) = match &self.state {
            State::Active { window, .. } => (State::Expired { window: *window }, Change::Expired),
            open => (State::Lapsed { at: deadline, window: open.window() }, Change::Lapsed),
        };
        Some(self.next(state, Happening { at: deadline, event, by: None, note: None }))
    }

    /// The warning that is due, noted as said. Only the latest: who missed five minutes needs to hear of one.
    pub fn warn(&self, at: Moment) -> Option<(Self, Warning)> {
        let State::Active { window, .. } = &self.state else { return None };
        if !window.holds(at) {
            return None;
        }
        let is_due = |warning: &Warning| {
            self.may_warn(*warning, window) && at >= window.ends_at.minus(warning.before_end())
        };
        let due = Warning::ALL.into_iter().filter(is_due).max()?;
        let said = Happening { at, event: Change::Warned, by: None, note: None };
        let mut next = self.next(self.state.clone(), said);
        next.warned.extend(Warning::ALL.into_iter().filter(|warning| *warning <= due));
        Some((next, due))
    }

    /// The state's name with the time in it.
    pub fn state_at(&self, at: Moment) -> StateName {
        self.passed(at).map_or(self.state_name(), |passed| passed.state_name())
    }

    fn may_be_approved_by(&self, id: &PrincipalId) -> Result<(), ChangeRefusal> {
        if self.is_requester(id) {
            return Err(ChangeRefusal::Requester);
        }
        if self.approvals.iter().any(|given| given.by.id() == id) {
            return Err(ChangeRefusal::Twice);
        }
        if self.approvals.len() >= MOST_APPROVALS {
            return Err(ChangeRefusal::TooMany);
        }
        Ok(())
    }

    /// Compared with what was asked for, not with what others cut off: the narrowest stands anyway.
    fn must_narrow(&self, approval: &Approval) -> Result<(), ChangeRefusal> {
        let narrowing = &approval.narrowing;
        let longer = narrowing.duration.is_some_and(|duration| duration > self.ask.duration);
        let wider = match (&narrowing.scope, &self.ask.scope) {
            (Some(kept), Some(asked)) => !kept.is_subset(asked),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if longer || wider { Err(ChangeRefusal::Widens) } else { Ok(()) }
    }

    fn must_be_requesters(&self, act: Act<'_>) -> Result<(), ChangeRefusal> {
        if self.is_requester(&act.by.id) { Ok(()) } else { Err(ChangeRefusal::NotRequester) }
    }

    /// In a fitting state, and the clock has not ended it meanwhile.
    fn must_be(&self, fits: bool, at: Moment) -> Result<(), ChangeRefusal> {
        match self.passed(at) {
            Some(passed) => Err(ChangeRefusal::Over(passed.state_name())),
            None if fits => Ok(()),
            None => Err(ChangeRefusal::State(self.state_name())),
        }
    }
}
