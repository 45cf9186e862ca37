//! `[aws]` and what grants say of STS: how roles are assumed, where, and with which policies.

use super::*;
use crate::grants::AwsGrant;

/// [`GOOD`] with further lines in `[aws]`.
fn aws(lines: &str) -> String {
    with("[aws]\n", &format!("[aws]\n{lines}\n"))
}

/// The same without an AWS identity.
fn keyless(lines: &str) -> String {
    aws(&format!("mode = \"web_identity\"\n{lines}"))
}

/// [`GOOD`] with further lines in its AWS grant.
fn granted(lines: &str) -> String {
    with("kind = \"aws\"", &format!("kind = \"aws\"\n{lines}"))
}

fn orders(text: &str) -> std::sync::Arc<AwsGrant> {
    let catalog = settings(text).grants;
    let grant = catalog.resolve(&GrantName::new("orders-read").unwrap()).unwrap();
    let GrantKind::Aws(aws) = &grant.kind else { panic!("an AWS grant") };
    std::sync::Arc::clone(aws)
}

#[test]
fn without_an_aws_identity_nothing_may_need_one() {
    refuses(&[
        (keyless("external_id = \"acme\""), "aws.external_id: AWS takes no external id", "leave it out"),
        (keyless("chained = true"), "aws.chained: there is no AWS identity", "leave it out"),
        (
            keyless("end_sessions = true"),
            "aws.end_sessions: IAM is changed with an AWS identity",
            "assume_role",
        ),
        (
            keyless("").replace("kind = \"aws\"", "kind = \"aws\"\nexternal_id = \"acme\""),
            "grants[1].external_id: AWS takes no external id",
            "leave it out",
        ),
    ]);
}

#[test]
fn aws_must_be_able_to_check_what_we_sign() {
    let issuer = |url: &str| keyless("").replace("https://broker.example.com", url);
    refuses(&[
        (
            keyless("").replace("kek_file", "algorithm = \"EdDSA\"\nkek_file"),
            "keys.algorithm: AWS IAM does not take EdDSA",
            "ES256 or RS256",
        ),
        (
            issuer("https://broker.example.com:8443"),
            "server.issuer: `https://broker.example.com:8443` has a port",
            "internet",
        ),
        (issuer("https://10.0.0.7"), "server.issuer: `https://10.0.0.7` is not on the internet", "internet"),
        (
            issuer("http://localhost:8080"),
            "server.issuer: `http://localhost:8080` is not on the internet",
            "",
        ),
    ]);
    // A stand-in for AWS on this machine reaches us here.
    let stand_in = issuer("http://localhost:8080")
        .replace("region =", "sts_endpoint = \"http://127.0.0.1:5000\"\nregion =");
    settings(&stand_in);
    settings(&keyless("").replace("kek_file", "algorithm = \"RS256\"\nrsa_key_file = \"rsa.pem\"\nkek_file"));
}

#[test]
fn the_audience_of_web_identity_tokens_is_for_nothing_else() {
    refuses(&[
        (
            aws("web_identity_audience = \"sts.amazonaws.com\""),
            "aws.web_identity_audience: is only for mode = \"web_identity\"",
            "leave it out",
        ),
        (keyless("web_identity_audience = \"\""), "aws.web_identity_audience", "sts.amazonaws.com"),
        (
            keyless(&format!("web_identity_audience = \"{}\"", "a".repeat(256))),
            "aws.web_identity_audience: longer than 255",
            "",
        ),
    ]);
    let audience = |text: &str| match settings(text).aws.unwrap().mode {
        AwsMode::WebIdentity { audience } => audience.as_str().to_owned(),
        AwsMode::AssumeRole => panic!("not keyless"),
    };
    assert_eq!(audience(&keyless("")), "sts.amazonaws.com");
    assert_eq!(audience(&keyless("web_identity_audience = \"tidegate-prod\"")), "tidegate-prod");
    assert_eq!(settings(GOOD).aws.unwrap().mode, AwsMode::AssumeRole);
}

#[test]
fn no_jwt_is_made_that_aws_would_take_for_a_role() {
    let refused = |aws: String, audience: &str| {
        let text = aws.replace("https://ledger.internal", audience);
        (text, "grants[0].audience", "kind = \"aws\"")
    };
    refuses(&[
        refused(keyless(""), "sts.amazonaws.com"),
        refused(keyless("web_identity_audience = \"tidegate-prod\""), "tidegate-prod"),
        refused(keyless("web_identity_audience = \"tidegate-prod\""), "Tidegate-Prod"),
        refused(keyless("web_identity_audience = \"tidegate-prod\""), "sts.amazonaws.com"),
        // Also without the mode: whoever registers us in IAM later would open it.
        refused(GOOD.to_owned(), "sts.amazonaws.com"),
        refused(GOOD.to_owned(), "https://sts.amazonaws.com"),
        refused(GOOD.to_owned(), "STS.AmazonAWS.com"),
        refused(GOOD.to_owned(), "sts.amazonaws.com.cn"),
        refused(GOOD.to_owned(), "https://sts.eu-central-1.amazonaws.com/"),
    ]);
    settings(&GOOD.replace("https://ledger.internal", "tidegate-prod"));
}

