//! What is wrong with a file, where, and what to write instead.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The key, such as `issuers[1].audiences`; empty for the file as a whole.
    pub path: String,
    /// What is wrong: starts small, quotes the author's words, holds no secret.
    pub message: String,
    /// What to write instead.
    #[serde(rename = "help", skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The line itself, unless it may hold a secret.
    #[serde(skip)]
    pub excerpt: Option<String>,
}

impl fmt::Display for Fault {
    /// `12:5: issuers[0].algorithms: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.0))]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| (fault.line, fault.column));
        Self(faults)
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Line and column, both from 1, of the byte at `offset`.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// The line with that number, fit for a terminal.
pub(super) fn excerpt(text: &str, line: usize) -> Option<String> {
    let shown = text.lines().nth(line.checked_sub(1)?)?;
    // A TOML file cannot hold control characters, but a broken one can: they must not reach a terminal.
    Some(shown.replace(|c: char| c.is_control(), " "))
}

/// Somebody's words for a message: escaped, at most 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", text.chars().take(80).flat_map(char::escape_debug).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_not_bytes() {
        let text = "a = 1\né = \"ü\" # x\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.find('x').unwrap()), (2, 11));
        assert_eq!(position(text, 9999), (3, 1));
    }

    #[test]
    fn an_excerpt_cannot_drive_the_terminal() {
        assert_eq!(excerpt("a = \"\u{1b}[2J\"", 1).as_deref(), Some("a = \" [2J\""));
        assert_eq!((excerpt("a", 0), excerpt("a", 2)), (None, None));
    }
}
