//! What an entry changes beside the log, and what refuses it at the commit.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;

use super::*;
use crate::audit::{Overtaken, Receipt, StillTrue};
use crate::locks::LockTarget;
use crate::store::samples::{
    active, approved, asked, asked_by, change, denied, hook, lock, message, new, revoked,
};
use crate::store::{AnswerRow, ElevationChange, ElevationGuard, OpenLimits, RevokedToken};

/// Past the milliseconds of the samples.
const AT: Moment = Moment::from_unix_seconds(1_795_363_393);

type Outcome = Result<Receipt, RecordError>;

struct Room {
    bench: Bench,
    store: Arc<dyn Store>,
    log: AuditLog,
}

impl Room {
    async fn new() -> Self {
        let bench = Bench::new();
        bench.clock.set(AT);
        let store = bench.store().await;
        let log = bench.log_on(Arc::clone(&store)).await;
        Self { bench, store, log }
    }

    /// All of them in one transaction: on one thread, each is in the queue before the writer runs.
    async fn group(&self, group: Vec<Submission>) -> Vec<Outcome> {
        join_all(group.into_iter().map(|submission| self.log.record(submission))).await
    }

    async fn one(&self, effects: Vec<Effect>) -> Outcome {
        self.log.record(with(effects)).await
    }

    async fn put(&self, elevation: &crate::breakglass::Elevation) {
        self.one(vec![swap(new(elevation))]).await.unwrap();
    }

    /// No index is left out, every entry is in the tree, and the log can be opened again.
    async fn is_gapless(&self, size: u64) {
        assert_eq!(self.log.size(), size);
        let entries = self.log.entries(0, 10_000).await.unwrap();
        assert_eq!(
            entries.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
            (0..size).collect::<Vec<_>>()
        );
        let mut tree = Peaks::default();
        for (_, entry) in &entries {
            tree.append(leaf_hash(entry), |_, _| {});
        }
        let checkpoint = Checkpoint::open(&self.log.checkpoint().await.unwrap(), &self.bench.key()).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (size, tree.root()));
        assert_eq!(self.bench.log_on(Arc::clone(&self.store)).await.size(), size);
    }
}

fn with(effects: Vec<Effect>) -> Submission {
    stopped("effects").with(effects)
}

fn swap(change: ElevationChange) -> Effect {
    Effect::ChangeElevation(Box::new(change))
}

fn answer(key: &str) -> AnswerRow {
    let (key, request) = (Fingerprint::of(key.as_bytes()), Fingerprint::of(b"body"));
    AnswerRow { key, request, outcome: "elv-1".to_owned(), until: AT.plus(Duration::from_hours(24)) }
}

fn refusals(outcomes: &[Outcome]) -> Vec<Option<RecordError>> {
    outcomes.iter().map(|outcome| outcome.as_ref().err().copied()).collect()
}

const LOST: RecordError = RecordError::Overtaken(Overtaken::Change);

#[tokio::test]
async fn of_two_changes_of_one_version_in_one_group_the_first_wins_and_the_other_leaves_nothing() {
    let room = Room::new().await;
    let first = asked();
    room.put(&first).await;
    let (yes, no) = (approved(&first, AT), denied(&first, AT));
    let other = Effect::Say(vec![message(hook(1), &no)]);
    let outcomes = room
        .group(vec![
            stopped("before"),
            with(vec![swap(change(&first, &yes)), Effect::Say(vec![message(hook(2), &yes)])]),
            with(vec![swap(change(&first, &no)), other, Effect::KeepAnswer(answer("no"))]),
            stopped("after"),
        ])
        .await;
    assert_eq!(refusals(&outcomes), [None, None, Some(LOST), None]);
    let indexes: Vec<_> = outcomes.iter().flatten().map(Receipt::index).collect();
    assert_eq!(indexes, [1, 2, 3], "no place is left for who lost");
    assert_eq!(room.store.elevation(first.id).await.unwrap(), Some(yes));
    assert!(room.store.due_messages(hook(1), AT, 9).await.unwrap().is_empty());
    assert_eq!(room.store.due_messages(hook(2), AT, 9).await.unwrap().len(), 1);
    assert_eq!(room.store.answer(answer("no").key).await.unwrap(), None);
    room.is_gapless(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_racing_decisions_exactly_one_is_recorded() {
    let room = Room::new().await;
    let first = asked();
    room.put(&first).await;
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let (log, first) = (room.log.clone(), first.clone());
            let next = if n % 2 == 0 { approved(&first, AT) } else { denied(&first, AT) };
            tokio::spawn(async move { log.record(with(vec![swap(change(&first, &next))])).await })
        })
        .collect();
    let outcomes: Vec<Outcome> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(|refusal| *refusal == LOST));
    room.is_gapless(2).await;
}

