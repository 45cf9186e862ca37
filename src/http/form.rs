//! A strict reader of `application/x-www-form-urlencoded` bodies: capped, timed, each name once and known.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;

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
    #[error("the parameters are not UTF-8 in form encoding")]
    Encoding,
    #[error("parameter `{0}` is given more than once")]
    Duplicate(&'static str),
    #[error("the request has a parameter that this endpoint does not know: {0}")]
    Unknown(String),
}

impl FormError {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::ContentType | Self::Encoding | Self::Duplicate(_) | Self::Unknown(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }
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
        Self::parse(&read_bytes(headers, body, limits).await?, known)
    }

    /// Reads what arrived; also a query, which is spelt the same.
    pub(super) fn parse(bytes: &[u8], known: &[&'static str]) -> Result<Self, FormError> {
        check_encoding(bytes)?;
        let mut given = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            let known = known.iter().find(|known| **known == name).ok_or_else(|| unknown(&name))?;
            if given.insert(*known, value.into_owned()).is_some() {
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

/// The body as it came, for a door that must first see what it is about, or check a signature over it.
pub(super) async fn read_bytes(
    headers: &HeaderMap,
    body: Body,
    limits: FormLimits,
) -> Result<Bytes, FormError> {
    if !is_form(headers) {
        return Err(FormError::ContentType);
    }
    tokio::time::timeout(limits.patience, to_bytes(body, limits.max_body))
        .await
        .map_err(|_| FormError::TooSlow)?
        .map_err(|_| FormError::TooLarge(limits.max_body))
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// `form_urlencoded` replaces what it cannot read; a security decision must not rest on replaced text.
pub(super) fn check_encoding(bytes: &[u8]) -> Result<(), FormError> {
    let mut pieces = bytes.split(|byte| *byte == b'%');
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(FormError::Encoding)?;
        let digits = std::str::from_utf8(digits).map_err(|_| FormError::Encoding)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(FormError::Encoding);
        }
        decoded.push(u8::from_str_radix(digits, 16).map_err(|_| FormError::Encoding)?);
        decoded.extend_from_slice(rest);
    }
    std::str::from_utf8(&decoded).map(drop).map_err(|_| FormError::Encoding)
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
    fn an_empty_value_counts_as_absent() {
        assert_eq!(parse("scope=&audience=x").unwrap().take("scope"), None);
    }
}
