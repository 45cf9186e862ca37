//! `[[grants]]` and `[aws]`.

use super::*;
use crate::grants::RoleArn;

#[test]
fn lifetimes_stay_inside_what_can_end() {
    let jwt = |old: &str, new: &str| with(old, new);
    let aws = |lines: &str| with("kind = \"aws\"", &format!("kind = \"aws\"\n{lines}"));
    refuses(&[
        (jwt("\"5m\"", "\"16m\""), "grants[0].default_ttl: 16m is longer than `max_ttl` (15m)", "lower it"),
        (jwt("\"15m\"", "\"25h\""), "grants[0].max_ttl: 1d1h is longer than 1d", "1d"),
        (aws("max_ttl = \"12h1s\""), "grants[1].max_ttl: 12h1s is longer than 12h: STS", "12h"),
        (aws("default_ttl = \"13h\""), "grants[1].default_ttl: 13h is longer than 12h", ""),
    ]);
    let orders = |text: &str| {
        let catalog = settings(text).grants;
        let caps = catalog.resolve(&GrantName::new("orders-read").unwrap()).unwrap().caps;
        (caps.default.seconds(), caps.max.seconds())
    };
    assert_eq!(orders(GOOD), (600, 3_600));
    assert_eq!(orders(&aws("max_ttl = \"5m\"")), (300, 300));
    assert_eq!(orders(&aws("default_ttl = \"2h\"")), (7_200, 7_200));
}

#[test]
fn a_grant_of_one_kind_has_no_keys_of_the_other() {
    refuses(&[
        (
            with("kind = \"jwt\"", "kind = \"jwt\"\nrole_arn = \"x\""),
            "grants[0].role_arn: `role_arn` is for",
            "kind",
        ),
        (with("kind = \"aws\"", "kind = \"aws\"\nscopes = []"), "grants[1].scopes: `scopes` is for", "kind"),
        (
            with("kind = \"jwt\"", "kind = \"JWT\""),
            "grants[0].kind: unknown kind `JWT`",
            "did you mean `jwt`?",
        ),
        (
            with("[aws]\nregion = \"eu-central-1\"", ""),
            "grants[1].kind: a grant of kind `aws` needs [aws]",
            "region",
        ),
    ]);
}

#[test]
fn two_grants_share_a_role_but_never_a_name_and_each_answers_to_a_role_arn_of_its_own() {
    let again = GOOD.rsplit("[[grants]]").next().unwrap();
    let other = again.replace("orders-read\"\nkind", "orders-two\"\nkind");
    let role = "arn:aws:iam::123456789012:role";
    let twice = |lines: &str| format!("{GOOD}\n[[grants]]{other}\n{lines}");
    refuses(&[
        (format!("{GOOD}\n[[grants]]{again}"), "grants[2].name: two grants are called `orders-read`", ""),
        (
            twice(""),
            "grants[2].role_arn: `arn:aws:iam::123456789012:role/orders-read` is what grant `orders-read` answers to",
            "sts_role_arn_alias = \"arn:aws:iam::123456789012:role/orders-two\"",
        ),
        (
            twice(&format!("sts_role_arn_alias = \"{role}/orders-read\"")),
            "grants[2].sts_role_arn_alias: `arn:aws:iam::123456789012:role/orders-read` is what",
            "",
        ),
        (
            twice("sts_role_arn_alias = \"orders-two\""),
            "grants[2].sts_role_arn_alias: `orders-two` is not",
            "arn:",
        ),
        (
            with("kind = \"jwt\"", &format!("kind = \"jwt\"\nsts_role_arn_alias = \"{role}/x\"")),
            "`sts_role_arn_alias` is for grants of kind `aws`",
            "",
        ),
    ]);
    let catalog = settings(&twice(&format!("sts_role_arn_alias = \"{role}/orders-two\""))).grants;
    let arn = |name: &str| RoleArn::new(&format!("{role}/{name}")).unwrap();
    assert_eq!(catalog.by_role_arn(&arn("orders-two")).unwrap().name.as_str(), "orders-two");
    assert_eq!(catalog.by_role_arn(&arn("orders-read")).unwrap().name.as_str(), "orders-read");
}

#[test]
fn calls_to_sts_are_limited_unless_somebody_says_otherwise() {
    let all = |line: &str| with("region = \"eu-central-1\"", &format!("region = \"eu-central-1\"\n{line}"));
    let own = |line: &str| with("kind = \"aws\"", &format!("kind = \"aws\"\n{line}"));
    refuses(&[
        (all("sts_rate = 100001"), "aws.sts_rate: out of range", "from 0 to 100000"),
        (own("sts_rate = 0"), "grants[1].sts_rate: out of range", "from 1"),
        (own("sts_rate = \"5\""), "grants[1].sts_rate", "without quotes"),
        (
            with("kind = \"jwt\"", "kind = \"jwt\"\nsts_rate = 5"),
            "grants[0].sts_rate: `sts_rate` is for",
            "kind",
        ),
    ]);
    let rates = |text: &str| {
        let settings = settings(text);
        let grant = settings.grants.resolve(&GrantName::new("orders-read").unwrap()).unwrap().clone();
        let GrantKind::Aws(aws) = &grant.kind else { panic!("not AWS") };
        let number = |rate: Option<std::num::NonZeroU32>| rate.map(std::num::NonZeroU32::get);
        (number(settings.aws.unwrap().sts_rate), number(aws.sts_rate), grant.version)
    };
    let usual = rates(GOOD);
    assert_eq!((usual.0, usual.1), (Some(100), None));
    assert_eq!(rates(&all("sts_rate = 0")).0, None);
    assert_eq!(rates(&all("sts_rate = 7")).0, Some(7));
    let narrow = rates(&own("sts_rate = 5"));
    assert_eq!((narrow.1, narrow.2), (Some(5), usual.2), "no elevation ends because the rate was changed");
}