#[tokio::test]
async fn two_steps_of_one_elevation_in_one_group_follow_each_other() {
    let room = Room::new().await;
    let first = asked();
    let second = approved(&first, AT);
    let outcomes =
        room.group(vec![with(vec![swap(new(&first))]), with(vec![swap(change(&first, &second))])]).await;
    assert_eq!(refusals(&outcomes), [None, None]);
    assert_eq!(room.store.elevation(first.id).await.unwrap(), Some(second));
    room.is_gapless(2).await;
}

#[tokio::test]
async fn a_submission_that_changes_two_elevations_is_refused_and_not_half_done() {
    let room = Room::new().await;
    let (one, two) = (asked(), asked());
    let outcomes = room.group(vec![with(vec![swap(new(&one)), swap(new(&two))]), stopped("other")]).await;
    assert_eq!(refusals(&outcomes), [Some(RecordError::Unavailable), None]);
    assert_eq!(room.store.elevation(one.id).await.unwrap(), None);
    assert_eq!(room.store.elevation(two.id).await.unwrap(), None);
    room.is_gapless(1).await;
}

#[tokio::test]
async fn only_the_moment_of_the_commit_counts() {
    let room = Room::new().await;
    let first = asked();
    room.put(&first).await;
    let hanging = room.store.begin().await.unwrap();
    let mut record = Box::pin(room.one(vec![swap(change(&first, &approved(&first, AT)))]));
    assert!(futures_util::poll!(record.as_mut()).is_pending());
    room.bench.clock.set(first.ask.expires_at);
    drop(hanging);
    assert_eq!(record.await.unwrap_err(), RecordError::Overtaken(Overtaken::Time));
    assert_eq!(room.store.elevation(first.id).await.unwrap(), Some(first));
    room.is_gapless(1).await;
}

#[tokio::test]
async fn a_clock_that_went_back_does_not_make_a_late_change_timely() {
    let room = Room::new().await;
    let first = asked();
    room.put(&first).await;
    room.bench.clock.set(first.ask.expires_at);
    room.one(vec![]).await.unwrap();
    room.bench.clock.set(AT);
    let late = room.one(vec![swap(change(&first, &approved(&first, AT)))]).await;
    assert_eq!(late.unwrap_err(), RecordError::Overtaken(Overtaken::Time));
}

#[tokio::test]
async fn a_request_beyond_the_limits_is_refused_within_one_group() {
    let room = Room::new().await;
    let limits = Some(OpenLimits { per_person: 2, per_grant: 3 });
    let ask = |person: &str, grant: &str| {
        let next = asked_by(person, grant, AT);
        with(vec![swap(ElevationChange { room: limits, ..new(&next) })])
    };
    let outcomes = room
        .group(vec![
            ask("ann", "orders"),
            ask("ann", "stock"),
            ask("ann", "billing"),
            ask("bob", "orders"),
            ask("cyd", "orders"),
            ask("dan", "orders"),
        ])
        .await;
    let person = Some(RecordError::Overtaken(Overtaken::PersonFull));
    let grant = Some(RecordError::Overtaken(Overtaken::GrantFull));
    assert_eq!(refusals(&outcomes), [None, None, person, None, None, grant]);
    room.is_gapless(4).await;
}

