//! What must hold whatever the sets say: promises about all decisions, written as policies that decide nothing.

use std::fs;
use std::path::Path;

use cedar_policy::{Effect, Policy, Validator};
use cedar_policy_core::ast;
use serde::Serialize;

use super::decision::Author;
use super::facts::Facts;
use super::fault::{Fault, LoadError};
use super::load::{LoadedPolicy, parse, validate};
use super::schema::schema;
use super::sets::PolicySets;
use super::source::SourceFile;
use crate::secret::Fingerprint;

/// The file, in the policy folder beside the two authors'. It is no part of the sets and of no digest.
pub const INVARIANTS_FILE: &str = "invariants.cedar";

/// What is promised about every request that an invariant matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// A `forbid`: none of them is ever permitted.
    Never,
    /// A `permit`: each of them is permitted.
    Always,
}

/// One promise.
#[derive(Debug)]
pub struct Invariant {
    /// `@id`
    pub id: String,
    /// `@doc`: the promise in words.
    pub doc: String,
    /// What is promised.
    pub promise: Promise,
    /// About which requests. Its name is that of no policy.
    pub policy: LoadedPolicy,
    /// Permits what it matches.
    matching: PolicySets,
}

impl Invariant {
    /// Reads a file of them and validates it as strictly as policies.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn read(path: &Path) -> Result<Vec<Self>, LoadError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| Fault::of_file(path.display().to_string(), error.to_string()))?;
        Self::parse(&name, text)
    }

    /// The same of a text at hand.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn parse(name: &str, text: String) -> Result<Vec<Self>, LoadError> {
        // Neither author's: the author is only there to name it.
        let file = SourceFile { author: Author::Customer, name: name.to_owned(), text };
        let mut faults = Vec::new();
        let policies = parse(&file, &mut faults).unwrap_or_default();
        validate(&file, &policies, &Validator::new(schema()?), &mut faults);
        faults.extend(policies.iter().filter_map(unnamed));
        if policies.is_empty() && faults.is_empty() {
            faults.push(Fault::of_file(file.path(), "has no invariant; nothing would be proved"));
        }
        for fault in &mut faults {
            name.clone_into(&mut fault.file);
        }
        LoadError::check(faults)?;
        policies.into_iter().map(Self::of).collect()
    }

    fn of(policy: LoadedPolicy) -> Result<Self, LoadError> {
        let told = |name: &str| policy.policy.annotation(name).unwrap_or_default().to_owned();
        let promise = match policy.policy.effect() {
            Effect::Forbid => Promise::Never,
            Effect::Permit => Promise::Always,
        };
        Ok(Self { id: told("id"), doc: told("doc"), promise, matching: matching(&policy)?, policy })
    }

    /// Is it about a request with these facts?
    pub fn matches(&self, facts: &Facts) -> bool {
        self.matching.decide(facts).is_ok()
    }
}

/// A promise is quoted in reports: it needs a name and words.
fn unnamed(policy: &LoadedPolicy) -> Option<Fault> {
    let lacks = |name: &&str| policy.policy.annotation(name).is_none_or(str::is_empty);
    let missing = ["id", "doc"].into_iter().find(|name| lacks(name))?;
    let mut fault =
        Fault::of_file(policy.place.file.to_string(), format!("an invariant needs `@{missing}(\"…\")`"));
    fault.line = Some(policy.place.line);
    fault.column = Some(1);
    Some(fault)
}

fn matching(policy: &LoadedPolicy) -> Result<PolicySets, LoadError> {
    let id = ast::PolicyID::from_string(policy.name.as_str());
    let permit = ast::Policy::from_when_clause(Effect::Permit, policy.policy.as_ref().condition(), id, None);
    let permit = LoadedPolicy { policy: Policy::from(permit), ..policy.clone() };
    let digest = Fingerprint::of_fields(&[b"tidegate invariant", policy.name.as_str().as_bytes()]);
    PolicySets::of_policies(vec![permit], vec![Author::Customer], digest)
}
