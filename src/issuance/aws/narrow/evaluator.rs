//! A second opinion for tests: whether statements allow a request, by brute force and under each way to read a wildcard.
//! Shares no code with what it judges.

use std::collections::BTreeMap;

use serde_json::Value;

/// How far a wildcard in an ARN reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Over colons.
    Crossing,
    /// To the end of its segment; the resource, which comes sixth, is one segment with its colons.
    Segments,
    /// To the next colon, except for a `*` at the very end.
    Strict,
    /// As `Segments`, and what stands before the first `/` or `:` of the resource is its type and has no wildcards, except
    /// in S3 (as `iam-simulate` reads it).
    LiteralType,
}

pub(super) const READINGS: [Reading; 4] =
    [Reading::Crossing, Reading::Segments, Reading::Strict, Reading::LiteralType];

/// What is asked of AWS.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) action: String,
    pub(super) resource: String,
    pub(super) context: BTreeMap<String, String>,
}

/// Do the statements allow it?
pub(super) fn allows(statements: &[Value], request: &Request, reading: Reading) -> bool {
    let decided =
        |effect: &str| statements.iter().any(|one| one["Effect"] == effect && applies(one, request, reading));
    decided("Allow") && !decided("Deny")
}

fn applies(statement: &Value, request: &Request, reading: Reading) -> bool {
    let of_action = |pattern: &str| {
        let pattern: Vec<Piece> = pattern.to_ascii_lowercase().chars().map(wild).collect();
        matches(&pattern, &chars(&request.action.to_ascii_lowercase()), None)
    };
    let of_resource = |pattern: &str| resource_matches(pattern, request, reading);
    one_of(statement, "Action", of_action)
        && one_of(statement, "Resource", of_resource)
        && statement.get("Condition").is_none_or(|operators| {
            operators.as_object().unwrap().iter().all(|(operator, keys)| {
                keys.as_object().unwrap().iter().all(|(key, values)| holds(operator, key, values, request))
            })
        })
}

fn one_of(statement: &Value, name: &str, matches: impl Fn(&str) -> bool) -> bool {
    match (statement.get(name), statement.get(format!("Not{name}"))) {
        (Some(patterns), None) => list(patterns).iter().any(|pattern| matches(pattern)),
        (None, Some(patterns)) => !list(patterns).iter().any(|pattern| matches(pattern)),
        _ => panic!("{statement}"),
    }
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        one => vec![one.as_str().unwrap().to_owned()],
    }
}

fn holds(operator: &str, key: &str, values: &Value, request: &Request) -> bool {
    let values = list(values);
    let found =
        request.context.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
    if operator == "Null" {
        return values.iter().any(|value| (value == "true") == found.is_none());
    }
    let base = operator.strip_suffix("IfExists").unwrap_or(operator);
    let Some(found) = found else { return base != operator || base.contains("Not") };
    match base {
        "StringEquals" => values.contains(found),
        "StringNotEquals" => !values.contains(found),
        "StringLike" => values.iter().any(|value| like(value, found, request)),
        "StringNotLike" => !values.iter().any(|value| like(value, found, request)),
        "DateLessThan" => values.iter().any(|value| found < value),
        other => panic!("{other}"),
    }
}

fn like(pattern: &str, text: &str, request: &Request) -> bool {
    pieces(pattern, request).is_some_and(|pattern| matches(&pattern, &chars(text), None))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Is(char),
    One,
    Run,
}

fn wild(c: char) -> Piece {
    match c {
        '*' => Piece::Run,
        '?' => Piece::One,
        c => Piece::Is(c),
    }
}

