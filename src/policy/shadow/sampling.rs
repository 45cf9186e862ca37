//! Which differences are worth an entry: the first few of each hour, for each grant and kind.

use std::collections::HashMap;
use std::time::Duration;

use super::DifferenceKind;
use crate::clock::Moment;

const HOUR: Duration = Duration::from_hours(1);

/// Remembers one window for each grant and kind: as many as there are grants, and no caller makes more.
#[derive(Debug)]
pub(in crate::policy) struct Sampler {
    per_hour: u32,
    windows: HashMap<(String, DifferenceKind), Window>,
}

#[derive(Debug)]
struct Window {
    began: Moment,
    taken: u32,
    passed_over: u64,
}

impl Sampler {
    pub(in crate::policy) fn new(per_hour: u32) -> Self {
        Self { per_hour, windows: HashMap::new() }
    }

    /// Is this one written down? Then with how many before it were not. A clock that steps back begins no new window.
    pub(in crate::policy) fn take(&mut self, grant: &str, kind: DifferenceKind, at: Moment) -> Option<u64> {
        let fresh = || Window { began: at, taken: 0, passed_over: 0 };
        let window = self.windows.entry((grant.to_owned(), kind)).or_insert_with(fresh);
        if at >= window.began.plus(HOUR) {
            (window.began, window.taken) = (at, 0);
        }
        if window.taken >= self.per_hour {
            window.passed_over += 1;
            return None;
        }
        window.taken += 1;
        Some(std::mem::take(&mut window.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DifferenceKind::{NewlyAllowed, NewlyDenied};

    fn at(minutes: u64) -> Moment {
        Moment::EPOCH.plus(Duration::from_mins(minutes))
    }

    #[test]
    fn each_grant_and_kind_has_its_share_of_an_hour() {
        let mut sampler = Sampler::new(2);
        let mut take = |grant, kind, minute| sampler.take(grant, kind, at(minute));
        assert_eq!(take("a", NewlyDenied, 0), Some(0));
        assert_eq!(take("a", NewlyDenied, 1), Some(0));
        assert_eq!([take("a", NewlyDenied, 2), take("a", NewlyDenied, 59)], [None, None]);
        assert_eq!(take("a", NewlyAllowed, 59), Some(0));
        assert_eq!(take("b", NewlyDenied, 59), Some(0));
        assert_eq!(take("a", NewlyDenied, 60), Some(2), "the next one says how many were passed over");
        assert_eq!(take("a", NewlyDenied, 61), Some(0));
        assert_eq!(take("a", NewlyDenied, 62), None);
    }

    #[test]
    fn a_clock_that_steps_back_makes_no_room() {
        let mut sampler = Sampler::new(1);
        assert_eq!(sampler.take("a", NewlyDenied, at(90)), Some(0));
        assert_eq!(sampler.take("a", NewlyDenied, at(10)), None);
        assert_eq!(Sampler::new(0).take("a", NewlyDenied, at(0)), None);
    }
}
