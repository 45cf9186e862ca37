//! When a message that did not arrive is tried again, and when never.

use std::time::Duration;

use crate::clock::Moment;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer: a receiver that is back hears of us soon.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// What is older than this is history, and history is in the log.
const OLDEST: Duration = Duration::from_hours(7 * 24);
/// Nothing is given up before so many attempts (about 8 minutes), however old it is: what became true while the broker was
/// down is old when it is said for the first time, and a clock that jumps ahead makes everything old.
const FEWEST_ATTEMPTS: u32 = 10;

/// When to try again after the failure number `failures` (from 1). `chance` is between 0 and 1: half of the pause is
/// random, so that what failed together does not come back together.
pub(super) fn next_try(failures: u32, at: Moment, chance: f64) -> Moment {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    at.plus(doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
}

/// Is a message of `said_at` not worth a further attempt?
pub(super) fn is_given_up(failures: u32, said_at: Moment, at: Moment) -> bool {
    failures >= FEWEST_ATTEMPTS && at.since(said_at) > OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_a_second_to_ten_minutes_and_half_of_each_is_chance() {
        let at = Moment::from_unix_seconds(1_000);
        let pause = |failures, chance| next_try(failures, at, chance).since(at).as_millis();
        assert_eq!((pause(1, 0.0), pause(1, 1.0)), (500, 1_000));
        assert_eq!((pause(4, 0.0), pause(4, 1.0)), (4_000, 8_000));
        for failures in [11, 40, u32::MAX] {
            assert_eq!((pause(failures, 0.0), pause(failures, 1.0)), (300_000, 600_000), "{failures}");
        }
    }

    #[test]
    fn a_message_is_given_up_only_when_it_is_old_and_was_tried_often() {
        let said = Moment::from_unix_seconds(1_000);
        let week = said.plus(OLDEST);
        assert!(!is_given_up(u32::MAX, said, week));
        assert!(!is_given_up(FEWEST_ATTEMPTS - 1, said, week.plus(Duration::from_secs(1))));
        assert!(is_given_up(FEWEST_ATTEMPTS, said, week.plus(Duration::from_secs(1))));
    }
}
