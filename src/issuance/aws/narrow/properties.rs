//! Properties: what is made of a random grant and a random caller's policy never allows what one of the two does not.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::evaluator::{READINGS, Reading, Request, allows};
use super::pattern::{Kind, Pattern};
use super::tokens::{self, Budget};
use super::{NarrowError, narrow};

const ACTIONS: &[&str] = &[
    "*",
    "s3:*",
    "s3:Get*",
    "s3:GetObject",
    "S3:getobject",
    "s3:*Object",
    "s3:?etObject",
    "s3:*t*",
    "sqs:*",
    "sqs:SendMessage",
];

const RESOURCES: &[&str] = &[
    "*",
    "arn:aws:s3:::orders",
    "arn:aws:s3:::orders/*",
    "arn:aws:s3:::orders*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::orders/a/*",
    "arn:aws:s3:::orders/*/x",
    "arn:aws:s3:::o*s/?",
    "arn:*:s3:::orders/*",
    "arn:aws:*:::orders/*",
    "arn:aws:s3:::orders/${aws:username}/*",
    "arn:aws:s3:::orders/${aws:username}*",
    "arn:aws:s3:::${*}*",
    "arn:aws:sqs:eu:1:*",
    "arn:aws:sqs:*:1:jobs",
    "arn:aws:sqs:eu:*:j*s",
    "arn:aws:sqs:*:*:*b*",
    "arn:aws:logs:eu:1:group:*",
    "arn:aws:logs:eu:1:group:a:stream:b",
    "arn:aws:logs:eu:1:*:stream",
    "arn:aws:logs:eu:1:gr*p:a*",
    "arn:aws:logs:eu:1:g*b",
    "arn:aws:logs:eu:1:group?a:*",
    "arn:aws:logs:*",
    "arn:aws:db:eu:1:tab*/x",
    "arn:aws:db:eu:1:table/*",
    "arn:aws:db:*:1:*",
];

const CONDITIONS: &[(&str, &str)] = &[
    ("StringEquals", "aws:username"),
    ("StringEquals", "AWS:UserName"),
    ("StringEqualsIfExists", "aws:username"),
    ("StringNotEquals", "aws:username"),
    ("StringLike", "aws:username"),
    ("StringLikeIfExists", "aws:username"),
    ("StringNotLike", "aws:username"),
    ("DateLessThan", "aws:CurrentTime"),
    ("Null", "aws:username"),
    ("StringLike", "s3:prefix"),
];

static REQUESTS: LazyLock<Vec<Request>> = LazyLock::new(|| {
    let mut requests = Vec::new();
    for (action, resource) in [
        ("s3:GetObject", "arn:aws:s3:::orders/a/x"),
        ("s3:GetObject", "arn:aws:s3:::orders/b/x"),
        ("s3:GetObject", "arn:aws:s3:::orders/b"),
        ("s3:PutObject", "arn:aws:s3:::orders/a/*"),
        ("s3:PutObject", "arn:aws:s3:::orders/a/b/x"),
        ("s3:ListBucket", "arn:aws:s3:::orders"),
        ("s3:GetObject", "arn:aws:s3:::*"),
        ("s3:ListAllMyBuckets", "*"),
        ("sqs:SendMessage", "arn:aws:sqs:eu:1:jobs"),
        ("sqs:SendMessage", "arn:aws:sqs:us:2:jobs"),
        ("sqs:GetQueueUrl", "arn:aws:sqs:eu:2:a:b"),
        ("logs:PutEvents", "arn:aws:logs:eu:1:group:a:stream:b"),
        ("logs:PutEvents", "arn:aws:logs:eu:1:group:a:stream"),
        ("logs:PutEvents", "arn:aws:logs:eu:1:group:stream"),
        ("db:Get", "arn:aws:db:eu:1:table/x"),
        ("db:Get", "arn:aws:db:eu:1:tab*/x"),
        ("db:Get", "arn:aws:db:us:1:table/x"),
    ] {
        for context in [
            vec![],
            vec![("aws:username", "a"), ("aws:CurrentTime", "2026")],
            vec![("aws:username", "*"), ("aws:CurrentTime", "2027"), ("s3:prefix", "a")],
            vec![("aws:username", "b:x"), ("s3:prefix", "b")],
        ] {
            let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
            let context = context.into_iter().map(own).collect();
            requests.push(Request { action: action.to_owned(), resource: resource.to_owned(), context });
        }
    }
    requests
});

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Value> {
    subsequence(of, 1..=3).prop_map(|texts| json!(texts))
}

