//! Typed substitutions: `{principal.namespace}` inside a session policy or a tag.
//!
//! Each [`Position`] has its own character set. A value that does not fit is refused, never escaped
//! (`OpenBao`'s templated policies were widened by `*`, `+`, `/` and `,` inside claim values). Both sets are lists of what
//! may stand, so that a character nobody thought of is refused:
//!
//! | position | a value may have | length |
//! |---|---|---|
//! | [`Position::SessionPolicy`] | `a-z A-Z 0-9 - _ . @ = +` | 1-256 |
//! | [`Position::TagValue`] | the same and `/ :` and the space | 1-256 |
//!
//! A session policy refuses `* ?` (wildcards), `/ :` (they divide paths and ARNs), `, $ { }` (lists and IAM variables),
//! quotes, backslashes, white space and everything outside ASCII. A tag's value is compared as a whole, so paths such
//! as `owner/repository` may stand in it. An empty value is refused too: `logs-{principal.team}*` would become `logs-*`.

/// Where a value is about to stand, and so which characters it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Inside a JSON string of an IAM session policy.
    SessionPolicy,
    /// The value of a session tag.
    TagValue,
}

/// Looks attributes of the caller up by their dotted path, such as `principal.namespace`.
pub trait Attributes {
    /// The value, when the caller has it.
    fn attribute(&self, path: &str) -> Option<String>;
}

/// Text with `{path}` holes, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    position: Position,
    source: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Hole(String),
}

/// A template that does not parse, or a value that may not stand where the template wants it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Malformed.
    #[error("malformed template: {0}")]
    Malformed(String),
    /// The caller has no such attribute.
    #[error("the caller has no attribute `{0}`")]
    Missing(String),
    /// The value has characters that may not stand there.
    #[error("the value of `{path}` is empty, too long or has characters that may not stand in {place}")]
    Characters {
        /// The attribute. Never its value: that is the caller's to choose, and may be hostile.
        path: String,
        /// The position, in words.
        place: &'static str,
    },
}

impl Position {
    const fn name(self) -> &'static str {
        match self {
            Self::SessionPolicy => "a session policy",
            Self::TagValue => "a session tag",
        }
    }

    /// May `character` be part of a value that fills a hole here?
    fn admits(self, character: char) -> bool {
        let common =
            character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '@' | '=' | '+');
        match self {
            Self::SessionPolicy => common,
            Self::TagValue => common || matches!(character, '/' | ':' | ' '),
        }
    }

    /// May the operator write `character` outside the holes? IAM's own grammar judges a session policy.
    fn admits_literal(self, character: char) -> bool {
        match self {
            Self::SessionPolicy => true,
            Self::TagValue => self.admits(character),
        }
    }
}

/// The longest value of a hole: what AWS takes as a tag's value, and more than any name needs.
const LONGEST_VALUE: usize = 256;
/// The longest path of a hole.
const LONGEST_PATH: usize = 128;

impl Template {
    /// Parses `text`. In a session policy IAM's own variables (`${aws:username}`) stay as they are.
    pub fn parse(text: &str, position: Position) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at_checked(at).unwrap_or((rest, ""));
            check_literal(before, position)?;
            literal.push_str(before);
            let (inside, after) = inside_braces(from_brace)?;
            if before.ends_with('$') {
                literal.push_str(&iam_variable(inside, position)?);
            } else {
                pieces.extend((!literal.is_empty()).then(|| Piece::Literal(std::mem::take(&mut literal))));
                pieces.push(Piece::Hole(hole_path(inside)?));
            }
            rest = after;
        }
        check_literal(rest, position)?;
        literal.push_str(rest);
        pieces.extend((!literal.is_empty()).then_some(Piece::Literal(literal)));
        Ok(Self { position, source: text.to_owned(), pieces })
    }

    /// Fills the holes.
    pub fn render(&self, attributes: &dyn Attributes) -> Result<String, TemplateError> {
        let mut out = String::with_capacity(self.source.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Hole(path) => out.push_str(&self.fill(path, attributes)?),
            }
        }
        Ok(out)
    }

    /// The text that was parsed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Has it any hole? Without one, every caller gets the same text.
    pub fn has_holes(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Hole(_)))
    }

    fn fill(&self, path: &str, attributes: &dyn Attributes) -> Result<String, TemplateError> {
        let value = attributes.attribute(path).ok_or_else(|| TemplateError::Missing(path.to_owned()))?;
        let fits =
            (1..=LONGEST_VALUE).contains(&value.len()) && value.chars().all(|c| self.position.admits(c));
        if fits {
            Ok(value)
        } else {
            Err(TemplateError::Characters { path: path.to_owned(), place: self.position.name() })
        }
    }
}

fn malformed(text: impl Into<String>) -> TemplateError {
    TemplateError::Malformed(text.into())
}

fn check_literal(text: &str, position: Position) -> Result<(), TemplateError> {
    match text.chars().find(|&c| !position.admits_literal(c)) {
        Some(bad) => {
            Err(malformed(format!("`{}` may not stand in {}", bad.escape_default(), position.name())))
        }
        None => Ok(()),
    }
}

/// `{inside}after` → (inside, after).
fn inside_braces(from_brace: &str) -> Result<(&str, &str), TemplateError> {
    let body = from_brace.strip_prefix('{').ok_or_else(|| malformed("`}` without `{` before it"))?;
    body.split_once('}').ok_or_else(|| malformed("`{` without `}` after it"))
}

