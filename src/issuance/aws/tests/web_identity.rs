//! Without an AWS identity: what AWS is shown, what it is not, and what its errors mean.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::grants::{Position, Template};
use crate::keys::{KeyRing, SigningAlgorithm};

fn es256() -> Arc<KeyRing> {
    ring(SigningAlgorithm::Es256)
}

/// What `permit` makes the stand-in see.
async fn asked(
    ring: &Arc<KeyRing>,
    permit: &crate::policy::Permit,
) -> (std::collections::BTreeMap<String, String>, bool) {
    let sts = FakeSts::start(&[]).await;
    recorded(&sts.keyless(&clock(), ring), order(permit, start())).await.unwrap();
    let script = sts.script.lock().unwrap();
    (script.calls[0].clone(), script.signed[0])
}

/// Header and claims of a token that a published key of `ring` signed.
fn opened_token(ring: &KeyRing, token: &str) -> (Value, Value) {
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let header = part(header);
    let published = serde_json::to_value(ring.published(start())).unwrap();
    assert_eq!(published[0]["kid"], header["kid"], "AWS finds the key in our key set");
    let key = ring.verifier(header["kid"].as_str().unwrap(), start()).unwrap();
    assert!(key.verifies(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()));
    (header, part(claims))
}

mod refusals {
    use super::*;

    #[tokio::test]
    async fn with_a_key_that_aws_does_not_take_nothing_is_recorded_or_called() {
        let sts = FakeSts::start(&[]).await;
        for ring in [ring(SigningAlgorithm::EdDsa), Arc::new(KeyRing::default())] {
            let issuer = sts.keyless(&clock(), &ring);
            let permit = permit(SUBJECT, 600);
            let mut intents = 0;
            let intent = |_: &Plan| {
                intents += 1;
                async { Ok::<(), String>(()) }
            };
            let refusal = issuer.issue(order(&permit, start()), intent).await.unwrap_err();
            assert_eq!(refusal.blame(), Blame::Service, "{refusal}");
            assert_eq!((intents, sts.calls()), (0, 0));
        }
    }

    #[tokio::test]
    async fn a_token_that_is_too_long_for_aws_is_refused_before_anything_is_recorded() {
        let sts = FakeSts::start(&[]).await;
        let value = Template::parse(&"v".repeat(256), Position::TagValue).unwrap();
        let tags = (0..50).map(|n| (format!("{n:0>128}"), value.clone())).collect();
        let permit = permit_for(&grant(aws_grant().with_tags(tags, vec![]).unwrap(), false), SUBJECT, 600);
        let intent = |_: &Plan| async { Err("recorded") };
        let refusal =
            sts.keyless(&clock(), &es256()).issue(order(&permit, start()), intent).await.unwrap_err();
        assert!(refusal.public_text().contains("20000"), "{refusal}");
        assert_eq!((refusal.blame(), sts.calls()), (Blame::Request, 0));
    }

    #[tokio::test]
    async fn without_a_record_of_the_intent_the_token_stays_here() {
        let sts = FakeSts::start(&[]).await;
        let permit = permit(SUBJECT, 600);
        let intent = |_: &Plan| async { Err("audit storage is down") };
        let outcome = sts.keyless(&clock(), &es256()).issue(order(&permit, start()), intent).await;
        assert!(matches!(outcome, Err(IssueError::Unrecorded(_))));
        assert_eq!(sts.calls(), 0);
    }

    #[tokio::test]
    async fn a_token_that_aws_does_not_take_is_our_fault_and_the_operator_hears_what_to_do() {
        for (status, code, advice) in [
            (400, "InvalidIdentityToken", "OIDC provider in IAM"),
            (403, "IDPRejectedClaim", "OIDC provider in IAM"),
            (400, "ExpiredTokenException", "clock"),
        ] {
            let sts = FakeSts::start(&[Says::Code(status, code)]).await;
            let issuer = sts.keyless(&clock(), &es256());
            let error = recorded(&issuer, order(&permit(SUBJECT, 600), start())).await.unwrap_err();
            assert_eq!(error.blame(), Blame::Service, "{code}");
            assert!(error.to_string().contains(code) && error.to_string().contains(advice), "{error}");
            assert!(!error.public_text().contains("IAM"), "{}", error.public_text());
            assert_eq!(sts.calls(), 1, "{code} is not retried");
        }
    }

