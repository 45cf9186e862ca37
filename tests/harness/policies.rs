//! Random IAM policies, and requests that have something to do with them. A pattern is made from a request by putting wildcards
//! into it: patterns out of the blue would hardly ever match.

use serde_json::{Map, Value, json};

use super::chance::Chance;

/// When sessions end.
pub(crate) const END: &str = "2026-11-22T16:03:12Z";
const BEFORE: &str = "2026-11-22T16:03:11Z";

/// What a grant's policy may have a hole for.
pub(crate) const CLAIM: &str = "principal.namespace";

const ACTIONS: &[(&str, &[&str])] = &[
    (
        "s3:GetObject",
        &[
            "arn:aws:s3:::orders/billing/1",
            "arn:aws:s3:::orders/shop/1",
            "arn:aws:s3:::ledger/billing/2026/1",
        ],
    ),
    ("s3:PutObject", &["arn:aws:s3:::orders/billing/1", "arn:aws:s3:::ledger/shop"]),
    ("s3:ListBucket", &["arn:aws:s3:::orders", "arn:aws:s3:::ledger"]),
    ("s3:ListAllMyBuckets", &["*"]),
    (
        "sqs:SendMessage",
        &["arn:aws:sqs:eu-central-1:123456789012:billing", "arn:aws:sqs:us-east-1:210987654321:billing"],
    ),
    (
        "dynamodb:GetItem",
        &[
            "arn:aws:dynamodb:eu-central-1:123456789012:table/billing",
            "arn:aws:dynamodb:eu-central-1:123456789012:table/shop",
        ],
    ),
    (
        "logs:PutLogEvents",
        &[
            "arn:aws:logs:eu-central-1:123456789012:log-group:billing:log-stream:a",
            "arn:aws:logs:us-east-1:123456789012:log-group:shop:log-stream:billing",
        ],
    ),
];

const CONTEXT: &[(&str, &[&str])] = &[
    ("aws:PrincipalTag/team", &["billing", "shop", "*"]),
    ("aws:SourceIp", &["10.1.2.3", "192.168.0.9"]),
    ("aws:SecureTransport", &["true", "false"]),
];

/// Operator, key, values.
const CONDITIONS: &[(&str, &str, &[&str])] = &[
    ("StringEquals", "aws:PrincipalTag/team", &["billing", "shop"]),
    ("StringEquals", "AWS:principaltag/TEAM", &["billing", "ledger"]),
    ("StringEqualsIfExists", "aws:PrincipalTag/team", &["billing", "shop"]),
    ("StringNotEquals", "aws:PrincipalTag/team", &["shop", "ledger"]),
    ("StringLike", "aws:PrincipalTag/team", &["b*", "*p", "?????g", "*"]),
    ("StringNotLike", "aws:PrincipalTag/team", &["s*", "${*}"]),
    ("ForAnyValue:StringLike", "aws:PrincipalTag/team", &["b*", "*o*"]),
    ("ForAllValues:StringLike", "aws:PrincipalTag/team", &["b*", "*o*"]),
    ("IpAddress", "aws:SourceIp", &["10.0.0.0/8", "192.168.0.0/16"]),
    ("NotIpAddress", "aws:SourceIp", &["10.1.0.0/16", "172.16.0.0/12"]),
    ("Bool", "aws:SecureTransport", &["true"]),
    ("Null", "aws:SourceIp", &["true", "false"]),
    ("DateLessThan", "aws:CurrentTime", &["2026-11-22T16:03:11Z", "2027-01-01T00:00:00Z"]),
    ("StringLike", "s3:prefix", &["billing/*", "${aws:PrincipalTag/team}/*"]),
];

/// Some as a caller would choose them who wants more than theirs.
const CLAIMS: &[&str] =
    &["billing", "billing", "billing", "shop", "shop", "shop", "*", "b*", "billing/1", "${aws:username}", ""];

/// One request of AWS.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    action: &'static str,
    resource: &'static str,
    context: Map<String, Value>,
}

impl Request {
    /// For the judge, by the policy in that place.
    pub(crate) fn case(&self, policy: usize) -> Value {
        let Self { action, resource, context } = self;
        json!({ "policy": policy, "action": action, "resource": resource, "context": context })
    }

    pub(crate) fn comes_too_late(&mut self) {
        self.context.insert("aws:CurrentTime".to_owned(), json!(END));
    }
}

/// A second before the end.
pub(crate) fn request(chance: &mut Chance) -> Request {
    let (action, resources) = chance.one(ACTIONS);
    let resource = chance.one(resources);
    let mut context = Map::from_iter([("aws:CurrentTime".to_owned(), json!(BEFORE))]);
    for (key, values) in CONTEXT {
        if chance.in_ten(8) {
            context.insert((*key).to_owned(), json!(chance.one(values)));
        }
    }
    if *action == "s3:ListBucket" && chance.in_ten(8) {
        context.insert("s3:prefix".to_owned(), json!(chance.one(&["billing/x", "shop/x", "*/x"])));
    }
    Request { action, resource, context }
}

