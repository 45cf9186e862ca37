//! One rule after another.

use serde_json::{Value, json};

use super::*;

fn policy(statement: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
}

fn allow(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

fn narrowed(granted: &Value, asked: &Value) -> Result<Vec<Value>, NarrowError> {
    narrow(Some(std::slice::from_ref(granted)), &policy(asked))
}

/// With a condition on objects of `orders`.
fn when(condition: &Value) -> Value {
    json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/*", "Condition": condition })
}

fn condition(granted: &Value, asked: &Value) -> Result<Value, NarrowError> {
    narrowed(&when(granted), &when(asked)).map(|statements| statements[0]["Condition"].clone())
}

fn resource(granted: &str, asked: &str) -> Result<Value, NarrowError> {
    narrowed(&allow("s3:*", granted), &allow("s3:*", asked))
        .map(|statements| statements[0]["Resource"].clone())
}

mod refusals {
    use super::*;

    fn told(asked: &str) -> String {
        let error = narrow(Some(&[allow("*", "*")]), asked).unwrap_err();
        assert_eq!(error.fault(), NarrowingFault::Malformed, "{asked}: {error}");
        error.told()
    }

    #[test]
    fn what_is_no_session_policy_is_refused_with_what_is_wrong() {
        for (text, why) in [
            ("", "EOF"),
            ("null", "JSON object"),
            ("[]", "JSON object"),
            ("{}{}", "trailing"),
            (r#"{"Version":"2012-10-17","Version":"2012-10-17"}"#, "`Version` stands there twice"),
            (r#"{"Statement":[]}"#, "`Version`"),
            (r#"{"Version":"2008-10-17","Statement":[]}"#, "`Version`"),
            (r#"{"Version":"2012-10-17","Statement":[]}"#, "`Statement`"),
            (r#"{"Version":"2012-10-17","Statement":["x"]}"#, "JSON object"),
            (r#"{"Version":"2012-10-17","Id":1,"Statement":[]}"#, "`Id`"),
            (r#"{"Version":"2012-10-17","Statements":[]}"#, "`Statements`"),
        ] {
            assert!(told(text).contains(why), "{text}: {}", told(text));
        }
    }

    #[test]
    fn a_statement_that_is_not_understood_is_refused_with_what_is_wrong() {
        for (body, why) in [
            (r#""Effect":"allow","Action":"*","Resource":"*""#, "`Effect`"),
            (r#""Effect":"Allow","Resource":"*""#, "`Action`"),
            (r#""Effect":"Allow","Action":"*","NotAction":"*","Resource":"*""#, "`NotAction`"),
            (r#""Effect":"Allow","Action":[],"Resource":"*""#, "`Action`"),
            (r#""Effect":"Allow","Action":["*",1],"Resource":"*""#, "`Action`"),
            (r#""Effect":"Allow","Action":"*""#, "`Resource`"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Principal":"*""#, "`Principal`"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","NotPrincipal":"*""#, "`NotPrincipal`"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Resource":"*""#, "twice"),
            (r#""Effect":"Allow","Action":"GetObject","Resource":"*""#, "`GetObject`"),
            (r#""Effect":"Allow","Action":"*:*","Resource":"*""#, "`*:*`"),
            (r#""Effect":"Allow","Action":"s*:Get","Resource":"*""#, "`s*:Get`"),
            (r#""Effect":"Allow","Action":"s3:","Resource":"*""#, "`s3:`"),
            (r#""Effect":"Allow","Action":"s3:Get Object","Resource":"*""#, "`s3:Get Object`"),
            (r#""Effect":"Allow","Action":"s3:${aws:username}","Resource":"*""#, "name"),
            (r#""Effect":"Allow","Action":"*","Resource":"orders/*""#, "`orders/*`"),
            (r#""Effect":"Allow","Action":"*","Resource":"**""#, "`**`"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::a{b}""#, "`{`"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::a$b""#, "`$`"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:a""#, "`$`"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${}""#, "variable"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${a${b}}""#, "variable"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::\u0430""#, "U+0430"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::a\u200b""#, "U+200B"),
            (r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::a\n""#, "U+000A"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Sid":"a b""#, "`a b`"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Sid":1"#, "`Sid`"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Sid":"TidegateEnd""#, "`TidegateEnd`"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Condition":[]"#, "`Condition`"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{}}"#, "`Bool`"),
            (
                r#""Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEqual":{"aws:a":"b"}}"#,
                "`StringEqual`",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"stringequals":{"aws:a":"b"}}"#,
                "operator",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{"aws:a":"true"}}"#,
                "operator",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForOneValue:Bool":{"aws:a":"b"}}"#,
                "operator",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"secure":"b"}}"#,
                "`secure`",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:${a}":"b"}}"#,
                "`aws:${a}`",
            ),
            (r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:a":[]}}"#, "`aws:a`"),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:a":null}}"#,
                "`aws:a`",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:a":"${b"}}"#,
                "`${b`",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:a":"b","AWS:A":"c"}}"#,
                "twice",
            ),
        ] {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":{{{body}}}}}"#);
            assert!(told(&text).contains(why), "{body}: {}", told(&text));
        }
    }

    #[test]
    fn two_statements_with_one_id_are_refused() {
        let one = json!({ "Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*" });
        assert!(told(&policy(&json!([one, one]))).contains("`a` stands there twice"));
    }

    #[test]
    fn a_text_over_2048_characters_is_refused_before_it_is_read() {
        let error = narrow(None, &"[".repeat(2049)).unwrap_err();
        assert_eq!((&error, error.fault()), (&NarrowError::Length(2049), NarrowingFault::TooLarge));
        let deep = format!(r#"{{"Version":{}"#, "[".repeat(2000));
        assert!(told(&deep).contains("recursion limit"), "{}", told(&deep));
    }

    #[test]
    fn a_long_word_of_the_callers_is_cut_and_cannot_dress_an_answer_up() {
        let action = format!("\u{1b}[31m{}", "é".repeat(500));
        let text = told(&json!({ "Version": "2012-10-17", action: 1 }).to_string());
        assert!(text.len() < 900 && text.is_ascii() && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn what_overlaps_without_one_holding_the_other_is_refused() {
        for (granted, asked) in [
            ("arn:aws:s3:::orders/${aws:username}/*", "arn:aws:s3:::orders/ann/*"),
            ("arn:aws:s3:::orders/ann/*", "arn:aws:s3:::orders/${aws:PrincipalTag/who}/*"),
            ("arn:aws:s3:::orders/?", "arn:aws:s3:::orders/${aws:username}"),
            ("arn:aws:s3:::orders/*/x", "arn:aws:s3:::orders/${aws:username}/x"),
            ("arn:aws:s3:::*a*b*", "arn:aws:s3:::*1*2*"),
            // Whether a wildcard reaches over a colon, readers do not agree on.
            ("arn:aws:logs:eu:1:a*z", "arn:aws:logs:eu:1:a:b:z"),
            ("arn:aws:logs:eu:1:a?z", "arn:aws:logs:eu:1:a:z"),
            // Nor on a variable that may stand for one.
            ("arn:aws:sqs:*:1:jobs", "arn:aws:sqs:${aws:region}:1:jobs"),
            // Nor on an ARN with fewer segments, nor on a wildcard in a resource's type.
            ("arn:aws:s3:*", "arn:aws:s3:::orders"),
            ("arn:aws:dynamodb:eu:1:tab*/x", "arn:aws:dynamodb:eu:1:table/x"),
        ] {
            let error = resource(granted, asked).unwrap_err();
            assert!(
                matches!(&error, NarrowError::Overlap(words) if words == asked),
                "{granted} {asked}: {error}"
            );
            assert_eq!(error.fault(), NarrowingFault::Inexpressible);
        }
    }

    #[test]
    fn what_is_left_of_a_pattern_by_a_not_is_refused_where_it_is_a_part() {
        let asked = json!({ "Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*" });
        let error = narrowed(&allow("s3:Get*", "*"), &asked).unwrap_err();
        assert_eq!(error, NarrowError::Overlap("s3:GetObject".to_owned()));
        let granted = json!({ "Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*" });
        let error = narrowed(&granted, &allow("s3:Get*", "*")).unwrap_err();
        assert_eq!(error, NarrowError::Overlap("s3:Get*".to_owned()));
        // Apart only for who lets no wildcard reach over a colon: `…:instance/x:volume/y` matches both for others.
        let asked = json!({ "Effect": "Allow", "Action": "*", "NotResource": "arn:aws:ec2:*:*:volume/*" });
        let error = narrowed(&allow("*", "arn:aws:ec2:*:*:instance/*"), &asked).unwrap_err();
        assert_eq!(error, NarrowError::Overlap("arn:aws:ec2:*:*:volume/*".to_owned()));
    }

    #[test]
    fn a_policy_that_leaves_nothing_is_refused() {
        for (granted, asked) in [
            (allow("s3:GetObject", "*"), allow("s3:PutObject", "*")),
            (allow("*", "arn:aws:s3:::orders/*"), allow("*", "arn:aws:s3:::ledger/*")),
            (allow("*", "*"), json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*" })),
            (json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*" }), allow("*", "*")),
        ] {
            assert_eq!(narrowed(&granted, &asked), Err(NarrowError::Nothing), "{granted} {asked}");
        }
        let deny = policy(&json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*" }));
        assert_eq!(narrow(None, &deny), Err(NarrowError::Nothing));
    }

    #[test]
    fn conditions_that_no_policy_can_demand_together_are_refused() {
        for (granted, asked) in [
            (json!({"Null": {"aws:a": "true"}}), json!({"Null": {"aws:A": "false"}})),
            (json!({"BoolIfExists": {"aws:a": "true"}}), json!({"BoolIfExists": {"aws:a": "false"}})),
            (
                json!({"StringLike": {"aws:a": "x"}, "StringLikeIfExists": {"aws:a": "y"}}),
                json!({"StringLike": {"aws:a": "z"}}),
            ),
        ] {
            let error = condition(&granted, &asked).unwrap_err();
            assert!(
                matches!(&error, NarrowError::Condition { key, .. } if key.eq_ignore_ascii_case("aws:a")),
                "{error}"
            );
        }
    }

    #[test]
    fn nothing_of_the_grants_policy_stands_in_an_answer() {
        let secret = "arn:aws:sqs:eu:123456789012:hush*h";
        for (granted, asked) in [
            (allow("sqs:*", secret), allow("sqs:*", "arn:aws:sqs:eu:123456789012:${aws:a}h")),
            (allow("sqs:*", secret), allow("sqs:*", "arn:aws:sqs:*:*:x")),
            (allow("sqs:*", "hush"), allow("sqs:*", "arn:aws:sqs:eu:123456789012:x")),
            (
                json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": "hush" }),
                allow("*", "*"),
            ),
            (
                when(&json!({ "Null": { "aws:hush": "true" } })),
                when(&json!({ "Null": { "aws:HUSH": "false" } })),
            ),
        ] {
            let error = narrowed(&granted, &asked).unwrap_err();
            assert!(!error.told().contains("hush"), "{}", error.told());
        }
    }

    /// A caller's 2,048 characters against as many of the operator's.
    #[test]
    fn hostile_patterns_are_given_up() {
        let statement =
            |resource: &Value| json!({ "Effect": "Allow", "Action": "s3:*", "Resource": resource });
        let many = |text: &str| {
            (0..1900 / (text.len() + 6)).map(|place| format!("{text}{place:03}")).collect::<Value>()
        };
        let stars = format!("arn:aws:s3:::{}", "*a".repeat(900));
        for (place, (granted, asked)) in [
            (json!(stars), json!(format!("arn:aws:s3:::{}b", "*?".repeat(900)))),
            (json!(stars), json!(format!("{stars}b*"))),
            (
                json!(format!("arn:aws:s3:::{}", "*ab".repeat(20))),
                json!(format!("arn:aws:s3:::{}", "ba*".repeat(20))),
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let outcome = narrowed(&statement(&granted), &statement(&asked));
            assert_eq!(outcome, Err(NarrowError::Intricate), "{place}");
        }
        let (granted, asked) = (many("arn:aws:s3:::*a*b*c*"), many("arn:aws:s3:::*d*e*f*"));
        let outcome = narrowed(&statement(&granted), &statement(&asked));
        assert!(
            matches!(outcome, Err(NarrowError::Overlap(_))),
            "what overlaps in more ways than anybody meant"
        );
    }
}

#[test]
fn the_narrower_of_two_patterns_is_left() {
    for (granted, asked, left) in [
        ("*", "arn:aws:s3:::orders/*", "arn:aws:s3:::orders/*"),
        ("arn:aws:s3:::orders/*", "*", "arn:aws:s3:::orders/*"),
        ("arn:aws:s3:::orders/*", "arn:aws:s3:::orders/2026/*", "arn:aws:s3:::orders/2026/*"),
        ("arn:aws:s3:::orders/*", "arn:aws:s3:::*", "arn:aws:s3:::orders/*"),
        ("arn:aws:s3:::orders*", "arn:aws:s3:::*-eu", "arn:aws:s3:::orders*-eu"),
        ("arn:aws:sqs:*:1:jobs", "arn:aws:sqs:eu:*:*", "arn:aws:sqs:eu:1:jobs"),
        ("arn:aws:logs:eu:1:*", "arn:aws:logs:*:1:group:a:*", "arn:aws:logs:eu:1:group:a:*"),
        (
            "arn:aws:s3:::orders/*",
            "arn:aws:s3:::orders/${aws:username}/*",
            "arn:aws:s3:::orders/${aws:username}/*",
        ),
        ("arn:aws:s3:::${aws:username}/*", "arn:aws:s3:::*", "arn:aws:s3:::${aws:username}/*"),
        ("arn:aws:s3:::o/*", "arn:aws:s3:::o/${*}${$}x?", "arn:aws:s3:::o/${*}${$}x?"),
        ("arn:aws:s3:*", "*", "arn:aws:s3:*"),
        ("arn:aws:dynamodb:*:1:tab*/x", "arn:aws:dynamodb:eu:*:*", "arn:aws:dynamodb:eu:1:tab*/x"),
    ] {
        assert_eq!(resource(granted, asked), Ok(json!(left)), "{granted} {asked}");
    }
    let two = resource("arn:aws:s3:::orders-*", "arn:aws:s3:::*-eu");
    assert_eq!(two, Ok(json!(["arn:aws:s3:::orders-eu", "arn:aws:s3:::orders-*-eu"])));
}

#[test]
fn actions_are_compared_without_regard_to_case_and_keep_the_operators_spelling() {
    let action = |granted: &str, asked: &str| {
        narrowed(&allow(granted, "*"), &allow(asked, "*")).map(|statements| statements[0]["Action"].clone())
    };
    assert_eq!(action("s3:GetObject", "S3:getobject"), Ok(json!("s3:GetObject")));
    assert_eq!(action("s3:GetObject", "s3:get*"), Ok(json!("s3:GetObject")));
    assert_eq!(action("s3:Get*", "s3:*Object*"), Ok(json!("s3:Get*Object*")));
    assert_eq!(action("s3:Get*", "sqs:Get*"), Err(NarrowError::Nothing));
}

#[test]
fn resources_are_compared_with_regard_to_case() {
    assert_eq!(resource("arn:aws:s3:::Orders", "arn:aws:s3:::orders*"), Err(NarrowError::Nothing));
    assert_eq!(resource("arn:aws:s3:::Orders", "arn:aws:s3:::Orders*"), Ok(json!("arn:aws:s3:::Orders")));
}

#[test]
fn a_wildcard_in_the_region_does_not_reach_into_the_resource() {
    let granted = allow("ec2:*", "arn:aws:ec2:*:*:instance/*");
    let asked = allow("ec2:*", "arn:aws:ec2:*:*:volume/*");
    assert_eq!(narrowed(&granted, &asked), Err(NarrowError::Nothing));
}

#[test]
fn all_but_these_and_all_but_those_is_all_but_both() {
    let not = |actions: Value| json!({ "Effect": "Allow", "NotAction": actions, "Resource": "*" });
    let left = narrowed(&not(json!("iam:*")), &not(json!(["sts:*", "iam:*"]))).unwrap();
    assert_eq!(left, [not(json!(["iam:*", "sts:*"]))]);
    let left = narrowed(&allow("*", "*"), &not(json!("iam:*"))).unwrap();
    assert_eq!(left, [not(json!("iam:*"))]);
    let granted = json!({ "Effect": "Allow", "Action": ["s3:Get*", "iam:Get*"], "Resource": "*" });
    assert_eq!(narrowed(&granted, &not(json!("iam:*"))).unwrap(), [allow("s3:Get*", "*")]);
    let granted = json!({ "Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::ledger*" });
    assert_eq!(
        narrowed(&granted, &allow("s3:*", "arn:aws:s3:::orders/*")).unwrap(),
        [allow("s3:*", "arn:aws:s3:::orders/*")]
    );
}

#[test]
fn conditions_of_both_must_hold() {
    let left = condition(
        &json!({ "StringEquals": { "aws:a": ["x", "y"], "aws:b": "x" }, "Bool": { "aws:secure": true } }),
        &json!({ "StringEquals": { "AWS:A": ["y", "z"], "aws:c": "x" }, "Bool": { "aws:secure": "true" } }),
    );
    let expected = json!({
        "Bool": { "aws:secure": "true" },
        "StringEquals": { "aws:a": ["x", "y"], "aws:b": "x", "aws:c": "x" },
        "StringEqualsIfExists": { "AWS:A": ["y", "z"] },
    });
    assert_eq!(left, Ok(expected));
}

#[test]
fn denials_of_both_stay_and_ids_of_the_caller_go() {
    let deny = |sid: &str| json!({ "Sid": sid, "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*" });
    let granted = [allow("s3:*", "arn:aws:s3:::orders/*"), deny("Mine")];
    let asked = json!([allow("s3:*", "*"), { "Sid": "Mine", "Effect": "Deny", "NotAction": "s3:Get*", "Resource": "*" }]);
    let left = narrow(Some(&granted), &policy(&asked)).unwrap();
    let theirs = json!({ "Effect": "Deny", "NotAction": "s3:Get*", "Resource": "*" });
    assert_eq!(left, [allow("s3:*", "arn:aws:s3:::orders/*"), deny("Mine"), theirs]);
}

#[test]
fn without_an_own_policy_the_role_decides_and_the_callers_statements_stand() {
    let asked = json!([
        allow("s3:*", "arn:aws:s3:::orders/${aws:username}/*"),
        when(&json!({ "Bool": { "aws:a": true } }))
    ]);
    let left = narrow(None, &policy(&asked)).unwrap();
    assert_eq!(left, [asked[0].clone(), when(&json!({ "Bool": { "aws:a": "true" } }))]);
}

#[test]
fn statements_that_say_the_same_or_fit_together_become_one() {
    let granted = [
        allow("s3:Get*", "arn:aws:s3:::a/*"),
        allow("s3:Put*", "arn:aws:s3:::a/*"),
        allow("s3:GetObject", "*"),
    ];
    let left = narrow(Some(&granted), &policy(&allow("*", "arn:aws:s3:::a/*"))).unwrap();
    let expected =
        json!([{ "Effect": "Allow", "Action": ["s3:Get*", "s3:Put*"], "Resource": "arn:aws:s3:::a/*" }]);
    assert_eq!(Value::from(left), expected);
}

/// The attack: variables of a caller's policy are filled with *our* session tags.
#[test]
fn a_variable_of_the_callers_narrows_and_never_widens() {
    let tag = "arn:aws:s3:::${aws:PrincipalTag/namespace}*";
    assert_eq!(resource("arn:aws:s3:::orders*", tag), Err(NarrowError::Overlap(tag.to_owned())));
    assert_eq!(resource("arn:aws:s3:::*", tag), Ok(json!(tag)));
}
