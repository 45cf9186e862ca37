//! Why a policy folder was not loaded: every fault with its place.

use std::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, relative to the policy folder.
    pub file: String,
    /// Counted from 1; `None` when the fault is about the file as a whole.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Why a policy folder was not loaded: every fault with its file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// In the order of files and places; never empty.
    pub faults: Vec<Fault>,
}

impl Fault {
    /// A fault of a file as a whole.
    pub(super) fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None, message: message.into() }
    }

    /// A fault at a byte offset of `text`.
    pub(super) fn at(file: &str, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self {
            file: file.to_owned(),
            line: Some(before.matches('\n').count() + 1),
            column: Some(column),
            message: message.into(),
        }
    }

    /// A fault that Cedar found in `text`: its message, its advice, and its first label as the place.
    pub(super) fn of_diagnostic(file: &str, text: &str, diagnostic: &dyn miette::Diagnostic) -> Self {
        let mut message = diagnostic.to_string();
        let label = diagnostic.labels().and_then(|mut labels| labels.next());
        if let Some(words) = label.as_ref().and_then(miette::LabeledSpan::label) {
            message = format!("{message}: {words}");
        }
        if let Some(help) = diagnostic.help() {
            message = format!("{message} ({help})");
        }
        match label {
            Some(label) => Self::at(file, text, label.offset(), message),
            None => Self::of_file(file, message),
        }
    }
}

impl LoadError {
    /// Of faults in any order, or nothing when there are none.
    pub(super) fn check(mut faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort();
        faults.dedup();
        Err(Self { faults })
    }
}

impl LoadError {
    /// The faults of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.faults.extend(other.faults);
        self.faults.sort();
        self
    }
}

impl From<Fault> for LoadError {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policies were not loaded, {} at fault:", self.faults.len())?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "ab\nüx\n";
        let place = |offset| {
            let fault = Fault::at("f", text, offset, "m");
            (fault.line.unwrap(), fault.column.unwrap())
        };
        assert_eq!((place(0), place(3), place(5)), ((1, 1), (2, 1), (2, 2)));
        assert_eq!(Fault::at("f", text, 999, "m").to_string(), "f:3:1: m");
    }
}
