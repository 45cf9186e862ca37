//! Where a part of a policy stands, and its text as the author wrote it.

use cedar_policy::Policy;
use cedar_policy_core::ast::Expr;

/// A text that is longer is cut: it is read in the file.
const MOST_CHARS: usize = 400;

/// The file of a policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    policy: &'a Policy,
}

impl<'a> Source<'a> {
    pub(super) const fn of(policy: &'a Policy) -> Self {
        Self { policy }
    }

    /// The line of a part, counted from 1: the policy's own where a scope does not say.
    pub(super) fn line(self, part: &Expr) -> usize {
        let own = self.policy.as_ref().loc();
        let Some(place) = part.source_loc().or(own) else { return 1 };
        place.src.get(..place.start()).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// The policy's first line.
    pub(super) fn first_line(self) -> usize {
        let Some(place) = self.policy.as_ref().loc() else { return 1 };
        place.src.get(..place.start()).map_or(1, |before| before.matches('\n').count() + 1)
    }
}

/// On one line, as the author wrote it; as Cedar writes it, for what stands in a scope.
pub(super) fn text(part: &Expr) -> String {
    let written = part.source_loc().and_then(|place| place.snippet()).map(str::to_owned);
    let text = written.unwrap_or_else(|| part.to_string());
    let line = without_notes(&text);
    if line.chars().count() <= MOST_CHARS {
        return line;
    }
    line.chars().take(MOST_CHARS).chain(['…']).collect()
}

/// Notes at the ends of lines would swallow what follows them on one line.
fn without_notes(text: &str) -> String {
    let code = text.lines().map(|line| match line.find("//") {
        // Within a text it is no note; a part with both keeps its note.
        Some(at) if line.get(..at).is_none_or(|before| before.matches('"').count() % 2 == 0) => {
            line.get(..at).unwrap_or(line)
        }
        _ => line,
    });
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}
