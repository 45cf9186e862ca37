//! `Condition`: what must hold beside action and resource. Two of them are joined so that both must hold.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::quoted;

/// Operator, key, values: one of the values of each key of each operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions(BTreeMap<String, Keys>);

type Keys = BTreeMap<String, Vec<String>>;

/// The caller's operator and key that cannot be joined with the grant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) operator: String,
    pub(super) key: String,
}

/// Every operator of IAM. Another one may mean anything.
const OPERATORS: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
];

impl Conditions {
    /// Of a policy that we have to take as it is: operators need no meaning to be kept.
    pub(super) fn read(value: Option<&Value>) -> Result<Self, String> {
        let Some(value) = value else { return Ok(Self::default()) };
        let operators = value.as_object().ok_or("`Condition` is not a JSON object")?;
        let read = |(operator, keys): (&String, &Value)| Ok((operator.clone(), read_keys(operator, keys)?));
        operators.iter().map(read).collect::<Result<_, String>>().map(Self)
    }

    /// Is every operator and key one that we understand?
    pub(super) fn check(&self) -> Result<(), String> {
        for (operator, keys) in &self.0 {
            if !is_operator(operator) {
                return Err(format!("`{}` is no operator of a condition", quoted(operator)));
            }
            if let Some(odd) = keys.keys().find(|key| !is_key(key)) {
                return Err(format!("`{}` is no key of a condition", quoted(odd)));
            }
            for value in keys.values().flatten() {
                let wrong = |why| format!("the value `{}` of a condition: {why}", quoted(value));
                super::tokens::read(value, false).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Both must hold. `asked` is the caller's.
    pub(super) fn joined(&self, asked: &Self) -> Result<Self, Clash> {
        let mut all = self.clone();
        for (operator, keys) in &asked.0 {
            for (key, values) in keys {
                all.demand(operator, key, values)?;
            }
        }
        Ok(all)
    }

    /// One operator cannot stand twice, and its values are alternatives: to demand both `["a", "b"]` and `["b", "c"]` of one key,
    /// the second stands under `…IfExists`. That is the same for a key that is there; when it is not there, the first
    /// decides as the second would have.
    fn demand(&mut self, operator: &str, key: &str, values: &[String]) -> Result<(), Clash> {
        let by_another = if_exists(operator);
        for operator in std::iter::once(operator).chain(by_another.as_deref()) {
            match self.values(operator, key) {
                Some(known) if same(known, values) => return Ok(()),
                Some(_) => {}
                None => {
                    self.insert(operator, key, values);
                    return Ok(());
                }
            }
        }
        Err(Clash { operator: operator.to_owned(), key: key.to_owned() })
    }

    /// IAM compares keys without regard to case.
    fn values(&self, operator: &str, key: &str) -> Option<&[String]> {
        let mut keys = self.0.get(operator)?.iter();
        keys.find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, values)| values.as_slice())
    }

    fn insert(&mut self, operator: &str, key: &str, values: &[String]) {
        self.0.entry(operator.to_owned()).or_default().insert(key.to_owned(), values.to_vec());
    }

    /// The member of a statement; `None` when nothing must hold.
    pub(super) fn member(&self) -> Option<Value> {
        let of_key = |(key, values): (&String, &Vec<String>)| {
            let value = match values.as_slice() {
                [one] => Value::String(one.clone()),
                _ => values.iter().cloned().collect(),
            };
            (key.clone(), value)
        };
        let of_operator = |(operator, keys): (&String, &Keys)| {
            (operator.clone(), Value::Object(keys.iter().map(of_key).collect()))
        };
        let all: Map<_, _> = self.0.iter().map(of_operator).collect();
        (!all.is_empty()).then_some(Value::Object(all))
    }
}

fn read_keys(operator: &str, keys: &Value) -> Result<Keys, String> {
    let keys = keys.as_object().filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| format!("`{}` is not a JSON object with a key in it", quoted(operator)))?;
    let mut read = Keys::new();
    for (key, values) in keys {
        if read.keys().any(|known| known.eq_ignore_ascii_case(key)) {
            let (key, operator) = (quoted(key), quoted(operator));
            return Err(format!("`{key}` stands twice under `{operator}` (case does not count)"));
        }
        read.insert(key.clone(), read_values(values).ok_or_else(|| malformed_values(key))?);
    }
    Ok(read)
}

fn malformed_values(key: &str) -> String {
    let key = quoted(key);
    format!(
        "the values of `{key}` are not a text, `true`, `false`, a whole number, or a list of at least one of them"
    )
}

fn read_values(values: &Value) -> Option<Vec<String>> {
    match values {
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => list.iter().map(read_value).collect(),
        one => read_value(one).map(|one| vec![one]),
    }
}

/// `true` and `"true"`, `5` and `"5"` are the same to IAM.
fn read_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) if number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

/// `ForAllValues:` or `ForAnyValue:`, the operator, `IfExists`.
fn is_operator(text: &str) -> bool {
    let single = match text.split_once(':') {
        Some(("ForAllValues" | "ForAnyValue", single)) => single,
        Some(_) => return false,
        None => text,
    };
    let known = single.strip_suffix("IfExists").unwrap_or(single);
    OPERATORS.contains(&known) && (known != "Null" || known == text)
}

/// `service:Name`, and for tags `/` and the tag's key, in which much may stand.
fn is_key(text: &str) -> bool {
    let Some((service, name)) = text.split_once(':') else { return false };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let fits_name = |c: char| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c);
    let is_all = |text: &str, fits: &dyn Fn(char) -> bool| !text.is_empty() && text.chars().all(fits);
    is_all(service, &fits) && is_all(name, &fits_name)
}

/// The same operator once more, under its other name.
fn if_exists(operator: &str) -> Option<String> {
    (operator != "Null" && !operator.ends_with("IfExists")).then(|| format!("{operator}IfExists"))
}

fn same(one: &[String], other: &[String]) -> bool {
    let sorted = |values: &[String]| {
        let mut values = values.to_vec();
        values.sort();
        values.dedup();
        values
    };
    sorted(one) == sorted(other)
}
