//! Tokens, opened and read back.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;
use crate::audit::Receipt;
use crate::entropy::{EntropyError, SystemEntropy};
use crate::grants::{AwsGrant, BreakGlass, Grant, Lifetime, LifetimeCaps, RoleArn};
use crate::ids::{Audience, GrantName, Scope};
use crate::keys::{SigningAlgorithm, SigningKey};
use crate::secret::Fingerprint;

#[derive(Debug)]
struct Counting;

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.iter_mut().zip(1..).for_each(|(slot, n)| *slot = n);
        Ok(())
    }
}

fn grant() -> Arc<Grant> {
    let caps = LifetimeCaps {
        default: Lifetime::from_seconds(300).unwrap(),
        max: Lifetime::from_seconds(900).unwrap(),
    };
    let kind = GrantKind::Jwt(JwtGrant {
        audience: Audience::new("https://ledger.internal").unwrap(),
        scopes: BTreeSet::from([Scope::new("ledger.read").unwrap()]),
    });
    Arc::new(Grant {
        name: GrantName::new("ledger-api").unwrap(),
        version: Fingerprint::of(b"version"),
        kind,
        caps,
        break_glass: None,
        labels: BTreeSet::new(),
        sets: BTreeSet::new(),
    })
}

fn permit(scopes: &[&str]) -> Permit {
    let ttl = Lifetime::from_seconds(300).unwrap();
    Permit::for_test("prod-cluster", "system:serviceaccount:billing:\"api\"", &grant(), ttl, scopes)
}

const MILLIS_999: std::time::Duration = std::time::Duration::from_millis(999);

/// The same grant, for break-glass only.
fn break_glass_permit() -> Permit {
    let caps = BreakGlass { max_duration: std::time::Duration::from_hours(1) };
    let grant = Arc::new(Grant { break_glass: Some(caps), ..(*grant()).clone() });
    Permit::for_test("vendor", "ann", &grant, Lifetime::from_seconds(300).unwrap(), &["ledger.read"])
}

const ELEVATION: &str = "elv-01a203ff-4cee-7102-8304-05060708090a";

fn sealed(permit: &Permit) -> Result<Credential, IssueError> {
    let request_id = RequestId::new(at(), &SystemEntropy::new()).unwrap();
    issuer(ring()).issue(JwtOrder { request_id, permit, actor: None, at: at() })
}

fn issuer(ring: KeyRing) -> JwtIssuer {
    JwtIssuer::new("https://broker.example.com", Arc::new(ring), Arc::new(Counting))
}

fn ring() -> KeyRing {
    let der = SigningKey::generate_pkcs8(SigningAlgorithm::Es256).unwrap();
    KeyRing::with_one_key(SigningKey::from_pkcs8(SigningAlgorithm::Es256, &der).unwrap())
}

fn at() -> Moment {
    Moment::from_unix_millis(1_795_363_392_750)
}

fn issue(issuer: &JwtIssuer, permit: &Permit, actor: Option<&str>) -> (CredentialFacts, String, Moment) {
    let request_id = RequestId::new(at(), &SystemEntropy::new()).unwrap();
    let sealed = issuer.issue(JwtOrder { request_id, permit, actor, at: at() }).unwrap();
    let facts = sealed.facts().clone();
    match sealed.open(&Receipt::for_test(request_id)).unwrap() {
        OpenCredential::Jwt { token, expires_at } => (facts, token.expose().to_owned(), expires_at),
        OpenCredential::Aws { .. } => panic!("not a JWT"),
    }
}

