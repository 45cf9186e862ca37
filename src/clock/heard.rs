//! When a replica last knew everything that others had changed: what is decided from memory alone may not be older.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Clock;

/// How old the memory of a replica may be. A lock, a revocation or a policy that another replica wrote down holds here after
/// this, whatever the network does: what cannot be known is not decided from memory.
pub const FRESH_FOR: Duration = Duration::from_secs(1);

/// When the store was last heard. Read off the monotonic clock: wall clocks step.
#[derive(Debug)]
pub struct Heard {
    clock: Arc<dyn Clock>,
    /// `None` where nobody else writes: memory is never behind.
    last: Option<AtomicU64>,
}

impl Heard {
    /// For a process that is alone on its store.
    pub fn alone(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: None }
    }

    /// For one replica of several. It has heard nothing yet.
    pub fn among_others(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Some(AtomicU64::new(u64::MAX)) }
    }

    /// Everything that was durable at `since`, an earlier [`Clock::uptime`], is known here now.
    pub fn mark(&self, since: Duration) {
        if let Some(last) = &self.last {
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            let later = |known: u64| if known == u64::MAX { millis } else { known.max(millis) };
            let _ = last.fetch_update(Ordering::AcqRel, Ordering::Acquire, |known| Some(later(known)));
        }
    }

    /// How old what is known here may be. `None` before anything was heard.
    pub fn age(&self) -> Option<Duration> {
        let Some(last) = &self.last else { return Some(Duration::ZERO) };
        let last = Some(last.load(Ordering::Acquire)).filter(|last| *last != u64::MAX)?;
        Some(self.clock.uptime().saturating_sub(Duration::from_millis(last)))
    }

    /// May anything be decided from memory alone?
    pub fn is_fresh(&self) -> bool {
        self.last.is_none() || self.age().is_some_and(|age| age <= FRESH_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Moment};

    #[test]
    fn memory_is_stale_a_second_after_the_store_was_heard() {
        let clock = Arc::new(ManualClock::at(Moment::from_unix_seconds(1_000)));
        let heard = Heard::among_others(Arc::clone(&clock) as _);
        assert!(!heard.is_fresh(), "nothing was heard yet");
        heard.mark(clock.uptime());
        clock.advance(FRESH_FOR);
        assert!(heard.is_fresh());
        clock.advance(Duration::from_millis(1));
        assert!(!heard.is_fresh());
        assert_eq!(heard.age(), Some(Duration::from_millis(1_001)));
    }

    #[test]
    fn an_answer_that_came_late_does_not_make_memory_older_or_younger_than_it_is() {
        let clock = Arc::new(ManualClock::at(Moment::from_unix_seconds(1_000)));
        let heard = Heard::among_others(Arc::clone(&clock) as _);
        let asked_first = clock.uptime();
        clock.advance(Duration::from_millis(400));
        heard.mark(clock.uptime());
        heard.mark(asked_first);
        assert_eq!(heard.age(), Some(Duration::ZERO));
    }

    #[test]
    fn who_is_alone_is_always_fresh() {
        let clock = Arc::new(ManualClock::at(Moment::from_unix_seconds(1_000)));
        let heard = Heard::alone(Arc::clone(&clock) as _);
        clock.advance(Duration::from_hours(1));
        assert!(heard.is_fresh());
    }
}
