//! `POST /sts`: STS's own dialect, for SDKs and tools that assume a role with a web identity. Knows STS's parameters, errors
//! and XML; refuses to know how a credential is decided or made, and forwards nothing to AWS.

mod answer;
mod caller_identity;
mod dialect;
mod request;
mod xml;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;

use self::answer::{assumed, identified};
use self::dialect::{StsError, error_answer};
use self::request::Call;
use super::desk::Desk;
use super::edge::Peer;
use super::form::{FormLimits, read_bytes};
use super::routes::{STS, STS_SLASH};

/// The door's services and limits.
#[derive(Debug)]
pub struct StsDoor {
    desk: Desk,
    limits: FormLimits,
}

impl StsDoor {
    /// Bodies over `max_body` bytes, or slower than `patience`, are refused.
    pub fn new(desk: Desk, max_body: usize, patience: Duration) -> Self {
        Self { desk, limits: FormLimits { max_body, patience } }
    }

    async fn answer(
        &self,
        peer: &Peer,
        uri: &Uri,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, StsError> {
        if let Some(wait) = self.desk.blocked(peer).await {
            return Err(StsError::Blocked(wait));
        }
        if uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(StsError::Validation("parameters belong in the body, not in the URL".to_owned()));
        }
        let body: Bytes = read_bytes(headers, body, self.limits).await?;
        match Call::read(&body)? {
            Call::AssumeRoleWithWebIdentity(assume) => {
                let outcome = self.desk.exchange(&assume.into_exchange(peer), peer).await;
                assumed(&outcome.map_err(StsError::Exchange)?, peer.request_id)
            }
            Call::GetCallerIdentity => {
                let signed = caller_identity::signed_request(uri, headers, &body);
                let caller = self.desk.caller_identity(signed, peer).await?;
                Ok(identified(&caller, peer.request_id))
            }
        }
    }
}

pub(super) fn routes(door: &Arc<StsDoor>) -> Router {
    Router::new().route(STS.path, post(sts)).route(STS_SLASH.path, post(sts)).with_state(Arc::clone(door))
}

async fn sts(
    State(door): State<Arc<StsDoor>>,
    peer: Peer,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let outcome = door.answer(&peer, &uri, &headers, body).await;
    outcome.unwrap_or_else(|error| error_answer(&error, peer.request_id))
}
