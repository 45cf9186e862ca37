//! How deeply a text of policies is nested, found before it is parsed. Cedar's parser, and whoever walks or frees what it
//! made, takes a frame of the stack for each level, and a thread that runs out of stack ends the whole broker: a vendor's
//! bundle, or a folder on trial, must not be able to.
//!
//! Reads the text as Cedar's lexer does and errs to one side: what is counted is never less than what is nested.

/// Levels that one policy may have. An unoptimised build parses and decides about twice as many on a thread of 2 MiB, which
/// is what reloads and requests have.
const MOST_LEVELS: usize = 256;

/// A bracket costs Cedar's parser as much stack as so many operators do.
const BRACKET: usize = 7;

/// Words that begin a part of an expression.
const WORDS: [&[u8]; 5] = [b"if", b"then", b"else", b"when", b"unless"];

/// Where the text gets too deep, in bytes; `None` when it does not.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut nest = Nest::default();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        at += match rest {
            [b'/', b'/', ..] => run(rest, |byte| !matches!(byte, b'\n' | b'\r')),
            [b'"', ..] => text_literal(rest),
            [b'&', b'&', ..] | [b'|', b'|', ..] => nest.part(2),
            [b'(' | b'{', ..] => nest.open(false),
            // What stands in it may also be an index of what stands before it.
            [b'[', ..] => nest.open(true),
            [b')' | b']' | b'}', ..] => nest.close(),
            [b',', ..] => nest.element(),
            [b';', ..] => nest.end(),
            [b'.' | b'+' | b'-' | b'*' | b'!', ..] => nest.operator(),
            [first, ..] if is_word(*first) => {
                let length = run(rest, is_word);
                let is_part = rest.get(..length).is_some_and(|word| WORDS.contains(&word));
                if is_part { nest.part(length) } else { length }
            }
            _ => 1,
        };
        if nest.deepest() > MOST_LEVELS {
            return Some(at);
        }
    }
    None
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many bytes from the first on are like that; the first always is.
fn run(bytes: &[u8], is_like_that: fn(u8) -> bool) -> usize {
    1 + bytes.iter().skip(1).take_while(|byte| is_like_that(**byte)).count()
}

/// With both quotation marks; to the end where there is no second one.
fn text_literal(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let closing = bytes.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    closing.map_or(bytes.len(), |inner| inner + 2)
}

/// The brackets that are open, the outermost first.
#[derive(Debug, Default)]
struct Nest {
    top: Level,
    open: Vec<Level>,
}

/// What is inside one pair of brackets, as far as it was read.
#[derive(Debug, Default)]
struct Level {
    /// Parts that are joined: each hangs below the next.
    parts: usize,
    /// The deepest of those that were read.
    inner: usize,
    /// The one that is being read: its operators and its brackets.
    part: usize,
    /// The deepest element before the last comma.
    before: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.before.max(self.parts + self.inner.max(self.part))
    }
}

/// Each returns how many bytes it took.
impl Nest {
    fn level(&mut self) -> &mut Level {
        self.open.last_mut().unwrap_or(&mut self.top)
    }

    /// With the brackets that are open: what does not close them is an error, and the parser looks for the rest of it.
    fn deepest(&self) -> usize {
        self.open.len() * BRACKET + self.open.last().unwrap_or(&self.top).depth()
    }

    fn operator(&mut self) -> usize {
        self.level().part += 1;
        1
    }

    fn part(&mut self, bytes: usize) -> usize {
        let level = self.level();
        level.inner = level.inner.max(std::mem::take(&mut level.part));
        level.parts += 1;
        bytes
    }

    fn element(&mut self) -> usize {
        let level = self.level();
        *level = Level { before: level.depth(), ..Level::default() };
        1
    }

    fn open(&mut self, is_operator: bool) -> usize {
        self.level().part += usize::from(is_operator);
        self.open.push(Level::default());
        1
    }

    fn close(&mut self) -> usize {
        let closed = self.open.pop().map_or(0, |level| level.depth() + BRACKET);
        // What stands before it may hang above it (`!(…)`), and what follows does (`(…).a`).
        self.level().part += closed;
        1
    }