    #[tokio::test]
    async fn a_trust_policy_that_says_no_is_a_refusal_and_the_operator_hears_what_it_must_say() {
        let sts = FakeSts::start(&[Says::Code(403, "AccessDenied")]).await;
        let issuer = sts.keyless(&clock(), &es256());
        let error = recorded(&issuer, order(&permit(SUBJECT, 600), start())).await.unwrap_err();
        assert_eq!(error.blame(), Blame::Request);
        for word in ["sts:AssumeRoleWithWebIdentity", "sts:SetSourceIdentity", "sts:TagSession"] {
            assert!(error.to_string().contains(word), "{error}");
            assert!(!error.public_text().contains(word));
        }
    }

    #[tokio::test]
    async fn keys_that_aws_cannot_fetch_are_tried_three_times() {
        let unreachable = Says::Code(400, "IDPCommunicationError");
        let sts = FakeSts::start(&[unreachable; 8]).await;
        let issuer = sts.keyless(&clock(), &es256());
        let error = recorded(&issuer, order(&permit(SUBJECT, 600), start())).await.unwrap_err();
        assert_eq!((error.blame(), sts.calls()), (Blame::Service, 3));
        assert!(error.to_string().contains("reachable from the internet"), "{error}");

        let sts = FakeSts::start(&[unreachable; 2]).await;
        let issuer = sts.keyless(&clock(), &es256());
        assert!(recorded(&issuer, order(&permit(SUBJECT, 600), start())).await.is_ok());
    }

    #[tokio::test]
    async fn a_token_that_aws_quotes_is_in_no_error() {
        let sts = FakeSts::start(&[Says::Echo]).await;
        let issuer = sts.keyless(&clock(), &es256());
        let error = recorded(&issuer, order(&permit(SUBJECT, 600), start())).await.unwrap_err();
        let token = sts.script.lock().unwrap().calls[0]["WebIdentityToken"].clone();
        let told = format!("{error} {error:?} {issuer:?} {}", error.public_text());
        assert!(told.contains("[token]"), "{told}");
        for part in token.split('.') {
            assert!(!told.contains(part), "{told}");
        }
    }
}

#[tokio::test]
async fn the_call_is_not_signed_and_asks_for_the_same_session() {
    let (call, signed) = asked(&es256(), &permit(SUBJECT, 600)).await;
    assert!(!signed, "there is no AWS identity to sign with");
    let mut call = call;
    assert!(call.remove("WebIdentityToken").is_some());
    insta::assert_json_snapshot!("assume_role_with_web_identity", call);
}

#[tokio::test]
async fn the_token_names_the_grant_its_tags_and_whose_session_it_is() {
    let ring = es256();
    let (call, _) = asked(&ring, &permit(SUBJECT, 600)).await;
    let (header, mut claims) = opened_token(&ring, &call["WebIdentityToken"]);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
    assert!(claims["jti"].take().as_str().is_some_and(|jti| jti.len() > 20));
    insta::assert_json_snapshot!("web_identity_claims", claims);
}

#[tokio::test]
async fn an_rsa_key_signs_for_aws_too() {
    let der = include_bytes!("../../../../tests/vectors/keys/rsa-2048.der");
    let key = crate::keys::SigningKey::from_pkcs8(SigningAlgorithm::Rs256, der).unwrap();
    let ring = Arc::new(KeyRing::with_one_key(key));
    let (call, _) = asked(&ring, &permit(SUBJECT, 600)).await;
    assert_eq!(opened_token(&ring, &call["WebIdentityToken"]).0["alg"], "RS256");
}

