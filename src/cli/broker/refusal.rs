//! Why there is no credential, in words: the broker's no, or no answer that counts.

use std::fmt::{self, Write as _};
use std::time::Duration;

use anyhow::anyhow;
use serde::Deserialize;

use crate::cli::terminal::cut;

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ExchangeError {
    /// The broker said no. The same request would be refused again.
    #[error(transparent)]
    Refused(#[from] OauthRefusal),
    /// Nobody answered, or not now, or something that is no broker: it may be different in a moment.
    #[error("{why:#}")]
    Away {
        /// In words.
        why: anyhow::Error,
        /// When to come back, if the broker said so.
        retry_after: Option<Duration>,
    },
}

impl From<anyhow::Error> for ExchangeError {
    /// Nothing was heard that could be understood.
    fn from(why: anyhow::Error) -> Self {
        Self::Away { why, retry_after: None }
    }
}

/// RFC 6749 §5.2, and our `request_id`. Prints on lines for a person.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::cli) struct OauthRefusal {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    request_id: String,
}

impl OauthRefusal {
    /// Is it about the subject token, or how it was asked, and not about the grant?
    pub(in crate::cli) fn is_about_the_token(&self) -> bool {
        matches!(self.error.as_str(), "invalid_request" | "invalid_grant")
    }

    /// Code, description and request on one line.
    pub(in crate::cli) fn brief(&self) -> String {
        let mut text = plain(&self.error);
        if !self.error_description.is_empty() {
            text.push_str(": ");
            text.push_str(&plain(&self.error_description));
        }
        if !self.request_id.is_empty() {
            let _ = write!(text, " (request {})", plain(&self.request_id));
        }
        text
    }

    /// RFC 6749 has no code for "later"; these are ours, and pass.
    fn passes(&self) -> bool {
        matches!(self.error.as_str(), "temporarily_unavailable" | "slow_down")
    }
}

impl fmt::Display for OauthRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.brief())?;
        match hint(&self.error) {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OauthRefusal {}

/// What an answer means that is no credential.
pub(super) fn verdict(status: u16, retry_after: Option<Duration>, body: &[u8]) -> ExchangeError {
    let Ok(refusal) = serde_json::from_slice::<OauthRefusal>(body) else {
        // A proxy, an ingress, another program: not the broker's no, whatever its number says.
        let why = anyhow!("the broker answered HTTP {status} without an OAuth error: is this its address?");
        return ExchangeError::Away { why, retry_after };
    };
    if matches!(status, 400 | 401 | 403) && !refusal.passes() {
        return ExchangeError::Refused(refusal);
    }
    ExchangeError::Away { why: anyhow!(refusal.to_string()), retry_after }
}

/// What to do about it.
fn hint(code: &str) -> Option<&'static str> {
    match code {
        "invalid_request" => Some(
            "is the subject token fresh, of an issuer that the broker trusts, and made for its audience?",
        ),
        "invalid_target" => {
            Some("no such grant, or policy does not permit it: the operator finds why by the request's id")
        }
        "invalid_scope" => Some("ask only for scopes of the grant, or leave --scope out"),
        "temporarily_unavailable" => Some("the broker cannot issue now: try again in a few seconds"),
        "slow_down" => Some("too many requests: wait before the next one"),
        _ => None,
    }
}

/// A peer's words cannot drive the terminal.
fn plain(text: &str) -> String {
    cut(text, 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_code_the_request_and_what_to_do() {
        let body = br#"{"error":"invalid_target","error_description":"the grant is not available","request_id":"r-1"}"#;
        insta::assert_snapshot!(verdict(400, None, body).to_string(), @r"
        refused: invalid_target: the grant is not available (request r-1)
          hint: no such grant, or policy does not permit it: the operator finds why by the request's id
        ");
    }

    #[test]
    fn an_answer_that_is_no_oauth_error_is_not_shown() {
        let shown = verdict(502, None, b"<html>\x1b[2J</html>").to_string();
        assert_eq!(shown, "the broker answered HTTP 502 without an OAuth error: is this its address?");
        let shown = verdict(400, None, br#"{"error":"\u001b[2J"}"#).to_string();
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn only_the_brokers_own_no_is_a_no() {
        let is_no = |status, code: &str| {
            let body = format!(r#"{{"error":"{code}"}}"#);
            matches!(verdict(status, None, body.as_bytes()), ExchangeError::Refused(_))
        };
        assert!(is_no(400, "invalid_target") && is_no(400, "invalid_request") && is_no(403, "access_denied"));
        for (status, code) in [(429, "slow_down"), (503, "temporarily_unavailable"), (500, "server_error")] {
            assert!(!is_no(status, code), "{status} {code}");
        }
        // An ingress that refuses in its own words has asked no policy.
        assert!(matches!(verdict(403, None, b"Forbidden"), ExchangeError::Away { .. }));
    }
}
