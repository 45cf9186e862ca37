//! What the author of a case expects.

use std::fmt;

use crate::document::quoted;
use crate::policy::{Author, Decided, Denial, DenialReason};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `permit`
    Permit,
    /// `deny`: for whatever reason.
    Deny,
    /// No policy of that author permits it.
    NotPermitted(Author),
    /// A policy of that author forbids it.
    Forbidden(Author),
    /// It cannot be evaluated; the text is how the reason begins.
    Failed(String),
}

/// How many approvals open a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// So many.
    Count(u32),
    /// Not even ten do.
    Never,
}

const FAILED: &str = "the policy could not be evaluated";

impl Expected {
    /// As a case says it: the words of the denial, or one word for all of them.
    pub(super) fn parse(text: &str) -> Result<Self, (String, String)> {
        let denials = [Author::Customer, Author::Vendor]
            .into_iter()
            .flat_map(|author| [Self::NotPermitted(author), Self::Forbidden(author)]);
        let mut known: Vec<Self> = [Self::Permit, Self::Deny].into_iter().chain(denials).collect();
        if text.starts_with(FAILED) {
            return Ok(Self::Failed(text.to_owned()));
        }
        if let Some(place) = known.iter().position(|word| word.to_string() == text) {
            return Ok(known.swap_remove(place));
        }
        let words: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
        Err((format!("{} is no answer", quoted(text)), format!("one of: {}, \"{FAILED}\"", words.join(", "))))
    }

    /// Is this what was answered?
    pub(super) fn is_met_by(&self, answer: &Result<Decided, Denial>) -> bool {
        match (self, answer) {
            (Self::Permit, Ok(_)) | (Self::Deny, Err(_)) => true,
            (Self::Permit, Err(_)) | (_, Ok(_)) => false,
            (Self::NotPermitted(author), Err(denial)) => denial.reason == DenialReason::NotPermitted(*author),
            (Self::Forbidden(author), Err(denial)) => denial.reason == DenialReason::Forbidden(*author),
            (Self::Failed(words), Err(denial)) => denial.reason.to_string().starts_with(words.as_str()),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permit => f.write_str("permit"),
            Self::Deny => f.write_str("deny"),
            Self::NotPermitted(author) => DenialReason::NotPermitted(*author).fmt(f),
            Self::Forbidden(author) => DenialReason::Forbidden(*author).fmt(f),
            Self::Failed(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}
