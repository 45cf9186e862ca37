//! `POST /oauth2/introspect` (RFC 7662) and `POST /oauth2/revoke` (RFC 7009): does a token of ours still count, and its end
//! before its time. The caller shows a token of a trusted issuer in the `Authorization` header.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};

use super::abuse::AbuseLimit;
use super::bearer::{Challenge, bearer};
use super::desk::TOO_MANY_FAILURES;
use super::edge::Peer;
use super::form::{Form, FormLimits};
use super::oauth::{OauthError, error_answer};
use super::routes::{INTROSPECT, REVOKE_TOKEN};
use crate::clock::Clock;
use crate::people::{Arrival, SignInError};
use crate::telemetry;
use crate::tokens::{Authenticated, IntrospectError, RevokeError, Tokens};

/// `client_id` comes along with some OAuth libraries and decides nothing, like the hint: we have one kind of token.
const KNOWN: [&str; 3] = ["token", "token_type_hint", "client_id"];

/// The two doors' services and limits.
#[derive(Debug)]
pub struct TokensDoor {
    tokens: Arc<Tokens>,
    abuse: Arc<AbuseLimit>,
    clock: Arc<dyn Clock>,
    limits: FormLimits,
}

impl TokensDoor {
    /// Bodies over `max_body` bytes, or slower than `patience`, are refused.
    pub fn new(
        tokens: Arc<Tokens>,
        abuse: Arc<AbuseLimit>,
        clock: Arc<dyn Clock>,
        max_body: usize,
        patience: Duration,
    ) -> Self {
        Self { tokens, abuse, clock, limits: FormLimits { max_body, patience } }
    }

    /// Who asks, and about which token.
    async fn read(&self, peer: &Peer, headers: &HeaderMap, body: Body) -> Result<Asked, OauthError> {
        if let Some(wait) = self.abuse.blocked(peer.ip).await {
            return Err(OauthError::slow_down(wait, TOO_MANY_FAILURES));
        }
        let arrival = Arrival { request_id: peer.request_id, source_ip: peer.ip, at: self.clock.now() };
        let caller = match bearer(headers) {
            Ok(token) => self.tokens.sign_in(&token, arrival).await,
            Err(challenge) => return Err(OauthError::unauthorized(&challenge)),
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(error) => return Err(self.not_signed_in(error, peer).await),
        };
        let mut form = Form::read(headers, body, &KNOWN, self.limits).await?;
        let missing = || OauthError::invalid_request("parameter `token` is missing".to_owned());
        let token = form.take("token").ok_or_else(missing)?;
        Ok(Asked { caller, token, arrival })
    }

    /// A token that does not verify is anonymous: the address pays for it.
    async fn not_signed_in(&self, error: SignInError, peer: &Peer) -> OauthError {
        match error {
            SignInError::Keys(issuer) => {
                unavailable(peer, &format!("the keys of issuer {issuer} are unknown or too old"))
            }
            refused => {
                telemetry::refused("bearer_token");
                self.abuse.failed(peer.ip).await;
                OauthError::unauthorized(&Challenge::invalid(refused.to_string()))
            }
        }
    }
}

struct Asked {
    caller: Authenticated,
    token: String,
    arrival: Arrival,
}

pub(super) fn routes(door: &Arc<TokensDoor>) -> Router {
    Router::new()
        .route(INTROSPECT.path, post(introspect))
        .route(REVOKE_TOKEN.path, post(revoke))
        .with_state(Arc::clone(door))
}

async fn introspect(
    State(door): State<Arc<TokensDoor>>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = async {
        let Asked { caller, token, arrival } = door.read(&peer, &headers, body).await?;
        let said = door.tokens.introspect(&caller, &token, arrival).await;
        said.map_err(|error @ IntrospectError::Unavailable(_)| unavailable(&peer, &error.to_string()))
    };
    match answer.await {
        Ok(said) => ([(header::CACHE_CONTROL, "no-store")], Json(said)).into_response(),
        Err(error) => error_answer(&error, peer.request_id),
    }
}

/// RFC 7009 §2.2: what is no token of ours is out of use already, which is what the caller wants.
async fn revoke(State(door): State<Arc<TokensDoor>>, peer: Peer, headers: HeaderMap, body: Body) -> Response {
    let answer = async {
        let Asked { caller, token, arrival } = door.read(&peer, &headers, body).await?;
        door.tokens.revoke(&caller, &token, arrival).await.map_err(|error| match error {
            RevokeError::NotYours => OauthError::unauthorized_client(error.to_string()),
            RevokeError::Unavailable(cause) => unavailable(&peer, &cause),
        })
    };
    match answer.await {
        Ok(()) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => error_answer(&error, peer.request_id),
    }
}

fn unavailable(peer: &Peer, cause: &str) -> OauthError {
    tracing::error!(request.id = %peer.request_id, cause, "a token could not be looked up or revoked");
    OauthError::unavailable("the broker cannot tell now; try again")
}
