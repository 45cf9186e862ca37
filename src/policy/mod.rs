//! The decision point: (principal, action, grant, context) in, [`Permit`] or [`Denial`] out. Knows Cedar and nothing
//! else that decides; refuses to know how a token was checked or what will be made of a permit.
//!
//! Two sets of policies, two authors: what the customer permits and what the vendor asks for. Nothing is issued unless
//! both permit it, no policy of either forbids it, and none fails.

mod activation;
mod approvers;
pub mod bundle;
pub mod cases;
mod context;
mod decision;
mod depth;
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
mod relations;
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

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use decision::{Author, Decided, Denial, DenialReason, Permit, PolicyDigest, PolicyDigests, PolicyRef};
pub use engine::PolicyEngine;
pub use facts::Facts;
pub use fault::{Fault, LoadError};
pub use invariants::{INVARIANTS_FILE, Invariant, Promise};
pub use load::{LoadedPolicy, Place};
pub use question::{
    ActivateProbe, Approvals, ElevationFacts, ElevationUse, IssueQuestion, PersonQuestion, Wish,
};
pub use relations::Relations;
pub use schema::{Action, SCHEMA_TEXT};
pub use sets::PolicySets;
pub use shadow::{DifferenceKind, ShadowSettings, Verdict};
pub use source::Origin;
pub use texts::PolicyTexts;
pub use world::{KnownIssuer, World};
pub use world_file::WorldFile;

use crate::ids::IssuerName;

/// Where the policies are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Holds `schema.cedarschema` (optional: must equal ours), `customer/*.cedar` and, optionally, `entities.json` and
    /// `vendor/*.cedar`.
    pub dir: PathBuf,
    /// The vendor's policies, when they come as a signed bundle. Then there is no `vendor` folder.
    pub vendor: Option<bundle::Pin>,
    /// The trusted issuers, when they are known: `entities.json` may name no other.
    pub issuers: Option<BTreeSet<IssuerName>>,
}

impl Settings {
    /// Everything from one folder.
    pub fn of_folder(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), vendor: None, issuers: None }
    }

    /// The same with another folder, whose policies are to be looked at. Where it has no part of a vendor's, the bundle is
    /// the vendor's part.
    #[must_use]
    pub fn with_folder(&self, dir: &Path) -> Self {
        let vendor = self.vendor.clone().filter(|_| !dir.join(Author::Vendor.as_str()).exists());
        Self { dir: dir.to_owned(), vendor, issuers: self.issuers.clone() }
    }

    /// The file that a fault is about, as the operator finds it.
    pub fn place_of(&self, file: &str) -> PathBuf {
        match &self.vendor {
            Some(pin) if Path::new(file) == pin.file => pin.file.clone(),
            // The path inside the bundle, behind the bundle's own.
            Some(pin) if file.starts_with("vendor/") => pin.file.join(file),
            _ => self.dir.join(file),
        }
    }
}
