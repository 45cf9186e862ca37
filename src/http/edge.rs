//! What every request meets first and last: an id, a place under the concurrency limit, a deadline, a net under
//! panics, a line in the log and a count.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum_server::tls::TlsInfo;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::problem::problem;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::ids::RequestId;
use crate::network::Network;
use crate::secret::Fingerprint;

/// What others verify our tokens with: from memory, in microseconds.
const METADATA: &str = "/.well-known/";
/// Places of its own for that. AWS fetches our keys before it answers a call of ours (`web_identity`): if every place were
/// taken by a request that waits for AWS, none of them would ever be answered.
const METADATA_SLOTS: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Limits that hold for every route.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// Requests that are worked on at once; more get 503.
    pub concurrency: usize,
    /// From the first byte of the request until its answer is made. Who does not take the answer is cut off by the listener
    /// (`server/patient.rs`).
    pub deadline: Duration,
    /// Whose `X-Forwarded-For` is believed. Nobody's when empty.
    pub trusted_proxies: Vec<Network>,
}

/// The edge of one listener.
pub struct Edge {
    settings: EdgeSettings,
    slots: Semaphore,
    metadata_slots: Semaphore,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Edge {
    /// With these limits.
    pub fn new(settings: EdgeSettings, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let slots = Semaphore::new(settings.concurrency);
        Self { settings, slots, metadata_slots: Semaphore::new(METADATA_SLOTS), clock, entropy }
    }
}

/// Where a request came from.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) request_id: RequestId,
    pub(super) ip: Option<IpAddr>,
    /// `x5t#S256` (RFC 8705 §3.1): base64url of the SHA-256 of the certificate.
    pub(super) client_cert: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(request_id) = parts.extensions.get::<RequestId>().copied() else {
            return Err(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        };
        let ip = parts.extensions.get::<SourceIp>().map(|source| source.0);
        Ok(Self { request_id, ip, client_cert: client_cert(parts) })
    }
}

/// On an answer to what clients do of themselves: no line in the log at its usual level, only a count.
#[derive(Clone, Copy)]
pub(super) struct Expected;

/// The caller's address, behind the proxies that the operator trusts.
#[derive(Clone, Copy)]
struct SourceIp(IpAddr);

/// The right-most address of `X-Forwarded-For` that is no trusted proxy: everything left of it was written by
/// whoever sits there, and may be invented.
fn source_ip(request: &Request, trusted: &[Network]) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
    let is_proxy = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_proxy(peer) {
        return Some(peer);
    }
    let lines = request.headers().get_all("x-forwarded-for").into_iter().collect::<Vec<_>>();
    let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        match hop.trim().parse::<IpAddr>() {
            Ok(address) if is_proxy(address.to_canonical()) => {}
            Ok(address) => return Some(address.to_canonical()),
            Err(_) => return Some(peer),
        }
    }
    Some(peer)
}

fn client_cert(parts: &Parts) -> Option<String> {
    let tls = parts.extensions.get::<Arc<TlsInfo>>()?;
    let der = tls.peer_certificates.first()?;
    Some(URL_SAFE_NO_PAD.encode(Fingerprint::of(der).as_bytes()))
}

/// Puts the edge in front of `router`.
pub(super) fn wrap(router: Router, edge: &Arc<Edge>) -> Router {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(edge), guard))
}

async fn not_found(peer: Peer) -> Response {
    problem(StatusCode::NOT_FOUND, Some("there is nothing at this path; see /openapi.json"), peer.request_id)
}

async fn wrong_method(peer: Peer) -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, None, peer.request_id)
}

async fn guard(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let Ok(request_id) = RequestId::new(edge.clock.now(), edge.entropy.as_ref()) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let started = edge.clock.uptime();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(request_id);
    if let Some(ip) = source_ip(&request, &edge.settings.trusted_proxies) {
        request.extensions_mut().insert(SourceIp(ip));
    }
    let mut response = edge.run(request_id, request, next).await;
    finish(&mut response, request_id);
    account(route.as_ref(), &response, request_id, edge.clock.uptime().saturating_sub(started));
    response
}

impl Edge {
    async fn run(&self, request_id: RequestId, request: Request<Body>, next: Next) -> Response {
        let is_metadata = request.uri().path().starts_with(METADATA);
        let slots = if is_metadata { &self.metadata_slots } else { &self.slots };
        let Ok(_slot) = slots.try_acquire() else {
            return busy(request_id, "too many requests at once; try again in a second");
        };
        let work = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(self.settings.deadline, work).await {
            Ok(Ok(response)) => response,
            Ok(Err(_panic)) => {
                // The payload may quote anything: it is not logged. The panic hook logs the place.
                tracing::error!(request.id = %request_id, "a handler panicked; nothing was answered from it");
                problem(StatusCode::INTERNAL_SERVER_ERROR, None, request_id)
            }
            Err(_elapsed) => busy(request_id, "the request took too long"),
        }
    }
}

pub(super) fn busy(request_id: RequestId, detail: &str) -> Response {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, Some(detail), request_id);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn finish(response: &mut Response, request_id: RequestId) {
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Successes are logged at debug: the audit log has them. The route is the pattern, never the path of the caller.
fn account(route: Option<&MatchedPath>, response: &Response, request_id: RequestId, took: Duration) {
    let status = response.status();
    let route = route.map_or("none", MatchedPath::as_str);
    metrics::counter!(
        "tidegate_http_requests_total",
        "route" => route.to_owned(),
        "status" => status.as_u16().to_string()
    )
    .increment(1);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (status_code, request_id) = (status.as_u16(), tracing::field::display(request_id));
    if status.is_server_error() {
        tracing::error!(
            request.id = request_id,
            http.route = route,
            http.status = status_code,
            took_us = micros,
            "answered"
        );
    } else if status.is_client_error() && response.extensions().get::<Expected>().is_none() {
        tracing::info!(
            request.id = request_id,
            http.route = route,
            http.status = status_code,
            took_us = micros,
            "answered"
        );
    } else {
        tracing::debug!(
            request.id = request_id,
            http.route = route,
            http.status = status_code,
            took_us = micros,
            "answered"
        );
    }
}

#[cfg(test)]
mod tests;