#[test]
fn break_glass_without_a_longest_duration_is_refused() {
    let grant = |lines: &str| with("max_ttl = \"15m\"", &format!("max_ttl = \"15m\"\n{lines}"));
    refuses(&[
        (grant("break_glass = true"), "grants[0].max_duration: missing: `break_glass` needs it", "4h"),
        (grant("max_duration = \"4h\""), "is only for grants with break_glass = true", ""),
        (
            grant("break_glass = false\nmax_duration = \"4h\""),
            "is only for grants with break_glass = true",
            "",
        ),
        (grant("break_glass = true\nmax_duration = \"8d\""), "8d is longer than 7d", ""),
    ]);
    let catalog = settings(&grant("break_glass = true\nmax_duration = \"4h\"")).grants;
    let ledger = catalog.resolve(&GrantName::new("ledger-api").unwrap()).unwrap();
    assert_eq!(ledger.break_glass.unwrap().max_duration, Duration::from_hours(4));
}

#[test]
fn what_aws_would_refuse_is_refused_here() {
    let aws = |old: &str, new: &str| with(old, new);
    let tags = |tags: &str| with("{ namespace = \"{principal.namespace}\" }", tags);
    let many = (0..51).map(|n| format!("k{n} = \"v\"")).collect::<Vec<_>>().join(", ");
    refuses(&[
        (aws("role/orders-read", "user/x"), "grants[1].role_arn", "arn:aws:iam"),
        (aws("123456789012", "1234"), "12 digits", ""),
        (aws("orders-read.json", "broken.json"), "grants[1].session_policy_file", "Statement"),
        (aws("orders-read.json", "long.json"), "without white space", "2048"),
        (tags(&format!("{{ {many} }}")), "grants[1].session_tags: there are 51 session tags", ""),
        (tags("{ \"aws:x\" = \"v\" }"), "`aws:x` is no key of a session tag", ""),
        (tags("{ A = \"v\", a = \"v\" }"), "twice", ""),
        (
            tags("{ \"tidegate:elevation\" = \"elv-1\" }"),
            "grants[1].session_tags.\"tidegate:elevation\": `tidegate:elevation` is the broker's own tag",
            "another name",
        ),
        (tags("{ \"Tidegate:Approvals\" = \"9\" }"), "`Tidegate:Approvals` is the broker's own tag", ""),
        (
            tags(&format!("{{ {} }}\nbreak_glass = true\nmax_duration = \"1h\"", numbered(49))),
            "grants[1].session_tags: has 49 tags: the broker adds two",
            "leave some out",
        ),
        (tags("{ a = \"{principal\" }"), "grants[1].session_tags.a", "{principal.namespace}"),
        (tags("{ a = 1 }"), "grants[1].session_tags.a: expected a string", ""),
        (tags("{ a = \"b\" }\ntransitive_tags = [\"c\"]"), "transitive tag `c` is no session tag", ""),
        (aws("\"eu-central-1\"", "\"eu central\""), "aws.region: `eu central` is no AWS region", ""),
        (aws("region =", "sts_endpoint = \"http://sts.example\"\nregion ="), "aws.sts_endpoint", "https"),
        (aws("region =", "external_id = \"a b\"\nregion ="), "is no external id", ""),
    ]);
    settings(&aws("region =", "sts_endpoint = \"http://127.0.0.1:5000\"\nexternal_id = \"abc\"\nregion ="));
}

/// So many session tags with different keys.
fn numbered(count: usize) -> String {
    (0..count).map(|n| format!("k{n} = \"v\"")).collect::<Vec<_>>().join(", ")
}

#[test]
fn labels_and_scopes_are_words() {
    let grant = |lines: &str| with("max_ttl = \"15m\"", &format!("max_ttl = \"15m\"\n{lines}"));
    refuses(&[
        (grant("labels = [\"a b\"]"), "grants[0].labels[0]: `a b` is no label", ""),
        (grant("sets = \"prod\""), "grants[0].sets: expected a list of strings", ""),
        (with("\"ledger.read\"", "\"a b\""), "grants[0].scopes[0]", ""),
    ]);
    let catalog = settings(&grant("labels = [\"tier:1\"]\nsets = [\"prod\"]")).grants;
    assert!(catalog.resolve(&GrantName::new("ledger-api").unwrap()).unwrap().sets.contains("prod"));
}
