//! What did not happen, as problem+json (RFC 9457) with a stable `code`.

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::view::ElevationView;
use crate::breakglass::service::BreakGlassError;
use crate::clock::Moment;
use crate::http::bearer::Challenge;
use crate::http::edge::Peer;
use crate::http::form::FormError;
use crate::ids::RequestId;
use crate::locks::service::LockError;

/// The only text for what is not there and for what the caller may not see: who guesses ids learns nothing.
const NOT_FOUND: &str = "there is nothing of that name that you may see";

/// A refusal or a failure. [`render`] makes the answer of it.
#[derive(Clone, Debug)]
pub(super) struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    told: String,
    /// How things stand, for a change that came too late.
    current: Option<Box<RawValue>>,
    retry_after: Option<Duration>,
    /// RFC 6750 §3
    challenge: Option<String>,
    /// For our log alone.
    cause: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, told: impl Into<String>) -> Self {
        let told = told.into();
        let (current, retry_after, challenge, cause) = (None, None, None, None);
        Self(Box::new(Inner { status, code, told, current, retry_after, challenge, cause }))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(&mut self.0);
        self
    }

    pub(super) fn bad_request(code: &'static str, told: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, told)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", NOT_FOUND)
    }

    pub(super) fn slow_down(wait: Duration, told: &str) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", told);
        error.with(|told| told.retry_after = Some(wait))
    }

    fn key_reused() -> Self {
        let told = "this `Idempotency-Key` came with another request before; take a new one";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", told)
    }

    /// Ours to mend. `cause` is logged and never told.
    pub(super) fn unavailable(told: &str, cause: String) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", told);
        error.with(|told| (told.retry_after, told.cause) = (Some(Duration::from_secs(1)), Some(cause)))
    }

    /// What the service said. `at` is when the request was made: a state is read with the time in it.
    pub(super) fn of(error: BreakGlassError, at: Moment) -> Self {
        match error {
            BreakGlassError::NotFound => Self::not_found(),
            BreakGlassError::Forbidden { code, told } => Self::new(StatusCode::FORBIDDEN, code, told),
            BreakGlassError::Invalid { code, told } => Self::bad_request(code, told),
            BreakGlassError::Conflict { code, told, current } => {
                let current = serde_json::value::to_raw_value(&ElevationView::of(&current, at)).ok();
                Self::new(StatusCode::CONFLICT, code, told).with(|told| told.current = current)
            }
            BreakGlassError::TooMany { code, told } => Self::new(StatusCode::TOO_MANY_REQUESTS, code, told),
            BreakGlassError::KeyReused => Self::key_reused(),
            BreakGlassError::Unavailable(cause) => {
                Self::unavailable("the broker cannot do that now; nothing was changed; try again", cause)
            }
        }
    }
}

/// Nobody has signed in.
impl From<Challenge> for ApiError {
    fn from(challenge: Challenge) -> Self {
        let code = if challenge == Challenge::missing() { "missing_token" } else { "invalid_token" };
        let header = challenge.to_string();
        let error = Self::new(StatusCode::UNAUTHORIZED, code, challenge.told);
        error.with(|told| told.challenge = Some(header))
    }
}

impl From<LockError> for ApiError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::NotFound => Self::not_found(),
            LockError::Forbidden { code, told } => Self::new(StatusCode::FORBIDDEN, code, told),
            LockError::Invalid { code, told } => Self::bad_request(code, told),
            LockError::TooMany { code, told } => Self::new(StatusCode::TOO_MANY_REQUESTS, code, told),
            LockError::KeyReused => Self::key_reused(),
            LockError::Over => Self::new(StatusCode::CONFLICT, "lock_is_over", error.to_string()),
            LockError::Unavailable(cause) => Self::of(BreakGlassError::Unavailable(cause), Moment::EPOCH),
        }
    }
}

/// A query string is read like a form.
impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        Self::bad_request("invalid_request", error.to_string())
    }
}

/// Knows no request id yet: it travels in the response's extensions until [`render`] finds it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<&'a RawValue>,
}

/// Writes the body of every refusal below it, and forbids to keep any answer.
pub(super) async fn render(peer: Peer, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = answer(&error.0, peer.request_id);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn answer(error: &Inner, request_id: RequestId) -> Response {
    if let Some(cause) = &error.cause {
        tracing::error!(request.id = %request_id, cause, "{}", error.told);
    }
    let body = Problem {
        r#type: "about:blank",
        title: error.status.canonical_reason().unwrap_or("Error"),
        status: error.status.as_u16(),
        detail: &error.told,
        code: error.code,
        request_id,
        current: error.current.as_deref(),
    };
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut response = (error.status, headers, Json(body)).into_response();
    if let Some(wait) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if let Some(challenge) = error.challenge.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
