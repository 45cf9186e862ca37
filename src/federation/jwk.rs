//! JWK sets (RFC 7517) → keys that can check signatures. Keys of other kinds are skipped, weak ones refused.
//!
//! The key carries its family: an RSA key checks RSA signatures and nothing else, whatever a token's header says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RsaPublicKeyComponents, VerificationAlgorithm};

use super::algorithm::{Algorithm, Scheme};
use super::json::read_object;
use super::roca::has_roca_fingerprint;
use crate::claims::{Claim, Claims};

/// One public key of an issuer.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    kid: Option<Box<str>>,
    /// The JWK's own `alg`: the key then serves no other.
    only: Option<Algorithm>,
    material: Material,
}

/// Public numbers in the form that ring reads.
enum Material {
    Rsa(RsaPublicKeyComponents<Box<[u8]>>),
    /// Uncompressed point, `04 ‖ x ‖ y`.
    P256(Box<[u8]>),
    P384(Box<[u8]>),
    Ed25519(Box<[u8]>),
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rsa(_) => "Rsa",
            Self::P256(_) => "P256",
            Self::P384(_) => "P384",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

/// A key set as read: what can be used, and why the rest cannot.
#[derive(Debug, Default)]
pub(super) struct ParsedSet {
    pub(super) keys: Vec<VerifyingKey>,
    pub(super) skipped: Vec<Skipped>,
}

/// Why a key of a set is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// For encryption, symmetric, of another curve, or for another algorithm: other people's business.
    NotForUs,
    /// Members are absent or of the wrong shape.
    Malformed,
    /// Under 2,048 or over 8,192 bits, or an exponent nobody should use.
    WeakRsa,
    /// Factored in days for a few thousand euros.
    Roca,
    /// The set publishes the private half: whoever read it can sign.
    PrivatePart,
}

/// Not a JWK set at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAKeySet;

/// Reads a JWK set.
pub(super) fn parse_set(bytes: &[u8]) -> Result<ParsedSet, NotAKeySet> {
    let set = read_object(bytes).map_err(|_| NotAKeySet)?;
    let Some(Claim::List(members)) = set.get("keys") else { return Err(NotAKeySet) };
    let mut parsed = ParsedSet::default();
    for member in members {
        let Claim::Record(jwk) = member else { return Err(NotAKeySet) };
        match VerifyingKey::parse(jwk) {
            Ok(key) => parsed.keys.push(key),
            Err(reason) => parsed.skipped.push(reason),
        }
    }
    Ok(parsed)
}

impl VerifyingKey {
    /// Whether the set calls this key `kid`.
    pub(super) fn is_called(&self, kid: &str) -> bool {
        self.kid.as_deref() == Some(kid)
    }