fn part(token: &str, place: usize) -> Value {
    let text = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[test]
fn without_an_active_key_nothing_is_signed() {
    let request_id = RequestId::new(at(), &SystemEntropy::new()).unwrap();
    let order = JwtOrder { request_id, permit: &permit(&[]), actor: None, at: at() };
    assert!(matches!(issuer(KeyRing::default()).issue(order), Err(IssueError::NoSigningKey)));
}

#[test]
fn a_permit_for_aws_makes_no_token() {
    let aws = AwsGrant::new(RoleArn::new("arn:aws:iam::123456789012:role/x").unwrap(), None);
    let aws = Arc::new(Grant { kind: GrantKind::Aws(Arc::new(aws)), ..(*grant()).clone() });
    let permit = Permit::for_test("prod", "x", &aws, Lifetime::from_seconds(60).unwrap(), &[]);
    let request_id = RequestId::new(at(), &SystemEntropy::new()).unwrap();
    let order = JwtOrder { request_id, permit: &permit, actor: None, at: at() };
    assert!(matches!(issuer(ring()).issue(order), Err(IssueError::WrongKind)));
}

#[test]
fn a_break_glass_permit_without_an_elevation_makes_no_token() {
    let refusal = sealed(&break_glass_permit()).unwrap_err();
    assert!(matches!(refusal, IssueError::NoElevation));
    assert_eq!(refusal.public_text(), "credentials cannot be issued at the moment");
}

#[test]
fn at_the_windows_last_second_nothing_is_left() {
    for ends_at in [Moment::EPOCH, at().floor_second(), at(), at().floor_second().plus(MILLIS_999)] {
        let outcome = sealed(&break_glass_permit().under_elevation(ELEVATION, ends_at));
        assert!(matches!(outcome, Err(IssueError::Ended)), "{ends_at}: {outcome:?}");
    }
}

#[test]
fn a_token_never_outlives_its_elevation() {
    for (left_millis, seconds) in [(1_000, 1), (42_999, 42), (299_999, 299), (300_000, 300), (3_600_000, 300)]
    {
        let ends_at = at().floor_second().plus(std::time::Duration::from_millis(left_millis));
        let permit = break_glass_permit().under_elevation(ELEVATION, ends_at);
        let (_, token, expires_at) = issue(&issuer(ring()), &permit, None);
        assert_eq!(part(&token, 1)["exp"], at().unix_seconds() + seconds, "{left_millis}");
        assert!(expires_at <= ends_at);
    }
}

#[test]
fn the_claims_name_the_elevation_and_how_many_approved() {
    let permit =
        break_glass_permit().under_elevation(ELEVATION, at().plus(std::time::Duration::from_mins(2)));
    let (_, token, _) = issue(&issuer(ring()), &permit, None);
    insta::assert_json_snapshot!("claims_under_an_elevation", part(&token, 1));
}

#[test]
fn claims_are_those_of_rfc_9068_and_name_where_they_come_from() {
    let permit = permit(&["ledger.write", "ledger.read"]);
    let (_, token, _) = issue(&issuer(ring()), &permit, Some("prod-cluster|gateway"));
    insta::assert_json_snapshot!("claims", part(&token, 1));
}

#[test]
fn no_scope_and_no_actor_leave_no_empty_claims() {
    let (_, token, _) = issue(&issuer(ring()), &permit(&[]), None);
    let claims = part(&token, 1);
    assert!(claims.get("scope").is_none() && claims.get("act").is_none(), "{claims}");
}

#[test]
fn the_header_names_type_algorithm_and_key() {
    let (facts, token, _) = issue(&issuer(ring()), &permit(&[]), None);
    let CredentialFacts::Jwt { kid, fingerprint, .. } = facts else { panic!("not a JWT") };
    assert_eq!(part(&token, 0), serde_json::json!({"alg": "ES256", "typ": "at+jwt", "kid": kid}));
    assert_eq!(fingerprint, Fingerprint::of(token.as_bytes()));
}

#[test]
fn the_end_is_counted_from_the_whole_second() {
    let (_, token, expires_at) = issue(&issuer(ring()), &permit(&[]), None);
    assert_eq!(part(&token, 1)["exp"], 1_795_363_692);
    assert_eq!(expires_at, Moment::from_unix_seconds(1_795_363_692));
    assert!(expires_at <= at().plus(std::time::Duration::from_mins(5)));
}

#[test]
fn the_published_key_verifies_the_token() {
    let issuer = issuer(ring());
    let (_, token, _) = issue(&issuer, &permit(&["ledger.read"]), None);
    let jwk = serde_json::to_value(&issuer.ring.published(at())[0]).unwrap();
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let (message, signature) = token.rsplit_once('.').unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point)
        .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();
}
