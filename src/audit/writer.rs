//! The one task that appends: groups what is waiting into one transaction, commits, then releases everybody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::merkle::Hash;
use super::reader::peaks_of;
use super::service::{LogState, is_another, is_behind};
use super::submission::{Effect, StillTrue};
use super::{Overtaken, Receipt, RecordError};
use crate::clock::{Clock, Moment};
use crate::ids::RequestId;
use crate::secret::Fingerprint;
use crate::store::{
    ElevationChange, LogHead, LogRow, ReplayClaim, Store, StoreError, Swap, TileHash, UnitOfWork,
    kek_in_force,
};

/// Entries in one transaction. More would make the last one wait long for the first.
const MOST_IN_GROUP: usize = 512;
/// How long a group waits for company under load; about two fsyncs.
const LINGER: Duration = Duration::from_micros(500);
/// How often the writer steps aside for others without a newcomer before it concludes that nobody is coming.
const PATIENCE: u32 = 16;

/// An entry on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request_id: RequestId,
    pub(super) at: Moment,
    pub(super) leaf_hash: Hash,
    pub(super) body: Bytes,
    pub(super) effects: Vec<Effect>,
    pub(super) still_true: Option<StillTrue>,
    pub(super) reply: oneshot::Sender<Result<Receipt, RecordError>>,
}

/// Admitted, or why not.
type Admission = Result<(), RecordError>;

/// Where each of a group went, or why nowhere.
type Places = Vec<Result<u64, RecordError>>;

pub(super) struct Writer {
    store: Arc<dyn Store>,
    state: Arc<LogState>,
    clock: Arc<dyn Clock>,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn Store>, state: Arc<LogState>, clock: Arc<dyn Clock>) -> Self {
        Self { store, state, clock }
    }

    /// Until every sender is gone and everything they sent is settled. Dropping `_ending` says so.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Pending>, _ending: watch::Sender<()>) {
        let mut group = Vec::with_capacity(MOST_IN_GROUP);
        let mut expected = 1;
        while queue.recv_many(&mut group, MOST_IN_GROUP).await > 0 {
            self.linger(&mut group, &mut queue, expected).await;
            metrics::gauge!("tidegate_audit_queue_depth").set(count(queue.len()));
            expected = group.len();
            self.settle(std::mem::take(&mut group)).await;
        }
    }

    /// Waits for as many as came last time: those who were just released are likely to come again. Never when the last
    /// group was a single entry, so that a lone caller pays nothing. Stepping aside instead of sleeping, because
    /// timers are coarser than the wait, and because under load the others have work to do.
    async fn linger(&self, group: &mut Vec<Pending>, queue: &mut mpsc::Receiver<Pending>, expected: usize) {
        if expected <= 1 {
            return;
        }
        let (since, mut idle) = (self.clock.uptime(), 0);
        while group.len() < expected && idle < PATIENCE && self.clock.uptime().saturating_sub(since) < LINGER
        {
            tokio::task::yield_now().await;
            let before = group.len();
            while group.len() < MOST_IN_GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            idle = if group.len() == before { idle + 1 } else { 0 };
        }
    }

    async fn settle(&self, group: Vec<Pending>) {
        let started = self.clock.uptime();
        let outcome = self.commit(&group).await;
        self.state.healthy.store(outcome.is_ok(), Ordering::Relaxed);
        match outcome {
            Ok(places) => {
                metrics::histogram!("tidegate_audit_commit_seconds")
                    .record(self.clock.uptime().saturating_sub(started).as_secs_f64());
                metrics::histogram!("tidegate_audit_group_entries").record(count(group.len()));
                let at = self.clock.now();
                group.into_iter().zip(places).for_each(|(pending, place)| pending.release(place, at));
            }
            Err(error) => {
                metrics::counter!("tidegate_audit_commit_failures_total").increment(1);
                tracing::error!(%error, entries = group.len(), "the audit log cannot be written: nothing is issued");
                for pending in group {
                    let _ = pending.reply.send(Err(RecordError::Unavailable));
                }
            }
        }
    }

    /// All of the group in one transaction, from wherever the stored head is: an earlier commit whose answer was lost may
    /// have moved it, and so may another replica.
    async fn commit(&self, group: &[Pending]) -> Result<Places, StoreError> {
        let mut unit = self.store.begin().await?;
        let head = unit.head().await?;
        self.check_not_behind(&head)?;
        self.learn_locks(unit.as_mut()).await?;
        let at = head.last_at.map_or(self.clock.now(), |last| last.max(self.clock.now()));
        let admitted = admit(unit.as_mut(), group, at).await?;
        let won = |(pending, admission): (_, &Admission)| admission.is_ok().then_some(pending);
        let winners: Vec<&Pending> = group.iter().zip(&admitted).filter_map(won).collect();
        if winners.is_empty() {
            return Ok(admitted.into_iter().map(|admission| admission.map(|()| 0)).collect());
        }
        let staged = Staged::new(&head, &winners);
        unit.append(&staged.rows, &staged.hashes, &staged.head).await?;
        unit.commit().await?;
        self.state.advance(staged.head);
        let mut indexes = head.size..;
        let mut place = |()| indexes.next().ok_or(RecordError::Unavailable);
        Ok(admitted.into_iter().map(|admission| admission.and_then(&mut place)).collect())
    }

    /// A log that is shorter than what we gave receipts and checkpoints for was put back from a backup. Going on would
    /// sign a second history. One that grew is believed here and proved when it is heard of: each commit would pay for it.
    fn check_not_behind(&self, head: &LogHead) -> Result<(), StoreError> {
        let tip = self.state.tip.load();
        if self.state.forked.load(Ordering::Relaxed) {
            return Err(is_another(tip.size));
        }
        if head.size > tip.size || (head.size == tip.size && head.peaks == tip.peaks) {
            return Ok(());
        }
        self.state.forked.store(true, Ordering::Relaxed);
        Err(is_behind(head.size, tip.size))
    }

    /// Every lock that was durable before this commit, whoever set it. Under the head's lock nobody can set another before
    /// its end, so that the log never shows an issue behind a lock that stops it.
    async fn learn_locks(&self, unit: &mut dyn UnitOfWork) -> Result<(), StoreError> {
        let Some(book) = self.state.locks.get() else { return Ok(()) };
        let mark = unit.marks().await?.locks;
        if mark < book.mark() {
            let why = "the stored locks are older than those that were known: the store went back";
            return Err(StoreError::Corrupt(why.to_owned()));
        }
        if mark != book.mark() {
            book.take_in(unit.locks().await?, mark);
        }
        Ok(())
    }
}