/// A claim as a caller might choose it.
pub(crate) fn claim(chance: &mut Chance) -> &'static str {
    let claim: &&str = chance.one(CLAIMS);
    claim
}

/// A grant's policy, with holes, or a caller's, without.
pub(crate) fn policy(chance: &mut Chance, with_holes: bool) -> Value {
    let statements: Vec<_> =
        (0..=chance.below(3)).map(|place| statement(chance, with_holes, place)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The template with the claim in its holes. Not by the code under test.
pub(crate) fn filled(template: &Value, claim: &str) -> Value {
    let (text, hole) = (template.to_string(), format!("{{{CLAIM}}}"));
    let is_plain = !claim.is_empty() && claim.bytes().all(|byte| byte.is_ascii_alphanumeric());
    assert!(is_plain || !text.contains(&hole), "`{claim}` was let through into {text}");
    serde_json::from_str(&text.replace(&hole, claim)).unwrap()
}

pub(crate) fn everything() -> Value {
    json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } })
}

fn statement(chance: &mut Chance, with_holes: bool, place: usize) -> Value {
    let several = |chance: &mut Chance, one: &dyn Fn(&mut Chance) -> String| {
        let all: Vec<_> = (0..=chance.below(3)).map(|_| one(chance)).collect();
        json!(all)
    };
    let mut statement = Map::new();
    let mut put = |name: &str, value: Value| drop(statement.insert(name.to_owned(), value));
    put(if chance.in_ten(1) { "NotAction" } else { "Action" }, several(chance, &action));
    let resource = |chance: &mut Chance| resource(chance, with_holes);
    put(if chance.in_ten(1) { "NotResource" } else { "Resource" }, several(chance, &resource));
    // The first one allows something: most policies do.
    put("Effect", json!(if place > 0 && chance.in_ten(2) { "Deny" } else { "Allow" }));
    if chance.in_ten(3) {
        put("Condition", conditions(chance));
    }
    Value::Object(statement)
}

fn conditions(chance: &mut Chance) -> Value {
    let mut operators = Map::new();
    for _ in 0..=chance.below(2) {
        let (operator, key, values) = chance.one(CONDITIONS);
        let values: Vec<_> = (0..=chance.below(2)).map(|_| chance.one(values)).collect();
        operators.insert((*operator).to_owned(), json!({ *key: values }));
    }
    Value::Object(operators)
}

fn action(chance: &mut Chance) -> String {
    let (action, _) = chance.one(ACTIONS);
    let (service, name) = action.split_once(':').unwrap();
    match chance.below(6) {
        0 => "*".to_owned(),
        1 => format!("{service}:*"),
        2 => format!("{service}:{}", wild(chance, name)),
        3 => format!("{service}:*{}", tail(name, chance.below(name.len()))),
        4 => action.to_ascii_lowercase(),
        _ => (*action).to_owned(),
    }
}

fn resource(chance: &mut Chance, with_holes: bool) -> String {
    let (_, resources) = chance.one(ACTIONS);
    let resource = *chance.one(resources);
    if resource == "*" || chance.in_ten(1) {
        return "*".to_owned();
    }
    let mut segments: Vec<String> = resource.splitn(6, ':').map(str::to_owned).collect();
    for segment in &mut segments[3..5] {
        if !segment.is_empty() && chance.in_ten(4) {
            *segment = wild(chance, segment);
        }
    }
    let last = &mut segments[5];
    for _ in 0..chance.below(3) {
        *last = match chance.below(6) {
            0 if with_holes => last.replacen("billing", &format!("{{{CLAIM}}}"), 1),
            1 => last.replacen("billing", "${aws:PrincipalTag/team}", 1),
            // Wildcards go between what braces hold together.
            _ if last.contains('{') => format!("{last}*"),
            2 => format!("*{}", tail(last, chance.below(last.len()))),
            _ => wild(chance, last),
        };
    }
    segments.join(":")
}

/// With a wildcard somewhere.
fn wild(chance: &mut Chance, text: &str) -> String {
    let at = chance.below(text.len());
    let (before, after) = text.split_at(at);
    match chance.below(5) {
        0 => format!("{before}?{}", tail(after, 1)),
        1 => format!("{before}*{after}"),
        2 => format!("{before}*{}", tail(after, after.len().div_ceil(2))),
        _ => format!("{before}*"),
    }
}

/// Without its first `from` characters.
fn tail(text: &str, from: usize) -> String {
    text.chars().skip(from).collect()
}
