//! Tokens as they really look, and what breaks a profile's promise.

use std::collections::BTreeSet;

use super::*;
use crate::claims::{Claim, Claims, Profile};
use crate::ids::{IssuerName, Subject};

const NOW: i64 = 1_795_363_392;

fn claim(value: &serde_json::Value) -> Claim {
    use serde_json::Value;
    match value {
        Value::Null => Claim::Null,
        Value::Bool(truth) => Claim::Bool(*truth),
        Value::Number(number) => number.as_i64().map_or(Claim::OtherNumber, Claim::Integer),
        Value::String(text) => Claim::Text(text.clone()),
        Value::Array(items) => Claim::List(items.iter().map(claim).collect()),
        Value::Object(_) => Claim::Record(claims(value)),
    }
}

fn claims(value: &serde_json::Value) -> Claims {
    let members = value.as_object().unwrap().iter();
    Claims::from_members(members.map(|(name, value)| (name.clone(), claim(value))).collect())
}

fn mapped(profile: Profile, token: &serde_json::Value) -> Result<(Principal, Authentication), MapError> {
    let issuer = IssuerName::new("ci").unwrap();
    let subject = Subject::new(token["sub"].as_str().unwrap()).unwrap();
    map(&issuer, &subject, Moment::from_unix_seconds(NOW), profile, &claims(token))
}

fn principal(profile: Profile, token: &serde_json::Value) -> Principal {
    mapped(profile, token).unwrap().0
}

/// The claim that was refused after `changes` were made to `token`; `null` removes one.
fn refused(profile: Profile, token: &serde_json::Value, changes: &serde_json::Value) -> &'static str {
    mapped(profile, &changed(token, changes)).unwrap_err().claim
}

fn changed(token: &serde_json::Value, changes: &serde_json::Value) -> serde_json::Value {
    let mut token = token.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            token.as_object_mut().unwrap().remove(name);
        } else {
            token[name] = value.clone();
        }
    }
    token
}

fn tags_of(principal: &Principal) -> BTreeSet<&str> {
    principal.tags().keys().map(String::as_str).collect()
}

mod kubernetes {
    use super::*;
    use serde_json::json;

    fn token() -> serde_json::Value {
        json!({
            "iss": "https://oidc.eks.example", "aud": ["tidegate"], "sub": "system:serviceaccount:payments:ledger",
            "exp": NOW + 3600, "iat": NOW, "nbf": NOW,
            "kubernetes.io": {
                "namespace": "payments", "node": {"name": "ip-10-0-0-1", "uid": "u"}, "pod": {"name": "ledger-0", "uid": "u"},
                "serviceaccount": {"name": "ledger", "uid": "u"}, "warnafter": NOW + 3000
            }
        })
    }

    #[test]
    fn a_mounted_token_gives_namespace_account_pod_and_node() {
        let principal = principal(Profile::Kubernetes, &token());
        let attribute = |name| principal.attribute(name);
        assert_eq!(attribute("namespace").as_deref(), Some("payments"));
        assert_eq!(attribute("principal.service_account").as_deref(), Some("ledger"));
        assert_eq!(attribute("pod").as_deref(), Some("ledger-0"));
        assert_eq!(attribute("node").as_deref(), Some("ip-10-0-0-1"));
        assert_eq!(principal.id().to_string(), "ci|system:serviceaccount:payments:ledger");
        assert!(principal.tags().is_empty());
    }

    #[test]
    fn a_subject_that_is_no_service_account_is_refused() {
        for sub in [
            "ledger",
            "system:serviceaccount:payments",
            "system:serviceaccount::ledger",
            "system:node:a",
            "system:serviceaccount:payments:",
            "system:serviceaccount:a:b:c",
            "system:serviceaccount:Pay:ledger",
            "system:serviceaccount:pay*:ledger",
            "system:serviceaccount:pay.ments:ledger",
            "xsystem:serviceaccount:payments:ledger",
        ] {
            let token = json!({"sub": sub});
            assert_eq!(mapped(Profile::Kubernetes, &token).unwrap_err().claim, "sub", "{sub}");
        }
    }

