//! One slot through any history: a property.

use proptest::prelude::*;

use crate::cli::agent::slot::{Die, Look, Now, Slot};
use crate::cli::broker::OauthRefusal;
use crate::cli::broker::tests::aws;
use crate::cli::given::Given;
use crate::clock::{Clock as _, ManualClock, Moment};
use crate::secret::Fingerprint;

use std::time::Duration;

/// What happens to a slot.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Give(u64),
    Deny,
    TokenNotTaken { same: bool },
    Fail(Option<u64>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_u64..400_000).prop_map(Event::Pass),
        (0_u64..5_000).prop_map(Event::Give),
        Just(Event::Deny),
        any::<bool>().prop_map(|same| Event::TokenNotTaken { same }),
        proptest::option::of(0_u64..100).prop_map(Event::Fail),
    ]
}

fn refusal(code: &str) -> OauthRefusal {
    serde_json::from_value(serde_json::json!({ "error": code })).unwrap()
}

fn subject(name: &str) -> Fingerprint {
    Fingerprint::of(name.as_bytes())
}

proptest! {
    /// What a slot may serve is known from its history alone: the last gift, until its end, unless the broker said no.
    #[test]
    fn nothing_is_served_after_its_end_or_after_a_no(history in proptest::collection::vec(event(), 1..40), die in 0_u32..1_000) {
        let (clock, mut slot, mut ends) = (ManualClock::at(Moment::EPOCH), Slot::default(), None);
        for event in history {
            let now = Now::of(&clock);
            match event {
                Event::Pass(millis) => clock.advance(Duration::from_millis(millis)),
                Event::Give(seconds) => {
                    let mut given: Given = serde_json::from_value(aws("ASIA", seconds, "2026-11-22T16:03:12Z")).unwrap();
                    let aws = given.aws.take().unwrap();
                    slot.keep(now, &given, &aws, subject("one"), Die(die));
                    // The last second is not served; a gift without more changes nothing.
                    let last = seconds.checked_sub(1).filter(|&last| last > 0).map(Duration::from_secs);
                    ends = last.map(|last| clock.now().plus(last)).or(ends);
                }
                Event::Deny => {
                    slot.refuse(now, &refusal("invalid_target"), subject("one"), Die(die));
                    ends = None;
                }
                Event::TokenNotTaken { same } => {
                    let name = if same { "one" } else { "other" };
                    slot.refuse(now, &refusal("invalid_request"), subject(name), Die(die));
                    ends = ends.filter(|_| same);
                }
                Event::Fail(wish) => {
                    slot.fail(now, "away".to_owned(), wish.map(Duration::from_secs), Die(die));
                }
            }
            let (now, may) = (Now::of(&clock), ends.is_some_and(|ends| clock.now() < ends));
            prop_assert!(may || !slot.is_due(now));
            prop_assert!(!may || !slot.is_over(now));
            prop_assert_eq!(may, matches!(slot.look(now), Look::Serve { .. }));
        }
    }

    /// Renewal begins after half of the life, when the broker has a new one to give, and leaves time for a second attempt.
    #[test]
    fn renewal_begins_between_half_and_three_fifths(seconds in 20_u64..43_200, die in 0_u32..1_000) {
        let (clock, mut slot) = (ManualClock::at(Moment::EPOCH), Slot::default());
        let mut given: Given = serde_json::from_value(aws("ASIA", seconds, "2026-11-22T16:03:12Z")).unwrap();
        let aws = given.aws.take().unwrap();
        slot.keep(Now::of(&clock), &given, &aws, subject("one"), Die(die));
        let due = |slot: &mut Slot, clock: &ManualClock| matches!(slot.look(Now::of(clock)), Look::Serve { due: true, .. });
        clock.advance(Duration::from_millis(seconds * 500 - 1));
        prop_assert!(!due(&mut slot, &clock));
        clock.advance(Duration::from_millis(seconds * 100 + 1));
        prop_assert!(due(&mut slot, &clock));
    }
}
