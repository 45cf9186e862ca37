//! Errors as SDKs meet them behind `AWS_CONTAINER_CREDENTIALS_FULL_URI`: `{"code","message"}` and a status that decides
//! whether they come again.
//!
//! Go, Java and Rust repeat what is 5xx and nothing else (Go also what its code says is throttling); boto3 asks three times
//! and JS four, whatever the answer is. So a denial is 403, a token that does not hold 401, and only what may pass is 429 or 503.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Serialize;

use crate::exchange::{ExchangeError, Refusal, TargetRefusal};
use crate::http::desk::{CANNOT_ISSUE, TOO_MANY_FAILURES};
use crate::http::edge::Expected;
use crate::http::form::FormError;
use crate::http::parameters::BadParameter;
use crate::ids::RequestId;

/// An answer that holds no credentials.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContainerError {
    /// SDKs that are too old to send the token, and one request of JS v3 after every failure.
    #[error("{NO_TOKEN}")]
    NoToken,
    #[error("the request has two `Authorization` headers")]
    TwoTokens,
    #[error(transparent)]
    Query(#[from] FormError),
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    #[error("{TOO_MANY_FAILURES}")]
    Blocked(Duration),
    #[error(transparent)]
    Exchange(ExchangeError),
    /// The exchange was asked for AWS credentials and gave others: a fault of ours.
    #[error("{CANNOT_ISSUE}")]
    NoAwsCredential,
}

const NO_TOKEN: &str = "this endpoint needs the workload's OIDC token in the `Authorization` header. Set \
                        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE to the token's file, and use an SDK that knows it";

#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    message: &'a str,
    request_id: RequestId,
}

impl ContainerError {
    pub(super) fn unknown_grant() -> Self {
        Self::Exchange(Refusal::Target(TargetRefusal::Unknown).into())
    }

    /// Without a code the text stands alone: SDKs that send no token read no JSON of ours either.
    fn status_and_code(&self) -> (StatusCode, Option<&'static str>) {
        let (status, code) = match self {
            Self::NoToken => return (StatusCode::UNAUTHORIZED, None),
            Self::TwoTokens | Self::Parameter(_) => (StatusCode::BAD_REQUEST, "ValidationError"),
            Self::Query(error) => (error.status(), "ValidationError"),
            Self::Blocked(_) => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
            Self::Exchange(ExchangeError::Refused(refusal)) => of_refusal(refusal),
            Self::Exchange(ExchangeError::Failed(_)) | Self::NoAwsCredential => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
        };
        (status, Some(code))
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Blocked(wait)
            | Self::Exchange(ExchangeError::Refused(Refusal::Throttled(wait) | Refusal::StsBudget(wait))) => {
                Some(*wait)
            }
            Self::Exchange(ExchangeError::Refused(Refusal::PrincipalRate) | ExchangeError::Failed(_))
            | Self::NoAwsCredential => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Of a fault the caller sees only that we are unavailable.
    fn told(&self) -> String {
        match self {
            Self::Exchange(ExchangeError::Failed(_)) => CANNOT_ISSUE.to_owned(),
            other => other.to_string(),
        }
    }
}

fn of_refusal(refusal: &Refusal) -> (StatusCode, &'static str) {
    if refusal.wants_a_new_token() {
        return (StatusCode::UNAUTHORIZED, "ExpiredToken");
    }
    match refusal {
        Refusal::SubjectToken(_)
        | Refusal::ActorToken(_)
        | Refusal::ActorIsPerson
        | Refusal::Claims(_)
        | Refusal::Replayed
        | Refusal::Lifetime(_) => (StatusCode::UNAUTHORIZED, "InvalidIdentityToken"),
        Refusal::Target(_) | Refusal::Scoping { .. } | Refusal::ElevationOver => {
            (StatusCode::FORBIDDEN, "AccessDenied")
        }
        Refusal::ElevationNotApplicable
        | Refusal::ElevationAmbiguous
        | Refusal::Scope
        | Refusal::Narrowing { .. }
        | Refusal::TokenType => (StatusCode::BAD_REQUEST, "ValidationError"),
        Refusal::PrincipalRate | Refusal::Throttled(_) | Refusal::StsBudget(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException")
        }
    }
}

pub(super) fn error_answer(error: &ContainerError, request_id: RequestId) -> Response {
    let (status, code) = error.status_and_code();
    let message = error.told();
    let mut response = match code {
        Some(code) => (status, Json(Body { code, message: &message, request_id })).into_response(),
        None => (status, Extension(Expected), format!("{message}\n")).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidegate\""));
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::samples::{SECRET, every_error};

    #[test]
    fn every_end_of_an_exchange_has_a_status_and_a_code_and_tells_nothing_of_the_operators() {
        let mut lines = String::new();
        for error in every_error() {
            let reason = match &error {
                ExchangeError::Refused(refusal) => refusal.code(),
                ExchangeError::Failed(fault) => fault.code(),
            };
            let error = ContainerError::Exchange(error);
            let (status, code) = error.status_and_code();
            let (status, wait, told) = (status.as_u16(), error.retry_after(), error.told());
            assert!(!told.contains(SECRET), "{told}");
            lines.extend([format!("{reason}: {status} {code:?} {wait:?} {told}\n")]);
        }
        insta::assert_snapshot!(lines);
    }
}
