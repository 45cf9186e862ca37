//! The ops listener: is the process up, can it issue, what does it measure; and the one thing an operator asks of a
//! running broker, to rotate its keys.

mod operator;
mod readiness;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;

pub use self::operator::{OperatorKey, Operators};
pub use self::readiness::Readiness;
use super::edge::Peer;
use super::problem::problem;
use super::routes::{HEALTHZ, KEYS, METRICS, READYZ, ROTATE, ROTATE_KEK};
use crate::clock::Clock;
use crate::keys::{KekRotationError, KeyService};

/// The ops door.
pub struct OpsDoor {
    readiness: Readiness,
    metrics: PrometheusHandle,
    keys: Arc<KeyService>,
    operators: Operators,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for OpsDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpsDoor")
    }
}

impl OpsDoor {
    /// Over these services.
    pub fn new(
        readiness: Readiness,
        metrics: PrometheusHandle,
        keys: Arc<KeyService>,
        operators: Operators,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { readiness, metrics, keys, operators, clock }
    }
}

pub(super) fn routes(door: &Arc<OpsDoor>) -> Router {
    Router::new()
        .route(HEALTHZ.path, get(healthz))
        .route(READYZ.path, get(readyz))
        .route(METRICS.path, get(metrics))
        .route(KEYS.path, get(list))
        .route(ROTATE.path, post(rotate))
        .route(ROTATE_KEK.path, post(rotate_kek))
        .with_state(Arc::clone(door))
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(door): State<Arc<OpsDoor>>) -> Response {
    let report = door.readiness.report(door.clock.now()).await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report)).into_response()
}

async fn metrics(State(door): State<Arc<OpsDoor>>) -> Response {
    door.readiness.measure(door.clock.now());
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, door.metrics.render()).into_response()
}

async fn list(State(door): State<Arc<OpsDoor>>, peer: Peer, headers: HeaderMap) -> Response {
    let at = door.clock.now();
    if door.operators.signed_with(&headers, KEYS, at).is_none() {
        return unsigned(&peer);
    }
    match door.keys.list(at).await {
        Ok(keys) => Json(keys).into_response(),
        Err(error) => failed(&peer, &error.to_string(), "the keys cannot be read now"),
    }
}

async fn rotate(State(door): State<Arc<OpsDoor>>, peer: Peer, headers: HeaderMap) -> Response {
    let at = door.clock.now();
    if door.operators.signed_with(&headers, ROTATE, at).is_none() {
        return unsigned(&peer);
    }
    match door.keys.rotate_now(at).await {
        Ok(rotation) => Json(rotation).into_response(),
        Err(error) => failed(&peer, &error.to_string(), "the keys were not rotated"),
    }
}

async fn rotate_kek(State(door): State<Arc<OpsDoor>>, peer: Peer, headers: HeaderMap) -> Response {
    let at = door.clock.now();
    let Some(signed) = door.operators.signed_with(&headers, ROTATE_KEK, at) else { return unsigned(&peer) };
    let keys = Arc::clone(&door.keys);
    // A task of its own: AWS KMS may take longer than the caller or the request's deadline waits.
    let done = tokio::spawn(async move { keys.rotate_kek(signed, at).await }).await;
    match done {
        Ok(Ok(rotation)) => Json(rotation).into_response(),
        Ok(Err(error)) => {
            let status = match error {
                KekRotationError::NotInForce { .. } | KekRotationError::Restless => StatusCode::CONFLICT,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            let told = format!("the key-encryption key was not changed: {error}");
            tracing::error!(request.id = %peer.request_id, cause = %error, "the key-encryption key was not changed");
            // Whole: whoever asks holds the key-encryption key, and the text says what to mend.
            problem(status, Some(&told), peer.request_id)
        }
        Err(error) => failed(&peer, &error.to_string(), "the key-encryption key was not changed"),
    }
}

fn unsigned(peer: &Peer) -> Response {
    let hint = "the request must be signed with the key-encryption key; use `tidegate keys`";
    problem(StatusCode::UNAUTHORIZED, Some(hint), peer.request_id)
}

fn failed(peer: &Peer, cause: &str, told: &str) -> Response {
    tracing::error!(request.id = %peer.request_id, cause, "{told}");
    problem(StatusCode::SERVICE_UNAVAILABLE, Some(told), peer.request_id)
}