#[tokio::test]
async fn a_token_lives_for_a_minute_and_is_made_anew_for_each_call() {
    let sts = FakeSts::start(&[]).await;
    let (clock, ring) = (clock(), es256());
    let issuer = sts.keyless(&clock, &ring);
    // Whoever waited for another's call signs when the call is made, not when the request came.
    clock.set(start().plus(Duration::from_secs(7)));
    for subject in ["system:serviceaccount:a:a", "system:serviceaccount:b:b"] {
        recorded(&issuer, order(&permit(subject, 600), start())).await.unwrap();
    }
    let calls = sts.script.lock().unwrap().calls.clone();
    let claims: Vec<_> = calls.iter().map(|call| opened_token(&ring, &call["WebIdentityToken"]).1).collect();
    for claims in &claims {
        let [iat, exp, nbf] = ["iat", "exp", "nbf"].map(|name| claims[name].as_i64().unwrap());
        assert_eq!(iat, start().unix_seconds() + 7);
        assert_eq!((exp - iat, iat - nbf), (60, 60));
    }
    assert_ne!(claims[0]["jti"], claims[1]["jti"]);
}

#[tokio::test]
async fn without_tags_the_token_asks_for_no_right_to_tag() {
    let ring = es256();
    let bare = AwsGrant { session_tags: vec![], ..aws_grant() };
    let (call, _) = asked(&ring, &permit_for(&grant(bare, false), SUBJECT, 600)).await;
    let (_, claims) = opened_token(&ring, &call["WebIdentityToken"]);
    assert!(claims.get("https://aws.amazon.com/tags").is_none(), "{claims}");
}

#[tokio::test]
async fn tags_stay_on_in_further_roles_only_when_asked() {
    let ring = es256();
    let value = Template::parse("{principal.namespace}", Position::TagValue).unwrap();
    let tags = vec![("namespace".to_owned(), value)];
    let chained = aws_grant().with_tags(tags, vec!["namespace".to_owned()]).unwrap();
    let (call, _) = asked(&ring, &permit_for(&grant(chained, false), SUBJECT, 600)).await;
    let (_, claims) = opened_token(&ring, &call["WebIdentityToken"]);
    assert_eq!(claims["https://aws.amazon.com/tags"]["transitive_tag_keys"], json!(["namespace"]));
}

#[tokio::test]
async fn an_elevation_names_itself_in_the_token() {
    let ring = es256();
    let until = start().plus(Duration::from_hours(1));
    let (call, _) = asked(&ring, &permit_under('a', until)).await;
    let (_, claims) = opened_token(&ring, &call["WebIdentityToken"]);
    let elevation = "elv-01a203ff-4cee-7102-8304-05060708090a";
    assert_eq!(claims["https://aws.amazon.com/source_identity"], elevation);
    let tags = &claims["https://aws.amazon.com/tags"];
    assert_eq!(tags["principal_tags"]["tidegate:elevation"], json!([elevation]));
    assert!(tags.get("transitive_tag_keys").is_none(), "{tags}");
}

#[tokio::test]
async fn the_subject_is_no_access_tokens() {
    let ring = es256();
    let (call, _) = asked(&ring, &permit(SUBJECT, 600)).await;
    let (_, claims) = opened_token(&ring, &call["WebIdentityToken"]);
    // An access token's is `<issuer name>|<sub>`: no trust policy can mean both.
    assert_eq!(claims["sub"], "grant:orders-read");
    assert!(!claims["sub"].as_str().unwrap().contains('|'));
    assert!(crate::ids::IssuerName::new("grant:orders-read").is_err());
}

#[tokio::test]
async fn one_call_serves_two_hundred_and_ends_with_the_window() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.keyless(&clock(), &es256());
    let permit = permit(SUBJECT, 600);
    let all = join_all((0..200).map(|_| recorded(&issuer, order(&permit, start())))).await;
    assert_eq!(sts.calls(), 1);
    for credential in all.into_iter().map(Result::unwrap) {
        assert_eq!(credential.expires_at(), start().plus(Duration::from_mins(10)));
    }
}
