//! The log as the rest of the broker sees it: record, and read what is durable.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::Receipt;
use super::checkpoint::Checkpoint;
use super::entry::Entry;
use super::merkle::{Hash, leaf_hash, verify_consistency};
use super::proof::TlogProof;
use super::reader::{LogReader, ReadError, peaks_of};
use super::submission::{RecordError, Submission};
use super::tile::TilePath;
use super::writer::{Pending, Writer};
use crate::clock::{Clock, Moment};
use crate::entropy::Entropy;
use crate::ids::UniqueId;
use crate::keys::NoteSigner;
use crate::locks::Lock;
use crate::store::{LogHead, Store, StoreError};

/// Entries that may wait for the writer. More means that the disk hangs: refuse at once instead of piling up.
const QUEUE: usize = 2_048;
/// How long one caller waits for its entry. A hung disk must not hang every door.
const DEADLINE: Duration = Duration::from_secs(5);

/// Who holds the locks of the store in memory. Another replica may have set one: what the writer commits is held against
/// all that were durable before it, so that no replica records an issue after a lock.
pub trait LockFollower: fmt::Debug + Send + Sync {
    /// The mark of what it holds.
    fn mark(&self) -> u64;
    /// Takes in what the store had at `mark`, unless it holds something newer.
    fn take_in(&self, locks: Vec<Lock>, mark: u64);
}

/// A handle to the log. Cheap to clone. The writer ends with the last handle, or with [`AuditLog::drain`].
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
}

struct Shared {
    /// Empty once draining.
    queue: ArcSwapOption<mpsc::Sender<Pending>>,
    state: Arc<LogState>,
    reader: LogReader,
    signer: NoteSigner,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// The newest one that was signed, with its size.
    signed: Mutex<Option<(u64, Arc<str>)>>,
    /// Closed when the writer has ended.
    ended: watch::Receiver<()>,
    keeps_facts: AtomicBool,
}

/// What the writer tells everybody.
#[derive(Debug)]
pub(super) struct LogState {
    /// The newest durable head.
    pub(super) tip: ArcSwap<LogHead>,
    /// The newest head that is known to continue what this process found at its start. The writer may be ahead of it.
    proved: ArcSwap<LogHead>,
    /// Its size, for those who wait for it to grow.
    pub(super) size: watch::Sender<u64>,
    /// Did the last commit succeed?
    pub(super) healthy: AtomicBool,
    /// Was the stored log found to be another one than was known? It stays so until a restart: going on would sign a second
    /// history.
    pub(super) forked: AtomicBool,
    /// Set once, when there is one.
    pub(super) locks: OnceLock<Arc<dyn LockFollower>>,
}

impl LogState {
    /// Moves the tip forward; an older head than the tip is old news.
    pub(super) fn advance(&self, head: LogHead) {
        let size = head.size;
        let next = Arc::new(head);
        self.tip.rcu(|tip| if tip.size < size { Arc::clone(&next) } else { Arc::clone(tip) });
        self.size.send_if_modified(|known| {
            let grows = *known < size;
            *known = size.max(*known);
            grows
        });
    }
}