    #[test]
    fn a_record_that_contradicts_the_subject_is_refused() {
        for record in [
            json!({"namespace": "other", "serviceaccount": {"name": "ledger"}}),
            json!({"namespace": "payments", "serviceaccount": {"name": "other"}}),
            json!({"serviceaccount": {"name": "ledger"}}),
            json!("payments"),
        ] {
            let changes = json!({"kubernetes.io": record});
            assert_eq!(refused(Profile::Kubernetes, &token(), &changes), "kubernetes.io");
        }
    }
}

mod github {
    use super::*;
    use serde_json::json;

    fn token() -> serde_json::Value {
        json!({
            "iss": "https://token.actions.githubusercontent.com", "aud": "tidegate", "jti": "j", "exp": NOW + 300,
            "iat": NOW, "nbf": NOW - 600, "sub": "repo:octo/app:environment:prod",
            "repository": "octo/app", "repository_id": "74", "repository_owner": "octo", "repository_owner_id": "65",
            "ref": "refs/heads/main", "ref_type": "branch", "environment": "prod", "event_name": "push",
            "workflow_ref": "octo/app/.github/workflows/x.yml@refs/heads/main", "actor_id": "12", "actor": "ann",
            "run_attempt": "1", "runner_environment": "github-hosted"
        })
    }

    #[test]
    fn ids_are_the_same_whether_sent_as_text_or_as_number() {
        let numbers =
            changed(&token(), &json!({"repository_id": 74, "repository_owner_id": 65, "actor_id": 12}));
        assert_eq!(principal(Profile::Github, &numbers), principal(Profile::Github, &token()));
    }

    #[test]
    fn the_newer_subject_with_ids_is_tolerated() {
        let newer = changed(&token(), &json!({"sub": "repo:octo@65/app@74:ref:refs/heads/main"}));
        assert_eq!(principal(Profile::Github, &newer).attribute("repository_id").as_deref(), Some("74"));
    }

    #[test]
    fn what_the_profile_does_not_type_becomes_tags_and_nothing_else_does() {
        let principal = principal(Profile::Github, &token());
        assert_eq!(tags_of(&principal), BTreeSet::from(["actor", "run_attempt", "runner_environment"]));
        assert_eq!(principal.attribute("tags.actor").as_deref(), Some("ann"));
        assert_eq!(principal.attribute("actor"), None);
    }

    #[test]
    fn a_missing_or_odd_claim_is_refused_by_name() {
        for name in ["repository", "repository_id", "repository_owner", "repository_owner_id", "ref"] {
            assert_eq!(refused(Profile::Github, &token(), &json!({name: null})), name);
            assert_eq!(refused(Profile::Github, &token(), &json!({name: ["x"]})), name);
        }
        for id in [json!("074"), json!("-1"), json!("7 4"), json!(-1), json!(7.4), json!("seventy")] {
            assert_eq!(refused(Profile::Github, &token(), &json!({"repository_id": id})), "repository_id");
        }
    }

    #[test]
    fn a_repository_of_another_owner_is_refused() {
        for repository in ["evil/app", "app", "octo/", "octo/app/x", "/app", "Octo/app"] {
            assert_eq!(refused(Profile::Github, &token(), &json!({"repository": repository})), "repository");
        }
    }
}

mod gitlab {
    use super::*;
    use serde_json::json;

    fn token() -> serde_json::Value {
        json!({
            "iss": "https://gitlab.com", "aud": "tidegate", "sub": "project_path:acme/app:ref_type:branch:ref:main",
            "exp": NOW + 3600, "iat": NOW, "nbf": NOW - 5, "jti": "j", "namespace_id": "72", "namespace_path": "acme",
            "project_id": "20", "project_path": "acme/app", "ref": "main", "ref_type": "branch", "ref_protected": "true",
            "environment": "", "runner_id": null, "groups_direct": ["a", "b"]
        })
    }

