//! Deliveries that no entry tells of yet: counted here, told in one entry for each credential. Knows who got which
//! credential how often; holds no secret.
//!
//! What is told is written once: an entry that may have become durable is tried again under the key of the first try.
//! Nothing leaves the book before its entry is known to be durable. A process that dies takes along what was counted since
//! the last entries, and never the entry of an issue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::record::{grant_record, principal_record};
use crate::audit::{
    DeliveredCredential, DeliveriesEntry, Effect, Event, GrantRecord, PrincipalRecord, Receipt, SourceRecord,
    Submission,
};
use crate::clock::Moment;
use crate::ids::RequestId;
use crate::policy::service::record::policy_record;
use crate::policy::{Permit, PolicyDigests, PolicyRef};
use crate::principal::Principal;
use crate::secret::Fingerprint;
use crate::store::AnswerRow;

/// A credential that lives for hours is told of every so often.
const TELL_AFTER: Duration = Duration::from_mins(15);
/// Twice what the cache of sessions holds: those whose entry waits are beside it. Beyond that each delivery has an entry of
/// its own.
const MOST_TALLIES: usize = 20_000;
/// Addresses in one entry.
const MOST_SOURCES: usize = 8;
/// Names of policies in one entry: it must stay far below what an entry may have.
const MOST_POLICIES: usize = 64;
/// How long the store remembers that an entry was written. Writing is tried again within seconds.
const REMEMBERED: Duration = Duration::from_hours(24);

/// One delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    pub(super) principal: &'a Principal,
    pub(super) permit: &'a Permit,
    pub(super) access_key_id: &'a str,
    pub(super) fingerprint: Fingerprint,
    pub(super) expires_at: Moment,
    pub(super) source_ip: Option<IpAddr>,
    pub(super) at: Moment,
}

/// The book.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// By the index of the entry of the issue.
    open: HashMap<u64, Tally>,
    /// To be written, by their sequence.
    told: BTreeMap<u64, Arc<Told>>,
    sequence: u64,
    /// Deliveries in both.
    unrecorded: u64,
}

/// What is counted of one credential.
#[derive(Debug)]
struct Tally {
    /// Gone when the session was replaced or forgotten: nobody can be served it any more.
    issue: Weak<Receipt>,
    request_id: RequestId,
    leaf_hash: Fingerprint,
    principal: PrincipalRecord,
    grant: GrantRecord,
    digests: PolicyDigests,
    decided_by: BTreeSet<PolicyRef>,
    credential: DeliveredCredential,
    count: u64,
    first_at: Moment,
    last_at: Moment,
    sources: Vec<SourceRecord>,
    other_sources: u64,
}

/// An entry to be written.
#[derive(Debug)]
pub(super) struct Told {
    sequence: u64,
    count: u64,
    /// The same at every try.
    pub(super) submission: Submission,
}

impl Ledger {
    /// Whether one more credential can be counted. Asked before, so not exact: a few more do no harm.
    pub(super) fn has_room(&self) -> bool {
        let book = self.book();
        book.open.len() + book.told.len() < MOST_TALLIES
    }

    /// Counts a delivery on that issue.
    pub(super) fn count(&self, issue: &Arc<Receipt>, delivery: &Delivery<'_>) {
        let mut book = self.book();
        book.unrecorded += 1;
        book.open.entry(issue.index()).or_insert_with(|| Tally::new(issue, delivery)).add(delivery);
    }

    /// Tells of what is due at `at`: the credential has ended, its session is gone, or the first that was counted is long ago.
    pub(super) fn tell_due(&self, at: Moment) {
        self.tell(|tally| tally.is_due(at), at);
    }

    /// Tells of everything.
    pub(super) fn tell_all(&self, at: Moment) {
        self.tell(|_| true, at);
    }

    fn tell(&self, is_due: impl Fn(&Tally) -> bool, at: Moment) {
        let mut book = self.book();
        let due: Vec<Tally> =
            book.open.extract_if(|_, tally| is_due(tally)).map(|(_, tally)| tally).collect();
        for tally in due {
            let sequence = book.sequence;
            book.sequence += 1;
            book.told.insert(sequence, Arc::new(tally.told(sequence, at)));
        }
    }

