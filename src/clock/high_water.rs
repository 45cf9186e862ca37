//! The latest moment that was ever seen: a clock that steps back behind it would make ended grants valid again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::Moment;

/// The clock is further behind what was seen before than it may be. Nothing is minted or approved until it has caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock shows {at}, but {highest} was seen before; nothing is issued until it has caught up")]
pub struct RolledBack {
    /// What the clock shows.
    pub at: Moment,
    /// What was seen.
    pub highest: Moment,
}

/// The high-water mark of one process. What it starts with was kept by the last one.
#[derive(Debug)]
pub struct HighWater {
    highest: AtomicI64,
    bound: Duration,
}

impl HighWater {
    /// `bound` is how far back a clock may step: time synchronisation does that every day.
    pub fn new(seen: Option<Moment>, bound: Duration) -> Self {
        Self { highest: AtomicI64::new(seen.unwrap_or(Moment::EPOCH).unix_millis()), bound }
    }

    /// How far back a clock may step.
    pub const fn bound(&self) -> Duration {
        self.bound
    }

    /// Raises the mark to `at`, or says that `at` cannot be.
    pub fn check(&self, at: Moment) -> Result<(), RolledBack> {
        let before = self.highest.fetch_max(at.unix_millis(), Ordering::AcqRel);
        let highest = Moment::from_unix_millis(before);
        if highest.since(at) > self.bound { Err(RolledBack { at, highest }) } else { Ok(()) }
    }

    /// The latest moment that was seen.
    pub fn highest(&self) -> Moment {
        Moment::from_unix_millis(self.highest.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    fn at(seconds: i64) -> Moment {
        Moment::from_unix_seconds(seconds)
    }

    #[test]
    fn a_step_back_beyond_the_bound_is_refused_until_time_catches_up() {
        let mark = HighWater::new(Some(at(1_000)), BOUND);
        assert_eq!(mark.check(at(969)), Err(RolledBack { at: at(969), highest: at(1_000) }));
        assert_eq!(mark.check(at(970)), Ok(()));
        assert_eq!(mark.highest(), at(1_000));
    }

    #[test]
    fn every_moment_that_is_seen_raises_the_mark() {
        let mark = HighWater::new(None, BOUND);
        mark.check(at(5_000)).unwrap();
        assert!(mark.check(at(5_000 - 31 * 86_400)).is_err());
        assert_eq!(mark.highest(), at(5_000));
    }
}
