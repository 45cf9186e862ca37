//! When keys are made, sign, retire and go: a function of the kept rows and the moment.
//!
//! Who signs is *computed*: of the keys that may sign at a moment, the one that became active last. So there is one
//! signer at any moment, whether or not anybody has written the change down yet. A step of [`Schedule::next_step`]
//! only writes down what is already true, or makes the key that will be needed.

use std::time::Duration;

use crate::clock::Moment;
use crate::ids::Kid;

/// The times of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTimes {
    /// Which key.
    pub kid: Kid,
    /// Published from then on.
    pub created_at: Moment,
    /// From when it may sign.
    pub active_from: Moment,
    /// From when it signs no more.
    pub retired_at: Option<Moment>,
    /// Until when it stays published.
    pub published_until: Option<Moment>,
}

impl KeyTimes {
    /// May it sign at `at`?
    pub fn may_sign(&self, at: Moment) -> bool {
        self.active_from <= at && self.retired_at.is_none_or(|retired| at < retired)
    }

    /// Must it be published at `at`? From its creation, also when the clock stepped back behind that.
    pub fn is_published(&self, at: Moment) -> bool {
        self.published_until.is_none_or(|until| at < until)
    }
}

/// The key that signs at `at`: of those that may, the one that became active last.
pub fn signer<'a>(keys: impl IntoIterator<Item = &'a KeyTimes>, at: Moment) -> Option<&'a KeyTimes> {
    keys.into_iter().filter(|key| key.may_sign(at)).max_by_key(|key| (key.active_from, &key.kid))
}

/// How keys follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    rotate_every: Duration,
    publish_ahead: Duration,
    keep_after: Duration,
}

/// The settings cannot hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Keys would pile up, or never be published before they sign.
    #[error("`keys.rotate_every` must be at least one minute")]
    TooOften,
    /// The next key would have to be published before its predecessor signs.
    #[error("`keys.publish_ahead` must be shorter than `keys.rotate_every`")]
    AheadTooLong,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a key. It is published at once and signs from `active_from` on.
    Create {
        /// When it takes over.
        active_from: Moment,
    },
    /// No key may sign: this one, which is published already, signs from now on although it was meant for later.
    Promote {
        /// Which.
        kid: Kid,
    },
    /// `successor` has taken over: write down that `kid` signs no more and how long it stays published.
    Retire {
        /// Which.
        kid: Kid,
        /// Who signs now.
        successor: Kid,
        /// Since when it signs no more.
        retired_at: Moment,
        /// When the last token that it can have signed has ended.
        published_until: Moment,
    },
    /// Nobody needs it any more.
    Delete {
        /// Which.
        kid: Kid,
    },
}

/// Verifiers refetch a key set when they meet an unknown `kid`, but many hold back for some minutes and a few only
/// look once an hour.
const USUAL_PUBLISH_AHEAD: Duration = Duration::from_hours(1);

impl Schedule {
    /// `keep_after` is the longest lifetime of a token and the leeway of its verifiers; `publish_ahead` is one hour,
    /// or a quarter of `rotate_every` when that is less, unless given.
    pub fn new(
        rotate_every: Duration,
        publish_ahead: Option<Duration>,
        keep_after: Duration,
    ) -> Result<Self, ScheduleError> {
        if rotate_every < Duration::from_mins(1) {
            return Err(ScheduleError::TooOften);
        }
        let publish_ahead = publish_ahead.unwrap_or_else(|| USUAL_PUBLISH_AHEAD.min(rotate_every / 4));
        if publish_ahead >= rotate_every {
            return Err(ScheduleError::AheadTooLong);
        }
        Ok(Self { rotate_every, publish_ahead, keep_after })
    }

    /// How long a key is published before it signs.
    pub fn publish_ahead(&self) -> Duration {
        self.publish_ahead
    }

    /// What is to be done at `at`; `None` when everything is as it should be. Ask again after each step, with
    /// `can_make` off once a key could not be made because the operator has supplied none.
    pub fn next_step(&self, keys: &[KeyTimes], at: Moment, can_make: bool) -> Option<Step> {
        let Some(signer) = signer(keys, at) else { return Some(Self::first_signer(keys, at)) };
        self.successor(keys, signer, at)
            .filter(|_| can_make)
            .or_else(|| self.retirement(keys, signer, at))
            .or_else(|| Self::deletion(keys, signer, at))
    }

    /// A rotation out of turn: when the next key should be made to sign. `None` when one is on its way already and
    /// takes over no later.
    pub fn early_successor(&self, keys: &[KeyTimes], at: Moment) -> Option<Moment> {
        let active_from = at.plus(self.publish_ahead);
        let on_its_way = keys.iter().any(|key| waiting(key, at) && key.active_from <= active_from);
        (!on_its_way).then_some(active_from)
    }

    /// Until when a key that stops signing at `at` stays published.
    pub fn published_until(&self, at: Moment) -> Moment {
        at.plus(self.keep_after)
    }

    /// The clock may have stepped back behind every key's start: one that verifiers know already is better than a new
    /// one.
    fn first_signer(keys: &[KeyTimes], at: Moment) -> Step {
        match keys.iter().filter(|key| waiting(key, at)).min_by_key(|key| (key.active_from, &key.kid)) {
            Some(known) => Step::Promote { kid: known.kid.clone() },
            None => Step::Create { active_from: at },
        }
    }

    fn successor(&self, keys: &[KeyTimes], signer: &KeyTimes, at: Moment) -> Option<Step> {
        let due = signer.active_from.plus(self.rotate_every);
        let in_time = at.plus(self.publish_ahead);
        // A key that waits for longer than any successor can was made while the clock was wrong: do not wait for it.
        let latest = at.plus(self.rotate_every);
        let waits = keys.iter().any(|key| waiting(key, at) && key.active_from <= latest);
        (in_time >= due && !waits).then_some(Step::Create { active_from: in_time })
    }

    fn retirement(&self, keys: &[KeyTimes], signer: &KeyTimes, at: Moment) -> Option<Step> {
        let old = keys.iter().find(|key| key.retired_at.is_none() && takes_over(signer, key))?;
        Some(Step::Retire {
            kid: old.kid.clone(),
            successor: signer.kid.clone(),
            // Counted from now and not from the takeover: a replica that had not seen the new key yet may have signed
            // with the old one until this moment.
            retired_at: at,
            published_until: self.published_until(at),
        })
    }

    fn deletion(keys: &[KeyTimes], signer: &KeyTimes, at: Moment) -> Option<Step> {
        keys.iter()
            .find(|key| key.kid != signer.kid && !key.is_published(at))
            .map(|key| Step::Delete { kid: key.kid.clone() })
    }
}

/// Published and not signing yet.
fn waiting(key: &KeyTimes, at: Moment) -> bool {
    key.active_from > at && key.retired_at.is_none()
}

fn takes_over(newer: &KeyTimes, older: &KeyTimes) -> bool {
    (newer.active_from, &newer.kid) > (older.active_from, &older.kid)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
