//! While the log cannot be written.

use super::*;

#[tokio::test]
async fn a_freeze_works_while_the_store_is_sick_and_is_recorded_once_as_soon_as_it_recovers() {
    let room = Room::new().await;
    room.make_sick();
    let view = room.set("olga", "all").await.unwrap();
    assert!(!view.recorded && room.stops());
    assert_eq!(room.book.list(&room.caller("olga")).unwrap(), std::slice::from_ref(&view));
    room.bench.clock.advance(Duration::from_secs(30));
    room.book.tick().await;
    assert!(!room.book.list(&room.caller("olga")).unwrap()[0].recorded);
    room.heal();
    for _ in 0..3 {
        room.book.tick().await;
    }
    assert!(room.book.list(&room.caller("olga")).unwrap()[0].recorded);
    let entries = room.entries("lock.set").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["in_force_since"], view.lock.at.to_string());
    assert_ne!(entries[0]["at"], entries[0]["in_force_since"]);
    assert_eq!(entries[0]["by"]["subject"], "olga");
    assert!(room.restart().await.stops());
}

#[tokio::test]
async fn a_refusal_that_cannot_be_recorded_is_no_answer_and_freezes_nothing() {
    let room = Room::new().await;
    room.make_sick();
    assert!(matches!(room.set("gina", "all").await, Err(LockError::Unavailable(_))));
    assert!(!room.stops());
    room.heal();
    room.book.tick().await;
    assert!(room.entries("lock.set").await.is_empty());
}

#[tokio::test]
async fn a_lock_holds_until_its_end_is_durable() {
    let room = Room::new().await;
    let lock = room.set("olga", "all").await.unwrap().lock;
    room.make_sick();
    assert!(matches!(room.lift("olga", &lock).await, Err(LockError::Unavailable(_))));
    assert!(room.stops());
    room.heal();
    room.lift("olga", &lock).await.unwrap();
    assert!(!room.stops());
    assert_eq!(room.entries("lock.lifted").await.len(), 1);
}

#[tokio::test]
async fn a_lock_that_was_never_recorded_is_told_whole_when_it_is_lifted() {
    let room = Room::new().await;
    room.make_sick();
    let lock = room.set("olga", "all").await.unwrap().lock;
    assert!(matches!(room.lift("olga", &lock).await, Err(LockError::Unavailable(_))));
    assert!(room.stops());
    room.heal();
    room.lift("olga", &lock).await.unwrap();
    room.book.tick().await;
    assert_eq!((room.entries("lock.set").await.len(), room.entries("lock.lifted").await.len()), (1, 1));
    assert!(room.store.locks().await.unwrap().is_empty());
}

#[tokio::test]
async fn of_two_who_lift_at_once_both_succeed_and_one_entry_stands() {
    let room = Room::new().await;
    let lock = room.set("olga", "grant:a").await.unwrap().lock;
    let (olga, gina) = tokio::join!(room.lift("olga", &lock), room.lift("gina", &lock));
    assert!(olga.is_ok() && gina.is_ok(), "{olga:?} {gina:?}");
    assert_eq!(room.entries("lock.lifted").await.len(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_the_lock_in_force_and_recorded_once() {
    let room = Room::new().await;
    let caller = room.caller("olga");
    {
        let mut setting = Box::pin(room.book.set(&caller, new("all"), None));
        // Until the entry waits for its commit, and no further.
        assert!(futures_util::poll!(setting.as_mut()).is_pending());
    }
    assert!(room.stops());
    room.book.tick().await;
    assert!(room.book.list(&caller).unwrap()[0].recorded);
    assert_eq!(room.entries("lock.set").await.len(), 1);
}