impl Pending {
    /// Nobody may be left to hear it. A commit can hang, and a freeze that was set meanwhile must not be followed by a
    /// delivery: the entry stands, the receipt is not given.
    fn release(self, place: Result<u64, RecordError>, at: Moment) {
        let outcome = match place {
            Ok(_) if !self.is_still_true(at) => Err(RecordError::Unavailable),
            Ok(index) => {
                let leaf_hash = Fingerprint::from_bytes(self.leaf_hash);
                Ok(Receipt::of_committed(self.request_id, index, leaf_hash))
            }
            Err(refusal) => Err(refusal),
        };
        let _ = self.reply.send(outcome);
    }

    fn is_still_true(&self, at: Moment) -> bool {
        self.still_true.as_ref().is_none_or(|question| question.ask(at))
    }

    fn changes(&self) -> impl Iterator<Item = &ElevationChange> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::ChangeElevation(change) => Some(change.as_ref()),
            _ => None,
        })
    }

    fn claims(&self) -> impl Iterator<Item = &ReplayClaim> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Claim(claim) => Some(claim),
            _ => None,
        })
    }
}

/// Decides who of the group gets in, and applies the effects of who does. One after the other: what the first one changed,
/// the second one finds.
async fn admit(
    unit: &mut dyn UnitOfWork,
    group: &[Pending],
    at: Moment,
) -> Result<Vec<Admission>, StoreError> {
    let claimed = claim(unit, group).await?;
    let mut admitted = Vec::with_capacity(group.len());
    for (pending, claimed) in group.iter().zip(claimed) {
        let admission =
            if claimed { condition(unit, pending, at).await? } else { Err(RecordError::Replayed) };
        match admission {
            Ok(()) => apply(unit, &pending.effects).await?,
            Err(_) if claimed => give_back(unit, pending).await?,
            Err(_) => {}
        }
        admitted.push(admission);
    }
    Ok(admitted)
}

/// Takes every claim of the group in one statement; a submission goes on when it got all of its own. What the others
/// got is given back. (Of two submissions that want the same token in one group, both can lose when the first one also
/// wants another that is taken, or is refused for something else: the safe side.)
async fn claim(unit: &mut dyn UnitOfWork, group: &[Pending]) -> Result<Vec<bool>, StoreError> {
    let claims: Vec<ReplayClaim> = group.iter().flat_map(Pending::claims).cloned().collect();
    if claims.is_empty() {
        return Ok(vec![true; group.len()]);
    }
    let mut won = unit.claim(&claims).await?.into_iter();
    let mut claimed = Vec::with_capacity(group.len());
    let mut give_back = Vec::new();
    for pending in group {
        let taken: Vec<(&ReplayClaim, bool)> = pending.claims().zip(won.by_ref()).collect();
        let all = taken.iter().all(|(_, won)| *won);
        if !all {
            give_back.extend(taken.into_iter().filter(|(_, won)| *won).map(|(claim, _)| claim.clone()));
        }
        claimed.push(all);
    }
    if !give_back.is_empty() {
        unit.release(&give_back).await?;
    }
    Ok(claimed)
}

async fn give_back(unit: &mut dyn UnitOfWork, pending: &Pending) -> Result<(), StoreError> {
    let claims: Vec<ReplayClaim> = pending.claims().cloned().collect();
    if claims.is_empty() { Ok(()) } else { unit.release(&claims).await }
}