#[tokio::test]
async fn a_credential_needs_its_elevation_as_it_was_up_to_the_end_of_the_window() {
    let room = Room::new().await;
    let first = active(&asked(), AT);
    let end = first.deadline().unwrap();
    let guard = ElevationGuard { id: first.id, version: first.version, before: end };
    let mint = || with(vec![Effect::RequireElevation(guard.clone())]);
    assert_eq!(room.log.record(mint()).await.unwrap_err(), LOST, "there is none");
    room.put(&first).await;
    room.log.record(mint()).await.unwrap();
    // Before the revocation in the same group it is delivered, after it never.
    let gone = with(vec![swap(change(&first, &revoked(&first, AT)))]);
    let outcomes = room.group(vec![mint(), gone, mint(), stopped("other")]).await;
    assert_eq!(refusals(&outcomes), [None, None, Some(LOST), None]);
    assert_eq!(room.log.record(mint()).await.unwrap_err(), LOST);
    room.is_gapless(5).await;

    let room = Room::new().await;
    room.put(&first).await;
    room.bench.clock.set(end.minus(Duration::from_millis(1)));
    room.log.record(mint()).await.unwrap();
    room.bench.clock.set(end);
    assert_eq!(room.log.record(mint()).await.unwrap_err(), LOST);
    room.is_gapless(2).await;
}

#[tokio::test]
async fn what_is_not_true_any_more_at_the_commit_is_refused() {
    let room = Room::new().await;
    let first = asked();
    let effects = vec![
        Effect::Claim(claim("a")),
        swap(new(&first)),
        Effect::KeepAnswer(answer("a")),
        Effect::RevokeToken(RevokedToken { jti: "a".to_owned(), until: AT }),
        Effect::PutLock(lock(LockTarget::All, AT, None)),
    ];
    let frozen = with(effects.clone()).only_if(StillTrue::new(|at| at != AT));
    let outcomes = room.group(vec![frozen, stopped("other")]).await;
    assert_eq!(refusals(&outcomes), [Some(RecordError::Overtaken(Overtaken::Lock)), None]);
    assert_eq!(room.store.elevation(first.id).await.unwrap(), None);
    assert_eq!(room.store.answer(answer("a").key).await.unwrap(), None);
    assert!(!room.store.is_revoked("a".to_owned()).await.unwrap());
    assert!(room.store.locks().await.unwrap().is_empty());
    // Nothing of it was used up.
    room.log.record(with(effects).only_if(StillTrue::new(|at| at == AT))).await.unwrap();
    assert_eq!(room.store.elevation(first.id).await.unwrap(), Some(first));
    assert!(room.store.is_revoked("a".to_owned()).await.unwrap());
    assert_eq!(room.store.locks().await.unwrap().len(), 1);
    room.is_gapless(2).await;
}

#[tokio::test]
async fn a_freeze_during_the_commit_keeps_the_receipt_back() {
    let room = Room::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let question = Arc::clone(&asked);
    let first_time_only = StillTrue::new(move |_| question.fetch_add(1, Ordering::Relaxed) == 0);
    let outcomes = room.group(vec![stopped("frozen").only_if(first_time_only), stopped("other")]).await;
    assert_eq!(refusals(&outcomes), [Some(RecordError::Unavailable), None]);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // The entry stands: a record of an attempt.
    room.is_gapless(2).await;
}

#[tokio::test]
async fn of_two_equal_requests_in_one_group_the_second_is_answered_by_the_first() {
    let room = Room::new().await;
    let (one, two) = (asked(), asked());
    let request = |elevation, key: &str| with(vec![Effect::KeepAnswer(answer(key)), swap(new(elevation))]);
    let outcomes = room.group(vec![request(&one, "a"), request(&two, "a"), request(&two, "b")]).await;
    assert_eq!(refusals(&outcomes), [None, Some(RecordError::Answered), None]);
    assert_eq!(room.store.answer(answer("a").key).await.unwrap(), Some(answer("a")));
    // Later too, and it is said before anything else that would refuse it.
    assert_eq!(room.log.record(request(&one, "a")).await.unwrap_err(), RecordError::Answered);
    room.is_gapless(2).await;
}

