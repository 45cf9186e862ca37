//! How long a credential may live. Whole seconds, never zero, never longer than the shortest of its bounds.

use std::time::Duration;

use serde::Serialize;

/// A whole number of seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Lifetime(u32);

/// What a caller asked for, or a bound, is no lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Zero, negative or larger than a lifetime can be.
    #[error("a lifetime is a whole number of seconds from 1 to 604800")]
    OutOfRange,
    /// The subject token or the elevation ends before a credential could start.
    #[error("the subject token or the elevation ends now")]
    NothingLeft,
}

/// A grant's lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeCaps {
    /// When the caller does not say.
    pub default: Lifetime,
    /// The longest that a caller may ask for.
    pub max: Lifetime,
}

/// A default above the cap: one of the two is not what was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the default lifetime ({default} s) is longer than the longest ({max} s)")]
pub struct CapsError {
    default: u32,
    max: u32,
}

impl LifetimeCaps {
    /// A default and a cap that is not below it.
    pub fn new(default: Lifetime, max: Lifetime) -> Result<Self, CapsError> {
        if default > max {
            return Err(CapsError { default: default.0, max: max.0 });
        }
        Ok(Self { default, max })
    }
}

/// Lifetimes to try when policy refuses a longer one, from long to short.
const STEPS: [u32; 9] = [43_200, 14_400, 3_600, 1_800, 900, 600, 300, 120, 60];

impl Lifetime {
    /// Seven days: longer is no short-lived credential, whatever the configuration says.
    pub const LONGEST: Self = Self(604_800);

    /// From seconds.
    pub fn from_seconds(seconds: i64) -> Result<Self, AskError> {
        match u32::try_from(seconds) {
            Ok(whole) if (1..=Self::LONGEST.0).contains(&whole) => Ok(Self(whole)),
            _ => Err(AskError::OutOfRange),
        }
    }

    /// The standard lifetimes that are shorter, from long to short: what an exchange asks policy for when it may not have this
    /// one.
    pub fn shorter(self) -> impl Iterator<Item = Self> {
        STEPS.into_iter().filter(move |step| *step < self.0).map(Self)
    }

    /// Seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// As a span.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// min(asked or default, the grant's cap, every other bound). A bound under one second leaves nothing.
pub fn effective(
    asked: Option<Lifetime>,
    caps: LifetimeCaps,
    other_bounds: &[Duration],
) -> Result<Lifetime, AskError> {
    let wanted = asked.unwrap_or(caps.default).min(caps.max);
    let shortest = other_bounds.iter().map(Duration::as_secs).min().unwrap_or(u64::MAX);
    let seconds = u64::from(wanted.0).min(shortest);
    Lifetime::from_seconds(i64::try_from(seconds).unwrap_or(0)).map_err(|_| AskError::NothingLeft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: i64) -> Lifetime {
        Lifetime::from_seconds(seconds).unwrap()
    }

    fn caps(default: i64, max: i64) -> LifetimeCaps {
        LifetimeCaps::new(seconds(default), seconds(max)).unwrap()
    }

    #[test]
    fn zero_negative_and_huge_lifetimes_are_refused() {
        for bad in [0, -1, i64::MIN, 604_801, i64::MAX] {
            assert_eq!(Lifetime::from_seconds(bad), Err(AskError::OutOfRange), "{bad}");
        }
        assert_eq!(Lifetime::from_seconds(604_800), Ok(Lifetime::LONGEST));
    }

    #[test]
    fn shorter_lifetimes_are_tried_from_long_to_short() {
        let tried: Vec<_> = seconds(900).shorter().map(Lifetime::seconds).collect();
        assert_eq!(tried, [600, 300, 120, 60]);
        assert_eq!(seconds(60).shorter().count(), 0);
    }

    #[test]
    fn a_default_above_the_cap_is_refused() {
        assert!(LifetimeCaps::new(seconds(61), seconds(60)).is_err());
    }

    #[test]
    fn a_bound_under_one_second_leaves_nothing() {
        let almost = Duration::from_millis(999);
        assert_eq!(effective(None, caps(60, 60), &[almost]), Err(AskError::NothingLeft));
        assert_eq!(effective(None, caps(60, 60), &[Duration::ZERO]), Err(AskError::NothingLeft));
    }

    #[test]
    fn asking_for_more_than_the_cap_gives_the_cap_and_asking_for_nothing_gives_the_default() {
        assert_eq!(effective(Some(seconds(7200)), caps(60, 600), &[]), Ok(seconds(600)));
        assert_eq!(effective(None, caps(60, 600), &[]), Ok(seconds(60)));
    }

    proptest! {
        #[test]
        fn no_lifetime_is_ever_longer_than_any_of_its_bounds(
            asked in proptest::option::of(1..604_800_i64),
            default in 1..604_800_i64,
            more in 0..604_800_i64,
            bounds in proptest::collection::vec(0..1_000_000_000_u64, 0..4),
        ) {
            let caps = caps(default, (default + more).min(604_800));
            let bounds: Vec<Duration> = bounds.into_iter().map(Duration::from_millis).collect();
            let given = effective(asked.map(seconds), caps, &bounds);
            match given {
                Ok(lifetime) => {
                    prop_assert!(lifetime <= asked.map_or(caps.default, seconds));
                    prop_assert!(lifetime <= caps.max);
                    prop_assert!(bounds.iter().all(|bound| lifetime.duration() <= *bound));
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal, AskError::NothingLeft);
                    prop_assert!(bounds.iter().any(|bound| bound.as_secs() == 0));
                }
            }
        }
    }
}
