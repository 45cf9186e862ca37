//! How often STS may be called. AWS throttles an account as a whole: whoever else calls STS there is hurt by what we call
//! too often, and so are callers whose sessions are about to end by callers who only come now.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::grants::{Grant, GrantKind};
use crate::ids::GrantName;
use crate::issuance::IssueError;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A session for somebody who has none.
    New,
    /// A successor of a session that still lives: whoever has it works already. And break-glass: somebody stands before
    /// something broken.
    Reserved,
}

/// Calls in a second. That many may come at once, too; a quarter of them, for [`Purpose::Reserved`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate(NonZeroU32);

impl Rate {
    fn interval(self) -> Duration {
        Duration::from_secs(1) / self.0.get()
    }

    /// Two at least: of one, nothing could be kept.
    fn at_once(self, purpose: Purpose) -> u32 {
        let all = self.0.get().max(2);
        match purpose {
            Purpose::New => all - all.div_ceil(4),
            Purpose::Reserved => all,
        }
    }
}

/// One limit, as the generic cell rate algorithm keeps it: the uptime at which everything that was let through would have
/// come to its end, had it come evenly.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    busy_until: Duration,
}

impl Bucket {
    /// With one more.
    fn after(self, rate: Rate, now: Duration) -> Self {
        Self { busy_until: self.busy_until.max(now).saturating_add(rate.interval()) }
    }

    /// How long until one more may come; nothing when it may come now.
    fn wait(self, rate: Rate, purpose: Purpose, now: Duration) -> Duration {
        let ahead = rate.interval().saturating_mul(rate.at_once(purpose));
        self.after(rate, now).busy_until.saturating_sub(now.saturating_add(ahead))
    }
}

#[derive(Debug, Default)]
struct Buckets {
    all: Bucket,
    /// Of those grants that have a rate of their own: the configuration bounds them.
    grants: BTreeMap<GrantName, Bucket>,
}

/// The limits, and how much of them is used. A retry after AWS throttled a call is not counted: its pauses grow.
#[derive(Debug)]
pub(super) struct Budget {
    rate: Option<Rate>,
    clock: Arc<dyn Clock>,
    used: Mutex<Buckets>,
}

impl Budget {
    /// `per_second` is for all grants together; a grant's own rate stands in the grant.
    pub(super) fn new(per_second: Option<NonZeroU32>, clock: Arc<dyn Clock>) -> Self {
        Self { rate: per_second.map(Rate), clock, used: Mutex::default() }
    }

    /// Takes one call for the grant, out of both limits or out of none.
    pub(super) fn take(&self, grant: &Grant, purpose: Purpose) -> Result<(), IssueError> {
        let own_rate = own_rate(grant);
        let now = self.clock.uptime();
        // A panic within left the buckets as they were, or one of them fuller.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let own = used.grants.get(&grant.name).copied().unwrap_or_default();
        let waits = [
            self.rate.map(|rate| used.all.wait(rate, purpose, now)),
            own_rate.map(|rate| own.wait(rate, purpose, now)),
        ];
        let wait = waits.into_iter().flatten().max().unwrap_or_default();
        if !wait.is_zero() {
            throttled("budget");
            return Err(IssueError::NoBudget { retry_after: whole_seconds(wait) });
        }
        if let Some(rate) = self.rate {
            used.all = used.all.after(rate, now);
        }
        if let Some(rate) = own_rate {
            used.grants.insert(grant.name.clone(), own.after(rate, now));
        }
        Ok(())
    }
}

fn own_rate(grant: &Grant) -> Option<Rate> {
    match &grant.kind {
        GrantKind::Aws(aws) => aws.sts_rate.map(Rate),
        GrantKind::Jwt(_) => None,
    }
}

