//! The record: events, the Merkle tree over them, signed checkpoints, proofs, and one writer. Knows formats that
//! outlive the domain's names; refuses to know what any event means.
//!
//! Pure: [`merkle`], [`tile`], [`checkpoint`], [`proof`] and the entry's encoding. [`AuditLog`] appends and reads;
//! [`verify`] believes neither and needs only a log's files and its verifier key.

pub mod checkpoint;
mod delivery_event;
mod elevation_event;
mod entry;
mod event;
mod facts;
pub mod merkle;
pub mod proof;
mod reader;
mod receipt;
mod saved;
mod service;
mod shadow_event;
mod submission;
#[cfg(test)]
pub(crate) mod tests;
pub mod tile;
pub mod verify;
mod writer;

pub use delivery_event::{DeliveredCredential, DeliveriesEntry, SourceRecord};
pub use elevation_event::{
    ApprovalRecord, ElevationEntry, ElevationRecord, ElevationUseRecord, LockEntry, RefusedEntry,
};
pub use event::{
    ActorRecord, CredentialRecord, Event, GrantRecord, PolicyRecord, PrincipalRecord, TokenRecord,
};
pub use facts::{DecisionRecord, FactsRecord};
pub use reader::ReadError;
pub use receipt::Receipt;
pub use saved::{compare_with, root_of, verifier_key_of};
pub use service::{AuditLog, LockFollower};
pub use shadow_event::{ShadowEntry, VerdictRecord};
pub use submission::{Effect, NewPolicySet, Overtaken, RecordError, StillTrue, Submission};
