//! JWS compact serialization (RFC 7515 §7.1), taken apart and nothing more: no key and no time is known here.
//!
//! Every alternative reading is refused: a token has exactly one spelling, and the header cannot choose how it is
//! checked. `jku`, `jwk`, `x5u` and `x5c` are never looked at: a token does not bring its own key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::Algorithm;
use super::json::{JsonFault, read_object};
use super::refusal::TokenRefusal;
use crate::claims::{Claim, Claims};
use crate::ids::Kid;

/// Larger tokens are refused before a byte of them is read: parsing is paid by us, sending them costs a stranger
/// nothing. Real tokens stay under 8 KiB (that is where proxies cut headers).
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token taken apart. Nothing in it is true yet.
pub(super) struct Jws<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Kid>,
    pub(super) claims: Claims,
    /// `header.payload`, as it was signed.
    pub(super) signing_input: &'t [u8],
    pub(super) signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Takes `token` apart.
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenRefusal> {
        let parts = Parts::split(token)?;
        let header = Header::read(&decode(parts.header)?)?;
        let claims = read_object(&decode(parts.payload)?)
            .map_err(|fault| json(fault, TokenRefusal::PayloadInvalid))?;
        Ok(Self {
            algorithm: header.algorithm,
            kid: header.kid,
            claims,
            signing_input: parts.signing_input.as_bytes(),
            signature: decode(parts.signature)?,
        })
    }
}

struct Parts<'t> {
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
    signing_input: &'t str,
}

impl<'t> Parts<'t> {
    fn split(token: &'t str) -> Result<Self, TokenRefusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::TooLarge);
        }
        if token.trim_start().starts_with('{') {
            return Err(TokenRefusal::JsonSerialization);
        }
        if token.bytes().filter(|byte| *byte == b'.').count() == 4 {
            return Err(TokenRefusal::Encrypted);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenRefusal::Malformed)?;
        if header.is_empty() || payload.is_empty() || payload.contains('.') {
            return Err(TokenRefusal::Malformed);
        }
        if signature.is_empty() {
            return Err(TokenRefusal::Unsigned);
        }
        Ok(Self { header, payload, signature, signing_input })
    }
}

struct Header {
    algorithm: Algorithm,
    kid: Option<Kid>,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, TokenRefusal> {
        let header = read_object(bytes).map_err(|fault| json(fault, TokenRefusal::HeaderInvalid))?;
        if header.get("crit").is_some() {
            return Err(TokenRefusal::CriticalHeader);
        }
        if header.get("b64").is_some() {
            return Err(TokenRefusal::UnencodedPayload);
        }
        if header.get("enc").is_some() {
            return Err(TokenRefusal::Encrypted);
        }
        if header.get("cty").is_some_and(|cty| !is_plain_content(cty)) {
            return Err(TokenRefusal::NestedToken);
        }
        if header.get("typ").is_some_and(|typ| !is_accepted_type(typ)) {
            return Err(TokenRefusal::TypeNotAccepted);
        }
        Ok(Self { algorithm: algorithm(&header)?, kid: kid(&header)? })
    }
}

fn algorithm(header: &Claims) -> Result<Algorithm, TokenRefusal> {
    let name = header.text("alg").ok_or(TokenRefusal::AlgorithmMissing)?;
    Algorithm::from_name(name).ok_or(TokenRefusal::AlgorithmUnsupported)
}

fn kid(header: &Claims) -> Result<Option<Kid>, TokenRefusal> {
    match header.get("kid") {
        None => Ok(None),
        Some(Claim::Text(kid)) => Kid::new(kid).map(Some).map_err(|_| TokenRefusal::KeyIdInvalid),
        Some(_) => Err(TokenRefusal::KeyIdInvalid),
    }
}

