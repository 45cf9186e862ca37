//! Time as a value and as a port. Knows moments and how to read them; refuses to know why anyone asks.
//!
//! Everything that decides takes a [`Moment`] as an argument. Only the rim holds a [`Clock`].

mod heard;
mod high_water;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use heard::{FRESH_FOR, Heard};
pub use high_water::{HighWater, RolledBack};

/// A point in time: milliseconds since the Unix epoch. Prints as RFC 3339 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the Unix epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch (a JWT `NumericDate`); saturates.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment with its fraction of a second cut off.
    #[must_use]
    pub const fn floor_second(self) -> Self {
        Self(self.0.div_euclid(1000).saturating_mul(1000))
    }

    /// Later by `span`; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `span`; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 in UTC, with milliseconds only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{stamp}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Moment {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.parse::<jiff::Timestamp>()?.as_millisecond()))
    }
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The port through which the rim learns the time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Moment;

    /// A monotonic reading, for measuring how long something took, also while the machine slept: what was fresh before is not
    /// after. Never compare it across processes.
    fn uptime(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Duration,
}

impl SystemClock {
    /// A clock whose `uptime` counts from now.
    pub fn start() -> Self {
        Self { started: since_boot() }
    }
}

/// `CLOCK_BOOTTIME`. The clock behind [`std::time::Instant`] stands still while a virtual machine is suspended: a replica that
/// wakes would take memory of hours ago for fresh.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let read = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(read.tv_sec), u32::try_from(read.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Elsewhere, for developers: since the first reading, and it may stand still while the machine sleeps.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "the one place that may read the system's clocks")]
fn since_boot() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may read the system's clocks")]
    fn now(&self) -> Moment {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Moment(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> Duration {
        since_boot().saturating_sub(self.started)
    }
}

/// A clock that stands still until it is moved: for tests, which never sleep.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
}

impl ManualClock {
    /// Stands at `at`.
    pub fn at(at: Moment) -> Self {
        Self { millis: AtomicI64::new(at.unix_millis()) }
    }

    /// Moves to `at`, forward or back.
    pub fn set(&self, at: Moment) {
        self.millis.store(at.unix_millis(), Ordering::SeqCst);
    }

    /// Moves forward by `span`.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().plus(span));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.millis.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis.load(Ordering::SeqCst)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_prints_as_rfc_3339_and_reads_back() {
        let at = Moment::from_unix_millis(1_795_363_392_250);
        assert_eq!(at.to_string(), "2026-11-22T16:03:12.25Z");
        assert_eq!(at.to_string().parse::<Moment>().unwrap(), at);
        assert_eq!(at.floor_second().to_string(), "2026-11-22T16:03:12Z");
    }

    /// `/proc/uptime` is read off the same clock, with the time that the machine slept.
    #[cfg(target_os = "linux")]
    #[test]
    fn uptime_is_read_off_the_clock_that_goes_on_while_the_machine_sleeps() {
        let kernels = std::fs::read_to_string("/proc/uptime").unwrap();
        let kernels: f64 = kernels.split(' ').next().unwrap().parse().unwrap();
        let apart = since_boot().as_secs_f64() - kernels;
        assert!((-1.0..5.0).contains(&apart), "{apart} s apart");
        assert!(SystemClock::start().uptime() < Duration::from_secs(5));
    }

    #[test]
    fn huge_spans_saturate_and_never_wrap() {
        assert_eq!(Moment::EPOCH.plus(Duration::MAX), Moment::from_unix_millis(i64::MAX));
        assert_eq!(Moment::from_unix_seconds(i64::MAX), Moment::from_unix_millis(i64::MAX));
        assert_eq!(Moment::EPOCH.since(Moment::from_unix_seconds(5)), Duration::ZERO);
    }
}
