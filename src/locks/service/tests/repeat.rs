//! The same request twice.

use super::*;
use crate::breakglass::service::{IdempotencyKey, Keyed};

impl Room {
    /// As the door does it: the body decides whether two requests are the same.
    async fn set_under(&self, subject: &str, key: &str, target: &str) -> Result<LockView, LockError> {
        let key = IdempotencyKey::new(key).unwrap();
        let keyed = Keyed { key: &key, route: "lock", body: Fingerprint::of(target.as_bytes()) };
        self.book.set(&self.caller(subject), new(target), Some(keyed)).await
    }

    fn held(&self) -> Vec<LockView> {
        self.book.list(&self.caller("olga")).unwrap()
    }
}

#[tokio::test]
async fn another_request_under_a_key_is_refused_and_freezes_nothing_also_after_a_restart_and_while_sick() {
    let room = Room::new().await;
    let first = room.set_under("olga", "k", "grant:b").await.unwrap();
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap_err(), LockError::KeyReused);
    room.make_sick();
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap_err(), LockError::KeyReused);
    room.heal();
    let room = room.restart().await;
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap_err(), LockError::KeyReused);
    assert_eq!(room.held(), [first]);
    assert!(!room.stops());
    room.book.tick().await;
    assert_eq!(room.entries("lock.set").await.len(), 1);
}

#[tokio::test]
async fn a_repeat_is_the_same_lock_now_after_a_restart_and_for_nobody_else() {
    let room = Room::new().await;
    let first = room.set_under("olga", "k", "grant:a").await.unwrap();
    assert!(first.recorded);
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap(), first);
    let room = room.restart().await;
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap(), first);
    assert_eq!(room.held(), std::slice::from_ref(&first));
    let other = room.set_under("gina", "k", "grant:a").await.unwrap();
    assert_ne!(other.lock.id, first.lock.id, "a key belongs to one person");
    assert_eq!(room.entries("lock.set").await.len(), 2);
}

#[tokio::test]
async fn of_two_that_come_at_once_one_sets_the_lock_and_both_get_it() {
    let room = Room::new().await;
    let (one, two) =
        tokio::join!(room.set_under("olga", "k", "grant:a"), room.set_under("olga", "k", "grant:a"));
    let one = one.unwrap();
    assert!(one.recorded);
    assert_eq!(one, two.unwrap());
    assert_eq!(room.held(), [one]);
    let (one, two) =
        tokio::join!(room.set_under("olga", "m", "grant:a"), room.set_under("olga", "m", "grant:b"));
    assert!(one.is_ok());
    assert_eq!(two.unwrap_err(), LockError::KeyReused);
    assert_eq!(room.entries("lock.set").await.len(), 2);
}

#[tokio::test]
async fn while_the_store_is_sick_the_key_finds_the_lock_that_waits() {
    let room = Room::new().await;
    room.make_sick();
    let first = room.set_under("olga", "k", "grant:a").await.unwrap();
    assert!(!first.recorded);
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap(), first);
    assert_eq!(room.set_under("olga", "k", "grant:b").await.unwrap_err(), LockError::KeyReused);
    assert_eq!(room.held(), std::slice::from_ref(&first));
    room.heal();
    room.book.tick().await;
    let recorded = LockView { recorded: true, ..first };
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap(), recorded);
    assert_eq!(room.entries("lock.set").await.len(), 1);
    assert_eq!(room.restart().await.set_under("olga", "k", "grant:a").await.unwrap(), recorded);
}

/// After a restart only the store knows the key, and nobody can ask it: better a lock too many.
#[tokio::test]
async fn a_repeat_that_cannot_be_told_apart_freezes_and_is_recorded_as_a_lock_of_its_own() {
    let room = Room::new().await;
    let first = room.set_under("olga", "k", "grant:a").await.unwrap();
    let room = room.restart().await;
    room.make_sick();
    let second = room.set_under("olga", "k", "grant:a").await.unwrap();
    assert!(!second.recorded && second.lock.id != first.lock.id);
    room.heal();
    room.book.tick().await;
    room.book.tick().await;
    assert_eq!(room.entries("lock.set").await.len(), 2);
    assert!(room.held().iter().all(|view| view.recorded));
    assert_eq!(room.store.locks().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_repeat_does_not_freeze_again_what_was_lifted_or_has_ended() {
    let room = Room::new().await;
    let lock = room.set_under("olga", "k", "grant:a").await.unwrap().lock;
    room.lift("olga", &lock).await.unwrap();
    assert_eq!(room.set_under("olga", "k", "grant:a").await.unwrap_err(), LockError::Over);
    assert!(!room.stops());
    let key = IdempotencyKey::new("t").unwrap();
    let keyed = Keyed { key: &key, route: "lock", body: Fingerprint::of(b"t") };
    let short = NewLock { ttl: Some(Duration::from_mins(1)), ..new("grant:a") };
    room.book.set(&room.caller("olga"), short.clone(), Some(keyed)).await.unwrap();
    room.bench.clock.advance(Duration::from_mins(1));
    let late = room.book.set(&room.caller("olga"), short, Some(keyed)).await;
    assert_eq!(late.unwrap_err(), LockError::Over);
    assert!(!room.stops());
    room.bench.clock.advance(Duration::from_hours(24));
    room.book.tick().await;
    assert_eq!(room.entries("lock.set").await.len(), 2);
}

#[tokio::test]
async fn a_key_does_not_help_who_may_not_lock() {
    let room = Room::new().await;
    room.set_under("gina", "k", "grant:a").await.unwrap();
    let denied = room.set_under("ann", "k", "grant:a").await.unwrap_err();
    assert!(forbidden("policy_denied")(&denied), "{denied}");
    assert_eq!(room.held().len(), 1);
}
