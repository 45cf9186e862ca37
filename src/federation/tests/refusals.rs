//! What is refused, by what others did wrong.

use serde_json::{Value, json};

use super::tokens::{TestKey, base64url, jwks, with};
use super::*;
use crate::secret::Fingerprint;

#[expect(clippy::needless_pass_by_value, reason = "callers pass literals")]
fn changed(changes: Value) -> Value {
    with(claims(), &changes)
}

#[tokio::test]
async fn an_ordinary_token_of_every_algorithm_is_accepted() {
    let (rsa, p256, p384, ed) =
        (TestKey::rsa("r"), TestKey::p256("p"), TestKey::p384("q"), TestKey::ed25519("e"));
    let fixture = Fixture::new(&[&rsa, &p256, &p384, &ed]);
    for (key, algorithms) in [
        (&rsa, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (&p256, &["ES256"]),
        (&p384, &["ES384"]),
        (&ed, &["EdDSA", "Ed25519"]),
    ] {
        for alg in algorithms {
            let token = key.token_with_header(&json!({"alg": alg, "kid": key.kid}), &claims());
            let verified = fixture.verify(&token).await.unwrap();
            assert_eq!(verified.subject().as_str(), SUBJECT, "{alg}");
            assert_eq!(verified.expires_at(), later(300));
            assert_eq!(verified.fingerprint(), Fingerprint::of(token.as_bytes()));
        }
    }
}

#[tokio::test]
async fn a_string_audience_is_checked_like_a_list_of_one() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    for aud in
        [json!("elsewhere"), json!(["elsewhere"]), json!(["a", "b"]), json!("tidegate2"), json!("Tidegate")]
    {
        let token = key.token(&changed(json!({"aud": aud})));
        assert_eq!(fixture.refusal(&token).await, TokenRefusal::AudienceMismatch, "{aud}");
    }
    for aud in [json!("tidegate"), json!(["tidegate"]), json!(["elsewhere", "tidegate"])] {
        assert!(fixture.verify(&key.token(&changed(json!({"aud": aud})))).await.is_ok(), "{aud}");
    }
}

#[tokio::test]
async fn an_absent_empty_or_odd_audience_is_refused() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    assert_eq!(
        fixture.refusal(&key.token(&changed(json!({"aud": null})))).await,
        TokenRefusal::AudienceMissing
    );
    assert_eq!(
        fixture.refusal(&key.token(&changed(json!({"aud": []})))).await,
        TokenRefusal::AudienceMissing
    );
    for aud in [json!(7), json!({"tidegate": true}), json!(["tidegate", 7]), json!(true)] {
        assert_eq!(
            fixture.refusal(&key.token(&changed(json!({"aud": aud})))).await,
            TokenRefusal::AudienceInvalid
        );
    }
}

#[tokio::test]
async fn times_of_the_wrong_type_do_not_count_as_absent() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            "\"1795363692\"",
            "1795363692.0",
            "1.795363692e9",
            "-1",
            "99999999999999999999",
            "253402300800",
            "9223372036854775807",
            "true",
            "[]",
            "{}",
            "null",
        ] {
            let mut text = changed(json!({claim: "PLACE"})).to_string();
            text = text.replace("\"PLACE\"", value);
            let token = key.token_from_text("ES256", r#"{"alg":"ES256","kid":"k"}"#, &text);
            assert_eq!(fixture.refusal(&token).await, TokenRefusal::TimeInvalid { claim }, "{claim} {value}");
        }
    }
}

#[tokio::test]
async fn a_token_without_an_end_is_refused() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    assert_eq!(
        fixture.refusal(&key.token(&changed(json!({"exp": null})))).await,
        TokenRefusal::ExpiryMissing
    );
    assert_eq!(
        fixture.refusal(&key.token(&changed(json!({"iat": null})))).await,
        TokenRefusal::IssuedAtMissing
    );
}

#[tokio::test]
async fn a_token_ends_when_the_leeway_ends_and_not_a_moment_later() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    let token = key.token(&claims());
    let end = later(300).plus(LEEWAY);
    assert!(fixture.verify_at(&token, end.minus(Duration::from_millis(1))).await.is_ok());
    assert_eq!(fixture.refusal_at(&token, end).await, TokenRefusal::Expired);
}

