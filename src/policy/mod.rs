//! The decision point: (principal, action, grant, context) in, [`Permit`] or [`Denial`] out. Knows Cedar and nothing
//! else that decides; refuses to know how a token was checked or what will be made of a permit.
//!
//! Two sets of policies, two authors: what the customer permits and what the vendor asks for. Nothing is issued unless
//! both permit it, no policy of either forbids it, and none fails.

mod activation;
mod approvers;
mod context;
mod decision;
mod engine;
mod entities;
pub mod facts;
mod fault;
mod index;
mod load;
mod memory;
#[cfg(test)]
mod permit_for_test;
mod question;
mod reads;
mod schema;
pub mod service;
mod sets;
mod source;
#[cfg(test)]
mod tests;
mod texts;
mod values;
mod world;

use std::path::PathBuf;

pub use decision::{Author, Decided, Denial, DenialReason, Permit, PolicyDigest, PolicyRef};
pub use engine::PolicyEngine;
pub use facts::Facts;
pub use fault::{Fault, LoadError};
pub use load::{LoadedPolicy, Place};
pub use question::{
    ActivateProbe, Approvals, ElevationFacts, ElevationUse, IssueQuestion, PersonQuestion, Wish,
};
pub use schema::{Action, SCHEMA_TEXT};
pub use sets::PolicySets;
pub use texts::PolicyTexts;
pub use world::{KnownIssuer, World};

/// Where the policies are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Holds `schema.cedarschema` (optional: must equal ours), `customer/*.cedar` and, optionally, `vendor/*.cedar`.
    pub dir: PathBuf,
}
