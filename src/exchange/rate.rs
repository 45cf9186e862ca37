//! How often one principal may exchange. Checked after the token was verified and before anything is decided or
//! written, so one stolen identity can neither fill the log nor starve the others.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Refusal;
use crate::principal::PrincipalId;

/// A rate per second and how much may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSettings {
    /// Sustained.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// A bucket per principal; unlimited when not configured.
#[derive(Clone)]
pub struct PrincipalRate(Option<Arc<DefaultKeyedRateLimiter<PrincipalId>>>);

impl std::fmt::Debug for PrincipalRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrincipalRate")
    }
}

impl PrincipalRate {
    /// With `settings`, or without a limit.
    pub fn new(settings: Option<RateSettings>) -> Self {
        Self(settings.map(|settings| {
            let quota = Quota::per_second(settings.per_second).allow_burst(settings.burst);
            Arc::new(RateLimiter::keyed(quota))
        }))
    }

    /// Takes one from the principal's bucket.
    pub(super) fn check(&self, principal: &PrincipalId) -> Result<(), Refusal> {
        if self.admits(principal) { Ok(()) } else { Err(Refusal::PrincipalRate) }
    }

    /// Takes one from the principal's bucket; `false` when it is empty.
    pub fn admits(&self, principal: &PrincipalId) -> bool {
        self.0.as_ref().is_none_or(|limiter| limiter.check_key(principal).is_ok())
    }

    /// Forgets principals whose bucket is full again. Call it every now and then: memory stays bounded by who came
    /// lately.
    pub fn forget_idle(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}
