//! Public keys as the world reads them (RFC 7517), named by their RFC 7638 thumbprint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::SigningAlgorithm;
use crate::ids::Kid;

/// A public key as published (RFC 7517): `kty`, its numbers, `kid`, `use` (always `sig`) and `alg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicJwk {
    #[serde(flatten)]
    numbers: Numbers,
    kid: Kid,
    #[serde(rename = "use")]
    usage: Usage,
    alg: SigningAlgorithm,
}

/// The numbers of a key, in base64url. Fields stand in the order that RFC 7638 §3.2 hashes, `kty` aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub(super) enum Numbers {
    /// RFC 7518 §6.2
    #[serde(rename = "EC")]
    P256 { crv: P256, x: String, y: String },
    /// RFC 8037 §2
    #[serde(rename = "OKP")]
    Ed25519 { crv: Ed25519, x: String },
    /// RFC 7518 §6.3
    #[serde(rename = "RSA")]
    Rsa { e: String, n: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum P256 {
    #[serde(rename = "P-256")]
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ed25519 {
    #[serde(rename = "Ed25519")]
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Usage {
    #[serde(rename = "sig")]
    Signature,
}

impl PublicJwk {
    /// Names the key by its thumbprint.
    pub(super) fn of(numbers: Numbers, alg: SigningAlgorithm) -> Result<Self, super::KeyError> {
        let kid = Kid::new(&numbers.thumbprint())
            .map_err(|_| super::KeyError::Invalid("a thumbprint is no key id"))?;
        Ok(Self { numbers, kid, usage: Usage::Signature, alg })
    }

    /// The RFC 7638 thumbprint.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// `alg`
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.alg
    }
}

impl Numbers {
    /// From `0x04 ‖ x ‖ y` (SEC 1 §2.3.3).
    pub(super) fn p256(point: &[u8]) -> Option<Self> {
        let (x, y) = match point.split_first() {
            Some((4, xy)) if xy.len() == 64 => xy.split_at_checked(32)?,
            _ => return None,
        };
        Some(Self::P256 { crv: P256::Name, x: encode(x), y: encode(y) })
    }

    /// From the 32 bytes of RFC 8032.
    pub(super) fn ed25519(public: &[u8]) -> Self {
        Self::Ed25519 { crv: Ed25519::Name, x: encode(public) }
    }

    /// From modulus and exponent, big-endian without leading zeros.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::Rsa { e: encode(exponent), n: encode(modulus) }
    }

    /// SHA-256 over the required members in lexicographic order without white space (RFC 7638 §3). The values are
    /// base64url, so no character needs escaping.
    fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::P256 { x, y, .. } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Ed25519 { x, .. } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { e, n } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        encode(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref())
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_of_the_key_in_rfc_7638_section_3_1() {
        let numbers = Numbers::Rsa {
            e: "AQAB".into(),
            n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZ\
                CiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJ\
                ZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn\
                iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
                .into(),
        };
        assert_eq!(numbers.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn thumbprint_of_the_key_in_rfc_8037_appendix_a_3() {
        let numbers =
            Numbers::Ed25519 { crv: Ed25519::Name, x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into() };
        assert_eq!(numbers.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_point_that_is_compressed_or_short_is_no_key() {
        assert!(Numbers::p256(&[2; 65]).is_none());
        assert!(Numbers::p256(&[4; 64]).is_none());
        assert!(Numbers::p256(&[]).is_none());
    }

    #[test]
    fn the_published_form_names_kty_crv_use_alg_and_kid_and_reads_back() {
        let jwk = PublicJwk::of(Numbers::p256(&[4; 65]).unwrap(), SigningAlgorithm::Es256).unwrap();
        let json = serde_json::to_value(&jwk).unwrap();
        assert_eq!(json["kty"], "EC");
        assert_eq!(json["crv"], "P-256");
        assert_eq!(json["use"], "sig");
        assert_eq!(json["alg"], "ES256");
        assert_eq!(json["kid"], jwk.kid().as_str());
        assert!(json.get("d").is_none());
        assert_eq!(serde_json::from_value::<PublicJwk>(json).unwrap(), jwk);
    }
}
