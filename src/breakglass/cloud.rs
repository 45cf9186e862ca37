//! Cutting off AWS sessions that an elevation issued before it ended early: asked for, then confirmed, then lifted again
//! when no session can be left. A failure is a state that can be seen, never silence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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

    /// The step that is due succeeded.
    #[must_use]
    pub fn done(&self, at: Moment) -> Self {
        match *self {
            // What ended by itself while we tried needs no Deny any more; it may stand all the same.
            Self::Asked { since, until, .. } => {
                Self::Confirmed { at, since, until, attempts: 0, next_try: until.max(at) }
            }
            Self::Confirmed { .. } => Self::Lifted { at },
            Self::NotNeeded | Self::Lifted { .. } => self.clone(),
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
