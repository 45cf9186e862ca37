//! Cases beside the policies: a question each, and what its author expects. Reads texts, asks, and compares; refuses to
//! know where the files are or how results are shown.

mod expected;
mod file;
mod principal;
mod request;
mod run;
mod shapes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use expected::{Expected, Needed};
pub use file::read;
pub use run::{Outcome, Report, approvals_needed, run};

use super::{Author, Facts};

/// A question, and what is expected of the answer.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it says, for people. No two cases of a file have the same.
    pub name: String,
    /// Where it stands, counted from 1.
    pub line: usize,
    /// The question.
    pub facts: Facts,
    /// Without the broker's own rule that break-glass needs an elevation: what would the policies say alone?
    pub policies_alone: bool,
    /// The answer.
    pub expect: Expected,
    /// Exactly these policies decide; `None` when it is not said.
    pub decided_by: Option<BTreeSet<String>>,
    /// How many approvals open the window; `None` when it is not said.
    pub approvals_needed: Option<Needed>,
}

impl Case {
    /// What the case says of one author's part by itself; `None` where what is expected comes from the other's.
    ///
    /// Both must permit, so a permit of both is one of each. How many approvals are needed, both say together.
    #[must_use]
    pub fn about(self, author: Author) -> Option<Self> {
        match &self.expect {
            Expected::Permit => {}
            Expected::NotPermitted(by) | Expected::Forbidden(by) if *by == author => {}
            Expected::Deny | Expected::NotPermitted(_) | Expected::Forbidden(_) | Expected::Failed(_) => {
                return None;
            }
        }
        let own = format!("{author}/");
        let decided_by =
            self.decided_by.map(|names| names.into_iter().filter(|name| name.starts_with(&own)).collect());
        Some(Self { decided_by, approvals_needed: None, ..self })
    }
}
