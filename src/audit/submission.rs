//! What is handed to the writer: an entry, what becomes durable with it, what must be true for it; and why it was refused.

use std::fmt;
use std::sync::Arc;

use super::Event;
use crate::clock::Moment;
use crate::ids::{Kid, LockId, RequestId};
use crate::keys::KekId;
use crate::locks::Lock;
use crate::secret::Fingerprint;
use crate::store::{
    AnswerRow, ElevationChange, ElevationGuard, KeyRow, OutboxRow, ReplayClaim, Resealing, RevokedToken,
};

/// A change that must become durable together with its entry, or not at all.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Take a single-use token; the submission is refused with [`RecordError::Replayed`] when it is taken.
    Claim(ReplayClaim),
    /// Give it back.
    Release(ReplayClaim),
    /// Insert or replace a key.
    PutKey(KeyRow),
    /// Delete a key.
    DeleteKey(Kid),
    /// Change an elevation; the submission is refused with [`RecordError::Overtaken`] when it is not what it was. At most
    /// one in a submission.
    ChangeElevation(Box<ElevationChange>),
    /// Refuse the submission likewise unless an elevation stands as it did.
    RequireElevation(ElevationGuard),
    /// Keep an answer; refused with [`RecordError::Answered`] when there is one under its key.
    KeepAnswer(AnswerRow),
    /// Insert a lock.
    PutLock(Lock),
    /// Delete a lock.
    DeleteLock(LockId),
    /// Put messages into the outbox.
    Say(Vec<OutboxRow>),
    /// Note a revoked token.
    RevokeToken(RevokedToken),
    /// Refuse the submission with [`RecordError::Overtaken`] unless new keys are sealed under this key-encryption key.
    RequireKek(KekId),
    /// Seal every kept key anew; refused likewise when they are not what they were.
    Reseal(Box<Resealing>),
    /// Refuse the submission with [`RecordError::Overtaken`] unless the keys are those that this mark stood for.
    RequireKeys(u64),
    /// Refuse it likewise when replicas have gone over to other policy sets than those that permitted it.
    RequirePolicy(Fingerprint),
    /// Let these policy sets decide on every replica; refused likewise when others came first.
    PublishPolicy(Box<NewPolicySet>),
}

/// Policy sets for every replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPolicySet {
    /// What must decide now.
    pub from: Option<Fingerprint>,
    /// Their digest.
    pub digest: Fingerprint,
    /// All of them.
    pub text: String,
}

/// Asked by the writer when it commits, with the moment of the commit: what was true when the submission was made may not
/// be any more. `false` refuses the submission with [`RecordError::Overtaken`]. It must not wait.
#[derive(Clone)]
pub struct StillTrue(Arc<dyn Fn(Moment) -> bool + Send + Sync>);

impl StillTrue {
    /// From a question that is answered from memory.
    pub fn new(question: impl Fn(Moment) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(question))
    }

    pub(super) fn ask(&self, at: Moment) -> bool {
        (self.0)(at)
    }
}

impl fmt::Debug for StillTrue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StillTrue")
    }
}

/// One entry and what goes with it.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Whose receipt it will be.
    pub request_id: RequestId,
    /// What happened.
    pub event: Event,
    /// All of them, or none and no entry.
    pub effects: Vec<Effect>,
    /// Must hold at the commit.
    pub still_true: Option<StillTrue>,
    /// The entry's `at` is no earlier: what it tells was decided then, also when the clock has stepped back a little since.
    pub not_before: Moment,
}

impl Submission {
    /// An entry alone.
    pub fn new(request_id: RequestId, event: Event) -> Self {
        Self { request_id, event, effects: Vec::new(), still_true: None, not_before: Moment::EPOCH }
    }

    /// With these effects.
    #[must_use]
    pub fn with(self, effects: Vec<Effect>) -> Self {
        Self { effects, ..self }
    }

    /// Only if this still holds at the commit.
    #[must_use]
    pub fn only_if(self, still_true: StillTrue) -> Self {
        Self { still_true: Some(still_true), ..self }
    }
}

/// No receipt: nothing may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A claim was taken. Nothing was recorded.
    #[error("the token was presented before")]
    Replayed,
    /// The entry is not known to be durable. It may still become so, which harms nobody: an entry without a delivery is
    /// a record of an attempt. The reverse, a delivery without an entry, never happens.
    #[error("the audit log is unavailable")]
    Unavailable,
    /// Nothing was recorded.
    #[error("the entry would be over 65535 bytes")]
    TooLarge,
    /// What the submission stood on is no more. Nothing was recorded.
    #[error("it was overtaken: {0:?}")]
    Overtaken(Overtaken),
    /// The same request was answered before. Nothing was recorded.
    #[error("the request was answered before")]
    Answered,
}

/// What overtook a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overtaken {
    /// Another change of the same elevation.
    Change,
    /// The clock.
    Time,
    /// Other open elevations of the person.
    PersonFull,
    /// Other open elevations for the grant.
    GrantFull,
    /// What [`StillTrue`] asked about: a lock.
    Lock,
    /// Another change of the keys.
    Keys,
    /// Other policy sets.
    Policy,
}
