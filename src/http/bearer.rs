//! The `Authorization: Bearer` header (RFC 6750): the token in it, or what a caller without one is told.

use std::fmt;

use axum::http::{HeaderMap, header};

use crate::federation::UnverifiedToken;

/// Why nobody has signed in. Prints as the value of `WWW-Authenticate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) told: String,
    /// RFC 6750 §3.1: no error code where the request brought no token.
    invalid: bool,
}

impl Challenge {
    /// The request brought no token.
    pub(super) fn missing() -> Self {
        Self { told: "send `Authorization: Bearer <your OIDC token>`".to_owned(), invalid: false }
    }

    /// The token does not hold.
    pub(super) const fn invalid(told: String) -> Self {
        Self { told, invalid: true }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer realm=\"tidegate\"")?;
        if self.invalid {
            let told: String = self.told.chars().map(|c| if quotable(c) { c } else { '?' }).collect();
            write!(f, ", error=\"invalid_token\", error_description=\"{told}\"")?;
        }
        Ok(())
    }
}

/// RFC 6750 §3: what an `error_description` may hold.
const fn quotable(c: char) -> bool {
    matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')
}

/// The one token of the one header. Never from the query or the body: those end up in logs.
pub(super) fn bearer(headers: &HeaderMap) -> Result<UnverifiedToken, Challenge> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let value = values.next().ok_or_else(Challenge::missing)?;
    if values.next().is_some() {
        return Err(Challenge::invalid("the request has two `Authorization` headers".to_owned()));
    }
    let (scheme, token) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(Challenge::missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Challenge::missing());
    }
    Ok(UnverifiedToken::new(token.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_single_bearer_token_is_told_apart_from_a_bad_one() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(drop)
        };
        for none in [&[][..], &["Basic YTpi"], &["Bearer"], &["bearer\tx"], &["Negotiate x"]] {
            assert_eq!(read(none), Err(Challenge::missing()), "{none:?}");
        }
        assert!(read(&["Bearer a", "Bearer a"]).unwrap_err().invalid);
        assert!(read(&["bEARER  a.b.c "]).is_ok());
    }

    #[test]
    fn a_challenge_is_one_header_line_whatever_the_text() {
        let text = Challenge::invalid("a \"quoted\"\r\n\\ text ä".to_owned()).to_string();
        assert!(text.ends_with("error_description=\"a ?quoted???? text ?\""), "{text}");
        assert_eq!(Challenge::missing().to_string(), "Bearer realm=\"tidegate\"");
    }
}