    /// Whether signatures of `algorithm` can be this key's.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        let family = matches!(
            (&self.material, algorithm.scheme()),
            (Material::Rsa(_), Scheme::Rsa(_))
                | (Material::P256(_), Scheme::P256(_))
                | (Material::P384(_), Scheme::P384(_))
                | (Material::Ed25519(_), Scheme::Ed25519(_))
        );
        family && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` over `input` is this key's. Asks [`fits`](Self::fits) again, so that no caller can forget.
    pub(super) fn verifies(&self, algorithm: Algorithm, input: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match (&self.material, algorithm.scheme()) {
            (Material::Rsa(key), Scheme::Rsa(scheme)) => key.verify(scheme, input, signature).is_ok(),
            (Material::P256(point), Scheme::P256(scheme))
            | (Material::P384(point), Scheme::P384(scheme))
            | (Material::Ed25519(point), Scheme::Ed25519(scheme)) => check(scheme, point, input, signature),
            _ => false,
        }
    }

    fn parse(jwk: &Claims) -> Result<Self, Skipped> {
        if !is_for_signatures(jwk) {
            return Err(Skipped::NotForUs);
        }
        let material = Material::parse(jwk)?;
        if jwk.get("d").is_some() {
            return Err(Skipped::PrivatePart);
        }
        let key = Self { kid: jwk.text("kid").map(Box::from), only: own_algorithm(jwk)?, material };
        // `{"kty":"EC","alg":"RS256"}`: nothing could ever be checked with it
        if key.only.is_some_and(|only| !key.fits(only)) { Err(Skipped::NotForUs) } else { Ok(key) }
    }
}

fn check(scheme: &'static dyn VerificationAlgorithm, key: &[u8], input: &[u8], signature: &[u8]) -> bool {
    scheme.verify(key.into(), input.into(), signature.into()).is_ok()
}

/// `use` (`jwt-svid` is SPIFFE's word for it, `x509-svid` is not) and `key_ops`, where present, must allow checking.
fn is_for_signatures(jwk: &Claims) -> bool {
    let for_use = match jwk.get("use") {
        None => true,
        Some(Claim::Text(usage)) => matches!(usage.as_str(), "sig" | "jwt-svid"),
        Some(_) => false,
    };
    let for_operation = match jwk.get("key_ops") {
        None => true,
        Some(Claim::List(operations)) => operations.contains(&Claim::Text("verify".to_owned())),
        Some(_) => false,
    };
    for_use && for_operation
}

fn own_algorithm(jwk: &Claims) -> Result<Option<Algorithm>, Skipped> {
    match jwk.get("alg") {
        None => Ok(None),
        Some(Claim::Text(name)) => Algorithm::from_name(name).map(Some).ok_or(Skipped::NotForUs),
        Some(_) => Err(Skipped::Malformed),
    }
}

impl Material {
    fn parse(jwk: &Claims) -> Result<Self, Skipped> {
        match (jwk.text("kty"), jwk.text("crv")) {
            (Some("RSA"), _) => rsa(jwk),
            (Some("EC"), Some("P-256")) => point(jwk, 32).map(Self::P256),
            (Some("EC"), Some("P-384")) => point(jwk, 48).map(Self::P384),
            (Some("OKP"), Some("Ed25519")) => octets(jwk, "x", 32).map(|x| Self::Ed25519(x.into())),
            // `oct` is here too: a shared secret in a published set would be everybody's
            _ => Err(Skipped::NotForUs),
        }
    }
}

fn rsa(jwk: &Claims) -> Result<Material, Skipped> {
    let n = strip_zeros(&decode(jwk, "n")?);
    let e = strip_zeros(&decode(jwk, "e")?);
    if !is_strong_modulus(&n) || !is_sane_exponent(&e) {
        return Err(Skipped::WeakRsa);
    }
    if has_roca_fingerprint(&n) {
        return Err(Skipped::Roca);
    }
    Ok(Material::Rsa(RsaPublicKeyComponents { n, e }))
}

/// 2,048 to 8,192 bits and odd. Below, a state can factor it; above, one check costs milliseconds of our CPU.
fn is_strong_modulus(n: &[u8]) -> bool {
    let unused = n.first().map_or(0, |first| first.leading_zeros() as usize);
    let bits = n.len().saturating_mul(8).saturating_sub(unused);
    (2_048..=8_192).contains(&bits) && n.last().is_some_and(|last| last % 2 == 1)
}

/// Odd, from 65,537 (FIPS 186-5 §A.1.1; small exponents are what forged PKCS #1 padding needs) to 33 bits (ring's own
/// bound: the work per check grows with the exponent's length).
fn is_sane_exponent(e: &[u8]) -> bool {
    let value = e.iter().try_fold(0_u64, |value, byte| Some(value.checked_mul(256)? + u64::from(*byte)));
    value.is_some_and(|value| value % 2 == 1 && (65_537..1 << 33).contains(&value))
}

fn point(jwk: &Claims, size: usize) -> Result<Box<[u8]>, Skipped> {
    let mut point = vec![4];
    point.extend(octets(jwk, "x", size)?);
    point.extend(octets(jwk, "y", size)?);
    Ok(point.into())
}

/// RFC 7518 §6.2.1.2: a coordinate has the full size of its curve.
fn octets(jwk: &Claims, name: &str, size: usize) -> Result<Vec<u8>, Skipped> {
    let bytes = decode(jwk, name)?;
    if bytes.len() == size { Ok(bytes) } else { Err(Skipped::Malformed) }
}

fn decode(jwk: &Claims, name: &str) -> Result<Vec<u8>, Skipped> {
    let text = jwk.text(name).ok_or(Skipped::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Skipped::Malformed)
}

fn strip_zeros(number: &[u8]) -> Box<[u8]> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(bytes: usize) -> Vec<u8> {
        let mut n: Vec<u8> = (0..bytes).map(|i| u8::try_from(i % 251).unwrap() ^ 0xa5).collect();
        *n.last_mut().unwrap() |= 1;
        n[0] |= 0x80;
        n
    }

    fn rsa_jwk(n: &[u8], e: &[u8], more: &str) -> String {
        let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
        format!(r#"{{"keys":[{{"kty":"RSA","kid":"k","n":"{n}","e":"{e}"{more}}}]}}"#)
    }

    fn skipped(set: &str) -> Option<Skipped> {
        parse_set(set.as_bytes()).unwrap().skipped.first().copied()
    }

    const F4: &[u8] = &[1, 0, 1];

    #[test]
    fn rsa_under_2048_or_over_8192_bits_is_refused() {
        assert_eq!(skipped(&rsa_jwk(&modulus(255), F4, "")), Some(Skipped::WeakRsa));
        assert_eq!(skipped(&rsa_jwk(&modulus(128), F4, "")), Some(Skipped::WeakRsa));
        assert_eq!(skipped(&rsa_jwk(&modulus(1_025), F4, "")), Some(Skipped::WeakRsa));
        let mut padded = vec![0; 200];
        padded.extend(modulus(128));
        assert_eq!(
            skipped(&rsa_jwk(&padded, F4, "")),
            Some(Skipped::WeakRsa),
            "leading zeros are no strength"
        );
        assert_eq!(skipped(&rsa_jwk(&modulus(256), F4, "")), None);
        assert_eq!(skipped(&rsa_jwk(&modulus(1_024), F4, "")), None);
    }

    #[test]
    fn rsa_exponents_that_nobody_should_use_are_refused() {
        for e in [&[1][..], &[3], &[2], &[1, 0, 0], &[0xff, 0xff], &[2, 0, 0, 0, 1], &[]] {
            assert_eq!(skipped(&rsa_jwk(&modulus(256), e, "")), Some(Skipped::WeakRsa), "{e:?}");
        }
    }

    #[test]
    fn a_roca_key_is_refused_for_what_it_is() {
        let weak = include_bytes!("../../tests/vectors/keys/weak.json");
        assert!(parse_set(weak).unwrap().skipped.contains(&Skipped::Roca));
    }

    #[test]
    fn a_published_private_half_disqualifies_the_key() {
        assert_eq!(skipped(&rsa_jwk(&modulus(256), F4, r#","d":"AQ""#)), Some(Skipped::PrivatePart));
    }

    #[test]
    fn keys_for_other_purposes_are_skipped_and_do_not_spoil_the_set() {
        let others = r#"{"keys":[
            {"kty":"oct","k":"c2VjcmV0"},
            {"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},
            {"kty":"OKP","crv":"X25519","x":"AA"},
            {"kty":"AKP","alg":"ML-DSA-44","pub":"AA"},
            {"kty":"RSA","use":"enc","n":"AA","e":"AQAB"},
            {"kty":"RSA","use":"x509-svid","n":"AA","e":"AQAB"},
            {"kty":"RSA","key_ops":["encrypt"],"n":"AA","e":"AQAB"}]}"#;
        let parsed = parse_set(others.as_bytes()).unwrap();
        assert!(parsed.keys.is_empty());
        assert!(parsed.skipped.iter().all(|reason| *reason == Skipped::NotForUs));
        assert_eq!(skipped(&rsa_jwk(&modulus(256), F4, r#","alg":"HS256""#)), Some(Skipped::NotForUs));
        assert_eq!(skipped(&rsa_jwk(&modulus(256), F4, r#","alg":"ES256""#)), Some(Skipped::NotForUs));
    }

    #[test]
    fn a_key_fits_its_own_family_and_its_own_algorithm_only() {
        let any = parse_set(rsa_jwk(&modulus(256), F4, "").as_bytes()).unwrap().keys.remove(0);
        assert!(any.fits(Algorithm::Rs256) && any.fits(Algorithm::Ps512));
        assert!(!any.fits(Algorithm::Es256) && !any.fits(Algorithm::EdDsa));
        let one = parse_set(rsa_jwk(&modulus(256), F4, r#","alg":"RS256","use":"sig""#).as_bytes()).unwrap();
        assert!(one.keys[0].fits(Algorithm::Rs256) && !one.keys[0].fits(Algorithm::Ps256));
    }

    #[test]
    fn short_coordinates_are_malformed_not_padded() {
        let set = |x: &str| format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}"}}]}}"#);
        assert_eq!(skipped(&set(&URL_SAFE_NO_PAD.encode([7; 31]))), Some(Skipped::Malformed));
        assert_eq!(skipped(&set(&URL_SAFE_NO_PAD.encode([7; 33]))), Some(Skipped::Malformed));
        assert_eq!(skipped(&set(&URL_SAFE_NO_PAD.encode([7; 32]))), None);
    }

    #[test]
    fn what_is_no_key_set_is_refused_as_a_whole() {
        for text in
            ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#, "<html>"]
        {
            assert!(parse_set(text.as_bytes()).is_err(), "{text}");
        }
    }
}
