//! `/log/…`: the audit log in the C2SP tlog-tiles layout, for anyone who wants to check us.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::edge::Peer;
use super::problem::problem;
use super::routes::{CHECKPOINT, LOG_KEY, TILE};
use crate::audit::AuditLog;
use crate::audit::tile::TilePath;

/// Tiles never change once they are served.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The log door.
#[derive(Debug)]
pub struct LogDoor {
    audit: AuditLog,
}

impl LogDoor {
    /// Serves `audit`.
    pub fn new(audit: AuditLog) -> Self {
        Self { audit }
    }
}

pub(super) fn routes(door: &Arc<LogDoor>) -> Router {
    Router::new()
        .route(CHECKPOINT.path, get(checkpoint))
        .route(LOG_KEY.path, get(key))
        .route(TILE.path, get(tile))
        .with_state(Arc::clone(door))
}

async fn checkpoint(State(door): State<Arc<LogDoor>>, peer: Peer) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    match door.audit.checkpoint().await {
        Ok(note) => (headers, note).into_response(),
        // The cause is in the operator's log.
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, None, peer.request_id),
    }
}

/// The verifier key, for convenience. An auditor takes it from the operator, once, and not from here each time.
async fn key(State(door): State<Arc<LogDoor>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, format!("{}\n", door.audit.verifier_key())).into_response()
}

async fn tile(State(door): State<Arc<LogDoor>>, peer: Peer, Path(path): Path<String>) -> Response {
    let Ok(path) = format!("tile/{path}").parse::<TilePath>() else {
        let hint = "this is not a tile path: tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]";
        return problem(StatusCode::NOT_FOUND, Some(hint), peer.request_id);
    };
    match door.audit.tile(&path).await {
        Ok(Some(bytes)) => serve(bytes),
        Ok(None) => problem(StatusCode::NOT_FOUND, Some("the log has no such tile yet"), peer.request_id),
        Err(error) => {
            tracing::error!(request.id = %peer.request_id, cause = %error, "a tile could not be read");
            problem(StatusCode::SERVICE_UNAVAILABLE, None, peer.request_id)
        }
    }
}

fn serve(bytes: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, FOREVER)];
    (headers, bytes).into_response()
}
