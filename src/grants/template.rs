//! Typed substitutions: `{principal.namespace}` inside a session policy, a tag or a session name.
//!
//! Each [`Position`] has its own character set. A value that does not fit is refused, never escaped
//! (OpenBao's templated policies were widened by `*`, `+`, `/` and `,` inside claim values).

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
pub struct Template {}

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
    #[error("the value of `{path}` has characters that may not stand in {place}")]
    Characters { path: String, place: &'static str },
}

impl Template {
    /// Parses `text`.
    pub fn parse(text: &str, position: Position) -> Result<Self, TemplateError> { todo!() }
    /// Fills the holes.
    pub fn render(&self, attributes: &dyn Attributes) -> Result<String, TemplateError> { todo!() }
}
