//! Several logs on one store: what replicas do.

use super::*;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::{NewPolicySet, Overtaken};
use crate::entropy::bytes;

async fn hear(log: &AuditLog, store: &dyn Store) {
    let known = log.size();
    log.heard(store.head().await.unwrap(), known).await.unwrap();
}

fn read(note: &str, bench: &Bench) -> Checkpoint {
    Checkpoint::open(note, &bench.key()).unwrap()
}

#[tokio::test]
async fn a_store_that_is_shorter_than_what_was_known_is_refused() {
    let bench = Bench::new();
    let log = bench.log().await;
    fill(&log, 5).await;
    let before = log.checkpoint().await.unwrap();
    let shorter = crate::store::LogHead::default();
    assert!(matches!(log.heard(shorter, log.size()).await, Err(StoreError::Corrupt(_))));
    assert!(!log.is_healthy());
    assert_eq!(log.checkpoint().await.unwrap(), before, "what was signed stands");
    assert_eq!(log.record(stopped("more")).await.unwrap_err(), RecordError::Unavailable);
    assert!(!log.is_healthy(), "it stays so: what was lost does not come back by growing");
}

/// Another log put where ours was, longer than ours and whole in itself: only what we knew gives it away.
#[tokio::test]
async fn a_longer_log_that_is_not_the_one_that_was_known_is_refused_and_never_signed() {
    let (bench, elsewhere) = (Bench::new(), Bench::new());
    let log = bench.log().await;
    fill(&log, 5).await;
    let before = log.checkpoint().await.unwrap();
    let others = elsewhere.store().await;
    fill(&elsewhere.log_on(Arc::clone(&others)).await, 300).await;
    bench.put_in_place_of_the_log(&elsewhere).await;
    let longer = others.head().await.unwrap();
    assert!(matches!(log.heard(longer, log.size()).await, Err(StoreError::Corrupt(_))));
    assert!(!log.is_healthy());
    assert_eq!(log.checkpoint().await.unwrap(), before, "what was signed stands");
    assert_eq!(log.record(stopped("on top")).await.unwrap_err(), RecordError::Unavailable);
    assert!(!log.is_healthy(), "it stays so");
}

/// The writer is the first to meet it: what it wrote on top must not make the other log ours.
#[tokio::test]
async fn another_log_that_the_writer_went_on_with_is_refused_when_it_is_heard_of() {
    let (bench, elsewhere) = (Bench::new(), Bench::new());
    let store = bench.store().await;
    let log = bench.log_on(Arc::clone(&store)).await;
    fill(&log, 5).await;
    hear(&log, store.as_ref()).await;
    fill(&elsewhere.log().await, 9).await;
    bench.put_in_place_of_the_log(&elsewhere).await;
    log.record(stopped("on top of another log")).await.unwrap();
    let (head, known) = (store.head().await.unwrap(), log.size());
    assert!(matches!(log.heard(head, known).await, Err(StoreError::Corrupt(_))));
    assert!(!log.is_healthy());
}

/// The same before anybody heard of it: an entry may be written, but no checkpoint makes two histories of one log.
#[tokio::test]
async fn no_checkpoint_is_signed_that_does_not_continue_the_last_one() {
    let (bench, elsewhere) = (Bench::new(), Bench::new());
    let log = bench.log().await;
    fill(&log, 5).await;
    log.checkpoint().await.unwrap();
    let other = elsewhere.log().await;
    fill(&other, 6).await;
    bench.put_in_place_of_the_log(&elsewhere).await;
    log.record(stopped("on top of another log")).await.unwrap();
    assert_eq!(log.checkpoint().await, Err(ReadError::Unavailable));
    assert_eq!(log.record(stopped("and no more")).await.unwrap_err(), RecordError::Unavailable);
}

#[tokio::test]
async fn old_news_does_not_move_the_tip_back() {
    let bench = Bench::new();
    let store = bench.store().await;
    let log = bench.log_on(Arc::clone(&store)).await;
    fill(&log, 3).await;
    let (known, old) = (log.size(), store.head().await.unwrap());
    fill(&log, 2).await;
    log.heard(old, known).await.unwrap();
    assert_eq!(log.size(), 5);
}

#[tokio::test]
async fn a_replica_shows_what_another_appended_as_soon_as_it_hears_of_it() {
    let bench = Bench::new();
    let store = bench.store().await;
    let (one, other) = (bench.log_on(Arc::clone(&store)).await, bench.log_on(Arc::clone(&store)).await);
    let mut growth = other.subscribe();
    fill(&one, 300).await;
    assert_eq!(other.size(), 0);
    hear(&other, store.as_ref()).await;
    assert!(growth.has_changed().unwrap());
    assert_eq!(*growth.borrow_and_update(), 300);
    assert_eq!(one.checkpoint().await.unwrap(), other.checkpoint().await.unwrap());
    assert_eq!(one.tlog_proof(299).await.unwrap(), other.tlog_proof(299).await.unwrap());
    hear(&other, store.as_ref()).await;
    assert!(!growth.has_changed().unwrap(), "nothing is new");
}

