//! An IAM session policy with holes: parsed and checked once, filled per credential.
//!
//! Holes are looked for only in parsed JSON strings that are values, so a value can never become structure.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::template::{Attributes, Position, Template, TemplateError};

/// An IAM session policy (a JSON object with `Version` and `Statement`) with holes.
#[derive(Clone, Debug)]
pub struct PolicyTemplate {
    source: String,
    statements: Vec<Node>,
}

/// A JSON value; parts without a hole are kept whole.
#[derive(Clone, Debug)]
enum Node {
    Fixed(Value),
    Text(Template),
    List(Vec<Node>),
    Record(Vec<(String, Node)>),
}

/// What may stand in a statement of a session policy. `Principal` may not: the session is the principal.
const MEMBERS: [&str; 7] = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];

impl PolicyTemplate {
    /// Parses and checks `json`.
    pub fn parse(json: &str) -> Result<Self, TemplateError> {
        let document = strict_json(json).map_err(|fault| malformed(fault.to_string()))?;
        let statements = statements_of(&document)?;
        statements.iter().try_for_each(check_statement)?;
        let statements = statements.into_iter().map(Node::compile).collect::<Result<_, _>>()?;
        Ok(Self { source: document.to_string(), statements })
    }

    /// The statements with their holes filled. Serialised, they have no white space.
    pub fn render(&self, attributes: &dyn Attributes) -> Result<Vec<Value>, TemplateError> {
        self.statements.iter().map(|node| node.render(attributes)).collect()
    }

    /// The document without white space.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Has it any hole? Without one, every caller gets the same statements.
    pub fn has_holes(&self) -> bool {
        self.statements.iter().any(|node| !matches!(node, Node::Fixed(_)))
    }
}

impl Node {
    fn compile(value: Value) -> Result<Self, TemplateError> {
        match value {
            Value::String(text) => {
                let template = Template::parse(&text, Position::SessionPolicy)?;
                Ok(if template.has_holes() { Self::Text(template) } else { Self::Fixed(Value::String(text)) })
            }
            Value::Array(items) => {
                let nodes = items.into_iter().map(Self::compile).collect::<Result<Vec<_>, _>>()?;
                Ok(Self::fixed_list(nodes))
            }
            Value::Object(members) => {
                let nodes = members.into_iter().map(compile_member).collect::<Result<Vec<_>, _>>()?;
                Ok(Self::fixed_record(nodes))
            }
            plain => Ok(Self::Fixed(plain)),
        }
    }

    fn as_fixed(&self) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            _ => None,
        }
    }

    fn fixed_list(nodes: Vec<Self>) -> Self {
        match nodes.iter().map(Self::as_fixed).collect() {
            Some(values) => Self::Fixed(Value::Array(values)),
            None => Self::List(nodes),
        }
    }

    fn fixed_record(nodes: Vec<(String, Self)>) -> Self {
        match nodes.iter().map(|(name, node)| Some((name.clone(), node.as_fixed()?))).collect() {
            Some(members) => Self::Fixed(Value::Object(members)),
            None => Self::Record(nodes),
        }
    }

    fn render(&self, attributes: &dyn Attributes) -> Result<Value, TemplateError> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => Value::String(template.render(attributes)?),
            Self::List(nodes) => {
                Value::Array(nodes.iter().map(|node| node.render(attributes)).collect::<Result<_, _>>()?)
            }
            Self::Record(nodes) => {
                let filled = nodes.iter().map(|(name, node)| Ok((name.clone(), node.render(attributes)?)));
                Value::Object(filled.collect::<Result<Map<_, _>, TemplateError>>()?)
            }
        })
    }
}

fn compile_member((name, value): (String, Value)) -> Result<(String, Node), TemplateError> {
    if name.contains(['{', '}']) {
        return Err(malformed(format!("holes and braces may not stand in a member's name: `{name}`")));
    }
    Ok((name, Node::compile(value)?))
}

fn malformed(text: impl Into<String>) -> TemplateError {
    TemplateError::Malformed(text.into())
}

