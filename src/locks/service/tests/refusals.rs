//! Who may not, and what makes no sense.

use super::*;

#[tokio::test]
async fn a_target_is_for_who_may_lock_every_grant_that_it_stops() {
    let room = Room::new().await;
    let elevation =
        format!("elevation:{}", crate::ids::ElevationId::new(room.now(), &SystemEntropy::new()).unwrap());
    for target in ["grant:b", "all", "issuer:staff", "principal:staff|ann", "grant:nowhere", &elevation] {
        let refusal = room.set("gina", target).await.unwrap_err();
        assert!(forbidden("policy_denied")(&refusal), "{target}: {refusal:?}");
    }
    assert!(forbidden("policy_denied")(&room.set("ann", "grant:a").await.unwrap_err()));
    assert!(room.book.list(&room.caller("olga")).unwrap().is_empty());
    assert!(room.entries("lock.set").await.is_empty());
    for (target, unknown) in [("grant:nowhere", "unknown_grant"), (&*elevation, "unknown_elevation")] {
        let refusal = room.set("olga", target).await.unwrap_err();
        assert!(matches!(refusal, LockError::Invalid { code, .. } if code == unknown), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_refused_attempt_is_written_down_with_who_and_why() {
    let room = Room::new().await;
    room.set("ann", "grant:a").await.unwrap_err();
    let lock = room.set("olga", "grant:b").await.unwrap().lock;
    room.lift("gina", &lock).await.unwrap_err();
    let entries = room.entries("elevation.refused").await;
    assert_eq!(entries.len(), 2);
    assert_eq!((&entries[0]["attempted"], &entries[0]["target"]), (&"lock".into(), &"grant:a".into()));
    assert_eq!(
        (&entries[0]["by"]["subject"], &entries[0]["reason"]),
        (&"ann".into(), &"policy_denied".into())
    );
    assert_eq!(
        (&entries[1]["attempted"], &entries[1]["target"]),
        (&"lift".into(), &lock.id.to_string().into())
    );
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_lock_from_none() {
    let room = Room::new().await;
    let lock = room.set("olga", "grant:b").await.unwrap().lock;
    let none = LockId::new(room.now(), &SystemEntropy::new()).unwrap();
    assert_eq!(room.lift("ann", &lock).await.unwrap_err(), LockError::NotFound);
    assert_eq!(room.book.lift(&room.caller("ann"), none).await.unwrap_err(), LockError::NotFound);
    // Who may see it is told that they may not.
    assert!(forbidden("policy_denied")(&room.lift("gina", &lock).await.unwrap_err()));
    assert_eq!(room.book.lift(&room.caller("gina"), none).await.unwrap_err(), LockError::NotFound);
    assert_eq!(room.book.list(&room.caller("olga")).unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_lifts_a_lock_that_another_put_on_them() {
    let room = Room::new().await;
    room.book.freeze(Lock { by: id("gina"), ..lock_on_olga(&room) });
    let frozen = room.book.list(&room.caller("olga")).unwrap().remove(0).lock;
    assert!(forbidden("own_lock")(&room.lift("olga", &frozen).await.unwrap_err()));
    // Their own they may.
    let own = room.set("olga", "principal:staff|olga").await.unwrap().lock;
    room.lift("olga", &own).await.unwrap();
}

fn lock_on_olga(room: &Room) -> Lock {
    Lock {
        id: LockId::new(room.now(), &SystemEntropy::new()).unwrap(),
        target: "principal:staff|olga".parse().unwrap(),
        reason: "compromised".to_owned(),
        by: id("olga"),
        at: room.now(),
        until: None,
    }
}

#[tokio::test]
async fn what_stands_for_a_pending_revocation_is_not_lifted() {
    let room = Room::new().await;
    let lock = Lock { target: LockTarget::All, ..lock_on_olga(&room) };
    room.book.freeze(lock.clone());
    let refusal = room.lift("olga", &lock).await.unwrap_err();
    assert!(
        matches!(refusal, LockError::Invalid { code: "lock_is_a_pending_revocation", .. }),
        "{refusal:?}"
    );
    assert!(room.stops());
    room.book.thaw(&lock.id);
    assert!(!room.stops());
    assert!(room.entries("lock.set").await.is_empty() && room.entries("lock.lifted").await.is_empty());
}

#[tokio::test]
async fn thawing_takes_no_lock_away_that_a_person_set() {
    let room = Room::new().await;
    let lock = room.set("olga", "all").await.unwrap().lock;
    room.book.thaw(&lock.id);
    assert!(room.stops());
}

#[tokio::test]
async fn a_reason_and_a_time_have_bounds() {
    let room = Room::new().await;
    let olga = room.caller("olga");
    for reason in [String::new(), " \n".to_owned(), "x".repeat(2_001)] {
        let refusal = room.book.set(&olga, NewLock { reason, ..new("all") }, None).await.unwrap_err();
        assert!(matches!(refusal, LockError::Invalid { code: "bad_reason", .. }), "{refusal:?}");
    }
    for ttl in
        [Duration::ZERO, Duration::from_millis(999), LONGEST_TTL + Duration::from_secs(1), Duration::MAX]
    {
        let refusal = room.book.set(&olga, NewLock { ttl: Some(ttl), ..new("all") }, None).await.unwrap_err();
        assert!(matches!(refusal, LockError::Invalid { code: "bad_ttl", .. }), "{refusal:?}");
    }
    assert!(!room.stops());
    // The longest reason, with every byte escaped sixfold, fits an entry.
    let longest = NewLock { reason: "\u{1}".repeat(2_000), ttl: Some(LONGEST_TTL), ..new("all") };
    assert!(room.book.set(&olga, longest, None).await.unwrap().recorded);
}

#[tokio::test]
async fn a_thousand_locks_are_enough_and_freezes_do_not_count() {
    let room = Room::new().await;
    for n in 0..MOST_LOCKS {
        let lock =
            Lock { id: LockId::new(room.now(), &SystemEntropy::new()).unwrap(), ..lock_on_olga(&room) };
        let standing = if n == 0 { Standing::Frozen } else { Standing::Recorded };
        room.book.shelf.put(Held { lock, standing, answer: None }, usize::MAX);
    }
    room.set("olga", "all").await.unwrap();
    let refusal = room.set("olga", "all").await.unwrap_err();
    assert!(matches!(refusal, LockError::TooMany { code: "too_many_locks", .. }), "{refusal:?}");
}

#[test]
fn a_target_has_one_spelling() {
    for text in
        ["all", "issuer:staff", "grant:orders-read", "principal:staff|repo:acme/x:ref:refs|heads|main"]
    {
        assert_eq!(text.parse::<LockTarget>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "ALL",
        "all:",
        "everything",
        "grant",
        "grant:",
        "grant:Orders",
        "grant: a",
        "issuer:a|b",
        "principal:staff",
        "principal:staff|",
        "principal:|ann",
        "principal:staff|a\nb",
        "elevation:",
        "elevation:lck-0",
        "role:x",
        ":a",
    ] {
        assert!(text.parse::<LockTarget>().is_err(), "{text:?}");
    }
}
