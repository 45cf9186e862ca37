//! Reading: the caller's text, of which only what is understood passes, and the grant's statements, which the operator wrote.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::condition::Conditions;
use super::error::{NarrowError, quoted};
use super::pattern::{Kind, Pattern};
use super::set::Set;
use super::statement::Statement;
use crate::grants::strict_json;
use crate::issuance::aws::session_policy::RESERVED;

/// As at AWS. Counted before anything is parsed.
pub(super) const LONGEST_TEXT: usize = 2048;

/// A caller's policy.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) allows: Vec<Statement>,
    pub(super) denies: Vec<Statement>,
}

/// `Principal` may not stand there: the session is the principal.
const MEMBERS: [&str; 7] = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];

/// Reads a caller's text.
pub(super) fn read(text: &str) -> Result<Policy, NarrowError> {
    let length = text.chars().count();
    if length > LONGEST_TEXT {
        return Err(NarrowError::Length(length));
    }
    read_policy(text).map_err(NarrowError::Malformed)
}

/// One of the grant's Allow statements, whose members were checked when the configuration was read.
pub(super) fn read_granted(statement: &Map<String, Value>) -> Result<Statement, String> {
    let pattern = |text: &str, kind| Ok(Pattern::read_or_opaque(text, kind));
    Ok(Statement {
        actions: set(statement, ["Action", "NotAction"], |text| pattern(text, Kind::Action))?,
        resources: set(statement, ["Resource", "NotResource"], |text| pattern(text, Kind::Resource))?,
        conditions: Conditions::read(statement.get("Condition"))?,
    })
}

fn read_policy(text: &str) -> Result<Policy, String> {
    let document = strict_json(text).map_err(|error| quoted(&error.to_string()))?;
    check_characters(&document)?;
    let document = document.as_object().ok_or("it is not a JSON object")?;
    if let Some(stranger) =
        document.keys().find(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
    {
        return Err(format!("`{}` is no member of a session policy", quoted(stranger)));
    }
    // The older version has no variables: `${aws:username}` would be plain text there.
    if document.get("Version").and_then(Value::as_str) != Some("2012-10-17") {
        return Err("`Version` is not \"2012-10-17\"".to_owned());
    }
    if document.get("Id").is_some_and(|id| !id.is_string()) {
        return Err("`Id` is not a text".to_owned());
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) if !list.is_empty() => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err("`Statement` is not a list of at least one statement".to_owned()),
    };
    read_statements(statements)
}

fn read_statements(statements: &[Value]) -> Result<Policy, String> {
    let (mut policy, mut sids) = (Policy { allows: Vec::new(), denies: Vec::new() }, BTreeSet::new());
    for statement in statements {
        let members = statement.as_object().ok_or("a statement is not a JSON object")?;
        if let Some(stranger) = members.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
            return Err(format!("`{}` is no member of a session policy's statement", quoted(stranger)));
        }
        check_sid(members, &mut sids)?;
        let read = read_asked(members)?;
        match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => policy.allows.push(read),
            Some("Deny") => policy.denies.push(read),
            _ => return Err("`Effect` of a statement is not \"Allow\" or \"Deny\"".to_owned()),
        }
    }
    Ok(policy)
}

fn read_asked(members: &Map<String, Value>) -> Result<Statement, String> {
    let pattern =
        |text: &str, kind| Pattern::read(text, kind).map_err(|why| format!("`{}`: {why}", quoted(text)));
    let conditions = Conditions::read(members.get("Condition"))?;
    conditions.check()?;
    Ok(Statement {
        actions: set(members, ["Action", "NotAction"], |text| pattern(text, Kind::Action))?,
        resources: set(members, ["Resource", "NotResource"], |text| pattern(text, Kind::Resource))?,
        conditions,
    })
}

/// Ids are checked as AWS would, and then forgotten: an id of the caller's could be one of the grant's or of ours.
fn check_sid<'s>(members: &'s Map<String, Value>, known: &mut BTreeSet<&'s str>) -> Result<(), String> {
    let Some(sid) = members.get("Sid") else { return Ok(()) };
    match sid.as_str() {
        Some(sid) if sid.starts_with(RESERVED) => {
            Err(format!("the `Sid` `{}` begins with `{RESERVED}`, which is kept for our own", quoted(sid)))
        }
        Some(sid) if !sid.chars().all(|c| c.is_ascii_alphanumeric()) => {
            Err(format!("the `Sid` `{}` is not of `a-z A-Z 0-9`", quoted(sid)))
        }
        Some(sid) if !sid.is_empty() && !known.insert(sid) => {
            Err(format!("the `Sid` `{}` stands there twice", quoted(sid)))
        }
        Some(_) => Ok(()),
        None => Err("`Sid` is not a text".to_owned()),
    }
}

/// The patterns under the one name, or under the other that means all but these.
fn set(
    members: &Map<String, Value>,
    [only, all_but]: [&str; 2],
    pattern: impl Fn(&str) -> Result<Pattern, String>,
) -> Result<Set, String> {
    let patterns = |name: &str, value: &Value| {
        let list = match value {
            Value::Array(list) if !list.is_empty() => list.as_slice(),
            one @ Value::String(_) => std::slice::from_ref(one),
            _ => &[],
        };
        let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
        let texts = texts.filter(|texts| !texts.is_empty());
        let texts = texts.ok_or_else(|| format!("`{name}` is not a text or a list of at least one"))?;
        texts.into_iter().map(&pattern).collect::<Result<Vec<_>, String>>()
    };
    match (members.get(only), members.get(all_but)) {
        (Some(value), None) => Ok(Set::Only(patterns(only, value)?)),
        (None, Some(value)) => Ok(Set::AllBut(patterns(all_but, value)?)),
        _ => Err(format!("a statement has exactly one of `{only}` and `{all_but}`")),
    }
}

/// AWS takes the characters up to U+00FF. We leave out those that cannot be seen: a policy must read as it means.
fn check_characters(value: &Value) -> Result<(), String> {
    let is_plain = |c: char| matches!(c, ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}');
    let check = |text: &str| match text.chars().find(|c| !is_plain(*c)) {
        Some(odd) => Err(format!("the character U+{:04X} may not stand there", u32::from(odd))),
        None => Ok(()),
    };
    match value {
        Value::String(text) => check(text),
        Value::Array(list) => list.iter().try_for_each(check_characters),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            check(name)?;
            check_characters(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}