fn conditions() -> impl Strategy<Value = Option<Value>> {
    let values = subsequence(vec!["a", "b", "2026", "2027", "true", "a*"], 1..=2);
    let one = (select(CONDITIONS), values).prop_map(|((operator, key), values)| (operator, key, values));
    let some = vec(one, 1..=2).prop_map(|all| {
        let mut operators = Map::new();
        for (operator, key, values) in all {
            let values = if operator == "Null" { vec!["true"] } else { values };
            operators.insert(operator.to_owned(), json!({ key: values }));
        }
        Some(Value::Object(operators))
    });
    prop_oneof![2 => Just(None), 1 => some]
}

fn statement() -> impl Strategy<Value = Value> {
    let shape = (0..10_u8, 0..10_u8, 0..8_u8);
    (some(ACTIONS), some(RESOURCES), conditions(), shape).prop_map(
        |(actions, resources, conditions, shape)| {
            let (not_action, not_resource, deny) = shape;
            let mut statement = Map::new();
            statement.insert(if not_action == 0 { "NotAction" } else { "Action" }.to_owned(), actions);
            statement
                .insert(if not_resource == 0 { "NotResource" } else { "Resource" }.to_owned(), resources);
            statement.insert("Effect".to_owned(), json!(if deny == 0 { "Deny" } else { "Allow" }));
            statement.extend(conditions.map(|value| ("Condition".to_owned(), value)));
            Value::Object(statement)
        },
    )
}

fn text(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// A segment's pattern.
fn segment() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "*", "?"]), 0..6).prop_map(|pieces| pieces.concat())
}

/// Every text of `a` and `b` up to a length that no pair of such patterns needs more than.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut words = vec![String::new()];
    let mut last = words.clone();
    for _ in 0..7 {
        last = last.iter().flat_map(|word| [format!("{word}a"), format!("{word}b")]).collect();
        words.extend(last.iter().cloned());
    }
    words
});

fn matches(pattern: &str, word: &str) -> bool {
    let statement =
        [json!({ "Effect": "Allow", "Action": "*", "Resource": format!("arn:aws:s3:::{pattern}") })];
    let resource = format!("arn:aws:s3:::{word}");
    let request = Request { action: "s3:GetObject".to_owned(), resource, context: [].into() };
    allows(&statement, &request, Reading::Segments)
}

