//! Cedar's values as people read them.

use std::collections::BTreeSet;
use std::time::Duration;

use cedar_policy::{EntityUid, EvalResult};

use crate::clock::Moment;
use crate::span::format_duration;

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Truth(bool),
    Number(i64),
    Text(String),
    Entity(EntityUid),
    Many(BTreeSet<Self>),
    /// In milliseconds.
    Span(i64),
    /// In milliseconds since the Unix epoch.
    Time(i64),
    /// As Cedar writes it: `10.0.0.0/8`.
    Network(String),
    /// Nothing that could be put into a request.
    Other(String),
}

impl Value {
    pub(super) fn of(found: EvalResult) -> Self {
        match found {
            EvalResult::Bool(truth) => Self::Truth(truth),
            EvalResult::Long(number) => Self::Number(number),
            EvalResult::String(text) => Self::Text(text),
            EvalResult::EntityUid(uid) => Self::Entity(uid),
            EvalResult::Set(set) => Self::Many(set.iter().cloned().map(Self::of).collect()),
            EvalResult::Record(_) => Self::Other("a record".to_owned()),
            EvalResult::ExtensionValue(text) => Self::of_extension(&text),
        }
    }

    /// `ip("10.0.0.1")`, `duration("5m")`: as whoever made it wrote it. Spans and times as numbers are the scene's to find
    /// out, which can ask Cedar.
    fn of_extension(text: &str) -> Self {
        let inner = text.split('"').nth(1).unwrap_or_default().to_owned();
        if text.starts_with("ip(") { Self::Network(inner) } else { Self::Other(inner) }
    }

    /// For people; texts in backticks.
    pub(super) fn tell(&self) -> String {
        match self {
            Self::Truth(truth) => truth.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("`{}`", shown(text)),
            Self::Entity(uid) => format!("`{}`", shown(uid.id().unescaped())),
            Self::Many(values) if values.is_empty() => "nothing".to_owned(),
            Self::Many(values) => values.iter().map(Self::tell).collect::<Vec<_>>().join(", "),
            Self::Span(millis) => span(*millis),
            Self::Time(millis) => Moment::from_unix_millis(*millis).to_string(),
            Self::Network(text) => text.strip_suffix("/32").unwrap_or(text).to_owned(),
            Self::Other(text) => shown(text),
        }
    }
}

/// Values are the caller's: nothing in them may move the cursor of a terminal or fill the page.
fn shown(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let plain = !c.is_control();
        plain.then_some(c).into_iter().chain((!plain).then(|| c.escape_default()).into_iter().flatten())
    });
    let mut shown: String = escaped.take(MOST_CHARS).collect();
    if text.chars().count() > MOST_CHARS {
        shown.push('…');
    }
    shown
}

/// What is longer than this is read in the policy or in the token.
const MOST_CHARS: usize = 200;

/// `20m`; negative ones and fractions of a second as Cedar has them.
fn span(millis: i64) -> String {
    match u64::try_from(millis) {
        Ok(millis) if millis % 1_000 == 0 => format_duration(Duration::from_millis(millis)),
        _ => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(Value::Text("x".repeat(300)).tell(), format!("`{}…`", "x".repeat(200)));
    }
}