#[test]
fn a_token_that_was_made_for_aws_is_no_subject_token_of_ours() {
    let trusting = |audience: &str| {
        let issuer = format!(
            "[[issuers]]\nname = \"self\"\nurl = \"https://broker.example.com\"\nprofile = \"generic\"\n\
             audiences = [\"tidegate\", \"{audience}\"]\ntrust_self = true\n\n[[issuers]]"
        );
        keyless("").replacen("[[issuers]]", &issuer, 1)
    };
    refuses(&[(
        trusting("sts.amazonaws.com"),
        "issuers[0].audiences: `sts.amazonaws.com` is `aws.web_identity",
        "",
    )]);
    settings(&trusting("other"));
}

#[test]
fn a_region_is_in_the_partition_of_the_role() {
    let role =
        |partition: &str, lines: &str| granted(lines).replace("arn:aws:iam", &format!("arn:{partition}:iam"));
    let keyless_role = |partition: &str, lines: &str| {
        role(partition, lines).replace("[aws]", "[aws]\nmode = \"web_identity\"")
    };
    refuses(&[
        (
            granted("region = \"cn-north-1\""),
            "grants[1].region: the role is in the partition `aws`, the region `cn-north-1` in `aws-cn`",
            "us-east-1",
        ),
        (
            role("aws-cn", ""),
            "grants[1].role_arn: the role is in the partition `aws-cn`, the region `eu-central-1` in `aws`",
            "cn-north-1",
        ),
        (role("aws-us-gov", "region = \"us-west-2\""), "in `aws`", "us-gov-west-1"),
        (keyless_role("aws-cn", "region = \"us-gov-west-1\""), "in `aws-us-gov`", "cn-north-1"),
        (
            role("aws-cn", "region = \"cn-north-1\""),
            "grants[1].role_arn: the role is in the partition `aws-cn`, [aws] in `aws`: the broker's AWS identity",
            "web_identity",
        ),
        (granted("region = \"eu central\""), "grants[1].region: `eu central` is no AWS region", ""),
        (aws("").replace("\"eu-central-1\"", "7"), "aws.region: expected a string", ""),
    ]);
    let china = orders(&keyless_role("aws-cn", "region = \"cn-northwest-1\""));
    assert_eq!(china.sts.region.as_str(), "cn-northwest-1");
}

#[test]
fn a_grant_overrides_what_aws_says() {
    let common = "sts_endpoint = \"https://sts.internal\"\nexternal_id = \"common\"";
    let both = |lines: &str| {
        let aws = aws(common);
        orders(&aws.replace("kind = \"aws\"", &format!("kind = \"aws\"\n{lines}")))
    };
    let plain = both("");
    assert_eq!(plain.sts.region.as_str(), "eu-central-1");
    assert_eq!(plain.sts.endpoint.as_deref(), Some("https://sts.internal/"));
    assert_eq!(plain.external_id.as_deref(), Some("common"));
    let own = both("sts_endpoint = \"https://sts.other\"\nexternal_id = \"own\"");
    assert_eq!(own.sts.endpoint.as_deref(), Some("https://sts.other/"));
    assert_eq!(own.external_id.as_deref(), Some("own"));
    // The endpoint of [aws] belongs to the region of [aws].
    let elsewhere = both("region = \"eu-west-1\"");
    assert_eq!((elsewhere.sts.region.as_str(), &elsewhere.sts.endpoint), ("eu-west-1", &None));
    refuses(&[
        (granted("sts_endpoint = \"http://sts.example\""), "grants[1].sts_endpoint", "https"),
        (granted("external_id = \"a\""), "grants[1].external_id: `a` is no external id", "2-1224"),
    ]);
}

#[test]
fn role_chaining_gives_an_hour_at_most() {
    let chained =
        |lines: &str| aws("chained = true").replace("kind = \"aws\"", &format!("kind = \"aws\"\n{lines}"));
    refuses(&[
        (chained("max_ttl = \"61m\""), "grants[1].max_ttl: 1h1m is longer than 1h: with aws.chained", "1h"),
        (chained("default_ttl = \"2h\""), "grants[1].default_ttl: 2h is longer than 1h", ""),
        (aws("chained = \"yes\""), "aws.chained: expected true or false", ""),
    ]);
    assert!(settings(&chained("max_ttl = \"1h\"")).aws.unwrap().chained);
    // A JWT comes from nobody's chain.
    settings(&chained("").replace("max_ttl = \"15m\"", "max_ttl = \"2h\""));
}

#[test]
fn managed_policies_are_those_that_sts_would_find() {
    let list = |names: &[String]| granted(&format!("policy_arns = [{}]", names.join(", ")));
    let of = |account: &str, name: &str| format!("\"arn:aws:iam::{account}:policy/{name}\"");
    let eleven: Vec<_> = (0..11).map(|n| of("aws", &format!("p{n}"))).collect();
    refuses(&[
        (list(&[of("210987654321", "x")]), "grants[1].policy_arns[0]", "iam::123456789012:policy"),
        (list(&[of("aws", "x"), "\"x\"".into()]), "grants[1].policy_arns[1]", ""),
        (list(&eleven), "grants[1].policy_arns: 11 managed policies; STS takes at most 10", ""),
        (granted("policy_arns = \"x\""), "grants[1].policy_arns: expected a list of strings", ""),
        (
            with("kind = \"jwt\"", "kind = \"jwt\"\npolicy_arns = []"),
            "grants[0].policy_arns: `policy_arns` is for grants of kind `aws`",
            "",
        ),
    ]);
    let two = orders(&list(&[of("aws", "ReadOnlyAccess"), of("123456789012", "teams/a")]));
    assert_eq!(two.policy_arns.len(), 2);
}