#[tokio::test]
async fn a_request_that_lost_keeps_no_answer_and_can_come_again() {
    let room = Room::new().await;
    let first = asked();
    room.put(&first).await;
    let (second, third) = (approved(&first, AT), denied(&first, AT));
    let decide = |next| with(vec![Effect::KeepAnswer(answer("a")), swap(change(&first, next))]);
    let other = with(vec![swap(change(&first, &second))]);
    let outcomes = room.group(vec![other, decide(&third), decide(&third)]).await;
    assert_eq!(refusals(&outcomes), [None, Some(LOST), Some(LOST)]);
    assert_eq!(room.store.answer(answer("a").key).await.unwrap(), None);
    room.is_gapless(2).await;
}

#[tokio::test]
async fn claims_are_given_back_when_something_else_refuses_the_submission() {
    let room = Room::new().await;
    let first = active(&asked(), AT);
    room.put(&first).await;
    let stale = ElevationGuard { id: first.id, version: 1, before: AT.plus(Duration::from_hours(1)) };
    let refused = |keys: &[&str]| {
        let mut submission = claiming(keys);
        submission.effects.push(Effect::RequireElevation(stale.clone()));
        submission
    };
    let outcomes = room
        .group(vec![
            claiming(&["mine"]),
            refused(&["a", "b"]),
            refused(&["mine", "c"]),
            // Beaten to the token by one that was refused afterwards: both lose, and nothing is used up.
            claiming(&["a"]),
        ])
        .await;
    let replayed = Some(RecordError::Replayed);
    assert_eq!(refusals(&outcomes), [None, Some(LOST), replayed, replayed]);
    let again = room.group(vec![claiming(&["a", "b", "c"]), claiming(&["mine"])]).await;
    assert_eq!(refusals(&again), [None, replayed], "what won is kept, what lost is free");
    room.is_gapless(3).await;
}

#[tokio::test]
async fn a_group_that_is_refused_as_a_whole_leaves_nothing_and_is_no_failure() {
    let room = Room::new().await;
    let never = || claiming(&["a"]).only_if(StillTrue::new(|_| false));
    let outcomes = room.group(vec![never(), never()]).await;
    let frozen = Some(RecordError::Overtaken(Overtaken::Lock));
    assert_eq!(refusals(&outcomes), [frozen, Some(RecordError::Replayed)]);
    assert!(room.log.is_healthy());
    room.is_gapless(0).await;
    room.log.record(claiming(&["a"])).await.unwrap();
}

#[tokio::test]
async fn when_the_commit_fails_nobody_of_the_group_gets_in() {
    let room = Room::new().await;
    let first = asked();
    // Keeping the same answer twice is a mistake of ours that the store refuses as a whole.
    let mistake = with(vec![Effect::KeepAnswer(answer("a")), Effect::KeepAnswer(answer("a"))]);
    let outcomes = room.group(vec![with(vec![swap(new(&first))]), mistake, claiming(&["a"])]).await;
    assert_eq!(refusals(&outcomes), [Some(RecordError::Unavailable); 3]);
    assert!(!room.log.is_healthy());
    assert_eq!(room.store.elevation(first.id).await.unwrap(), None);
    let again = room.group(vec![with(vec![swap(new(&first))]), claiming(&["a"])]).await;
    assert_eq!(refusals(&again), [None, None]);
    room.is_gapless(2).await;
}

#[tokio::test]
async fn locks_are_deleted_with_their_entry() {
    let room = Room::new().await;
    let frozen = lock(LockTarget::All, AT, None);
    room.one(vec![Effect::PutLock(frozen.clone())]).await.unwrap();
    assert_eq!(room.store.locks().await.unwrap(), std::slice::from_ref(&frozen));
    let refused = with(vec![Effect::DeleteLock(frozen.id)]).only_if(StillTrue::new(|_| false));
    room.log.record(refused).await.unwrap_err();
    assert_eq!(room.store.locks().await.unwrap().len(), 1);
    room.one(vec![Effect::DeleteLock(frozen.id)]).await.unwrap();
    assert!(room.store.locks().await.unwrap().is_empty());
    room.is_gapless(2).await;
}
