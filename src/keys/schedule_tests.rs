use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const AHEAD: Duration = Duration::from_mins(10);
const EVERY: Duration = Duration::from_hours(1);
const KEEP: Duration = Duration::from_mins(16);
/// `KEEP` is the longest token and this leeway of its verifier.
const LONGEST_TOKEN: Duration = Duration::from_mins(15);

fn schedule() -> Schedule {
    Schedule::new(EVERY, Some(AHEAD), KEEP).unwrap()
}

/// Keeps what the schedule says, as the service does.
struct House {
    schedule: Schedule,
    keys: Vec<KeyTimes>,
    made: u32,
}

impl House {
    fn new() -> Self {
        Self { schedule: schedule(), keys: Vec::new(), made: 0 }
    }

    fn tick(&mut self, at: Moment) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = self.schedule.next_step(&self.keys, at, true) {
            self.perform(&step, at);
            steps.push(step);
            assert!(steps.len() < 200, "the schedule does not come to rest: {steps:?}");
        }
        steps
    }

    fn perform(&mut self, step: &Step, at: Moment) {
        match step {
            Step::Create { active_from } => self.create(*active_from, at),
            Step::Promote { kid } => self.key(kid).active_from = at,
            Step::Retire { kid, retired_at, published_until, .. } => {
                let key = self.key(kid);
                key.retired_at = Some(*retired_at);
                key.published_until = Some(*published_until);
            }
            Step::Delete { kid } => self.keys.retain(|key| key.kid != *kid),
        }
    }

    fn create(&mut self, active_from: Moment, at: Moment) {
        self.made += 1;
        let kid = Kid::new(&format!("k{}", self.made)).unwrap();
        self.keys.push(KeyTimes {
            kid,
            created_at: at,
            active_from,
            retired_at: None,
            published_until: None,
        });
    }

    fn key(&mut self, kid: &Kid) -> &mut KeyTimes {
        self.keys.iter_mut().find(|key| key.kid == *kid).unwrap()
    }

    fn signer(&self, at: Moment) -> &KeyTimes {
        signer(&self.keys, at).expect("somebody signs")
    }
}

fn second(n: u64) -> Moment {
    Moment::from_unix_seconds(1_800_000_000).plus(Duration::from_secs(n))
}

#[test]
fn settings_that_cannot_publish_before_use_are_refused() {
    assert_eq!(Schedule::new(EVERY, Some(EVERY), KEEP), Err(ScheduleError::AheadTooLong));
    assert_eq!(Schedule::new(Duration::from_secs(59), None, KEEP), Err(ScheduleError::TooOften));
    assert_eq!(Schedule::new(Duration::from_mins(1), None, KEEP).unwrap().publish_ahead().as_secs(), 15);
}

#[test]
fn the_first_key_signs_at_once() {
    let mut house = House::new();
    assert_eq!(house.tick(second(0)), [Step::Create { active_from: second(0) }]);
    assert_eq!(house.signer(second(0)).kid.as_str(), "k1");
}

#[test]
fn the_next_key_is_published_ahead_and_then_takes_over() {
    let mut house = House::new();
    house.tick(second(0));
    assert_eq!(house.tick(second(2999)), []);
    assert_eq!(house.tick(second(3000)), [Step::Create { active_from: second(3600) }]);
    assert_eq!(house.signer(second(3599)).kid.as_str(), "k1");
    assert_eq!(house.signer(second(3600)).kid.as_str(), "k2", "without anybody having written it down");
    let steps = house.tick(second(3605));
    assert!(matches!(&steps[..], [Step::Retire { kid, published_until, .. }]
        if kid.as_str() == "k1" && *published_until == second(3605 + 960)));
    assert_eq!(house.tick(second(3605 + 959)), []);
    assert!(matches!(&house.tick(second(3605 + 960))[..], [Step::Delete { kid }] if kid.as_str() == "k1"));
}

#[test]
fn a_broker_that_slept_through_its_rotation_still_publishes_before_it_signs() {
    let mut house = House::new();
    house.tick(second(0));
    assert_eq!(house.tick(second(900_000)), [Step::Create { active_from: second(900_600) }]);
    assert_eq!(house.signer(second(900_599)).kid.as_str(), "k1");
}

#[test]
fn a_second_request_to_rotate_makes_no_second_key() {
    let mut house = House::new();
    house.tick(second(0));
    let active_from = house.schedule.early_successor(&house.keys, second(10)).unwrap();
    assert_eq!(active_from, second(610));
    house.create(active_from, second(10));
    assert_eq!(house.schedule.early_successor(&house.keys, second(11)), None);
    assert_eq!(house.tick(second(609)), []);
    assert_eq!(house.signer(second(610)).kid.as_str(), "k2");
}

#[test]
fn a_clock_that_stepped_back_behind_every_key_finds_a_signer_that_verifiers_know() {
    let mut house = House::new();
    house.tick(second(5_000_000));
    let steps = house.tick(second(0));
    assert!(matches!(&steps[..], [Step::Promote { kid }] if kid.as_str() == "k1"), "{steps:?}");
    assert_eq!(house.signer(second(0)).kid.as_str(), "k1");
}

#[test]
fn a_key_waiting_for_a_wrong_far_future_holds_up_no_rotation() {
    let mut house = House::new();
    house.tick(second(0));
    house.create(second(50_000_000), second(0));
    assert_eq!(house.tick(second(3000)), [Step::Create { active_from: second(3600) }]);
}

proptest! {
    /// The clock goes forward by small and large steps and the broker is asked at each: there is one signer, it was
    /// published `AHEAD` before it first signed (unless it is the first of all), and each token's key is published until
    /// the token has ended.
    #[test]
    fn every_token_can_be_checked_while_it_lives(
        steps in proptest::collection::vec(prop_oneof![1_u64..120, 1_u64..4000, Just(500_000)], 1..120),
        rotations in proptest::collection::btree_set(0_usize..120, 0..6),
    ) {
        let mut house = House::new();
        let mut published_since = BTreeMap::new();
        let mut tokens: Vec<(Kid, Moment)> = Vec::new();
        let mut now = 0;
        for (turn, step) in steps.into_iter().enumerate() {
            now += step;
            let at = second(now);
            house.tick(at);
            if rotations.contains(&turn) && let Some(from) = house.schedule.early_successor(&house.keys, at) {
                house.create(from, at);
            }
            for key in &house.keys {
                published_since.entry(key.kid.clone()).or_insert(at);
            }
            let signer = house.signer(at).kid.clone();
            if signer.as_str() != "k1" {
                prop_assert!(at.since(published_since[&signer]) >= AHEAD);
            }
            tokens.push((signer, at.plus(LONGEST_TOKEN)));
            tokens.retain(|(_, end)| at < *end);
            for (kid, _) in &tokens {
                let key = house.keys.iter().find(|key| key.kid == *kid);
                prop_assert!(key.is_some_and(|key| key.is_published(at)), "{kid} is gone");
            }
        }
    }

    /// Whatever the clock does, somebody signs after each tick, it is published, and keys do not pile up.
    #[test]
    fn a_jumping_clock_leaves_one_published_signer_and_few_keys(
        moments in proptest::collection::vec(0_u64..200_000, 1..80),
    ) {
        let mut house = House::new();
        for now in moments {
            let at = second(now);
            house.tick(at);
            prop_assert!(house.signer(at).is_published(at));
        }
        prop_assert!(house.keys.len() <= 82);
    }
}
