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

impl Lifetime {
    /// Seven days: longer is no short-lived credential, whatever the configuration says.
    pub const LONGEST: Self = Self(604_800);

    /// From seconds.
    pub fn from_seconds(seconds: i64) -> Result<Self, AskError> {
        match u32::try_from(seconds) {
            Ok(whole) if whole >= 1 && whole <= Self::LONGEST.0 => Ok(Self(whole)),
            _ => Err(AskError::OutOfRange),
        }
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