#[tokio::test]
async fn a_token_of_the_future_is_refused_beyond_the_leeway() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    let leeway = i64::try_from(LEEWAY.as_secs()).unwrap();
    for (claim, refusal) in [("nbf", TokenRefusal::NotYetValid), ("iat", TokenRefusal::IssuedInFuture)] {
        assert!(fixture.verify(&key.token(&changed(json!({claim: NOW + leeway})))).await.is_ok());
        assert_eq!(fixture.refusal(&key.token(&changed(json!({claim: NOW + leeway + 1})))).await, refusal);
    }
}

#[tokio::test]
async fn a_token_that_ends_before_it_begins_is_refused() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    for changes in [json!({"iat": NOW + 20, "exp": NOW + 10}), json!({"nbf": NOW + 10, "exp": NOW + 10})] {
        assert_eq!(fixture.refusal(&key.token(&changed(changes))).await, TokenRefusal::TimesContradict);
    }
}

#[tokio::test]
async fn a_token_that_lives_a_year_is_bounded_by_lifetime_and_by_age() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    let year = key.token(&changed(json!({"exp": NOW + 365 * 86_400})));
    assert_eq!(fixture.refusal(&year).await, TokenRefusal::LifetimeTooLong);
    let old = key.token(&changed(json!({"iat": NOW - 601, "exp": NOW + 60})));
    assert_eq!(fixture.refusal(&old).await, TokenRefusal::TooOld);
    let young = key.token(&changed(json!({"iat": NOW - 600, "exp": NOW + 60})));
    assert!(fixture.verify(&young).await.is_ok());
}

#[tokio::test]
async fn a_symmetric_token_signed_with_the_public_key_is_refused() {
    let key = TestKey::rsa("k");
    let fixture = Fixture::new(&[&key]);
    let public = base64url(key.jwk()["n"].as_str().unwrap().as_bytes());
    for alg in ["HS256", "HS384", "HS512"] {
        let input = format!(
            "{}.{}",
            base64url(json!({"alg": alg, "kid": "k"}).to_string().as_bytes()),
            base64url(claims().to_string().as_bytes())
        );
        let mac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes());
        let tag = ring::hmac::sign(&mac, input.as_bytes());
        let token = format!("{input}.{}", base64url(tag.as_ref()));
        assert_eq!(fixture.refusal(&token).await, TokenRefusal::AlgorithmUnsupported, "{alg}");
    }
}

#[tokio::test]
async fn a_key_checks_only_its_own_family() {
    let (rsa, ec) = (TestKey::rsa("k"), TestKey::p256("e"));
    let fixture = Fixture::new(&[&rsa, &ec]);
    for (key, alg) in [(&rsa, "ES256"), (&rsa, "EdDSA"), (&ec, "RS256"), (&ec, "ES384"), (&ec, "EdDSA")] {
        let token = key.token_with_header(&json!({"alg": alg, "kid": key.kid}), &claims());
        assert_eq!(fixture.refusal(&token).await, TokenRefusal::KeyMismatch, "{alg}");
    }
}