/// Everything that can refuse it, and the one compare-and-swap, which is last: where it loses, nothing was written.
async fn condition(
    unit: &mut dyn UnitOfWork,
    pending: &Pending,
    at: Moment,
) -> Result<Admission, StoreError> {
    if !pending.is_still_true(at) {
        return Ok(Err(RecordError::Overtaken(Overtaken::Lock)));
    }
    for effect in &pending.effects {
        match effect {
            Effect::RequireElevation(guard) if !unit.holds(guard, at).await? => {
                return Ok(Err(RecordError::Overtaken(Overtaken::Change)));
            }
            Effect::RequireKeys(mark) if unit.marks().await?.keys != *mark => {
                return Ok(Err(RecordError::Overtaken(Overtaken::Keys)));
            }
            // Where nobody has published any, each process has its own folder.
            Effect::RequirePolicy(digest) if unit.marks().await?.policy.is_some_and(|now| now != *digest) => {
                return Ok(Err(RecordError::Overtaken(Overtaken::Policy)));
            }
            Effect::PublishPolicy(new) if unit.marks().await?.policy != new.from => {
                return Ok(Err(RecordError::Overtaken(Overtaken::Policy)));
            }
            Effect::KeepAnswer(answer) if unit.has_answer(&answer.key).await? => {
                return Ok(Err(RecordError::Answered));
            }
            Effect::RequireKek(id) if kek_in_force(&unit.keys().await?) != Some(*id) => {
                return Ok(Err(RecordError::Overtaken(Overtaken::Change)));
            }
            Effect::Reseal(resealing) if !resealing.fits(&unit.keys().await?) => {
                return Ok(Err(RecordError::Overtaken(Overtaken::Change)));
            }
            _ => {}
        }
    }
    let mut changes = pending.changes();
    match (changes.next(), changes.next()) {
        (None, _) => Ok(Ok(())),
        (Some(change), None) => Ok(overtaken(unit.swap_elevation(change, at).await?)),
        (Some(_), Some(_)) => {
            // When the second one lost, the first one could not be taken back alone.
            tracing::error!("a submission changes two elevations: refused");
            Ok(Err(RecordError::Unavailable))
        }
    }
}

const fn overtaken(swap: Swap) -> Admission {
    match swap {
        Swap::Done => Ok(()),
        Swap::Lost => Err(RecordError::Overtaken(Overtaken::Change)),
        Swap::Late => Err(RecordError::Overtaken(Overtaken::Time)),
        Swap::PersonFull => Err(RecordError::Overtaken(Overtaken::PersonFull)),
        Swap::GrantFull => Err(RecordError::Overtaken(Overtaken::GrantFull)),
    }
}

/// The effects that cannot be refused.
async fn apply(unit: &mut dyn UnitOfWork, effects: &[Effect]) -> Result<(), StoreError> {
    for effect in effects {
        match effect {
            Effect::Claim(_)
            | Effect::ChangeElevation(_)
            | Effect::RequireElevation(_)
            | Effect::RequireKeys(_)
            | Effect::RequirePolicy(_)
            | Effect::RequireKek(_) => {}
            Effect::PublishPolicy(new) => unit.put_policy_set(&new.digest, &new.text).await?,
            Effect::Release(claim) => unit.release(std::slice::from_ref(claim)).await?,
            Effect::PutKey(key) => unit.put_key(key).await?,
            Effect::DeleteKey(kid) => unit.delete_key(kid).await?,
            Effect::KeepAnswer(answer) => unit.keep_answer(answer).await?,
            Effect::PutLock(lock) => unit.put_lock(lock).await?,
            Effect::DeleteLock(id) => unit.delete_lock(id).await?,
            Effect::Say(messages) => unit.put_messages(messages).await?,
            Effect::RevokeToken(token) => unit.put_revoked(token).await?,
            Effect::Reseal(resealing) => resealing.apply(unit).await?,
        }
    }
    Ok(())
}

/// A number as a metric: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a gauge has no other number")]
fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

/// What one transaction appends.
struct Staged {
    rows: Vec<LogRow>,
    hashes: Vec<TileHash>,
    head: LogHead,
}

impl Staged {
    fn new(from: &LogHead, entries: &[&Pending]) -> Self {
        let mut peaks = peaks_of(from);
        let (mut rows, mut hashes, mut last_at) = (Vec::new(), Vec::new(), from.last_at);
        for entry in entries {
            rows.push(LogRow { index: peaks.size(), leaf_hash: entry.leaf_hash, bytes: entry.body.clone() });
            last_at = last_at.max(Some(entry.at));
            peaks.append(entry.leaf_hash, |node, hash| {
                if node.height > 0 && node.height.is_multiple_of(8) {
                    hashes.push(TileHash { level: node.height / 8, index: node.index, hash });
                }
            });
        }
        let head = LogHead { size: peaks.size(), peaks: peaks.hashes().to_vec(), last_at };
        Self { rows, hashes, head }
    }
}