/// IAM has no variable that starts with `principal.`: whoever writes one means a hole, and would get neither.
fn iam_variable(inside: &str, position: Position) -> Result<String, TemplateError> {
    if position != Position::SessionPolicy {
        return Err(malformed(format!("`${{` may not stand in {}", position.name())));
    }
    if inside.trim_start().starts_with("principal.") {
        return Err(malformed(format!("`${{{inside}}}` is no IAM variable; a hole has no `$` before it")));
    }
    if inside.contains('{') {
        return Err(malformed("`{` inside an IAM variable"));
    }
    Ok(format!("{{{inside}}}"))
}

fn hole_path(inside: &str) -> Result<String, TemplateError> {
    let segments = inside.strip_prefix("principal.").unwrap_or("");
    let well_formed = inside.len() <= LONGEST_PATH
        && segments.split('.').all(|segment| {
            !segment.is_empty()
                && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        });
    if well_formed {
        Ok(inside.to_owned())
    } else {
        let shown: String = inside.chars().take(80).flat_map(char::escape_default).collect();
        Err(malformed(format!("`{{{shown}}}` is no hole; holes look like `{{principal.namespace}}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct One(&'static str, String);

    impl Attributes for One {
        fn attribute(&self, path: &str) -> Option<String> {
            (path == self.0).then(|| self.1.clone())
        }
    }

    fn fill(text: &str, position: Position, value: &str) -> Result<String, TemplateError> {
        Template::parse(text, position)?.render(&One("principal.x", value.to_owned()))
    }

    #[test]
    fn values_that_could_widen_a_session_policy_are_refused() {
        for bad in [
            "*",
            "a*",
            "?",
            "a/b",
            "a,b",
            "${aws:username}",
            "$",
            "{",
            "}",
            "\"",
            "\\",
            " ",
            "a b",
            "\n",
            "\u{0}",
            "é",
            "\u{202e}",
            "a:b",
            "",
            &"x".repeat(257),
        ] {
            let refusal = fill("p-{principal.x}-s", Position::SessionPolicy, bad);
            assert!(matches!(refusal, Err(TemplateError::Characters { .. })), "{bad:?}: {refusal:?}");
        }
        assert_eq!(fill("p-{principal.x}-s", Position::SessionPolicy, "a.b_c-9@d").unwrap(), "p-a.b_c-9@d-s");
    }

    #[test]
    fn values_outside_the_tag_characters_are_refused() {
        for bad in ["*", "?", "$", "{", "}", "\"", "\\", "\t", "\u{a0}", "ü", ",", ";", "", &"x".repeat(257)]
        {
            assert!(fill("{principal.x}", Position::TagValue, bad).is_err(), "{bad:?}");
        }
        let path = "owner/name: x@y=z+1";
        assert_eq!(fill("{principal.x}", Position::TagValue, path).unwrap(), path);
    }

    #[test]
    fn a_hole_without_a_value_is_a_refusal_and_never_an_empty_text() {
        let template = Template::parse("{principal.y}", Position::TagValue).unwrap();
        let refusal = template.render(&One("principal.x", "v".into()));
        assert_eq!(refusal, Err(TemplateError::Missing("principal.y".into())));
    }

    #[test]
    fn malformed_templates_are_refused_at_parsing() {
        for bad in [
            "{",
            "}",
            "{}",
            "{principal.x",
            "principal.x}",
            "{principal}",
            "{principal.}",
            "{principal.x.}",
            "{ principal.x }",
            "{PRINCIPAL.x}",
            "{grant.x}",
            "{principal.x|y}",
            "{{principal.x}}",
            "${principal.x}",
            "${principal.x",
            "${a{b}",
        ] {
            let refusal = Template::parse(bad, Position::SessionPolicy);
            assert!(matches!(refusal, Err(TemplateError::Malformed(_))), "{bad:?}: {refusal:?}");
        }
        for bad in ["*", "${aws:username}", "a;b", "ü"] {
            assert!(Template::parse(bad, Position::TagValue).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn iam_variables_of_the_operator_stay_as_they_are() {
        let text = "home/${aws:username}/${*}${?}${$}/{principal.x}";
        let filled = fill(text, Position::SessionPolicy, "v").unwrap();
        assert_eq!(filled, "home/${aws:username}/${*}${?}${$}/v");
    }

    #[test]
    fn no_error_shows_the_callers_value() {
        let refusal =
            fill("{principal.x}", Position::SessionPolicy, "h\u{1b}ostile*").unwrap_err().to_string();
        assert!(!refusal.contains("ostile"), "{refusal}");
    }

    proptest! {
        /// Whatever a value is, a filled hole adds no character outside its position's list.
        #[test]
        fn a_filled_hole_never_leaves_its_character_set(value in any::<String>()) {
            for position in [Position::SessionPolicy, Position::TagValue] {
                if let Ok(filled) = fill("{principal.x}", position, &value) {
                    prop_assert_eq!(&filled, &value);
                    prop_assert!(!filled.is_empty() && filled.chars().all(|c| position.admits(c)));
                    let widening = filled.contains(['*', '?', ',', '$', '{', '}', '"', '\\']);
                    prop_assert!(!widening);
                }
            }
        }

        #[test]
        fn parsing_never_panics_and_text_without_braces_stays_itself(text in any::<String>()) {
            let parsed = Template::parse(&text, Position::SessionPolicy);
            if !text.contains(['{', '}']) {
                let rendered = parsed.unwrap().render(&One("principal.x", String::new())).unwrap();
                prop_assert_eq!(rendered, text);
            }
        }
    }
}
