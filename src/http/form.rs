//! A strict reader of `application/x-www-form-urlencoded` bodies: capped, timed, each name once and known.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};

/// How large a body may be and how long it may take to arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct FormLimits {
    pub(super) max_body: usize,
    pub(super) patience: Duration,
}

/// Why a body is no form of ours. `Display` goes to the caller.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    #[error("the content type must be application/x-www-form-urlencoded")]
    ContentType,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body is not UTF-8 in form encoding")]
    Encoding,
    #[error("parameter `{0}` is given more than once")]
    Duplicate(&'static str),
    #[error("the request has a parameter that this endpoint does not know: {0}")]
    Unknown(String),
}

/// The parameters that were given, by the names that the door knows. Empty values count as absent (RFC 6749 §3.2).
#[derive(Debug)]
pub(super) struct Form(BTreeMap<&'static str, String>);

impl Form {
    pub(super) async fn read(
        headers: &HeaderMap,
        body: Body,
        known: &[&'static str],
        limits: FormLimits,
    ) -> Result<Self, FormError> {
        if !is_form(headers) {
            return Err(FormError::ContentType);
        }
        let bytes = tokio::time::timeout(limits.patience, to_bytes(body, limits.max_body))
            .await
            .map_err(|_| FormError::TooSlow)?
            .map_err(|_| FormError::TooLarge(limits.max_body))?;
        Self::parse(&bytes, known)
    }

    /// Reads what arrived; also a query, which is spelt the same.
    pub(super) fn parse(bytes: &[u8], known: &[&'static str]) -> Result<Self, FormError> {
        let mut given = BTreeMap::new();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(parts.next().unwrap_or_default())?;
            let known = known.iter().find(|known| **known == name).ok_or_else(|| unknown(&name))?;
            if given.insert(*known, decode(parts.next().unwrap_or_default())?).is_some() {
                return Err(FormError::Duplicate(known));
            }
        }
        given.retain(|_, value| !value.is_empty());
        Ok(Self(given))
    }

    /// Takes the parameter out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Strictly (WHATWG URL §5.1 without its repairs): libraries replace what they cannot read, and a security decision must
/// not rest on replaced text.
fn decode(text: &[u8]) -> Result<String, FormError> {
    let spaced = |piece: &[u8], to: &mut Vec<u8>| {
        to.extend(piece.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }));
    };
    let mut pieces = text.split(|byte| *byte == b'%');
    let mut decoded = Vec::with_capacity(text.len());
    spaced(pieces.next().unwrap_or_default(), &mut decoded);
    for piece in pieces {
        let (digits, rest) = piece.split_first_chunk::<2>().ok_or(FormError::Encoding)?;
        decoded.push(hex(*digits).ok_or(FormError::Encoding)?);
        spaced(rest, &mut decoded);
    }
    String::from_utf8(decoded).map_err(|_| FormError::Encoding)
}

fn hex(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

fn unknown(name: &str) -> FormError {
    let shown: String =
        name.chars().take(40).filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).collect();
    FormError::Unknown(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["audience", "scope"];

    fn parse(body: &str) -> Result<Form, FormError> {
        Form::parse(body.as_bytes(), &KNOWN)
    }

    #[test]
    fn a_parameter_given_twice_is_refused_also_when_equal_or_empty() {
        assert_eq!(parse("audience=a&audience=a").unwrap_err(), FormError::Duplicate("audience"));
        assert_eq!(parse("audience=a&audience=").unwrap_err(), FormError::Duplicate("audience"));
        assert_eq!(parse("audience=a&%61udience=b").unwrap_err(), FormError::Duplicate("audience"));
    }

    #[test]
    fn an_unknown_parameter_is_named_without_its_markup() {
        assert_eq!(parse("a<b>c=1").unwrap_err(), FormError::Unknown("abc".to_owned()));
    }

    #[test]
    fn bytes_that_are_no_utf_8_and_broken_escapes_are_refused() {
        for body in ["audience=%ff", "audience=%f", "audience=%zz", "audience=%+1", "audience=%"] {
            assert_eq!(parse(body).unwrap_err(), FormError::Encoding, "{body}");
        }
    }

    #[test]
    fn a_well_formed_body_reads_as_the_url_standard_says() {
        for body in ["audience=a%20b+c%2Bd%3d%26&&scope=x=y", "&audience=%c3%a4", "scope", "a%75dience=ä", ""]
        {
            let mut form = parse(body).unwrap();
            for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
                assert_eq!(form.take(&name).unwrap_or_default(), value, "{body}");
            }
        }
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        assert_eq!(parse("scope=&audience=x").unwrap().take("scope"), None);
    }
}
