//! Marks, leases and policy sets.

use std::time::Duration;

use super::{Open, append, head, key, promises};
use crate::entropy::SystemEntropy;
use crate::ids::UniqueId;
use crate::locks::LockTarget;
use crate::secret::Fingerprint;
use crate::store::samples::{AT, asked, change, denied, lock, new};
use crate::store::{Lease, Marks, Store, UnitOfWork};

promises! {
    every_change_moves_its_mark_and_no_other,
    what_was_dropped_moved_nothing,
    a_unit_sees_the_locks_and_keys_that_it_changed,
    a_policy_set_decides_and_the_ones_before_stay_known,
    a_lease_has_one_holder_until_it_ends,
}

async fn marks(store: &dyn Store) -> Marks {
    let pulse = store.pulse().await.unwrap();
    assert_eq!(pulse.head, store.head().await.unwrap());
    let mut unit = store.begin().await.unwrap();
    unit.head().await.unwrap();
    assert_eq!(unit.marks().await.unwrap(), pulse.marks);
    pulse.marks
}

async fn begun(store: &dyn Store) -> Box<dyn UnitOfWork> {
    let mut unit = store.begin().await.unwrap();
    unit.head().await.unwrap();
    unit
}

async fn every_change_moves_its_mark_and_no_other(open: Open<'_>) {
    let store = open().await;
    let store = store.as_ref();
    assert_eq!(marks(store).await, Marks::default());
    append(store, 0..3, &[]).await.unwrap();
    assert_eq!(marks(store).await, Marks::default());
    let (frozen, first) = (lock(LockTarget::All, AT, None), asked());
    let mut unit = begun(store).await;
    unit.put_lock(&frozen).await.unwrap();
    unit.put_key(&key("a", 1)).await.unwrap();
    unit.put_key(&key("b", 1)).await.unwrap();
    unit.swap_elevation(&new(&first), AT).await.unwrap();
    let moved = Marks { locks: 1, keys: 2, elevations: 1, policy: None };
    assert_eq!(unit.marks().await.unwrap(), moved);
    unit.commit().await.unwrap();
    assert_eq!(marks(store).await, moved);
    let mut unit = begun(store).await;
    unit.delete_lock(&frozen.id).await.unwrap();
    unit.delete_key(&key("a", 1).kid).await.unwrap();
    unit.swap_elevation(&change(&first, &denied(&first, AT)), AT).await.unwrap();
    // Nothing of these is there any more, or as it was: nothing moves.
    unit.delete_lock(&frozen.id).await.unwrap();
    unit.delete_key(&key("a", 1).kid).await.unwrap();
    unit.swap_elevation(&new(&first), AT).await.unwrap();
    unit.commit().await.unwrap();
    let moved = Marks { locks: 2, keys: 3, elevations: 2, policy: None };
    assert_eq!(marks(store).await, moved);
    append(store, 3..5, &[]).await.unwrap();
    assert_eq!(marks(store).await, moved, "an append leaves the marks alone");
    assert_eq!(store.head().await.unwrap(), head(5));
}

async fn what_was_dropped_moved_nothing(open: Open<'_>) {
    let store = open().await;
    let mut unit = begun(store.as_ref()).await;
    unit.put_lock(&lock(LockTarget::All, AT, None)).await.unwrap();
    unit.put_policy_set(&Fingerprint::of(b"one"), "one").await.unwrap();
    drop(unit);
    assert_eq!(marks(store.as_ref()).await, Marks::default());
    assert_eq!(store.policy_set(Fingerprint::of(b"one")).await.unwrap(), None);
}

async fn a_unit_sees_the_locks_and_keys_that_it_changed(open: Open<'_>) {
    let store = open().await;
    let frozen = lock(LockTarget::All, AT, None);
    let mut unit = begun(store.as_ref()).await;
    assert!(unit.locks().await.unwrap().is_empty());
    assert!(unit.keys().await.unwrap().is_empty());
    unit.put_lock(&frozen).await.unwrap();
    unit.put_key(&key("a", 1)).await.unwrap();
    assert_eq!(unit.locks().await.unwrap(), std::slice::from_ref(&frozen));
    assert_eq!(unit.keys().await.unwrap(), [key("a", 1)]);
    unit.commit().await.unwrap();
    let mut unit = begun(store.as_ref()).await;
    assert_eq!(unit.locks().await.unwrap(), [frozen]);
    assert_eq!(unit.keys().await.unwrap(), [key("a", 1)]);
}

async fn a_policy_set_decides_and_the_ones_before_stay_known(open: Open<'_>) {
    let store = open().await;
    let (one, two) = (Fingerprint::of(b"one"), Fingerprint::of(b"two"));
    for (digest, text) in [(one, "permit \"ä\";"), (two, "forbid;"), (one, "permit \"ä\";")] {
        let mut unit = begun(store.as_ref()).await;
        unit.put_policy_set(&digest, text).await.unwrap();
        assert_eq!(unit.marks().await.unwrap().policy, Some(digest));
        unit.commit().await.unwrap();
        assert_eq!(marks(store.as_ref()).await.policy, Some(digest));
        assert_eq!(store.policy_set(digest).await.unwrap().as_deref(), Some(text));
    }
    assert_eq!(store.policy_set(two).await.unwrap().as_deref(), Some("forbid;"));
    assert_eq!(store.policy_set(Fingerprint::of(b"three")).await.unwrap(), None);
}

async fn a_lease_has_one_holder_until_it_ends(open: Open<'_>) {
    let store = open().await;
    let span = Duration::from_secs(15);
    let holder = || UniqueId::new(AT, &SystemEntropy::new()).unwrap();
    let (one, other) = (holder(), holder());
    let lease =
        |name, holder, later: u64| Lease { name, holder, at: AT.plus(Duration::from_secs(later)), span };
    assert!(store.lease(lease("work", one, 0)).await.unwrap());
    assert!(!store.lease(lease("work", other, 14)).await.unwrap());
    assert!(store.lease(lease("other work", other, 14)).await.unwrap());
    assert!(store.lease(lease("work", one, 14)).await.unwrap(), "its holder extends it");
    assert!(!store.lease(lease("work", other, 28)).await.unwrap());
    assert!(store.lease(lease("work", other, 29)).await.unwrap(), "it has ended");
    assert!(!store.lease(lease("work", one, 29)).await.unwrap());
}
