//! Cutting off AWS sessions that an elevation issued before it ended early: asked for, then confirmed, then lifted again
//! when no session can be left. A failure is a state that can be seen, never silence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::elevation::{Change, Elevation, Happening};
use crate::clock::Moment;

/// The first retry comes after this; each one waits twice as long, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_mins(5);

/// Where cutting off stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CloudEnd {
    /// Nothing to cut off, or the configuration does not let us.
    #[default]
    NotNeeded,
    /// Asked for, not confirmed.
    Asked {
        /// Since when. Sessions that were issued before are cut off.
        since: Moment,
        /// Until when such a session could live at most.
        until: Moment,
        /// How often it was tried without success.
        attempts: u32,
        /// When it is tried next.
        next_try: Moment,
    },
    /// AWS took the Deny.
    Confirmed {
        /// When.
        at: Moment,
        /// Sessions that were issued before are cut off.
        since: Moment,
        /// When the Deny is of no more use and is taken away.
        until: Moment,
        /// How often taking it away failed.
        attempts: u32,
        /// When that is tried next.
        next_try: Moment,
    },
    /// No session can be left, and the Deny is gone.
    Lifted {
        /// When.
        at: Moment,
    },
}

/// What is to be done at AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are `CloudEnd`'s")]
pub enum CloudStep {
    /// Deny what was issued before `since`.
    Deny { since: Moment, until: Moment },
    /// Take the Deny away.
    Lift { since: Moment, until: Moment },
}

impl CloudEnd {
    /// Cut off what was issued before `at`; nothing of it lives past `until`.
    pub fn asked(at: Moment, until: Moment) -> Self {
        Self::Asked { since: at, until, attempts: 0, next_try: at }
    }

    /// When somebody must act.
    pub fn next_due(&self) -> Option<Moment> {
        match self {
            Self::NotNeeded | Self::Lifted { .. } => None,
            Self::Asked { next_try, .. } | Self::Confirmed { next_try, .. } => Some(*next_try),
        }
    }

    /// What is due at `at`. What ended by itself while we tried needs no Deny any more; but an attempt whose answer was
    /// lost may have put one there, so it is taken away all the same.
    pub fn step(&self, at: Moment) -> Option<CloudStep> {
        match *self {
            Self::Asked { since, until, next_try, .. } if next_try <= at => Some(if at < until {
                CloudStep::Deny { since, until }
            } else {
                CloudStep::Lift { since, until }
            }),
            Self::Confirmed { since, until, next_try, .. } if next_try <= at => {
                Some(CloudStep::Lift { since, until })
            }
            _ => None,
        }
    }

    /// `step` succeeded.
    #[must_use]
    pub fn done(&self, step: CloudStep, at: Moment) -> Self {
        match step {
            CloudStep::Deny { since, until } => {
                Self::Confirmed { at, since, until, attempts: 0, next_try: until.max(at) }
            }
            CloudStep::Lift { .. } => Self::Lifted { at },
        }
    }

    /// The step that is due failed.
    #[must_use]
    pub fn failed(&self, at: Moment) -> Self {
        let mut next = self.clone();
        if let Self::Asked { attempts, next_try, .. } | Self::Confirmed { attempts, next_try, .. } = &mut next
        {
            let wait = FIRST_RETRY.saturating_mul(1 << (*attempts).min(16)).min(LONGEST_RETRY);
            *attempts = attempts.saturating_add(1);
            *next_try = at.plus(wait);
        }
        next
    }

    /// The state's name, for answers and the record.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Asked { attempts: 0, .. } => "asked",
            Self::Asked { .. } => "failing",
            Self::Confirmed { .. } => "confirmed",
            Self::Lifted { .. } => "lifted",
        }
    }
}

impl Elevation {
    /// It ended before its window did: what it issued is to be cut off.
    #[must_use]
    pub fn cut_off(self, at: Moment) -> Self {
        match self.window() {
            Some(window) if at < window.ends_at => {
                Self { cloud: CloudEnd::asked(at, window.ends_at), ..self }
            }
            _ => self,
        }
    }

    /// The intention to end its sessions, once.
    pub fn sessions_end_asked(&self, at: Moment) -> Option<Self> {
        let is_news = matches!(self.cloud, CloudEnd::Asked { .. }) && !self.has(Change::SessionsEndAsked);
        is_news.then(|| self.with_cloud(self.cloud.clone(), Some(Change::SessionsEndAsked), at))
    }

    /// `step` succeeded.
    pub fn cloud_done(&self, step: CloudStep, at: Moment) -> (Self, Change) {
        let change = match step {
            CloudStep::Deny { .. } => Change::SessionsEndConfirmed,
            CloudStep::Lift { .. } => Change::SessionsEndLifted,
        };
        (self.with_cloud(self.cloud.done(step, at), Some(change), at), change)
    }

    /// The step that is due failed. History tells it once; the record, each time.
    #[must_use]
    pub fn cloud_failed(&self, at: Moment) -> Self {
        let told = (!self.has(Change::SessionsEndFailed)).then_some(Change::SessionsEndFailed);
        self.with_cloud(self.cloud.failed(at), told, at)
    }

    fn has(&self, event: Change) -> bool {
        self.history.iter().any(|line| line.event == event)
    }

    fn with_cloud(&self, cloud: CloudEnd, told: Option<Change>, at: Moment) -> Self {
        let mut next = Self { version: self.version.saturating_add(1), cloud, ..self.clone() };
        next.history.extend(told.map(|event| Happening { at, event, by: None, note: None }));
        next
    }
}