/// Appends, news that come late and checkpoints in any order: each checkpoint must be of one and the same history.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn checkpoints_of_replicas_never_fork() {
    let bench = Bench::new();
    let store = bench.store().await;
    let mut logs = Vec::new();
    for _ in 0..3 {
        logs.push(bench.log_on(Arc::clone(&store)).await);
    }
    let tasks: Vec<_> = logs
        .iter()
        .map(|log| {
            let (log, store) = (log.clone(), Arc::clone(&store));
            tokio::spawn(async move {
                let (entropy, mut notes) = (SystemEntropy::new(), Vec::new());
                for _ in 0..60 {
                    let [what, count] = bytes(&entropy).unwrap();
                    match what % 3 {
                        0 => fill(&log, u64::from(count % 8)).await,
                        1 => hear(&log, store.as_ref()).await,
                        _ => notes.push(log.checkpoint().await.unwrap()),
                    }
                }
                notes.push(log.checkpoint().await.unwrap());
                notes
            })
        })
        .collect();
    let notes: Vec<_> = futures_util::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    for log in &logs {
        hear(log, store.as_ref()).await;
    }
    let last = read(&logs[0].checkpoint().await.unwrap(), &bench);
    for log in &logs {
        assert_eq!(read(&log.checkpoint().await.unwrap(), &bench).root, last.root);
    }
    for own in notes {
        let mut size = 0;
        for note in own.iter().map(|note| read(note, &bench)) {
            assert!(note.size >= size, "a replica's checkpoints never shrink");
            size = note.size;
            if size == 0 {
                continue; // Every log begins with the empty one.
            }
            let proof = logs[1].consistency_proof(note.size, last.size).await.unwrap();
            verify_consistency((note.size, &note.root), (last.size, &last.root), &proof).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_starts_while_another_appends_finds_the_log_whole() {
    let bench = Bench::new();
    let store = bench.store().await;
    let log = bench.log_on(Arc::clone(&store)).await;
    let appending = tokio::spawn(async move {
        loop {
            fill(&log, 20).await;
        }
    });
    for _ in 0..30 {
        bench.log_on(Arc::clone(&store)).await;
    }
    appending.abort();
}

#[tokio::test]
async fn a_claim_that_one_replica_took_is_taken_for_all() {
    let bench = Bench::new();
    let store = bench.store().await;
    let (one, other) = (bench.log_on(Arc::clone(&store)).await, bench.log_on(store).await);
    one.record(claiming(&["a"])).await.unwrap();
    assert_eq!(other.record(claiming(&["a"])).await.unwrap_err(), RecordError::Replayed);
    assert_eq!(other.record(stopped("on top")).await.unwrap().index(), 1);
}

#[tokio::test]
async fn only_one_of_two_changes_of_the_keys_that_saw_the_same_ones_is_written() {
    let bench = Bench::new();
    let store = bench.store().await;
    let (one, other) = (bench.log_on(Arc::clone(&store)).await, bench.log_on(store).await);
    let change = |kid: &str| stopped(kid).with(vec![Effect::RequireKeys(0), Effect::PutKey(key(kid))]);
    let (first, second) = tokio::join!(one.record(change("a")), other.record(change("b")));
    let refused = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused, [RecordError::Overtaken(Overtaken::Keys)]);
    // Two in one group are no different.
    let again = |kid: &str| stopped(kid).with(vec![Effect::RequireKeys(1), Effect::PutKey(key(kid))]);
    let (first, second) = tokio::join!(one.record(again("c")), one.record(again("d")));
    assert_eq!(first.is_ok(), second.is_err());
}

#[tokio::test]
async fn what_other_policies_permitted_is_not_written() {
    let bench = Bench::new();
    let log = bench.log().await;
    let (old, new) = (Fingerprint::of(b"old"), Fingerprint::of(b"new"));
    let under = |digest| stopped("permitted").with(vec![Effect::RequirePolicy(digest)]);
    log.record(under(old)).await.unwrap();
    let publish = |from, digest| {
        let set = NewPolicySet { from, digest, text: "texts".to_owned() };
        stopped("published").with(vec![Effect::PublishPolicy(Box::new(set))])
    };
    log.record(publish(None, new)).await.unwrap();
    let overtaken = Err(RecordError::Overtaken(Overtaken::Policy));
    assert_eq!(log.record(under(old)).await.map(|_| ()), overtaken);
    log.record(under(new)).await.unwrap();
    assert_eq!(log.record(publish(None, old)).await.map(|_| ()), overtaken, "others came first");
    log.record(publish(Some(new), old)).await.unwrap();
    log.record(under(old)).await.unwrap();
}
