//! `/log/…`: the audit log in the C2SP tlog-tiles layout, for anyone who wants to check us. Anyone: so what is read for
//! them at once, and what is in memory for them, has bounds of its own.

mod turns;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::turns::Turns;
use super::edge::{Peer, busy};
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
    turns: Turns,
}

impl LogDoor {
    /// Serves `audit`.
    pub fn new(audit: AuditLog) -> Self {
        Self { audit, turns: Turns::default() }
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
    let Some(_turn) = door.turns.take().await else { return crowded(&peer) };
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
    let Some(_turn) = door.turns.take().await else { return crowded(&peer) };
    match door.audit.tile(&path).await {
        Ok(Some(bytes)) => door.turns.hold(&bytes).map_or_else(|| crowded(&peer), serve),
        Ok(None) => problem(StatusCode::NOT_FOUND, Some("the log has no such tile yet"), peer.request_id),
        Err(error) => {
            tracing::error!(request.id = %peer.request_id, cause = %error, "a tile could not be read");
            problem(StatusCode::SERVICE_UNAVAILABLE, None, peer.request_id)
        }
    }
}

fn crowded(peer: &Peer) -> Response {
    busy(peer.request_id, "too many read the log at once; try again in a second")
}

fn serve(bytes: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, FOREVER)];
    (headers, bytes).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::audit::tests::Bench;
    use crate::audit::{Event, Submission};
    use crate::clock::Clock as _;
    use crate::entropy::SystemEntropy;
    use crate::http::edge::{Edge, EdgeSettings, wrap};
    use crate::ids::RequestId;

    struct House {
        bench: Bench,
        audit: AuditLog,
        door: Arc<LogDoor>,
    }

    impl House {
        async fn new() -> Self {
            let bench = Bench::new();
            let audit = bench.log().await;
            let door = Arc::new(LogDoor::new(audit.clone()));
            Self { bench, audit, door }
        }

        async fn get(&self, path: &str) -> Response {
            let deadline = Duration::from_secs(5);
            let settings = EdgeSettings { concurrency: 8, deadline, trusted_proxies: Vec::new() };
            let (clock, entropy) = (Arc::clone(&self.bench.clock), Arc::new(SystemEntropy::new()));
            let edge = Arc::new(Edge::new(settings, clock, entropy));
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            wrap(routes(&self.door), &edge).oneshot(request).await.unwrap()
        }

        async fn is_turned_away(&self, path: &str) -> bool {
            let answer = self.get(path).await;
            answer.status() == StatusCode::SERVICE_UNAVAILABLE
                && answer.headers().contains_key(header::RETRY_AFTER)
        }
    }

    #[tokio::test]
    async fn strangers_over_the_limit_of_the_log_are_turned_away() {
        let house = House::new().await;
        let crowd = house.door.turns.crowd();
        for path in ["/log/checkpoint", "/log/tile/0/000.p/1"] {
            assert!(house.is_turned_away(path).await, "{path}");
        }
        drop(crowd);
        assert_eq!(house.get("/log/checkpoint").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_bundle_for_which_there_is_no_room_is_not_served() {
        let house = House::new().await;
        let request_id = RequestId::new(house.bench.clock.now(), &SystemEntropy::new()).unwrap();
        let event = Event::BrokerStopped { reason: "an entry".to_owned() };
        house.audit.record(Submission::new(request_id, event)).await.unwrap();
        let path = "/log/tile/entries/000.p/1";
        let full = house.door.turns.fill();
        assert!(house.is_turned_away(path).await);
        drop(full);
        let untaken = house.get(path).await;
        assert_eq!(untaken.status(), StatusCode::OK);
        assert!(house.door.turns.is_in_use(), "as long as it is on its way");
        drop(untaken);
        assert!(!house.door.turns.is_in_use());
    }
}