/// Rounded up: `Retry-After` knows nothing smaller, and who comes too early comes again.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// A caller waits for its credential because calls to STS are limited, by us or by AWS.
pub(super) fn throttled(by: &'static str) {
    metrics::counter!("tidegate_sts_throttles_total", "by" => by).increment(1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{aws_grant, clock, grant};
    use super::*;
    use crate::clock::ManualClock;
    use crate::grants::AwsGrant;

    fn per_second(rate: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(rate)
    }

    fn budget(rate: u32) -> (Budget, Arc<ManualClock>) {
        let clock = clock();
        (Budget::new(per_second(rate), Arc::clone(&clock) as _), clock)
    }

    fn with_own(rate: u32, name: &str) -> Arc<Grant> {
        let own = grant(AwsGrant { sts_rate: per_second(rate), ..aws_grant() }, false);
        Arc::new(Grant { name: GrantName::new(name).unwrap(), ..Arc::unwrap_or_clone(own) })
    }

    /// How many come through at once.
    fn at_once(budget: &Budget, grant: &Grant, purpose: Purpose) -> u32 {
        (0..1_000).find(|_| budget.take(grant, purpose).is_err()).unwrap()
    }

    #[test]
    fn what_is_kept_for_refreshes_is_not_given_to_newcomers() {
        let ((budget, _), plain) = (budget(8), grant(aws_grant(), false));
        assert_eq!(at_once(&budget, &plain, Purpose::New), 6);
        assert_eq!(at_once(&budget, &plain, Purpose::Reserved), 2);
        assert_eq!(at_once(&budget, &plain, Purpose::New), 0);
    }

    #[test]
    fn the_smallest_budget_still_keeps_one_call_for_a_refresh() {
        let ((budget, clock), plain) = (budget(1), grant(aws_grant(), false));
        assert_eq!(at_once(&budget, &plain, Purpose::New), 1);
        assert_eq!(at_once(&budget, &plain, Purpose::Reserved), 1);
        clock.advance(Duration::from_secs(2));
        assert_eq!(at_once(&budget, &plain, Purpose::New), 1);
    }

    #[test]
    fn whoever_is_refused_is_told_when_a_call_will_be_free() {
        let ((budget, clock), plain) = (budget(2), grant(aws_grant(), false));
        at_once(&budget, &plain, Purpose::Reserved);
        let refused = budget.take(&plain, Purpose::New).unwrap_err();
        let IssueError::NoBudget { retry_after } = refused else { panic!("{refused}") };
        assert_eq!(retry_after, Duration::from_secs(1));
        clock.advance(Duration::from_millis(999));
        assert!(
            budget.take(&plain, Purpose::New).is_err(),
            "1 of 2 is kept, and the other one is not back yet"
        );
        clock.advance(Duration::from_millis(1));
        assert!(budget.take(&plain, Purpose::New).is_ok());
    }

    #[test]
    fn a_grant_with_a_rate_of_its_own_leaves_the_rest_to_the_others() {
        let (budget, _) = budget(100);
        let (own, other) = (with_own(4, "own"), with_own(4, "other"));
        assert_eq!(at_once(&budget, &own, Purpose::New), 3);
        assert_eq!(at_once(&budget, &other, Purpose::New), 3);
        assert_eq!(
            at_once(&budget, &grant(aws_grant(), false), Purpose::New),
            75 - 6,
            "refused calls cost nothing"
        );
    }

    #[test]
    fn without_a_rate_nothing_is_refused() {
        let budget = Budget::new(None, clock());
        let plain = grant(aws_grant(), false);
        assert!((0..10_000).all(|_| budget.take(&plain, Purpose::New).is_ok()));
    }

    proptest! {
        #[test]
        fn no_more_calls_pass_than_the_rate_and_what_may_come_at_once(
            rate in 1_u32..50, pauses in prop::collection::vec((0_u64..400, any::<bool>()), 1..200),
        ) {
            let ((budget, clock), plain) = (budget(rate), grant(aws_grant(), false));
            let (mut passed, began) = (0_u32, clock.uptime());
            for (pause, reserved) in pauses {
                clock.advance(Duration::from_millis(pause));
                let purpose = if reserved { Purpose::Reserved } else { Purpose::New };
                passed += u32::from(budget.take(&plain, purpose).is_ok());
                let seconds = clock.uptime().saturating_sub(began).as_secs_f64();
                prop_assert!(f64::from(passed) <= f64::from(rate) * seconds + f64::from(rate.max(2)) + 0.001);
            }
        }
    }
}
