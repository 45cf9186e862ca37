//! What is wrong with a file, where, and what to write instead.

use std::fmt;

use serde::Serialize;

use super::shape::SECRET_KEYS;

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
    pub(super) fn new(mut faults: Vec<Fault>) -> Self {
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

/// The line at `offset`, fit for a terminal; `None` when it may hold a secret.
pub(super) fn excerpt(text: &str, offset: usize) -> Option<String> {
    let (line, _) = position(text, offset);
    let shown = text.lines().nth(line - 1)?;
    // A TOML file cannot hold control characters, but a broken one can: they must not reach a terminal.
    let hidden = may_hold_secret(shown) || (shown.contains("url") && is_in_notify(text, line));
    (!hidden).then(|| shown.replace(|c: char| c.is_control(), " "))
}

/// Does the line belong to `[[notify]]`? The URL of a chat's webhook is all that it takes to write into that chat.
fn is_in_notify(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let begins = |line: &&&str| line.trim_start().starts_with('[') || line.contains("notify");
    lines.iter().rev().find(begins).is_some_and(|line| line.contains("notify"))
}

/// `url` counts because a database URL can hold a password; one without `@` cannot.
fn may_hold_secret(line: &str) -> bool {
    line.match_indices('=').any(|(at, _)| {
        let key = line.get(..at).unwrap_or_default().trim_end();
        SECRET_KEYS.iter().any(|secret| {
            let named = key.trim_end_matches(['"', '\'']).ends_with(secret);
            named && (*secret != "url" || line.contains('@'))
        })
    })
}

/// Somebody's words for a message: escaped, at most 80 characters.
pub(super) fn quoted(text: &str) -> String {
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
    fn a_line_with_a_secret_is_never_shown() {
        for line in [
            "kek = \"c2VjcmV0\"",
            "keys = { algorithm = \"HS256\", kek=\"c2VjcmV0\" }",
            "\"secret\" = \"hunter2\"",
            "url = \"postgres://me:hunter2@db/x\"",
            "notify = [{ url = \"https://hooks.example/T0KEN\" }]",
        ] {
            assert_eq!(excerpt(line, 0), None, "{line}");
        }
        for line in ["kek_file = \"kek\"", "url = \"https://idp.example\"", "secret_file = \"s\""] {
            assert_eq!(excerpt(line, 0).as_deref(), Some(line));
        }
    }

    #[test]
    fn the_url_of_a_receiver_is_never_shown_and_an_issuers_is() {
        let text = "[[notify]]\n# a chat\nurl = \"https://hooks.example/T0KEN\n[[issuers]]\nurl = \"https://idp.example\"";
        assert_eq!(excerpt(text, text.find("T0KEN").unwrap()), None);
        assert!(excerpt(text, text.len() - 1).is_some());
    }

    #[test]
    fn an_excerpt_cannot_drive_the_terminal() {
        assert_eq!(excerpt("a = \"\u{1b}[2J\"", 0).as_deref(), Some("a = \" [2J\""));
    }
}