/// Kubernetes sends no `typ`; RFC 7519 §5.1 says `JWT`, RFC 9068 §2.1 `at+jwt`, JWT-SVID §3 also `JOSE`; all without
/// regard to case and with or without `application/`. Anything else (`dpop+jwt`, `logout+jwt`, `secevent+jwt`) was signed for another purpose
/// by an issuer who may well use the same key for it.
fn is_accepted_type(typ: &Claim) -> bool {
    let Claim::Text(typ) = typ else { return false };
    let name = match typ.split_once('/') {
        Some((media, name)) if media.eq_ignore_ascii_case("application") => name,
        Some(_) => return false,
        None => typ,
    };
    ["jwt", "at+jwt", "jose"].iter().any(|accepted| name.eq_ignore_ascii_case(accepted))
}

/// `cty: json` is harmless; anything that holds a token, and anything that is no text, is not.
fn is_plain_content(cty: &Claim) -> bool {
    matches!(cty, Claim::Text(cty) if cty.eq_ignore_ascii_case("json") || cty.eq_ignore_ascii_case("application/json"))
}

fn json(fault: JsonFault, invalid: TokenRefusal) -> TokenRefusal {
    match fault {
        JsonFault::Invalid => invalid,
        JsonFault::Duplicate => TokenRefusal::DuplicateMember,
    }
}

/// No padding, no white space, and the unused bits of the last character are zero: otherwise one token would have
/// several spellings and each would count as new.
fn decode(part: &str) -> Result<Vec<u8>, TokenRefusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(header: &str, payload: &str) -> Option<TokenRefusal> {
        let token = format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload),
            "c2lnbmF0dXJl"
        );
        Jws::parse(&token).err()
    }

    #[test]
    fn keys_that_a_token_brings_along_are_not_even_read() {
        let header =
            r#"{"alg":"RS256","kid":"a","jku":"https://evil","x5u":7,"jwk":{"kty":"oct"},"x5c":["x"]}"#;
        assert_eq!(refusal(header, "{}"), None);
    }

    #[test]
    fn every_type_but_a_plain_token_is_refused() {
        for typ in
            ["\"dpop+jwt\"", "\"logout+jwt\"", "\"JWE\"", "null", "7", "\"\"", "\"text/jwt\"", "\"JWT \""]
        {
            let header = format!("{{\"alg\":\"RS256\",\"typ\":{typ}}}");
            assert_eq!(refusal(&header, "{}"), Some(TokenRefusal::TypeNotAccepted), "{typ}");
        }
        for typ in ["JWT", "jwt", "at+jwt", "application/JWT", "Application/at+JWT"] {
            assert_eq!(refusal(&format!("{{\"alg\":\"RS256\",\"typ\":\"{typ}\"}}"), "{}"), None, "{typ}");
        }
    }

    #[test]
    fn one_token_has_one_spelling() {
        // `fQ` is `}`; `fR` decodes to the same byte when the unused bits are ignored
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
        assert!(Jws::parse(&format!("{head}.e30.YQ")).is_ok());
        for bad in [
            format!("{head}.e30.YR"),
            format!("{head}.e30.YQ=="),
            format!("{head}.e30.YQ\n"),
            format!(" {head}.e30.YQ"),
            format!("{head}.e30.+/"),
            format!("{head}.e30"),
            format!("{head}..YQ"),
            ".e30.YQ".to_owned(),
            format!("{head}.e30.YQ.YQ"),
        ] {
            assert_eq!(Jws::parse(&bad).err(), Some(TokenRefusal::Malformed), "{bad}");
        }
    }

    #[test]
    fn a_token_over_the_cap_is_refused_unread() {
        assert_eq!(Jws::parse(&"{".repeat(MAX_TOKEN_BYTES + 1)).err(), Some(TokenRefusal::TooLarge));
        assert_eq!(Jws::parse(&"{".repeat(MAX_TOKEN_BYTES)).err(), Some(TokenRefusal::JsonSerialization));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[-A-Za-z0-9_.{}=]{0,120}") {
            let _ = Jws::parse(&text);
        }
    }
}
