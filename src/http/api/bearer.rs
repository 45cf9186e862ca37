//! Who is calling: `Authorization: Bearer` (RFC 6750) into a [`Caller`]. A handler that takes [`SignedIn`] cannot be
//! reached without one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

use super::ApiDoor;
use super::error::ApiError;
use crate::http::bearer::{Challenge, bearer};
use crate::http::desk::TOO_MANY_FAILURES;
use crate::http::edge::Peer;
use crate::people::{Arrival, Caller, SignInError};
use crate::telemetry;

/// A person whose token was verified for this request.
pub(super) struct SignedIn(pub(super) Caller);

impl FromRequestParts<Arc<ApiDoor>> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<ApiDoor>) -> Result<Self, ApiError> {
        let peer = Peer::from_request_parts(parts, door)
            .await
            .map_err(|_| ApiError::unavailable("the request has no name", "no request id".to_owned()))?;
        door.sign_in(&peer, &parts.headers).await.map(Self)
    }
}

impl ApiDoor {
    async fn sign_in(&self, peer: &Peer, headers: &HeaderMap) -> Result<Caller, ApiError> {
        if let Some(wait) = self.abuse.blocked(peer.ip).await {
            return Err(ApiError::slow_down(wait, TOO_MANY_FAILURES));
        }
        let token = bearer(headers)?;
        let arrival = Arrival { request_id: peer.request_id, source_ip: peer.ip, at: self.clock.now() };
        let caller = match self.people.sign_in(&token, arrival).await {
            Ok(caller) => caller,
            Err(error) => return Err(self.not_signed_in(error, peer).await),
        };
        if !self.rate.admits(caller.id()) {
            return Err(ApiError::slow_down(Duration::from_secs(1), "too many requests by this person"));
        }
        Ok(caller)
    }

    /// A token that does not verify is anonymous: the address pays for it.
    async fn not_signed_in(&self, error: SignInError, peer: &Peer) -> ApiError {
        let told = error.to_string();
        match error {
            SignInError::Token(_) | SignInError::Claims(_) => {
                telemetry::refused("bearer_token");
                self.abuse.failed(peer.ip).await;
                Challenge::invalid(told).into()
            }
            SignInError::Workload => ApiError::new(StatusCode::FORBIDDEN, "workload_token", told),
            SignInError::Keys(issuer) => {
                let cause = format!("the keys of issuer {issuer} are unknown or too old");
                ApiError::unavailable(
                    "the keys of your identity provider cannot be had now; try again",
                    cause,
                )
            }
        }
    }
}
