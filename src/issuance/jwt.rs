//! Access tokens that we sign (RFC 9068).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::{Credential, CredentialFacts, IssueError, OpenCredential};
use crate::clock::Moment;
use crate::entropy::Entropy;
use crate::grants::{GrantKind, JwtGrant};
use crate::ids::{RequestId, UniqueId};
use crate::keys::{KeyRing, SigningKey};
use crate::policy::Permit;
use crate::secret::SecretText;

/// A usual token is 700 to 900 bytes: one allocation, no growth.
const USUAL_TOKEN_BYTES: usize = 1024;

/// Signs access tokens with the live key.
pub struct JwtIssuer {
    issuer: Arc<str>,
    ring: Arc<KeyRing>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for JwtIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// One token to be made.
#[derive(Clone, Copy, Debug)]
pub struct JwtOrder<'a> {
    /// The request that it is for.
    pub request_id: RequestId,
    /// Who gets what, and for how long.
    pub permit: &'a Permit,
    /// The actor's full id (`<issuer name>|<sub>`), when there is one.
    pub actor: Option<&'a str>,
    /// Now.
    pub at: Moment,
}

impl JwtIssuer {
    /// `issuer` is the `iss` of every token: `server.issuer`.
    pub fn new(issuer: &str, ring: Arc<KeyRing>, entropy: Arc<dyn Entropy>) -> Self {
        Self { issuer: Arc::from(issuer), ring, entropy }
    }

    /// Makes and seals a token.
    pub fn issue(&self, order: JwtOrder<'_>) -> Result<Credential, IssueError> {
        let GrantKind::Jwt(grant) = &order.permit.grant().kind else { return Err(IssueError::WrongKind) };
        let key = self.ring.signer(order.at).ok_or(IssueError::NoSigningKey)?;
        let jti = UniqueId::new(order.at, &*self.entropy)?.to_string();
        let subject = order.permit.principal().to_string();
        let claims = Claims::new(&self.issuer, &subject, &jti, grant, order);
        let token = SecretText::new(compact(&key, &claims)?);
        let facts = CredentialFacts::Jwt {
            jti: jti.clone(),
            kid: key.kid().to_string(),
            fingerprint: token.fingerprint(),
        };
        let expires_at = Moment::from_unix_seconds(claims.exp);
        Ok(Credential::seal(order.request_id, facts, OpenCredential::Jwt { token, expires_at }))
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    /// RFC 9068 §2.1: so that an ID token is never taken for an access token, nor the other way round.
    typ: &'static str,
    kid: &'a str,
}

/// RFC 9068 §2.2.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    /// `<issuer name>|<sub>` as policy names the principal: two issuers may well use the same `sub`.
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    /// RFC 8693 §4.1
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Actor<'a>>,
    tidegate: Origin<'a>,
}

#[derive(Serialize)]
struct Actor<'a> {
    sub: &'a str,
}

/// Where the token comes from.
#[derive(Serialize)]
struct Origin<'a> {
    grant: &'a str,
    principal_issuer: &'a str,
    policy: String,
}

impl<'a> Claims<'a> {
    fn new(
        issuer: &'a str,
        subject: &'a str,
        jti: &'a str,
        grant: &'a JwtGrant,
        order: JwtOrder<'a>,
    ) -> Self {
        let permit = order.permit;
        // Rounded down first: the token never outlives its lifetime by the fraction of a second.
        let iat = order.at.unix_seconds();
        Self {
            iss: issuer,
            sub: subject,
            aud: grant.audience.as_str(),
            exp: iat.saturating_add(i64::from(permit.ttl().seconds())),
            nbf: iat,
            iat,
            jti,
            client_id: subject,
            scope: scope_text(permit),
            act: order.actor.map(|sub| Actor { sub }),
            tidegate: Origin {
                grant: permit.grant().name.as_str(),
                principal_issuer: permit.principal().issuer.as_str(),
                policy: permit.digest().to_string(),
            },
        }
    }
}

fn scope_text(permit: &Permit) -> String {
    let mut text = String::new();
    for scope in permit.scopes() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope.as_str());
    }
    text
}

/// JWS compact serialization (RFC 7515 §7.1), built up in one string: what is signed is its beginning.
fn compact(key: &SigningKey, claims: &Claims<'_>) -> Result<String, IssueError> {
    let header = Header { alg: key.algorithm().as_str(), typ: "at+jwt", kid: key.kid().as_str() };
    let mut token = String::with_capacity(USUAL_TOKEN_BYTES);
    append(&mut token, &header)?;
    token.push('.');
    append(&mut token, claims)?;
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

fn append(token: &mut String, part: &impl Serialize) -> Result<(), IssueError> {
    let json =
        serde_json::to_vec(part).map_err(|_| crate::keys::KeyError::Invalid("the claims are no JSON"))?;
    URL_SAFE_NO_PAD.encode_string(json, token);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::audit::Receipt;
    use crate::entropy::{EntropyError, SystemEntropy};
    use crate::grants::{AwsGrant, Grant, Lifetime, LifetimeCaps, RoleArn};
    use crate::ids::{Audience, GrantName, Scope};
    use crate::keys::SigningAlgorithm;
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
}