#[tokio::test]
async fn an_algorithm_outside_the_issuers_list_is_refused_though_the_key_could() {
    let key = TestKey::rsa("k");
    let fixture = Fixture::with(&[&key], |issuer| issuer.algorithms = BTreeSet::from([Algorithm::Rs256]));
    let token = key.token_with_header(&json!({"alg": "PS256", "kid": "k"}), &claims());
    assert_eq!(fixture.refusal(&token).await, TokenRefusal::AlgorithmNotAllowed);
    assert!(fixture.verify(&key.token(&claims())).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_differs_by_a_slash_a_case_or_a_suffix_is_another() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    for iss in [
        "https://issuer.example/",
        "https://ISSUER.example",
        "https://issuer.example.evil",
        "issuer.example",
        "http://issuer.example",
        "https://issuer.example:443",
        " https://issuer.example",
        "https://issuer.example\u{0}",
        "https://issuer.exampl",
        "",
    ] {
        let token = key.token(&changed(json!({"iss": iss})));
        assert_eq!(fixture.refusal(&token).await, TokenRefusal::UnknownIssuer, "{iss}");
    }
    for iss in [json!(7), json!([ISSUER]), json!({"url": ISSUER})] {
        assert_eq!(
            fixture.refusal(&key.token(&changed(json!({"iss": iss})))).await,
            TokenRefusal::IssuerMissing
        );
    }
    assert_eq!(
        fixture.refusal(&key.token(&changed(json!({"iss": null})))).await,
        TokenRefusal::IssuerMissing
    );
}

#[tokio::test]
async fn another_issuers_key_is_never_used() {
    let (mine, theirs) = (TestKey::rsa("mine"), TestKey::rsa_other("theirs"));
    let other = "https://other.example";
    let fixture = Fixture::of(&[(ISSUER, jwks(&[&mine])), (other, jwks(&[&theirs]))], |_| {});
    assert_eq!(fixture.refusal(&theirs.token(&claims())).await, TokenRefusal::UnknownKey);
    let same_name = TestKey::rsa_other("mine");
    assert_eq!(fixture.refusal(&same_name.token(&claims())).await, TokenRefusal::BadSignature);
    assert!(fixture.verify(&theirs.token(&changed(json!({"iss": other})))).await.is_ok());
}

#[tokio::test]
async fn a_changed_token_does_not_verify() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    let token = key.token(&claims());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = input.split_once('.').unwrap();
    let forged = base64url(changed(json!({"sub": "admin"})).to_string().as_bytes());
    assert_eq!(fixture.refusal(&format!("{header}.{forged}.{signature}")).await, TokenRefusal::BadSignature);
    for bad in [&[0; 64][..], &[0; 32], &[0xff; 64], &[0; 1]] {
        assert_eq!(fixture.refusal(&format!("{input}.{}", base64url(bad))).await, TokenRefusal::BadSignature);
    }
}

#[tokio::test]
async fn a_token_that_names_no_key_is_accepted_only_where_one_key_fits() {
    let (rsa, ec) = (TestKey::rsa("r"), TestKey::p256("e"));
    let nameless = |key: &TestKey| key.token_with_header(&json!({"alg": key.alg()}), &claims());
    assert!(Fixture::new(&[&rsa, &ec]).verify(&nameless(&ec)).await.is_ok());
    let two = Fixture::new(&[&ec, &TestKey::fresh_p256("f")]);
    assert_eq!(two.refusal(&nameless(&ec)).await, TokenRefusal::AmbiguousKey);
    assert_eq!(Fixture::new(&[&rsa]).refusal(&nameless(&ec)).await, TokenRefusal::UnknownKey);
}

#[tokio::test]
async fn two_keys_of_one_name_are_ambiguous_not_tried_in_turn() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key, &TestKey::fresh_p256("k")]);
    assert_eq!(fixture.refusal(&key.token(&claims())).await, TokenRefusal::AmbiguousKey);
}

#[tokio::test]
async fn a_subject_must_be_there_and_be_text() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    assert_eq!(
        fixture.refusal(&key.token(&changed(json!({"sub": null})))).await,
        TokenRefusal::SubjectMissing
    );
    for sub in [json!(7), json!(""), json!("a\u{0}b"), json!("x".repeat(1025)), json!(["a"])] {
        assert_eq!(
            fixture.refusal(&key.token(&changed(json!({"sub": sub})))).await,
            TokenRefusal::SubjectInvalid
        );
    }
}