impl AuditLog {
    /// Checks that the stored head agrees with the stored entries, then starts the writer task. Start it once in a
    /// process: of other replicas it learns at each commit and by [`heard`](Self::heard).
    pub async fn start(
        store: Arc<dyn Store>,
        signer: NoteSigner,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        let reader = LogReader::new(Arc::clone(&store));
        // Under the head's lock: another replica that appends between two reads must not look like a broken log.
        let mut unit = store.begin().await?;
        let head = unit.head().await?;
        reader.check_head(&head).await?;
        drop(unit);
        let size = watch::channel(head.size).0;
        let head = Arc::new(head);
        let latest = Arc::new(LogState {
            tip: ArcSwap::new(Arc::clone(&head)),
            proved: ArcSwap::new(head),
            size,
            healthy: AtomicBool::new(true),
            forked: AtomicBool::new(false),
            locks: OnceLock::new(),
        });
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (ending, ended) = watch::channel(());
        tokio::spawn(Writer::new(store, Arc::clone(&latest), Arc::clone(&clock)).run(waiting, ending));
        let queue = ArcSwapOption::from_pointee(queue);
        let (newest, keeps_facts) = (Mutex::new(None), AtomicBool::new(true));
        let shared = Shared {
            queue,
            state: latest,
            reader,
            signer,
            clock,
            entropy,
            signed: newest,
            ended,
            keeps_facts,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns when the entry and its effects are durable. If the caller goes away, they become durable all the same.
    ///
    /// The entry's `at` is taken here and never before the last entry that was durable then; entries that are recorded
    /// at the same time may stand in the log in another order than their `at`. The order is the index.
    pub async fn record(&self, submission: Submission) -> Result<Receipt, RecordError> {
        let (reply, answer) = oneshot::channel();
        let pending = self.shared.prepare(submission, reply)?;
        {
            let queue = self.shared.queue.load();
            let queue = queue.as_ref().ok_or(RecordError::Unavailable)?;
            queue.try_send(pending).map_err(|_| RecordError::Unavailable)?;
        }
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(RecordError::Unavailable),
        }
    }

    /// The signed checkpoint of the newest durable size. Nothing is signed that does not begin with what this process signed
    /// before.
    ///
    /// # Errors
    /// The log cannot be read, or is not the one that was known.
    pub async fn checkpoint(&self) -> Result<String, ReadError> {
        let tip = self.shared.state.tip.load_full();
        Ok(self.shared.checkpoint(&tip).await?.to_string())
    }

    /// How many entries are durable.
    pub fn size(&self) -> u64 {
        self.shared.state.tip.load().size
    }

    /// From now on entries say what decisions depended on, or only its fingerprint. They do unless told otherwise.
    pub fn keep_facts(&self, keep: bool) {
        self.shared.keeps_facts.store(keep, Ordering::Relaxed);
    }

    /// From now on nothing is committed before `locks` has every lock that was durable.
    pub fn keep_informed(&self, locks: Arc<dyn LockFollower>) {
        if self.shared.state.locks.set(locks).is_err() {
            tracing::error!("the audit log keeps one book of locks informed, and has one");
        }
    }

    /// What another replica appended: `head` was read from the store after `known`, an earlier [`size`](Self::size).
    ///
    /// # Errors
    /// The store has fewer entries than were durable before, or does not begin with them. Nothing is committed on such a
    /// store.
    pub async fn heard(&self, head: LogHead, known: u64) -> Result<(), StoreError> {
        if head.size < known {
            self.shared.state.forked.store(true, Ordering::Relaxed);
            return Err(is_behind(head.size, known));
        }
        self.shared.must_continue(&head).await?;
        self.shared.state.advance(head);
        Ok(())
    }

    /// The size, and whenever it grows.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.state.size.subscribe()
    }

    /// When the last durable entry was recorded.
    pub fn last_at(&self) -> Option<Moment> {
        self.shared.state.tip.load().last_at
    }

    /// What verifies the checkpoints: `name+hash+key` (C2SP signed-note).
    pub fn verifier_key(&self) -> String {
        self.shared.signer.verifier_key()
    }

    /// The bytes of a tile or entry bundle; `None` when the log does not have all of it.
    pub async fn tile(&self, path: &TilePath) -> Result<Option<Bytes>, ReadError> {
        let size = self.size_if(|size| path.is_within(size)).await;
        self.shared.reader.tile(path, size).await
    }

    /// One entry; `None` when the log is not that long.
    pub async fn entry(&self, index: u64) -> Result<Option<Bytes>, ReadError> {
        let size = self.size_if(|size| index < size).await;
        self.shared.reader.entry(index, size).await
    }

    /// At most `limit` entries from `from`, with their indexes.
    pub async fn entries(&self, from: u64, limit: u32) -> Result<Vec<(u64, Bytes)>, ReadError> {
        self.shared.reader.entries(from, limit, self.size()).await
    }

    /// RFC 6962 §2.1.1: that entry `index` is in the tree of `size`, from the leaf's sibling upward.
    pub async fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        let durable = self.size_if(|durable| size <= durable).await;
        self.shared.reader.inclusion_proof(index, size, durable).await
    }

    /// RFC 6962 §2.1.2: that the tree of `new` begins with the tree of `old`.
    pub async fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        let durable = self.size_if(|durable| new <= durable).await;
        self.shared.reader.consistency_proof(old, new, durable).await
    }

    /// The offline receipt of entry `index` against the newest checkpoint.
    pub async fn tlog_proof(&self, index: u64) -> Result<String, ReadError> {
        self.size_if(|size| index < size).await;
        let tip = self.shared.state.tip.load_full();
        let hashes = self.shared.reader.inclusion_proof(index, tip.size, tip.size).await?;
        let checkpoint = self.shared.checkpoint(&tip).await?.to_string();
        Ok(TlogProof { index, hashes, checkpoint }.to_string())
    }

    /// The size; when it does not reach for what is asked, the store's. Who has a checkpoint of another replica asks for what
    /// this one has not heard of yet.
    async fn size_if(&self, is_enough: impl Fn(u64) -> bool) -> u64 {
        let known = self.size();
        if !is_enough(known)
            && let Some(head) = self.shared.reader.head_of_others().await
            && let Err(error) = self.heard(head, known).await
        {
            tracing::error!(%error, "the audit log of the store is not the one that was known");
        }
        self.size()
    }

    /// Did the last commit succeed, and is there room to wait for the next?
    pub fn is_healthy(&self) -> bool {
        let queue = self.shared.queue.load();
        let room = queue.as_ref().is_some_and(|queue| !queue.is_closed() && queue.capacity() > 0);
        let state = &self.shared.state;
        room && state.healthy.load(Ordering::Relaxed) && !state.forked.load(Ordering::Relaxed)
    }

    /// Would an entry become durable now? Asks the store; [`is_healthy`](Self::is_healthy) only remembers.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.shared.reader.probe().await
    }

    /// Takes no more entries, makes those that wait durable, and returns when the writer has ended.
    pub async fn drain(&self) {
        self.shared.queue.store(None);
        let mut ended = self.shared.ended.clone();
        // The writer never sends: an error means that it is gone.
        let _ = ended.changed().await;
    }
}

