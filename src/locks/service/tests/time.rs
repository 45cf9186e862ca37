//! Locks that end by themselves.

use super::*;

const HOUR: Duration = Duration::from_hours(1);

impl Room {
    async fn set_for(&self, ttl: Duration) -> Lock {
        self.book
            .set(&self.caller("olga"), NewLock { ttl: Some(ttl), ..new("all") }, None)
            .await
            .unwrap()
            .lock
    }
}

#[tokio::test]
async fn a_lock_ends_to_the_millisecond_and_by_nobody_once() {
    let room = Room::new().await;
    let lock = room.set_for(HOUR).await;
    room.bench.clock.set(lock.at.plus(HOUR).minus(Duration::from_millis(1)));
    room.book.tick().await;
    assert!(room.stops() && room.entries("lock.lifted").await.is_empty());
    room.bench.clock.set(lock.at.plus(HOUR));
    assert!(!room.stops());
    assert_eq!(room.lift("olga", &lock).await.unwrap_err(), LockError::NotFound);
    assert!(room.book.list(&room.caller("olga")).unwrap().is_empty());
    for _ in 0..3 {
        room.book.tick().await;
    }
    let entries = room.entries("lock.lifted").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].get("by"), None);
    assert_eq!(entries[0]["until"], lock.until.unwrap().to_string());
    assert!(room.store.locks().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_end_while_the_broker_was_down_is_written_down_exactly_once() {
    let room = Room::new().await;
    let lock = room.set_for(HOUR).await;
    room.bench.clock.advance(HOUR * 5);
    let room = room.restart().await;
    assert!(!room.stops());
    room.book.tick().await;
    room.book.tick().await;
    let room = room.restart().await;
    room.book.tick().await;
    let entries = room.entries("lock.lifted").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["lock"], lock.id.to_string());
}

#[tokio::test]
async fn a_lock_that_ended_before_it_could_be_recorded_is_told_whole() {
    let room = Room::new().await;
    room.make_sick();
    room.set_for(HOUR).await;
    room.bench.clock.advance(HOUR);
    room.book.tick().await;
    assert!(!room.stops());
    room.heal();
    room.book.tick().await;
    assert_eq!((room.entries("lock.set").await.len(), room.entries("lock.lifted").await.len()), (1, 1));
    assert!(room.store.locks().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_guard_judges_by_the_moment_of_the_commit() {
    let room = Room::new().await;
    let lock = room.set_for(HOUR).await;
    let about = OwnedSubjects { principals: vec![id("ann")], grant: None, elevation: None };
    let record = |reason: &str| {
        let event = Event::BrokerStopped { reason: reason.to_owned() };
        room.log.record(Submission::new(request(room.now()), event).only_if(room.book.guard(about.clone())))
    };
    assert!(record("before its end").await.is_err());
    room.bench.clock.set(lock.until.unwrap());
    assert!(record("at its end").await.is_ok());
}
