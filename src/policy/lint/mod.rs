//! What is valid and still not what somebody meant: looks at policies as they stand and at the issuers and grants that
//! they are about, and never at a request. Refuses to guess: a finding is certain, or says that it is not.
//!
//! Where a lint reasons about conditions, what it cannot know counts as possible, so that a clean answer is worth little
//! and a finding much.

mod approvals;
mod can_error;
mod display;
mod finding;
mod hypothesis;
mod names;
mod nobody;
mod range;
mod shadowed;
mod shared;
mod silent;
#[cfg(test)]
mod tests;
mod verdict;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

pub use finding::{Code, Finding, Level, Spot};

use super::schema::Vocabulary;
use super::{Author, LoadedPolicy, PolicySets, World};
use crate::ids::IssuerName;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The policies.
    pub sets: &'a PolicySets,
    /// Issuers and grants; without them, lints that need them are left out.
    pub world: Option<&'a World>,
    /// Groups that are known beside those that tokens name: ids of `Tidegate::Group`.
    pub groups: &'a BTreeSet<String>,
    /// Of issuers that are listed here, no other group than these exists, without the issuer's name in front.
    pub closed: &'a BTreeMap<IssuerName, BTreeSet<String>>,
}

/// Everything that was found, in the order of files and places.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for policy in subject.policies() {
        can_error::look(policy, &mut findings);
        display::look(policy, &mut findings);
        names::look(subject, policy, &mut findings);
    }
    shadowed::look(subject, &mut findings);
    silent::look(subject, &mut findings);
    if let Some(world) = subject.world {
        nobody::look(subject, world, &mut findings);
        // What a vendor leaves open is the customer's to close.
        if !subject.sets.is_half() {
            shared::look(subject, world, &mut findings);
            approvals::look(subject, world, &mut findings);
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

impl<'a> Subject<'a> {
    fn policies(&self) -> &'a [LoadedPolicy] {
        self.sets.policies()
    }

    fn of(&self, author: Author) -> impl Iterator<Item = &'a LoadedPolicy> {
        self.policies().iter().filter(move |policy| policy.name.author() == author)
    }

    fn words(&self) -> &'a Vocabulary {
        &self.sets.words
    }
}

/// `a`, `b` and 3 more
fn listed<'t>(names: impl IntoIterator<Item = &'t str>) -> String {
    const SHOWN: usize = 3;
    let names: BTreeSet<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", shown.join(", ")),
        None => shown.join(", "),
    }
}
