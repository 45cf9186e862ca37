//! Strangers who keep sending what does not verify. Only failures count, so a busy gateway in front of many honest
//! workloads is never slowed down by their number.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use moka::future::Cache;

use crate::exchange::RateSettings;

/// Remembered addresses at most; the oldest go first.
const REMEMBERED: u64 = 100_000;

/// A bucket of allowed failures per address (IPv6: per /64, which is one customer).
pub struct AbuseLimit {
    failures: Option<DefaultKeyedRateLimiter<IpAddr>>,
    blocked: Cache<IpAddr, Duration>,
}

impl std::fmt::Debug for AbuseLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AbuseLimit")
    }
}

impl AbuseLimit {
    /// With `settings`, or without a limit.
    pub fn new(settings: Option<RateSettings>) -> Self {
        let failures = settings.map(|settings| {
            RateLimiter::keyed(Quota::per_second(settings.per_second).allow_burst(settings.burst))
        });
        let blocked = Cache::builder().max_capacity(REMEMBERED).time_to_live(Duration::from_secs(1)).build();
        Self { failures, blocked }
    }

    /// `Some(wait)` when the address has used its failures up.
    pub(super) async fn blocked(&self, ip: Option<IpAddr>) -> Option<Duration> {
        self.blocked.get(&bucket(ip?)).await
    }

    /// Counts one failure.
    pub(super) async fn failed(&self, ip: Option<IpAddr>) {
        let (Some(limiter), Some(ip)) = (&self.failures, ip.map(bucket)) else { return };
        if let Err(not_until) = limiter.check_key(&ip) {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            self.blocked.insert(ip, wait).await;
        }
    }

    /// Forgets addresses whose bucket is full again.
    pub fn forget_idle(&self) {
        if let Some(limiter) = &self.failures {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn bucket(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[tokio::test]
    async fn an_address_that_used_its_failures_up_waits_and_others_do_not() {
        let one = NonZeroU32::MIN;
        let limit = AbuseLimit::new(Some(RateSettings { per_second: one, burst: one }));
        let (stranger, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        limit.failed(stranger).await;
        limit.failed(stranger).await;
        assert!(limit.blocked(stranger).await.is_some());
        assert!(limit.blocked(other).await.is_none());
    }

    #[test]
    fn ipv6_neighbours_share_one_bucket() {
        assert_eq!(bucket("2001:db8::1".parse().unwrap()), bucket("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(bucket("2001:db8::1".parse().unwrap()), bucket("2001:db8:0:1::1".parse().unwrap()));
    }
}
