//! What people decide about an elevation: approve, deny, withdraw, end, revoke.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;

use super::ApiDoor;
use super::bearer::SignedIn;
use super::body::{Named, Post};
use super::elevations::changed;
use super::error::ApiError;
use super::values::{Scopes, Span};
use crate::breakglass::Narrowing;
use crate::breakglass::service::Approve;
use crate::http::routes::{APPROVE, DENY, END, REVOKE, WITHDRAW};
use crate::ids::ElevationId;

/// An approver's yes; both limits only narrow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Yes {
    comment: Option<String>,
    duration: Option<Span>,
    scope: Option<Scopes>,
}

/// A decision that must be explained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

/// A decision about one's own request needs no words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(super) fn routes() -> Router<Arc<ApiDoor>> {
    Router::new()
        .route(APPROVE.path, post(approve))
        .route(DENY.path, post(deny))
        .route(WITHDRAW.path, post(withdraw))
        .route(END.path, post(end))
        .route(REVOKE.path, post(revoke))
}

async fn approve(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(id): Named<ElevationId>,
    post: Post<Yes>,
) -> Result<Response, ApiError> {
    let Yes { comment, duration, scope } = &post.body;
    let scope = scope.as_ref().map(|scopes| scopes.0.clone());
    let narrowing = Narrowing { duration: duration.map(|span| span.0), scope };
    let yes = Approve { comment: comment.clone(), narrowing };
    let outcome = door.breakglass.approve(&caller, id, yes, post.keyed("approve")).await;
    changed(outcome, caller.at)
}

async fn deny(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(id): Named<ElevationId>,
    post: Post<Reason>,
) -> Result<Response, ApiError> {
    let reason = post.body.reason.clone();
    let outcome = door.breakglass.deny(&caller, id, reason, post.keyed("deny")).await;
    changed(outcome, caller.at)
}

async fn withdraw(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(id): Named<ElevationId>,
    post: Post<Nothing>,
) -> Result<Response, ApiError> {
    let outcome = door.breakglass.withdraw(&caller, id, post.keyed("withdraw")).await;
    changed(outcome, caller.at)
}

async fn end(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(id): Named<ElevationId>,
    post: Post<Nothing>,
) -> Result<Response, ApiError> {
    let outcome = door.breakglass.end(&caller, id, post.keyed("end")).await;
    changed(outcome, caller.at)
}

async fn revoke(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(id): Named<ElevationId>,
    post: Post<Reason>,
) -> Result<Response, ApiError> {
    let reason = post.body.reason.clone();
    let outcome = door.breakglass.revoke(&caller, id, reason, post.keyed("revoke")).await;
    changed(outcome, caller.at)
}