    #[test]
    fn booleans_come_as_strings_and_an_empty_environment_is_none() {
        let Principal::Workload(workload) = principal(Profile::Gitlab, &token()) else { panic!() };
        let WorkloadAttributes::Gitlab(gitlab) = &workload.attributes else { panic!() };
        assert!(gitlab.ref_protected);
        assert_eq!(gitlab.environment, None);
        let real = changed(&token(), &json!({"ref_protected": true, "runner_id": 9}));
        assert_eq!(principal(Profile::Gitlab, &real), Principal::Workload(workload));
    }

    #[test]
    fn a_truth_that_is_neither_is_refused() {
        for truth in [json!("True"), json!("yes"), json!(""), json!(1), json!(null)] {
            let token = changed(&token(), &json!({"ref_protected": truth}));
            assert_eq!(mapped(Profile::Gitlab, &token).unwrap_err().claim, "ref_protected");
        }
    }

    #[test]
    fn a_tag_of_several_values_has_no_single_one() {
        let principal = principal(Profile::Gitlab, &token());
        assert_eq!(principal.tags()["groups_direct"].len(), 2);
        assert_eq!(principal.attribute("tags.groups_direct"), None);
        assert_eq!(principal.attribute("ref_protected").as_deref(), Some("true"));
    }
}

mod spiffe {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_is_taken_apart() {
        let principal = principal(Profile::Spiffe, &json!({"sub": "spiffe://prod.example/ns/a/sa/b"}));
        assert_eq!(principal.attribute("trust_domain").as_deref(), Some("prod.example"));
        assert_eq!(principal.attribute("path").as_deref(), Some("/ns/a/sa/b"));
    }

    #[test]
    fn what_is_no_spiffe_id_of_a_workload_is_refused() {
        for sub in [
            "spiffe://prod.example",
            "spiffe://prod.example/",
            "spiffe://prod.example/a/",
            "spiffe://Prod/a",
            "spiffe://prod.example//a",
            "spiffe://prod.example/a/../b",
            "spiffe://prod.example/.",
            "SPIFFE://a/b",
            "spiffe://prod.example:8443/a",
            "spiffe://user@prod/a",
            "spiffe://prod/a?x",
            "spiffe://prod/a%2f",
            "https://a/b",
            "spiffe:///a",
            "spiffe://prod/a b",
        ] {
            assert_eq!(mapped(Profile::Spiffe, &json!({"sub": sub})).unwrap_err().claim, "sub", "{sub}");
        }
    }
}

mod aws {
    use super::*;
    use serde_json::json;

    const STS: &str = "https://sts.amazonaws.com/";

    fn token() -> serde_json::Value {
        json!({
            "iss": "https://abc.tokens.sts.global.api.aws", "aud": "tidegate", "jti": "j", "iat": NOW, "exp": NOW + 900,
            "sub": "arn:aws:iam::123456789012:role/path/Worker",
            STS: {
                "aws_account": "123456789012", "source_region": "eu-central-1", "org_id": "o-abc1234567",
                "principal_tags": {"team": "data"}, "request_tags": {"team": "root"}
            }
        })
    }

    #[test]
    fn a_role_gives_account_arn_and_organisation() {
        let principal = principal(Profile::Aws, &token());
        assert_eq!(principal.attribute("account").as_deref(), Some("123456789012"));
        assert_eq!(
            principal.attribute("role_arn").as_deref(),
            Some("arn:aws:iam::123456789012:role/path/Worker")
        );
        assert_eq!(principal.attribute("org_id").as_deref(), Some("o-abc1234567"));
    }

    #[test]
    fn tags_that_the_caller_chose_become_nothing() {
        let principal = principal(Profile::Aws, &token());
        assert_eq!(tags_of(&principal), BTreeSet::from(["principal_tags.team"]));
        assert_eq!(principal.attribute("tags.principal_tags.team").as_deref(), Some("data"));
    }

    #[test]
    fn an_arn_of_another_account_is_refused() {
        for sub in [
            "arn:aws:iam::999999999999:role/Worker",
            "arn:aws:iam:::role/Worker",
            "Worker",
            "arn:aws:s3::123456789012:role/Worker",
            "arn:aws:iam:x:123456789012:role/W",
        ] {
            assert_eq!(refused(Profile::Aws, &token(), &json!({"sub": sub})), "sub", "{sub}");
        }
    }

