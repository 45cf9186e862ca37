//! `POST /oauth2/token`: RFC 8693 token exchange and the RFC 7523 JWT bearer grant, in OAuth's own dialect.

mod answer;
mod dialect;
mod request;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use self::answer::token_answer;
pub(super) use self::dialect::{OauthError, error_answer};
use self::request::{GrantType, KNOWN, TokenRequest};
use super::desk::{Desk, TOO_MANY_FAILURES};
use super::edge::Peer;
use super::form::{Form, FormLimits};
use super::routes::TOKEN;
use crate::exchange::Issued;

/// The token endpoint's services and limits.
#[derive(Debug)]
pub struct OauthDoor {
    desk: Desk,
    limits: FormLimits,
}

impl OauthDoor {
    /// Bodies over `max_body` bytes, or slower than `patience`, are refused.
    pub fn new(desk: Desk, max_body: usize, patience: Duration) -> Self {
        Self { desk, limits: FormLimits { max_body, patience } }
    }

    async fn answer(&self, peer: &Peer, headers: &HeaderMap, body: Body) -> Result<Issued, OauthError> {
        if let Some(wait) = self.desk.blocked(peer).await {
            return Err(OauthError::slow_down(wait, TOO_MANY_FAILURES));
        }
        let form = Form::read(headers, body, &KNOWN, self.limits).await?;
        let TokenRequest { grant_type, exchange } = TokenRequest::from_form(form, peer)?;
        let outcome = self.desk.exchange(&exchange, peer).await;
        outcome.map_err(|error| OauthError::of_exchange(&error, grant_type))
    }
}

pub(super) fn routes(door: &Arc<OauthDoor>) -> Router {
    Router::new().route(TOKEN.path, post(token)).with_state(Arc::clone(door))
}

async fn token(State(door): State<Arc<OauthDoor>>, peer: Peer, headers: HeaderMap, body: Body) -> Response {
    match door.answer(&peer, &headers, body).await {
        Ok(issued) => token_answer(&issued, peer.request_id),
        Err(error) => error_answer(&error, peer.request_id),
    }
}

impl GrantType {
    /// An assertion that does not hold is `invalid_grant` in RFC 7523 §3.1, `invalid_request` in RFC 8693 §2.2.2.
    const fn bad_token_code(self) -> &'static str {
        match self {
            Self::TokenExchange => "invalid_request",
            Self::JwtBearer => "invalid_grant",
        }
    }
}
