//! Answers, locks, revoked tokens, the latest time, and forgetting them.

use super::{Open, promises};
use crate::clock::Moment;
use crate::ids::LockId;
use crate::locks::{Lock, LockTarget};
use crate::secret::Fingerprint;
use crate::store::samples::{AT, lock, person_id, seconds};
use crate::store::{AnswerRow, RevokedToken, Store};

promises! {
    an_answer_is_kept_once,
    locks_stay_until_they_are_deleted,
    a_revoked_token_stays_revoked,
    only_what_has_ended_is_forgotten,
    an_end_that_is_put_off_counts,
    the_latest_time_never_goes_back,
}

fn answer(key: u8, until: Moment) -> AnswerRow {
    let (key, request) = (Fingerprint::of(&[key]), Fingerprint::of(&[key, key]));
    AnswerRow { key, request, outcome: "elv-1 \"quoted\"".to_owned(), until }
}

async fn keep(store: &dyn Store, answers: &[AnswerRow]) {
    let mut unit = store.begin().await.unwrap();
    for answer in answers {
        unit.keep_answer(answer).await.unwrap();
    }
    unit.commit().await.unwrap();
}

async fn put_locks(store: &dyn Store, locks: &[&Lock]) {
    let mut unit = store.begin().await.unwrap();
    for lock in locks {
        unit.put_lock(lock).await.unwrap();
    }
    unit.commit().await.unwrap();
}

async fn revoke(store: &dyn Store, jti: &str, until: Moment) {
    let mut unit = store.begin().await.unwrap();
    unit.put_revoked(&RevokedToken { jti: jti.to_owned(), until }).await.unwrap();
    unit.commit().await.unwrap();
}

async fn an_answer_is_kept_once(open: Open<'_>) {
    let store = open().await;
    let first = answer(1, AT);
    let mut unit = store.begin().await.unwrap();
    assert!(!unit.has_answer(&first.key).await.unwrap());
    unit.keep_answer(&first).await.unwrap();
    assert!(unit.has_answer(&first.key).await.unwrap());
    drop(unit);
    assert_eq!(store.answer(first.key).await.unwrap(), None, "it was dropped");
    keep(store.as_ref(), std::slice::from_ref(&first)).await;
    let mut unit = store.begin().await.unwrap();
    let other = AnswerRow { outcome: "elv-2".to_owned(), ..first.clone() };
    assert!(unit.keep_answer(&other).await.is_err(), "whoever keeps one has asked");
    drop(unit);
    drop(store);
    let store = open().await;
    assert_eq!(store.answer(first.key).await.unwrap(), Some(first));
    assert_eq!(store.answer(Fingerprint::of(b"another")).await.unwrap(), None);
}

async fn locks_stay_until_they_are_deleted(open: Open<'_>) {
    let store = open().await;
    assert!(store.locks().await.unwrap().is_empty());
    let ended = lock(LockTarget::All, AT, Some(AT.plus(seconds(1))));
    let whom = LockTarget::Principal(person_id("a|b \"c\""));
    let for_ever = lock(whom, AT.plus(seconds(1)), None);
    put_locks(store.as_ref(), &[&for_ever, &ended]).await;
    let again = Lock { reason: "another".to_owned(), ..for_ever.clone() };
    put_locks(store.as_ref(), &[&again]).await;
    drop(store);
    let store = open().await;
    assert_eq!(store.locks().await.unwrap(), [ended.clone(), for_ever.clone()], "oldest first, as first set");
    let delete = async |id: &LockId| {
        let mut unit = store.begin().await.unwrap();
        unit.delete_lock(id).await.unwrap();
        unit.commit().await.unwrap();
    };
    delete(&for_ever.id).await;
    delete(&for_ever.id).await;
    assert_eq!(store.locks().await.unwrap(), [ended]);
}

async fn a_revoked_token_stays_revoked(open: Open<'_>) {
    let store = open().await;
    let is_revoked = async |store: &dyn Store, jti: &str| store.is_revoked(jti.to_owned()).await.unwrap();
    assert!(!is_revoked(store.as_ref(), "a").await);
    revoke(store.as_ref(), "a", AT).await;
    revoke(store.as_ref(), "a", AT).await;
    drop(store);
    let store = open().await;
    assert!(is_revoked(store.as_ref(), "a").await);
    for other in ["A", "a ", "", "b"] {
        assert!(!is_revoked(store.as_ref(), other).await, "{other:?}");
    }
}

async fn only_what_has_ended_is_forgotten(open: Open<'_>) {
    let store = open().await;
    assert_eq!(store.purge_breakglass(AT, 10).await.unwrap(), 0);
    for n in 0..4_u8 {
        let until = AT.plus(seconds(n.into()));
        keep(store.as_ref(), &[answer(n, until)]).await;
        revoke(store.as_ref(), &n.to_string(), until).await;
        put_locks(store.as_ref(), &[&lock(LockTarget::All, until, Some(until))]).await;
    }
    let for_ever = lock(LockTarget::All, AT.plus(seconds(9)), None);
    put_locks(store.as_ref(), &[&for_ever]).await;
    assert_eq!(store.purge_breakglass(AT.minus(seconds(1)), 10).await.unwrap(), 0);
    // Ends 0 to 2 are over, and at most two of each go at once.
    let at = AT.plus(seconds(2));
    assert_eq!(store.purge_breakglass(at, 0).await.unwrap(), 0);
    assert_eq!(store.purge_breakglass(at, 2).await.unwrap(), 6);
    assert_eq!(store.purge_breakglass(at, 2).await.unwrap(), 3);
    assert_eq!(store.purge_breakglass(at, 2).await.unwrap(), 0);
    for n in 0..4_u8 {
        let left = n == 3;
        assert_eq!(store.answer(Fingerprint::of(&[n])).await.unwrap().is_some(), left, "{n}");
        assert_eq!(store.is_revoked(n.to_string()).await.unwrap(), left, "{n}");
    }
    let locks = store.locks().await.unwrap();
    assert_eq!(locks.len(), 2);
    assert!(locks.contains(&for_ever));
}

async fn an_end_that_is_put_off_counts(open: Open<'_>) {
    let store = open().await;
    revoke(store.as_ref(), "later", AT.plus(seconds(5))).await;
    revoke(store.as_ref(), "later", AT).await;
    revoke(store.as_ref(), "moved", AT).await;
    revoke(store.as_ref(), "moved", AT.plus(seconds(5))).await;
    assert_eq!(store.purge_breakglass(AT.plus(seconds(1)), 10).await.unwrap(), 0);
    assert_eq!(store.purge_breakglass(AT.plus(seconds(5)), 10).await.unwrap(), 2);
}

async fn the_latest_time_never_goes_back(open: Open<'_>) {
    let store = open().await;
    assert_eq!(store.high_water().await.unwrap(), None);
    for (raised, expected) in
        [(AT, AT), (AT.minus(seconds(9)), AT), (AT.plus(seconds(1)), AT.plus(seconds(1)))]
    {
        store.raise_high_water(raised).await.unwrap();
        assert_eq!(store.high_water().await.unwrap(), Some(expected));
    }
    drop(store);
    assert_eq!(open().await.high_water().await.unwrap(), Some(AT.plus(seconds(1))));
}