    #[test]
    fn a_token_without_an_account_is_refused() {
        for record in
            [json!({}), json!({"aws_account": "12"}), json!({"aws_account": 123_456_789_012_i64}), json!("x")]
        {
            assert_eq!(refused(Profile::Aws, &token(), &json!({STS: record})), STS);
        }
        assert_eq!(refused(Profile::Aws, &token(), &json!({STS: null})), STS);
    }

    #[test]
    fn a_user_has_no_role() {
        let user = changed(&token(), &json!({"sub": "arn:aws:iam::123456789012:user/ann"}));
        assert_eq!(principal(Profile::Aws, &user).attribute("role_arn"), None);
    }
}

mod people_and_others {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_person_has_groups_tags_and_a_way_of_signing_in() {
        let token = json!({"sub": "00u1", "email": "ann@example", "name": "Ann", "groups": ["sre", "ops"],
            "department": "platform", "acr": "phr", "amr": ["pwd", "hwk"], "auth_time": NOW - 60, "azp": "cli"});
        let (principal, authentication) = mapped(Profile::Person, &token).unwrap();
        assert_eq!(principal.kind(), "person");
        assert_eq!(principal.groups().len(), 2);
        assert_eq!(tags_of(&principal), BTreeSet::from(["department", "azp"]));
        assert_eq!(principal.attribute("email"), None, "an e-mail address decides nothing");
        assert_eq!(authentication.acr.as_deref(), Some("phr"));
        assert_eq!(authentication.amr.len(), 2);
        assert_eq!(authentication.auth_time, Some(Moment::from_unix_seconds(NOW - 60)));
    }

    #[test]
    fn what_describes_the_token_or_the_session_is_no_tag() {
        let of_the_token = [
            "jti",
            "nonce",
            "at_hash",
            "c_hash",
            "s_hash",
            "sid",
            "session_state",
            "session_id",
            "txn",
            "uti",
            "aio",
            "rh",
            "origin_jti",
            "event_id",
            "urn:openid:params:jwt:claim:rt_hash",
        ];
        let mut token = json!({"sub": "00u1", "azp": "cli", "department": "platform"});
        for name in of_the_token {
            token[name] = json!("worth something");
        }
        for profile in [Profile::Person, Profile::Generic] {
            let principal = principal(profile, &token);
            assert_eq!(tags_of(&principal), BTreeSet::from(["department", "azp"]), "{profile:?}");
        }
    }

    #[test]
    fn broken_groups_are_refused_so_that_no_forbid_is_escaped() {
        for groups in [json!([{"id": 1}]), json!({"sre": true}), json!(7), json!(["sre", 7])] {
            for profile in [Profile::Person, Profile::Generic] {
                assert_eq!(
                    mapped(profile, &json!({"sub": "a", "groups": groups})).unwrap_err().claim,
                    "groups"
                );
            }
        }
    }

    #[test]
    fn a_sign_in_of_the_future_is_refused() {
        for auth_time in [json!(NOW + 31), json!(i64::MAX), json!(-1), json!("1"), json!(1.5)] {
            let token = json!({"sub": "a", "auth_time": auth_time});
            assert_eq!(mapped(Profile::Person, &token).unwrap_err().claim, "auth_time", "{auth_time}");
        }
    }

    #[test]
    fn a_generic_workload_is_its_tags() {
        let token = json!({"iss": "x", "sub": "a", "aud": "t", "jti": "j", "pipeline": "p", "roles": ["a"], "n": 7,
            "nested": {"a": "b"}, "mixed": ["a", 1]});
        let principal = principal(Profile::Generic, &token);
        assert_eq!(tags_of(&principal), BTreeSet::from(["pipeline", "roles"]));
        assert_eq!(principal.attribute("tags.roles").as_deref(), Some("a"));
        assert_eq!(principal.attribute("subject").as_deref(), Some("a"));
        assert_eq!(principal.attribute("issuer").as_deref(), Some("ci"));
        assert_eq!(principal.attribute("namespace"), None);
    }
}