#[tokio::test]
async fn a_required_claim_holds_the_door_of_a_shared_issuer() {
    let key = TestKey::p256("k");
    let fixture = Fixture::with(&[&key], |issuer| {
        issuer.require.insert("owner_id".to_owned(), BTreeSet::from(["1234".to_owned(), "5678".to_owned()]));
        issuer.require.insert(
            "/https:~1~1sts.amazonaws.com~1/aws_account".to_owned(),
            BTreeSet::from(["1".to_owned()]),
        );
    });
    let sts = "https://sts.amazonaws.com/";
    for owner in [json!("1234"), json!(5678), json!(["x", "1234"])] {
        let token = key.token(&changed(json!({"owner_id": owner, sts: {"aws_account": "1"}})));
        assert!(fixture.verify(&token).await.is_ok(), "{owner}");
    }
    for changes in [
        json!({sts: {"aws_account": "1"}}),
        json!({"owner_id": "1234"}),
        json!({"owner_id": "1234", sts: {"aws_account": "2"}}),
        json!({"owner_id": "1234", sts: "1"}),
        json!({"owner_id": "12345", sts: {"aws_account": "1"}}),
        json!({"owner_id": "1234 ", sts: {"aws_account": "1"}}),
        json!({"owner_id": 1234.0, sts: {"aws_account": "1"}}),
        json!({"owner_id": {"1234": 1}, sts: {"aws_account": "1"}}),
        json!({"owner_id": [1234], sts: {"aws_account": "1"}}),
        json!({"owner_id": true, sts: {"aws_account": "1"}}),
    ] {
        assert_eq!(fixture.refusal(&key.token(&changed(changes))).await, TokenRefusal::RequirementUnmet);
    }
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_the_configuration_without_a_valid_signature() {
    let (key, forger) = (TestKey::p256("k"), TestKey::fresh_p256("k"));
    let fixture = Fixture::with(&[&key], |issuer| {
        issuer.require.insert("team".to_owned(), BTreeSet::from(["a".to_owned()]));
    });
    for changes in [json!({}), json!({"aud": "x"}), json!({"exp": NOW + 9_000_000}), json!({"sub": null})] {
        assert_eq!(fixture.refusal(&forger.token(&changed(changes))).await, TokenRefusal::BadSignature);
    }
}

#[tokio::test]
async fn a_replay_is_recognised_by_what_was_signed_and_never_by_the_signature() {
    let key = TestKey::p256("k");
    let fixture = Fixture::new(&[&key]);
    let replay_of = async |token: String| fixture.verify(&token).await.unwrap().replay().cloned().unwrap();
    // the same bytes signed twice: ECDSA gives another signature each time
    let (one, two) = (key.token(&claims()), key.token(&claims()));
    assert_ne!(one, two);
    assert_eq!(replay_of(one.clone()).await, replay_of(two).await);
    assert_eq!(replay_of(one).await.until, later(300).plus(LEEWAY));
    let with_id = |jti: &str, more: &str| key.token(&changed(json!({"jti": jti, "more": more})));
    assert_eq!(replay_of(with_id("a", "x")).await.key, replay_of(with_id("a", "y")).await.key);
    assert_ne!(replay_of(with_id("a", "x")).await.key, replay_of(with_id("b", "x")).await.key);
    assert_ne!(replay_of(with_id("", "x")).await.key, replay_of(with_id("", "y")).await.key);
}

#[tokio::test]
async fn one_jti_of_two_issuers_is_two_claims() {
    let key = TestKey::p256("k");
    let other = "https://other.example";
    let fixture = Fixture::of(&[(ISSUER, jwks(&[&key])), (other, jwks(&[&key]))], |_| {});
    let mine = fixture.verify(&key.token(&changed(json!({"jti": "a"})))).await.unwrap();
    let theirs = fixture.verify(&key.token(&changed(json!({"jti": "a", "iss": other})))).await.unwrap();
    assert_ne!(mine.replay().unwrap().key, theirs.replay().unwrap().key);
}

#[tokio::test]
async fn a_reusable_token_has_nothing_to_claim() {
    let key = TestKey::p256("k");
    let fixture = Fixture::with(&[&key], |issuer| issuer.replay = ReplayMode::Reusable);
    assert_eq!(fixture.verify(&key.token(&claims())).await.unwrap().replay(), None);
}

#[tokio::test]
async fn a_jwt_svid_is_trusted_by_its_trust_domain() {
    let key = TestKey::p256("k");
    let domain = "spiffe://prod.example";
    let fixture = Fixture::of(&[(domain, jwks(&[&key]))], |issuers| issuers[0].profile = Profile::Spiffe);
    let svid = |changes: Value| {
        let base = json!({"sub": "spiffe://prod.example/ns/a", "aud": [AUDIENCE], "exp": NOW + 300});
        key.token(&with(base, &changes))
    };
    let verified = fixture.verify(&svid(json!({}))).await.unwrap();
    assert_eq!(verified.issued_at(), later(300 - 3600), "as old as the lifetime cap allows, never younger");
    assert!(
        fixture.verify(&svid(json!({"iss": "https://spire.example"}))).await.is_ok(),
        "`iss` means nothing here"
    );
    for sub in [
        "spiffe://prod.example.evil/ns/a",
        "spiffe://PROD.example/ns/a",
        "spiffe://evil/prod.example",
        "ns/a",
    ] {
        assert_eq!(fixture.refusal(&svid(json!({"sub": sub}))).await, TokenRefusal::IssuerMissing, "{sub}");
    }
    assert_eq!(fixture.refusal(&svid(json!({"exp": NOW + 3601}))).await, TokenRefusal::LifetimeTooLong);
}

#[tokio::test]
async fn a_spiffe_subject_does_not_lead_to_an_issuer_of_another_profile() {
    let key = TestKey::p256("k");
    let fixture = Fixture::of(&[("spiffe://prod.example", jwks(&[&key]))], |_| {});
    let token =
        key.token(&json!({"sub": "spiffe://prod.example/a", "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60}));
    assert_eq!(fixture.refusal(&token).await, TokenRefusal::IssuerMissing);
}

#[test]
fn a_trust_that_cannot_hold_is_refused_at_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, jwks(&[&TestKey::p256("k")])).unwrap();
    let good = || settings("a", ISSUER, KeySource::JwksFile(path.clone()));
    let build = |issuers: Vec<IssuerSettings>| {
        Federation::new(issuers, Arc::new(ManualClock::at(now())), Arc::new(SystemEntropy::new()))
    };
    assert!(build(vec![good()]).is_ok());
    let faulty = |change: fn(&mut IssuerSettings)| {
        let mut issuer = good();
        change(&mut issuer);
        build(vec![issuer]).is_err()
    };
    assert!(faulty(|issuer| issuer.audiences.clear()));
    assert!(faulty(|issuer| issuer.algorithms.clear()));
    assert!(faulty(|issuer| drop(issuer.require.insert("a".to_owned(), BTreeSet::new()))));
    assert!(faulty(|issuer| issuer.keys = KeySource::JwksFile("/nowhere/keys.json".into())));
    assert!(faulty(|issuer| issuer.profile = Profile::Spiffe), "an https url is no trust domain");
    assert!(faulty(|issuer| issuer.keys = KeySource::JwksUrl("http://issuer.example/keys".parse().unwrap())));
    assert!(faulty(|issuer| issuer.keys = KeySource::JwksUrl("https://127.0.0.1/keys".parse().unwrap())));
    assert!(faulty(|issuer| issuer.keys = KeySource::JwksUrl("https://2130706433/keys".parse().unwrap())));
    assert!(faulty(
        |issuer| issuer.keys = KeySource::JwksUrl("https://[::ffff:7f00:1]/keys".parse().unwrap())
    ));
    assert!(build(vec![good(), good()]).is_err(), "two issuers of one url");
}

#[test]
fn a_refusal_never_quotes_the_token() {
    let token = UnverifiedToken::new("eyJ.secret.sig".to_owned());
    assert_eq!(format!("{token:?}"), "UnverifiedToken");
}

proptest::proptest! {
    /// The universal rule behind every vector: whatever a stranger does to a good token, it is no good token.
    #[test]
    fn no_altered_token_is_accepted(
        position in proptest::prelude::any::<proptest::sample::Index>(),
        replacement in "[-A-Za-z0-9_.=]{0,3}",
        cut in 0_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let key = TestKey::ed25519("k");
        let fixture = Fixture::new(&[&key]);
        let token = key.token(&claims());
        let (before, after) = token.split_at(position.index(token.len()));
        let altered = format!("{before}{replacement}{}", after.get(cut..).unwrap_or_default());
        proptest::prop_assume!(altered != token);
        proptest::prop_assert!(runtime.block_on(fixture.verify(&altered)).is_err());
    }
}
