//! Faults and findings as people and programs see them: where, what, the line with a caret, and what to do.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::terminal::escaped;
use crate::policy::lint::{Code, Finding, Level};

/// Of a line that is shown. What is farther to the right nobody finds by a caret, and a formatter refuses to go very far.
const MOST_COLUMNS: usize = 400;

/// Something about a file.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<String>,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<String>,
    #[serde(skip)]
    pub(super) excerpt: Option<String>,
}

impl Shown {
    /// About a file as a whole.
    pub(super) fn of_file(file: &Path, message: String) -> Self {
        Self {
            file: file.display().to_string(),
            line: None,
            column: None,
            path: String::new(),
            level: None,
            code: None,
            policy: None,
            grant: None,
            message,
            help: None,
            excerpt: None,
        }
    }

    /// A fault in a TOML file.
    pub(super) fn of_document(file: &Path, fault: &crate::document::Fault) -> Self {
        Self {
            line: Some(fault.line),
            column: Some(fault.column),
            path: fault.path.clone(),
            help: fault.suggestion.clone(),
            excerpt: fault.excerpt.clone(),
            ..Self::of_file(file, fault.message.clone())
        }
    }

    /// A fault of policies that were not loaded.
    pub(super) fn of_policies(settings: &crate::policy::Settings, fault: &crate::policy::Fault) -> Self {
        let file = settings.place_of(&fault.file);
        // The file as it is now: a policy holds no secret.
        let text = fault.line.and_then(|_| std::fs::read_to_string(&file).ok()).unwrap_or_default();
        let excerpt = fault.line.and_then(|line| text.lines().nth(line.checked_sub(1)?)).map(tame);
        let (line, column) = (fault.line, fault.column);
        Self { line, column, excerpt, ..Self::of_file(&file, fault.message.clone()) }
    }

    /// What a lint found. In the policies of `settings`.
    pub(super) fn of_finding(settings: &crate::policy::Settings, finding: &Finding) -> Self {
        let file = finding
            .place
            .as_ref()
            .map_or_else(|| settings.dir.clone(), |place| settings.place_of(&place.file));
        let place = finding.place.as_ref();
        Self {
            line: place.and_then(|place| place.line),
            column: place.and_then(|place| place.column),
            level: Some(finding.level),
            code: Some(finding.code),
            policy: finding.policy.as_ref().map(ToString::to_string),
            grant: finding.grant.as_ref().map(ToString::to_string),
            help: Some(finding.help.clone()),
            excerpt: place.and_then(|place| place.excerpt.clone()),
            ..Self::of_file(&file, finding.message.clone())
        }
    }

    /// ```text
    /// tidegate.toml:12:5: issuers[0].algorithms[0]: `HS256` is symmetric: …
    ///    12 | algorithms = ["HS256"]
    ///       |               ^
    ///   help: one of: RS256, …
    /// ```
    pub(super) fn render(&self) -> String {
        let mut text = escaped(&self.file);
        for number in [self.line, self.column].into_iter().flatten() {
            let _ = write!(text, ":{number}");
        }
        if let (Some(level), Some(code)) = (self.level, self.code) {
            let _ = write!(text, ": {}[{code}]", level.as_str());
        }
        if !self.path.is_empty() {
            let _ = write!(text, ": {}", escaped(&self.path));
        }
        let _ = write!(text, ": {}", escaped(&self.message));
        if let (Some(line), Some(column), Some(excerpt)) = (self.line, self.column, &self.excerpt)
            && column <= MOST_COLUMNS
        {
            let excerpt: String = excerpt.chars().take(MOST_COLUMNS).collect();
            let _ = write!(text, "\n{line:>6} | {}\n       | {:>column$}", escaped(&excerpt), "^");
        }
        if let Some(help) = &self.help {
            let _ = write!(text, "\n  help: {}", escaped(help));
        }
        text
    }
}

/// A line of somebody's file: a tab is one column here, as it is counted.
pub(super) fn tame(line: &str) -> String {
    line.replace(|c: char| c.is_control(), " ")
}

/// `1 fault`, `2 faults`
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_far_to_the_right_of_a_very_long_line_is_told_without_the_line() {
        let long = "x".repeat(100_000);
        let shown = |column| Shown {
            line: Some(1),
            column: Some(column),
            excerpt: Some(long.clone()),
            ..Shown::of_file(Path::new("a.cedar"), "is wrong".to_owned())
        };
        assert_eq!(shown(90_000).render(), "a.cedar:1:90000: is wrong");
        let near = shown(3).render();
        assert!(near.ends_with("|   ^") && near.len() < 1_000, "{near}");
    }
}
