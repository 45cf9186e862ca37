//! Two replicas on one database.

use std::sync::Arc;

use super::*;
use crate::ids::IssuerName;
use crate::locks::LockTarget;
use crate::secret::Fingerprint;
use crate::store::samples::{AT, asked, asked_by, change, denied, lock, new};
use crate::store::{
    BreakGlassStore as _, ElevationChange, ElevationQuery, OpenLimits, ReplayClaim, ReplicaStore as _, Swap,
};

async fn two() -> (Postgres, [Arc<PostgresStore>; 2]) {
    let server = Postgres::start();
    let settings = server.postgres_settings(&server.database());
    let one = PostgresStore::open(settings.clone()).await.unwrap();
    let other = PostgresStore::open(settings).await.unwrap();
    (server, [Arc::new(one), Arc::new(other)])
}

/// The outcomes of `task` on both replicas, `each` times at once.
async fn race<T, F>(
    stores: &[Arc<PostgresStore>; 2],
    each: u64,
    task: impl Fn(Arc<PostgresStore>, u64) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks = (0..each * 2).map(|number| {
        let store = &stores[usize::from(number % 2 == 1)];
        tokio::spawn(task(Arc::clone(store), number))
    });
    futures_util::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

fn claim(key: u64) -> ReplayClaim {
    let (issuer, key) = (IssuerName::new("ci").unwrap(), Fingerprint::of(&key.to_be_bytes()));
    ReplayClaim { issuer, key, until: Moment::from_unix_seconds(100) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_accepted_once_whichever_replica_it_is_shown_to() {
    let (_server, stores) = two().await;
    for round in 0..10 {
        let won = race(&stores, 8, move |store, _| async move {
            let mut unit = store.begin().await.unwrap();
            let won = unit.claim(&[claim(round), claim(1_000 + round)]).await.unwrap();
            unit.commit().await.unwrap();
            won
        });
        let won = won.await;
        assert_eq!(won.iter().filter(|won| **won == [true, true]).count(), 1);
        assert_eq!(won.iter().filter(|won| **won == [false, false]).count(), 15);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_take_the_same_tokens_in_another_order_do_not_lock_each_other_out() {
    let (_server, stores) = two().await;
    let won = race(&stores, 10, |store, number| async move {
        let mut claims: Vec<_> = (0..500).map(claim).collect();
        if number % 3 == 0 {
            claims.reverse();
        }
        let mut unit = store.begin().await.unwrap();
        let won = unit.claim(&claims).await.unwrap();
        unit.commit().await.unwrap();
        won.into_iter().filter(|won| *won).count()
    });
    assert_eq!(won.await.into_iter().sum::<usize>(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_one_sequence_that_never_forks() {
    let (_server, stores) = two().await;
    let mut places = race(&stores, 40, |store, _| async move { append(&store).await.unwrap() }).await;
    places.sort_unstable();
    assert_eq!(places, (0..80).collect::<Vec<_>>(), "every place is given once");
    for store in &stores {
        assert_eq!(store.head().await.unwrap().size, 80);
        assert_eq!(store.entries(0, 100).await.unwrap().len(), 80);
    }
    // What begins where the log no longer ends is refused, whoever moved it.
    let mut late = stores[0].begin().await.unwrap();
    let (row, head) = next(79);
    assert!(matches!(late.append(&[row], &[], &head).await, Err(StoreError::Corrupt(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_elevation_changes_once_whoever_decides() {
    let (_server, stores) = two().await;
    let first = asked();
    let swapped = async |store: &PostgresStore, change: &ElevationChange| {
        let mut unit = store.begin().await.unwrap();
        let swap = unit.swap_elevation(change, AT).await.unwrap();
        unit.commit().await.unwrap();
        swap
    };
    assert_eq!(swapped(&stores[0], &new(&first)).await, Swap::Done);
    let second = change(&first, &denied(&first, AT));
    let outcomes = race(&stores, 10, |store, _| {
        let second = second.clone();
        async move {
            let mut unit = store.begin().await.unwrap();
            let swap = unit.swap_elevation(&second, AT).await.unwrap();
            unit.commit().await.unwrap();
            swap
        }
    });
    let outcomes = outcomes.await;
    assert_eq!(outcomes.iter().filter(|swap| **swap == Swap::Done).count(), 1);
    assert_eq!(outcomes.iter().filter(|swap| **swap == Swap::Lost).count(), 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_two_replicas_never_exceed_the_room() {
    let (_server, stores) = two().await;
    for (person, limits, full) in [
        ("ann", OpenLimits { per_person: 3, per_grant: 100 }, Swap::PersonFull),
        ("bob", OpenLimits { per_person: 100, per_grant: 3 }, Swap::GrantFull),
    ] {
        let outcomes = race(&stores, 12, |store, _| async move {
            let change = ElevationChange { room: Some(limits), ..new(&asked_by(person, person, AT)) };
            let mut unit = store.begin().await.unwrap();
            let swap = unit.swap_elevation(&change, AT).await.unwrap();
            unit.commit().await.unwrap();
            swap
        });
        let outcomes = outcomes.await;
        assert_eq!(outcomes.iter().filter(|swap| **swap == Swap::Done).count(), 3, "{person}");
        assert_eq!(outcomes.iter().filter(|swap| **swap == full).count(), 21, "{person}");
    }
    let everything = ElevationQuery { limit: 100, ..ElevationQuery::default() };
    assert_eq!(stores[1].elevations(everything).await.unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_forget_at_the_same_time_forget_everything_once() {
    let (_server, stores) = two().await;
    let claims: Vec<_> = (0..1_000).map(claim).collect();
    let mut unit = stores[0].begin().await.unwrap();
    unit.claim(&claims).await.unwrap();
    unit.commit().await.unwrap();
    let later = Moment::from_unix_seconds(101);
    let gone = race(&stores, 4, move |store, _| async move { store.purge_claims(later, 100).await.unwrap() });
    let mut gone: u64 = gone.await.into_iter().sum();
    assert!(gone > 0);
    while gone < 1_000 {
        let more = stores[0].purge_claims(later, 300).await.unwrap();
        assert!(more > 0, "only {gone} were forgotten");
        gone += more;
    }
    assert_eq!(gone, 1_000);
    assert_eq!(stores[1].purge_claims(later, 10).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_hears_when_a_mark_has_moved_also_after_its_connection_was_lost() {
    let (server, [one, other]) = two().await;
    let heard = async || tokio::time::timeout(Duration::from_secs(10), other.hint()).await.is_ok();
    let freeze = async || {
        let mut unit = one.begin().await.unwrap();
        unit.put_lock(&lock(LockTarget::All, AT, None)).await.unwrap();
        unit.commit().await.unwrap();
    };
    assert!(heard().await, "from the start: something may have been said before");
    for round in 1..=3 {
        freeze().await;
        assert!(heard().await, "round {round}");
        assert_eq!(other.pulse().await.unwrap().marks.locks, round);
        // An entry alone is nothing that others keep in memory.
        append(&one).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), other.hint()).await.is_err());
        server.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tidegate'",
        );
        assert!(heard().await, "it listens again");
    }
}
