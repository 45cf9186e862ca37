//! The decision point: (principal, action, grant, context) in, [`Permit`] or [`Denial`] out. Knows Cedar and nothing
//! else that decides; refuses to know how a token was checked or what will be made of a permit.
//!
//! Two sets of policies, two authors: what the customer permits and what the vendor asks for. Nothing is issued unless
//! both permit it, no policy of either forbids it, and none fails.

mod activation;
mod approvers;
pub mod cases;
mod context;
mod decision;
mod engine;
mod entities;
pub mod explain;
pub mod facts;
mod fault;
mod index;
mod invariants;
pub mod lint;
mod load;
mod memory;
pub mod overview;
#[cfg(test)]
mod permit_for_test;
mod question;
mod reads;
pub mod replay;
mod schema;
pub mod service;
mod sets;
mod shadow;
mod source;
#[cfg(test)]
mod tests;
mod texts;
mod values;
mod world;
mod world_file;

use std::path::PathBuf;

pub use decision::{Author, Decided, Denial, DenialReason, Permit, PolicyDigest, PolicyRef};
pub use engine::PolicyEngine;
pub use facts::Facts;
pub use fault::{Fault, LoadError};
pub use invariants::{INVARIANTS_FILE, Invariant, Promise};
pub use load::{LoadedPolicy, Place};
pub use question::{
    ActivateProbe, Approvals, ElevationFacts, ElevationUse, IssueQuestion, PersonQuestion, Wish,
};
pub use schema::{Action, SCHEMA_TEXT};
pub use sets::PolicySets;
pub use shadow::{DifferenceKind, ShadowSettings, Verdict};
pub use texts::PolicyTexts;
pub use world::{KnownIssuer, World};
pub use world_file::WorldFile;

/// Where the policies are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Holds `schema.cedarschema` (optional: must equal ours), `customer/*.cedar` and, optionally, `vendor/*.cedar`.
    pub dir: PathBuf,
}
