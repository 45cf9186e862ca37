//! The record: events, the Merkle tree over them, signed checkpoints, proofs, and one writer. Knows formats that
//! outlive the domain's names; refuses to know what any event means.

mod receipt;
mod service;
mod event;

pub use event::{ActorRecord, CredentialRecord, Event, GrantRecord, PolicyRecord, PrincipalRecord, TokenRecord};
pub use receipt::Receipt;
pub use service::{AuditLog, Effect, RecordError, Submission};
