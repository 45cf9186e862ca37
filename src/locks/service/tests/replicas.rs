//! Two books on one store.

use super::*;
use crate::audit::LockFollower;
use crate::locks::OwnedSubjects;

const HOUR: Duration = Duration::from_hours(1);

async fn two() -> (Room, Room) {
    let one = Room::new().await;
    let other = one.beside().await;
    (one, other)
}

impl Room {
    async fn hear(&self) {
        let mark = self.store.pulse().await.unwrap().marks.locks;
        self.book.catch_up(mark).await.unwrap();
    }

    /// What a mint for Ann and grant `a` would commit.
    async fn mint(&self) -> Result<(), RecordError> {
        let about = OwnedSubjects {
            principals: vec![id("ann")],
            grant: Some(GrantName::new("a").unwrap()),
            elevation: None,
        };
        let event = Event::BrokerStopped { reason: "stands for an issue".to_owned() };
        let submission = Submission::new(request(self.now()), event).only_if(self.book.guard(about));
        self.log.record(submission).await.map(drop)
    }
}

#[tokio::test]
async fn no_replica_records_an_issue_after_a_lock_even_if_it_has_heard_nothing() {
    let (one, other) = two().await;
    other.mint().await.unwrap();
    let lock = one.set("olga", "grant:a").await.unwrap();
    assert!(lock.recorded && !other.stops(), "it knows nothing yet");
    assert_eq!(other.mint().await, Err(RecordError::Overtaken(Overtaken::Lock)));
    assert!(other.stops(), "and knows by now");
    one.lift("olga", &lock.lock).await.unwrap();
    other.mint().await.unwrap();
    assert!(!other.stops());
}

/// A standby that was promoted without all that was acknowledged: locks that were known may be among what it lacks.
#[tokio::test]
async fn a_store_with_older_locks_than_were_known_takes_no_issue() {
    let (one, other) = two().await;
    other.mint().await.unwrap();
    let mark = one.store.pulse().await.unwrap().marks.locks;
    LockFollower::take_in(&*other.book.shelf, Vec::new(), mark + 1);
    assert_eq!(other.mint().await, Err(RecordError::Unavailable));
    one.mint().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_issue_stands_behind_a_lock_in_the_log_whatever_races() {
    let (one, other) = two().await;
    for _ in 0..20 {
        let mints = futures_util::future::join_all((0..8).map(|_| other.mint()));
        let (set, _) = tokio::join!(one.set("olga", "grant:a"), mints);
        let lock = set.unwrap().lock;
        assert!(other.mint().await.is_err());
        one.lift("olga", &lock).await.unwrap();
    }
    let all = one.log.entries(0, 10_000).await.unwrap();
    let mut frozen = false;
    for (index, bytes) in all {
        let entry: Value = serde_json::from_slice(&bytes).unwrap();
        match entry["type"].as_str().unwrap() {
            "lock.set" => frozen = true,
            "lock.lifted" => frozen = false,
            _ => assert!(!frozen, "entry {index} is an issue behind a lock"),
        }
    }
}

#[tokio::test]
async fn a_lock_that_another_replica_set_or_lifted_is_followed_in_memory() {
    let (one, other) = two().await;
    let lock = one.set("olga", "all").await.unwrap().lock;
    other.hear().await;
    assert!(other.stops());
    let seen = other.book.list(&other.caller("olga")).unwrap();
    assert_eq!(seen, [LockView { lock: lock.clone(), recorded: true }]);
    other.lift("olga", &lock).await.unwrap();
    one.hear().await;
    assert!(!one.stops() && one.book.list(&one.caller("olga")).unwrap().is_empty());
}

#[tokio::test]
async fn what_waits_or_is_frozen_here_survives_the_news_of_others() {
    let (one, other) = two().await;
    one.make_sick();
    let waiting = one.set("olga", "grant:a").await.unwrap();
    assert!(!waiting.recorded);
    let at = one.now();
    let frozen = Lock { id: LockId::new(at, &SystemEntropy::new()).unwrap(), ..waiting.lock.clone() };
    one.book.freeze(frozen.clone());
    one.heal();
    other.set("olga", "grant:b").await.unwrap();
    one.hear().await;
    let all: Vec<_> =
        one.book.list(&one.caller("olga")).unwrap().into_iter().map(|view| view.recorded).collect();
    assert_eq!(all.iter().filter(|recorded| **recorded).count(), 1);
    assert_eq!(all.len(), 3);
    one.book.tick().await;
    other.hear().await;
    assert_eq!(other.book.list(&other.caller("olga")).unwrap().len(), 2, "what waited is recorded");
}

#[tokio::test]
async fn a_lock_whose_own_try_was_durable_unnoticed_does_not_outlive_its_end_elsewhere() {
    let (one, other) = two().await;
    one.make_sick();
    let lock = one.set("olga", "grant:a").await.unwrap().lock;
    one.heal();
    // The try did become durable; only its answer was lost.
    let Standing::Waiting(submission) = one.book.shelf.find(lock.id).unwrap().standing else { panic!() };
    other.log.record(Submission::clone(&submission)).await.unwrap();
    other.hear().await;
    other.lift("olga", &lock).await.unwrap();
    one.book.tick().await;
    assert!(!one.stops());
    assert_eq!(one.entries("lock.set").await.len(), 0, "its own log has not heard of it");
    assert_eq!(other.entries("lock.set").await.len(), 1);
}

#[tokio::test]
async fn the_end_of_a_lock_is_written_once_although_every_replica_sees_it() {
    let (one, other) = two().await;
    let ends = NewLock { ttl: Some(HOUR), ..new("all") };
    one.book.set(&one.caller("olga"), ends, None).await.unwrap();
    other.hear().await;
    let third = one.beside().await;
    one.bench.clock.advance(HOUR);
    tokio::join!(one.book.tick(), other.book.tick(), third.book.tick());
    for room in [&one, &other, &third] {
        room.book.tick().await;
        assert_eq!(room.book.shelf.len(), 0);
    }
    one.mint().await.unwrap();
    assert_eq!(one.entries("lock.lifted").await.len(), 1);
}

#[tokio::test]
async fn of_two_replicas_that_lift_one_lock_one_writes_it_down() {
    let (one, other) = two().await;
    let lock = one.set("olga", "all").await.unwrap().lock;
    other.hear().await;
    let (first, second) = tokio::join!(one.lift("olga", &lock), other.lift("olga", &lock));
    assert!(first.is_ok() && second.is_ok());
    one.mint().await.unwrap();
    assert_eq!(one.entries("lock.lifted").await.len(), 1);
}