    /// What is to be written.
    pub(super) fn waiting(&self) -> Vec<Arc<Told>> {
        self.book().told.values().cloned().collect()
    }

    /// Its entry is durable.
    pub(super) fn written(&self, told: &Told) {
        let mut book = self.book();
        if book.told.remove(&told.sequence).is_some() {
            book.unrecorded = book.unrecorded.saturating_sub(told.count);
        }
    }

    /// Deliveries that no entry tells of yet.
    pub(super) fn unrecorded(&self) -> u64 {
        self.book().unrecorded
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic within leaves a book whose numbers are as right as they were.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn new(issue: &Arc<Receipt>, delivery: &Delivery<'_>) -> Self {
        let Delivery { principal, permit, .. } = delivery;
        Self {
            issue: Arc::downgrade(issue),
            request_id: issue.request_id(),
            leaf_hash: issue.leaf_hash(),
            principal: principal_record(principal.kind(), principal.id()),
            grant: grant_record(permit.grant()),
            digests: permit.digests(),
            decided_by: BTreeSet::new(),
            credential: DeliveredCredential {
                kind: "aws",
                access_key_id: delivery.access_key_id.to_owned(),
                sha256: delivery.fingerprint,
                expires_at: delivery.expires_at,
                issue_index: issue.index(),
            },
            count: 0,
            first_at: delivery.at,
            last_at: delivery.at,
            sources: Vec::new(),
            other_sources: 0,
        }
    }

    fn add(&mut self, delivery: &Delivery<'_>) {
        self.count += 1;
        self.first_at = self.first_at.min(delivery.at);
        self.last_at = self.last_at.max(delivery.at);
        for policy in delivery.permit.decided_by() {
            if self.decided_by.len() < MOST_POLICIES && !self.decided_by.contains(policy) {
                self.decided_by.insert(policy.clone());
            }
        }
        self.add_source(delivery.source_ip);
    }

    fn add_source(&mut self, ip: Option<IpAddr>) {
        let has_room = self.sources.len() < MOST_SOURCES;
        let known = self.sources.iter_mut().find(|source| Some(source.ip) == ip);
        match (known, ip) {
            (Some(source), _) => source.count += 1,
            (None, Some(ip)) if has_room => self.sources.push(SourceRecord { ip, count: 1 }),
            (None, _) => self.other_sources += 1,
        }
    }

    fn is_due(&self, at: Moment) -> bool {
        let over = at >= self.credential.expires_at || at >= self.first_at.plus(TELL_AFTER);
        over || self.issue.strong_count() == 0
    }

    fn told(self, sequence: u64, at: Moment) -> Told {
        let (count, last_at, request_id) = (self.count, self.last_at, self.request_id);
        let once = self.once(sequence, at);
        let entry = DeliveriesEntry {
            principal: self.principal,
            grant: self.grant,
            policy: policy_record(self.digests, &self.decided_by),
            credential: self.credential,
            count,
            first_at: self.first_at,
            last_at,
            sources: self.sources,
            other_sources: self.other_sources,
        };
        // Under the request of the issue: what belongs to one credential has one id.
        let submission = Submission::new(request_id, Event::CredentialDelivered(Box::new(entry)));
        Told {
            sequence,
            count,
            submission: Submission { not_before: last_at, ..submission.with(vec![once]) },
        }
    }

    /// Whether a try became durable is not always known. This refuses the second one in the commit itself. The issue's leaf
    /// hash sets it apart from what another process, or another log, told.
    fn once(&self, sequence: u64, at: Moment) -> Effect {
        let fields: [&[u8]; 3] =
            [b"credential.delivered", self.leaf_hash.as_bytes(), &sequence.to_be_bytes()];
        let key = Fingerprint::of_fields(&fields);
        let outcome = self.credential.issue_index.to_string();
        Effect::KeepAnswer(AnswerRow { key, request: key, outcome, until: at.plus(REMEMBERED) })
    }
}