pub(super) fn is_behind(stored: u64, known: u64) -> StoreError {
    StoreError::Corrupt(format!(
        "the stored log has {stored} entries, but {known} others were durable before"
    ))
}

pub(super) fn is_another(known: u64) -> StoreError {
    StoreError::Corrupt(format!(
        "the stored log is not the one that was known: its first {known} entries are others"
    ))
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("signer", &self.shared.signer).field("size", &self.size()).finish()
    }
}

impl Shared {
    /// Encodes in the caller's task: the writer is one, callers are many.
    fn prepare(
        &self,
        submission: Submission,
        reply: oneshot::Sender<Result<Receipt, RecordError>>,
    ) -> Result<Pending, RecordError> {
        let Submission { request_id, event, effects, still_true, not_before } = submission;
        let floor = self.state.tip.load().last_at.unwrap_or(Moment::EPOCH).max(not_before);
        let at = self.clock.now().max(floor);
        let id = UniqueId::new(at, self.entropy.as_ref()).map_err(|_| RecordError::Unavailable)?;
        let mut entry = Entry::new(id, at, request_id, event);
        if !self.keeps_facts.load(Ordering::Relaxed) {
            entry.omit_facts("not_kept");
        }
        let body = entry.encode().ok_or(RecordError::TooLarge)?;
        Ok(Pending { request_id, at, leaf_hash: leaf_hash(&body), body, effects, still_true, reply })
    }

    async fn checkpoint(&self, tip: &LogHead) -> Result<Arc<str>, ReadError> {
        if let Some((_, note)) = self.signed().as_ref().filter(|(size, _)| *size >= tip.size) {
            return Ok(Arc::clone(note));
        }
        self.must_continue(tip).await.map_err(|error| {
            tracing::error!(%error, "no checkpoint is signed");
            ReadError::Unavailable
        })?;
        let mut signed = self.signed();
        // Another caller may have signed meanwhile: checkpoints never shrink.
        if let Some((_, note)) = signed.as_ref().filter(|(size, _)| *size >= tip.size) {
            return Ok(Arc::clone(note));
        }
        let origin = self.signer.name().to_owned();
        let checkpoint = Checkpoint { origin, size: tip.size, root: peaks_of(tip).root() };
        let note: Arc<str> = checkpoint.sign(&self.signer).into();
        *signed = Some((tip.size, Arc::clone(&note)));
        Ok(note)
    }

    fn signed(&self) -> MutexGuard<'_, Option<(u64, Arc<str>)>> {
        // A panic while signing leaves the old checkpoint, which is still true.
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the tree of `new` begin with what was proved before? A few stored hashes prove it, whatever the log's length.
    /// Older news prove nothing and do no harm.
    async fn must_continue(&self, new: &LogHead) -> Result<(), StoreError> {
        let old = self.state.proved.load_full();
        if new.size < old.size {
            return Ok(());
        }
        let unreadable = |_| StoreError::Unavailable("the audit log cannot be read".to_owned());
        let proof = self.reader.consistency_proof(old.size, new.size, new.size).await.map_err(unreadable)?;
        let (old_root, new_root) = (peaks_of(&old).root(), peaks_of(new).root());
        verify_consistency((old.size, &old_root), (new.size, &new_root), &proof).map_err(|_| {
            self.state.forked.store(true, Ordering::Relaxed);
            is_another(old.size)
        })?;
        let new = Arc::new(new.clone());
        let larger = |known: &Arc<LogHead>| Arc::clone(if known.size < new.size { &new } else { known });
        self.state.proved.rcu(larger);
        Ok(())
    }
}
