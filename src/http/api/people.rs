//! `/v1/whoami` and `/v1/grants`: what the caller is to the broker, and what they may ask for.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::ApiDoor;
use super::bearer::SignedIn;
use super::body::NoQuery;
use super::view::spaced;
use crate::breakglass::service::GrantOffer;
use crate::clock::Moment;
use crate::grants::GrantKind;
use crate::http::routes::{GRANTS, WHOAMI};
use crate::ids::{GrantName, IssuerName, Subject};
use crate::people::Caller;
use crate::span::format_duration;

#[derive(Serialize)]
struct Me<'a> {
    issuer: &'a IssuerName,
    subject: &'a Subject,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    groups: &'a BTreeSet<String>,
    /// Does the configuration let people of this issuer approve? Policy still decides each time.
    may_approve: bool,
    token_expires_at: Moment,
}

#[derive(Serialize)]
struct Offers<'a> {
    grants: Vec<Offer<'a>>,
}

#[derive(Serialize)]
struct Offer<'a> {
    name: &'a GrantName,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    break_glass: bool,
    /// By `POST /v1/elevations`; otherwise at the token endpoint, at once.
    may_request: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approvals_needed: Option<u32>,
    max_ttl: String,
}

impl<'a> Offer<'a> {
    fn of(offer: &'a GrantOffer) -> Self {
        let grant = &offer.grant;
        Self {
            name: &grant.name,
            kind: grant.kind_name(),
            scope: match &grant.kind {
                GrantKind::Jwt(jwt) => Some(spaced(&jwt.scopes)),
                GrantKind::Aws(_) => None,
            },
            account: grant.account(),
            break_glass: grant.break_glass.is_some(),
            may_request: offer.may_request,
            max_duration: grant.break_glass.map(|caps| format_duration(caps.max_duration)),
            approvals_needed: offer.approvals_needed,
            max_ttl: format_duration(grant.caps.max.duration()),
        }
    }
}

pub(super) fn routes() -> Router<Arc<ApiDoor>> {
    Router::new().route(WHOAMI.path, get(whoami)).route(GRANTS.path, get(grants))
}

async fn whoami(SignedIn(caller): SignedIn, _: NoQuery) -> Response {
    let Caller { person, may_approve, token, .. } = &caller;
    let me = Me {
        issuer: &person.id.issuer,
        subject: &person.id.subject,
        name: person.name.as_deref(),
        email: person.email.as_deref(),
        groups: &person.groups,
        may_approve: *may_approve,
        token_expires_at: token.expires_at,
    };
    Json(me).into_response()
}

async fn grants(SignedIn(caller): SignedIn, State(door): State<Arc<ApiDoor>>, _: NoQuery) -> Response {
    let offers = door.breakglass.grants(&caller);
    Json(Offers { grants: offers.iter().map(Offer::of).collect() }).into_response()
}