    /// Of a policy, whatever is still open.
    fn end(&mut self) -> usize {
        *self = Self::default();
        1
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::tests::Folder;
    use crate::policy::{DenialReason, Facts, PolicySets};

    /// Without a failure.
    fn can_decide(text: &str) -> bool {
        let folder = Folder::new(&[("customer/a.cedar", text)]);
        let sets = PolicySets::read(folder.path()).unwrap_or_else(|error| panic!("{error}"));
        let facts: Facts = serde_json::from_value(json!({
            "at": "2026-11-22T16:00:00Z",
            "principal": { "kind": "workload", "issuer": "prod", "subject": "w" },
            "grant": { "name": "a", "kind": "jwt", "break_glass": false },
            "auth": { "issued_at": "2026-11-22T15:59:00Z" },
            "asked": { "action": "issue", "ttl": "1m" },
        }))
        .unwrap();
        let denied = sets.decide(&facts).err();
        !denied.is_some_and(|denial| matches!(denial.reason, DenialReason::Error(_)))
    }

    fn policy(condition: &str) -> String {
        format!(
            "permit (principal, action == Tidegate::Action::\"issue\", resource) when {{ {condition} }};\n"
        )
    }

    /// Every way to nest that Cedar has, so deep that it would end a process.
    #[test]
    fn no_way_to_nest_is_overlooked() {
        let many = 5_000;
        let around = |open: &str, inner: &str, close: &str| open.repeat(many) + inner + &close.repeat(many);
        for (way, condition) in [
            ("brackets", around("(", "true", ")")),
            ("negations", around("!(", "true", ")")),
            ("sets", around("[", "1", "]") + " == [1]"),
            ("records", around("{a:", "1", "}") + " == {a: 1}"),
            ("arguments", around("resource.labels.contains(", "\"a\"", ")")),
            ("what follows brackets", around("(", "true", " && true)")),
            ("the elements of sets", around("[1, ", "1", ", 1]") + " == [1]"),
            ("conditions", around("if true then ", "true", " else false")),
            ("otherwise", "if true then true else ".repeat(many) + "true"),
            ("sums", "1 + ".repeat(many) + "1 == 2"),
            ("products", "1 * ".repeat(many) + "1 == 2"),
            ("differences", "1 - ".repeat(many) + "1 == 2"),
            ("attributes", format!("context{} == 1", ".a".repeat(many))),
            ("indices", format!("context{} == 1", "[\"a\"]".repeat(many))),
            ("methods", format!("context.now{} == context.now", ".toDate()".repeat(many))),
            ("all of", "true && ".repeat(many) + "true"),
            ("one of", "true || ".repeat(many) + "true"),
            ("behind a text", "\"\\\"\" == \"\\\\\" && ".to_owned() + &around("(", "true", ")")),
            ("what never ends", "(".repeat(many) + "; true"),
            ("behind a note", "// \"\n".to_owned() + &around("(", "true", ")")),
        ] {
            assert!(too_deep(&policy(&condition)).is_some(), "{way}");
        }
        let clauses = "when { true } ".repeat(many);
        assert!(too_deep(&format!("permit (principal, action, resource) {clauses};")).is_some());
    }

    #[test]
    fn what_people_write_is_not_too_deep() {
        let members: Vec<_> = (0..10_000).map(|number| format!("\"member-{number}\"")).collect();
        let alternatives: Vec<_> =
            (0..200).map(|number| format!("principal.github.repository_id == \"{number}\"")).collect();
        for condition in [
            format!("[{}].contains(principal.subject)", members.join(", ")),
            alternatives.join(" || "),
            "(".repeat(20) + "true" + &")".repeat(20),
            "principal.subject == \"((((((((((((((((((((((((((((((((((((((((((((\"".to_owned(),
            format!("true // {}\n", "(".repeat(1_000)),
        ] {
            assert_eq!(too_deep(&policy(&condition)), None, "{condition}");
        }
        assert_eq!(too_deep(&policy("context.ttl <= duration(\"15m\")").repeat(1_000)), None);
    }

    #[test]
    fn a_text_that_ends_anywhere_is_read_to_its_end() {
        for text in ["\"", "\"\\", "//", "/", "&", "(((", ")))", ";", "é\"é", "if"] {
            assert_eq!(too_deep(text), None, "{text}");
        }
    }

    /// On a thread like those of reloads and requests, in a build without optimisation.
    #[test]
    fn what_is_not_too_deep_is_parsed_decided_about_and_freed_on_a_small_stack() {
        let most = MOST_LEVELS - 20;
        let (brackets, calls) = (most / (BRACKET + 1), most / (BRACKET + 1));
        for condition in [
            "!(".repeat(brackets) + "resource.break_glass" + &")".repeat(brackets),
            format!("context.now{} != datetime(\"1970-01-01\")", ".toDate()".repeat(calls)),
            "1 + ".repeat(most) + "1 != 1",
            vec!["context.ttl != duration(\"7s\")"; most].join(" && "),
        ] {
            let text = policy(&condition);
            assert_eq!(too_deep(&text), None, "{condition}");
            let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
            let thread = thread.spawn(move || can_decide(&text)).unwrap();
            assert!(thread.join().unwrap(), "{condition}");
        }
    }
}
