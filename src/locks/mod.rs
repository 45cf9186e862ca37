//! Locks: a freeze on a principal, an issuer, a grant, an elevation or everything. Knows what a lock stops; refuses to know
//! who may set one. `service` keeps them, in memory first: a freeze works while the audit store is sick.

mod lock;
pub mod service;

pub use lock::{Lock, LockTarget, OwnedSubjects, Subjects, TargetError};
