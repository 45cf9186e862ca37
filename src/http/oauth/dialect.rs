//! Errors in OAuth's dialect (RFC 6749 §5.2, RFC 8693 §2.2.2): what a refusal and a fault look like from outside.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::request::GrantType;
use crate::exchange::{ExchangeError, Refusal};
use crate::http::bearer::Challenge;
use crate::http::desk::CANNOT_ISSUE;
use crate::http::form::FormError;
use crate::http::parameters::BadParameter;
use crate::ids::RequestId;

/// An answer that is no token.
#[derive(Debug)]
pub(in crate::http) struct OauthError {
    status: StatusCode,
    code: &'static str,
    description: String,
    retry_after: Option<Duration>,
    /// `WWW-Authenticate`, for the doors whose callers sign in.
    challenge: Option<String>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    error_description: &'a str,
    request_id: RequestId,
}

impl OauthError {
    fn new(status: StatusCode, code: &'static str, description: String) -> Self {
        Self { status, code, description, retry_after: None, challenge: None }
    }

    fn bad_request(code: &'static str, description: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, description)
    }

    /// RFC 6750 §3
    pub(in crate::http) fn unauthorized(challenge: &Challenge) -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "invalid_client", challenge.told.clone());
        Self { challenge: Some(challenge.to_string()), ..error }
    }

    /// RFC 7009 §2.1: the token was issued to another.
    pub(in crate::http) fn unauthorized_client(description: String) -> Self {
        Self::bad_request("unauthorized_client", description)
    }

    /// Ours to mend.
    pub(in crate::http) fn unavailable(description: &str) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let error = Self::new(status, "temporarily_unavailable", description.to_owned());
        Self { retry_after: Some(Duration::from_secs(1)), ..error }
    }

    pub(in crate::http) fn invalid_request(description: String) -> Self {
        Self::bad_request("invalid_request", description)
    }

    pub(super) fn unsupported_grant_type() -> Self {
        let text = "grant_type must be urn:ietf:params:oauth:grant-type:token-exchange or \
                    urn:ietf:params:oauth:grant-type:jwt-bearer";
        Self::bad_request("unsupported_grant_type", text.to_owned())
    }

    pub(super) fn invalid_scope() -> Self {
        Self::bad_request("invalid_scope", Refusal::Scope.to_string())
    }

    pub(super) fn unknown_target() -> Self {
        let refusal = Refusal::Target(crate::exchange::TargetRefusal::Unknown);
        Self::bad_request("invalid_target", refusal.to_string())
    }

    pub(in crate::http) fn slow_down(wait: Duration, description: &str) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", description.to_owned());
        Self { retry_after: Some(wait), ..error }
    }

    /// Of a fault the caller sees only that we are unavailable.
    pub(super) fn of_exchange(error: &ExchangeError, grant_type: GrantType) -> Self {
        match error {
            ExchangeError::Refused(refusal) => Self::of_refusal(refusal, grant_type),
            ExchangeError::Failed(_) => Self::unavailable(CANNOT_ISSUE),
        }
    }

    fn of_refusal(refusal: &Refusal, grant_type: GrantType) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::SubjectToken(_) | Refusal::Claims(_) | Refusal::Replayed => {
                Self::bad_request(grant_type.bad_token_code(), text)
            }
            Refusal::ActorToken(_)
            | Refusal::ActorIsPerson
            | Refusal::TokenType
            | Refusal::Lifetime(_)
            | Refusal::Narrowing { .. }
            | Refusal::ElevationNotApplicable
            | Refusal::ElevationAmbiguous => Self::invalid_request(text),
            Refusal::Target(_) | Refusal::Scoping { .. } | Refusal::ElevationOver => {
                Self::bad_request("invalid_target", text)
            }
            Refusal::Scope => Self::invalid_scope(),
            Refusal::PrincipalRate => Self::slow_down(Duration::from_secs(1), &text),
            Refusal::Throttled(wait) | Refusal::StsBudget(wait) => Self::slow_down(*wait, &text),
        }
    }
}

impl From<FormError> for OauthError {
    fn from(error: FormError) -> Self {
        Self::new(error.status(), "invalid_request", error.to_string())
    }
}

impl From<BadParameter> for OauthError {
    fn from(error: BadParameter) -> Self {
        Self::invalid_request(error.to_string())
    }
}

pub(in crate::http) fn error_answer(error: &OauthError, request_id: RequestId) -> Response {
    let description = printable(&error.description);
    let body = ErrorBody { error: error.code, error_description: &description, request_id };
    let mut response = (error.status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response();
    if let Some(wait) = error.retry_after {
        let seconds = wait.as_secs().max(1);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(challenge) = error.challenge.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// RFC 6749 §5.2 allows `%x20-21 / %x23-5B / %x5D-7E` in `error_description`.
fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' ' | '!' | '#'..='[' | ']'..='~') { c } else { '?' }).collect()
}
