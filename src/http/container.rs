//! `GET /aws/credentials/{grant}`: the container-credentials door, by which unmodified AWS SDKs ask for credentials again
//! and again. The workload's token is the `Authorization` header.

mod dialect;
mod request;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use self::dialect::{ContainerError, error_answer};
use super::desk::Desk;
use super::edge::Peer;
use super::routes::CONTAINER;
use crate::exchange::{Issued, OpenCredential};

/// The door's services.
#[derive(Debug)]
pub struct ContainerDoor {
    desk: Desk,
}

impl ContainerDoor {
    /// In front of the exchange.
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    async fn answer(
        &self,
        peer: &Peer,
        grant: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Issued, ContainerError> {
        let token = request::token(headers)?;
        if let Some(wait) = self.desk.blocked(peer).await {
            return Err(ContainerError::Blocked(wait));
        }
        let exchange = request::exchange(grant, query, token, peer)?;
        self.desk.exchange(&exchange, peer).await.map_err(ContainerError::Exchange)
    }
}

pub(super) fn routes(door: &Arc<ContainerDoor>) -> Router {
    // A HEAD would make and record a credential that nobody receives.
    let methods = get(credentials).head(|| async { StatusCode::METHOD_NOT_ALLOWED });
    Router::new().route(CONTAINER.path, methods).with_state(Arc::clone(door))
}

async fn credentials(
    State(door): State<Arc<ContainerDoor>>,
    peer: Peer,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // A path that is no text names no grant.
    let grant = path.map_or_else(|_| String::new(), |Path(grant)| grant);
    let outcome = door.answer(&peer, &grant, query.as_deref(), &headers).await;
    outcome
        .and_then(|issued| good_answer(&issued))
        .unwrap_or_else(|error| error_answer(&error, peer.request_id))
}

/// What SDKs read; they tolerate more, and need every one of the first four.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
    role_arn: &'a str,
}

/// One of the places where a secret is written to a caller.
fn good_answer(issued: &Issued) -> Result<Response, ContainerError> {
    let OpenCredential::Aws { access_key_id, secret_access_key, session_token, role_arn, expires_at, .. } =
        &issued.credential
    else {
        return Err(ContainerError::NoAwsCredential);
    };
    let answer = Answer {
        access_key_id,
        secret_access_key: secret_access_key.expose(),
        token: session_token.expose(),
        expiration: expires_at.floor_second().to_string(),
        role_arn,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}