fn statements_of(document: &Value) -> Result<Vec<Value>, TemplateError> {
    let object = document.as_object().ok_or_else(|| malformed("a session policy is a JSON object"))?;
    if let Some(stranger) = object.keys().find(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement"))
    {
        return Err(malformed(format!("`{stranger}` is no member of a session policy")));
    }
    // The older version has no policy variables: `${aws:username}` would be plain text there.
    if object.get("Version").and_then(Value::as_str) != Some("2012-10-17") {
        return Err(malformed("`Version` is not \"2012-10-17\""));
    }
    match object.get("Statement") {
        Some(Value::Array(list)) if !list.is_empty() => Ok(list.clone()),
        Some(one @ Value::Object(_)) => Ok(vec![one.clone()]),
        _ => Err(malformed("`Statement` is not a list of at least one statement")),
    }
}

fn check_statement(statement: &Value) -> Result<(), TemplateError> {
    let object = statement.as_object().ok_or_else(|| malformed("a statement is not a JSON object"))?;
    if let Some(stranger) = object.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
        return Err(malformed(format!("`{stranger}` is no member of a session policy's statement")));
    }
    if !matches!(object.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(malformed("`Effect` of a statement is not \"Allow\" or \"Deny\""));
    }
    for (one, other) in [("Action", "NotAction"), ("Resource", "NotResource")] {
        if object.contains_key(one) == object.contains_key(other) {
            return Err(malformed(format!("a statement has exactly one of `{one}` and `{other}`")));
        }
    }
    Ok(())
}

/// Refuses duplicate members: which of two `Resource` would hold is not for us to guess.
pub(crate) fn strict_json(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    StrictValue.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value))
}

struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(de::Error::custom(format!("the member `{name}` stands there twice")));
            }
            members.insert(name, access.next_value_seed(Self)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Namespace(&'static str);

    impl Attributes for Namespace {
        fn attribute(&self, path: &str) -> Option<String> {
            (path == "principal.namespace").then(|| self.0.to_owned())
        }
    }

    const ORDERS: &str = r#"{ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/{principal.namespace}/*",
          "Condition": { "StringLike": { "s3:prefix": ["${aws:username}/*", "x"] } } },
        { "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*" } ] }"#;

    #[test]
    fn documents_that_are_no_session_policy_are_refused_with_what_is_wrong() {
        let statement = |body: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{{{body}}}]}}"#);
        for (bad, why) in [
            ("[]".to_owned(), "JSON object"),
            ("{".to_owned(), "EOF"),
            (r#"{"Statement":[]}"#.to_owned(), "Version"),
            (r#"{"Version":"2008-10-17","Statement":[{}]}"#.to_owned(), "Version"),
            (r#"{"Version":"2012-10-17"}"#.to_owned(), "Statement"),
            (r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(), "Statement"),
            (r#"{"Version":"2012-10-17","Statement":["x"]}"#.to_owned(), "JSON object"),
            (r#"{"Version":"2012-10-17","Statements":[]}"#.to_owned(), "`Statements`"),
            (statement(r#""Effect":"allow","Action":"*","Resource":"*""#), "Effect"),
            (statement(r#""Effect":"Allow","Action":"*""#), "`Resource`"),
            (statement(r#""Effect":"Allow","Action":"*","Resources":"*""#), "`Resources`"),
            (statement(r#""Effect":"Allow","Action":"*","Resource":"*","Principal":"*""#), "`Principal`"),
            (statement(r#""Effect":"Allow","Action":"*","Resource":"a","Resource":"*""#), "twice"),
            (statement(r#""Effect":"Allow","Action":"*","Resource":"{principal.x""#), "without `}`"),
            (
                statement(r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"{principal.x}":{}}"#),
                "name",
            ),
            (format!("{ORDERS} x"), "trailing"),
        ] {
            let fault = PolicyTemplate::parse(&bad).unwrap_err().to_string();
            assert!(fault.contains(why), "{bad}: {fault}");
        }
    }

    #[test]
    fn holes_are_filled_in_values_and_everything_else_stays() {
        let template = PolicyTemplate::parse(ORDERS).unwrap();
        let filled = serde_json::to_string(&template.render(&Namespace("shop")).unwrap()).unwrap();
        assert!(filled.contains(r#""Resource":"arn:aws:s3:::orders/shop/*""#), "{filled}");
        assert!(filled.contains(r#"["${aws:username}/*","x"]"#), "{filled}");
        let deny = template.render(&Namespace("shop")).unwrap().pop().unwrap();
        assert_eq!(deny, serde_json::json!({ "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*" }));
    }

    #[test]
    fn a_hostile_value_is_refused_and_never_becomes_structure() {
        let template = PolicyTemplate::parse(ORDERS).unwrap();
        for bad in ["*", "a/b", r#"x"],"Effect":"Allow"#, "${aws:username}"] {
            let refusal = template.render(&Namespace(bad));
            assert!(matches!(refusal, Err(TemplateError::Characters { .. })), "{bad:?}");
        }
    }

    #[test]
    fn one_statement_may_stand_without_a_list() {
        let json = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let template = PolicyTemplate::parse(json).unwrap();
        assert!(!template.has_holes());
        assert_eq!(template.render(&Namespace("x")).unwrap().len(), 1);
    }
}