/// The properties below would hold for a `narrow` that always refuses.
#[test]
fn most_random_policies_can_be_narrowed_and_something_is_left() {
    let mut runner = TestRunner::deterministic();
    let pairs = (vec(statement(), 1..4), vec(statement(), 1..4));
    let (mut narrowed, mut allowed, mut cut) = (0, 0, 0);
    for _ in 0..400 {
        let (granted, asked) = pairs.new_tree(&mut runner).unwrap().current();
        let Ok(statements) = narrow(Some(&granted), &text(&asked)) else { continue };
        narrowed += 1;
        for request in REQUESTS.iter() {
            let [left, before] = [&statements, &granted].map(|all| allows(all, request, Reading::Segments));
            allowed += usize::from(left);
            cut += usize::from(before && !left);
        }
    }
    assert!(narrowed > 100 && allowed > 500 && cut > 500, "{narrowed}, {allowed}, {cut}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Under no way to read a wildcard.
    #[test]
    fn nothing_is_allowed_that_grant_or_caller_do_not_allow(
        granted in vec(statement(), 1..4), asked in vec(statement(), 1..4),
    ) {
        if let Ok(narrowed) = narrow(Some(&granted), &text(&asked)) {
            for request in REQUESTS.iter() {
                for reading in READINGS {
                    let [narrowed, granted, asked] =
                        [&narrowed, &granted, &asked].map(|statements| allows(statements, request, reading));
                    prop_assert!(!narrowed || (granted && asked), "{request:?} {reading:?}");
                }
            }
        }
    }

    /// What both allow is left, read as AWS documents it.
    #[test]
    fn everything_that_both_allow_is_left(
        granted in vec(statement(), 1..4), asked in vec(statement(), 1..4),
    ) {
        match narrow(Some(&granted), &text(&asked)) {
            Ok(narrowed) => for request in REQUESTS.iter() {
                let [narrowed, granted, asked] = [&narrowed, &granted, &asked]
                    .map(|statements| allows(statements, request, Reading::Segments));
                prop_assert_eq!(narrowed, granted && asked, "{:?}", request);
            },
            Err(NarrowError::Nothing) => for request in REQUESTS.iter() {
                let both = [&granted, &asked].map(|all| allows(all, request, Reading::Segments));
                prop_assert!(both != [true, true], "{request:?}");
            },
            Err(NarrowError::Overlap(_) | NarrowError::Condition { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    /// Without an own policy the role decides, and the caller's policy stands as it was meant.
    #[test]
    fn without_an_own_policy_the_callers_stands(asked in vec(statement(), 1..4)) {
        if let Ok(narrowed) = narrow(None, &text(&asked)) {
            for request in REQUESTS.iter() {
                for reading in READINGS {
                    let [narrowed, asked] = [&narrowed, &asked].map(|all| allows(all, request, reading));
                    prop_assert_eq!(narrowed, asked, "{:?} {:?}", request, reading);
                }
            }
        }
    }

    /// The arithmetic of wildcards is exact, and every answer is an instance of both.
    #[test]
    fn what_two_segments_have_in_common_is_exactly_that(one in segment(), other in segment()) {
        let read = |text: &str| tokens::read(text, false).unwrap();
        let mut budget = Budget::new();
        let common = tokens::common(&read(&one), &read(&other), &mut budget).unwrap();
        for each in &common {
            prop_assert!(tokens::holds(&read(&one), each, &mut budget).unwrap());
            prop_assert!(tokens::holds(&read(&other), each, &mut budget).unwrap());
        }
        prop_assert_eq!(tokens::overlap(&read(&one), &read(&other), &mut budget).unwrap(), !common.is_empty());
        let common: Vec<_> = common.iter().map(|each| tokens::print(each)).collect();
        for word in WORDS.iter() {
            let both = matches(&one, word) && matches(&other, word);
            prop_assert_eq!(common.iter().any(|each| matches(each, word)), both, "{} in {:?}", word, common);
        }
    }

    /// Whatever is understood is written as it was meant.
    #[test]
    fn what_was_read_is_printed_as_the_same(text in "arn:aws:[a*]{0,2}:[*?a]{0,2}:1?:([ab*?:/]|\\$\\{[*?$]\\}|\\$\\{aws:a\\}){0,6}") {
        let read = Pattern::read(&text, Kind::Resource).unwrap();
        prop_assert_eq!(Pattern::read(&read.text(), Kind::Resource).unwrap(), read);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), mangled in 0..400_usize, by in any::<char>()) {
        prop_assert!(narrow(None, &text).is_err());
        let whole = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": ["s3:Get*", "sqs:*"],
            "NotResource": "arn:aws:s3:::a/${aws:username}/*", "Condition": { "Bool": { "aws:SecureTransport": true } } } });
        let mangled: String =
            whole.to_string().chars().enumerate().map(|(place, c)| if place == mangled { by } else { c }).collect();
        let _ = narrow(None, &mangled);
    }
}