/// With variables in place; `None` when one is missing.
fn pieces(text: &str, request: &Request) -> Option<Vec<Piece>> {
    let (mut pieces, mut rest) = (Vec::new(), text.chars());
    while let Some(c) = rest.next() {
        let inside = rest.as_str().strip_prefix('{').filter(|_| c == '$');
        let Some((name, behind)) = inside.and_then(|text| text.split_once('}')) else {
            pieces.push(wild(c));
            continue;
        };
        let value = match name {
            "*" | "?" | "$" => name,
            name => request.context.get(name)?,
        };
        pieces.extend(value.chars().map(Piece::Is));
        rest = behind.chars();
    }
    Some(pieces)
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn resource_matches(pattern: &str, request: &Request, reading: Reading) -> bool {
    let (Some(pieces), text) = (pieces(pattern, request), chars(&request.resource)) else { return false };
    if pattern == "*" {
        return true;
    }
    let colon = Piece::Is(':');
    match reading {
        Reading::Crossing => matches(&pieces, &text, None),
        Reading::Strict => {
            let (body, open) = match pieces.split_last() {
                Some((Piece::Run, body)) => (body, true),
                _ => (pieces.as_slice(), false),
            };
            (0..=text.len()).any(|end| (open || end == text.len()) && matches(body, &text[..end], Some(':')))
        }
        Reading::Segments | Reading::LiteralType => {
            let mine: Vec<_> = pieces.splitn(6, |piece| *piece == colon).collect();
            let theirs: Vec<_> = text.splitn(6, |c| *c == ':').collect();
            let exempt = mine.len() == 6
                && mine[2] == [Piece::Is('s'), Piece::Is('3')]
                && mine[3].is_empty()
                && mine[4].is_empty();
            mine.len() == theirs.len()
                && mine.iter().zip(&theirs).enumerate().all(|(place, (mine, theirs))| {
                    if place == 5 && reading == Reading::LiteralType && !exempt {
                        return literal_type_matches(mine, theirs);
                    }
                    matches(mine, theirs, None)
                })
        }
    }
}

fn literal_type_matches(pattern: &[Piece], text: &[char]) -> bool {
    let divided =
        pattern.iter().position(|piece| matches!(piece, Piece::Is('/' | ':'))).map_or(0, |at| at + 1);
    let (kind, rest) = pattern.split_at(divided);
    let kind: Vec<char> = kind
        .iter()
        .map(|piece| match piece {
            Piece::Is(c) => *c,
            Piece::One => '?',
            Piece::Run => '*',
        })
        .collect();
    text.strip_prefix(kind.as_slice()).is_some_and(|text| matches(rest, text, None))
}

/// No wildcard takes `wall`.
fn matches(pattern: &[Piece], text: &[char], wall: Option<char>) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([Piece::Run, rest @ ..], _) => {
            let most = text.iter().position(|c| Some(*c) == wall).unwrap_or(text.len());
            (0..=most).any(|taken| matches(rest, &text[taken..], wall))
        }
        ([Piece::One, rest @ ..], [c, text @ ..]) => Some(*c) != wall && matches(rest, text, wall),
        ([Piece::Is(wanted), rest @ ..], [c, text @ ..]) => wanted == c && matches(rest, text, wall),
        (_, []) => false,
    }
}

#[test]
fn the_second_opinion_reads_policies_as_iam_does() {
    let request = |action: &str, resource: &str, context: &[(&str, &str)]| Request {
        action: action.to_owned(),
        resource: resource.to_owned(),
        context: context.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let statements = serde_json::json!([
        {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::orders/${aws:username}/*"},
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"aws:username": "ann"}}},
        {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:*:::o*", "Condition": {"Null": {"aws:username": "false"}}},
    ]);
    let statements = statements.as_array().unwrap();
    for (action, resource, user, expected) in [
        ("S3:getobject", "arn:aws:s3:::orders/ann/x", Some("ann"), true),
        ("s3:GetObject", "arn:aws:s3:::orders/ben/x", Some("ann"), false),
        ("s3:GetObject", "arn:aws:s3:::orders/ann/x", None, false),
        ("s3:PutObject", "arn:aws:s3:::orders/ann/x", Some("ann"), false),
        ("sqs:Send", "arn:aws:sqs:::ox", Some("ann"), true),
        ("sqs:Send", "arn:aws:sqs:::x", Some("ann"), false),
    ] {
        let context: Vec<_> = user.map(|user| ("aws:username", user)).into_iter().collect();
        let request = request(action, resource, &context);
        assert_eq!(allows(statements, &request, Reading::Segments), expected, "{request:?}");
    }
    let over_a_colon = request("a:b", "arn:aws:x:y:z:k:m:n", &[]);
    let statement = [serde_json::json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:*:k*n"})];
    let seen = READINGS.map(|reading| allows(&statement, &over_a_colon, reading));
    assert_eq!(seen, [true, false, false, false]);
}
