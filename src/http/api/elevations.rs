//! `/v1/elevations`: ask, list, show.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::ApiDoor;
use super::bearer::SignedIn;
use super::body::{Named, NoQuery, Post, number, query};
use super::error::ApiError;
use super::values::{Scopes, Span, Time};
use super::view::ElevationView;
use crate::breakglass::StateName;
use crate::breakglass::service::{BreakGlassError, List, NewRequest, Outcome};
use crate::clock::Moment;
use crate::http::form::Form;
use crate::http::routes::{ELEVATION, ELEVATIONS};
use crate::ids::{ElevationId, GrantName};

/// How many elevations a page has, when the caller does not say.
const USUAL_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    grant: GrantName,
    duration: Span,
    reason: String,
    ticket: Option<String>,
    not_before: Option<Time>,
    scope: Option<Scopes>,
}

#[derive(Serialize)]
struct PageView<'a> {
    elevations: Vec<ElevationView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(super) fn routes() -> Router<Arc<ApiDoor>> {
    Router::new().route(ELEVATIONS.path, post(request).get(list)).route(ELEVATION.path, get(show))
}

async fn request(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    post: Post<Wanted>,
) -> Result<Response, ApiError> {
    let wanted = &post.body;
    let new = NewRequest {
        grant: wanted.grant.clone(),
        duration: wanted.duration.0,
        reason: wanted.reason.clone(),
        ticket: wanted.ticket.clone(),
        not_before: wanted.not_before.map(|at| at.0),
        scope: wanted.scope.as_ref().map(|scopes| scopes.0.clone()),
    };
    let outcome = door.breakglass.request(&caller, new, post.keyed("request")).await;
    let outcome = outcome.map_err(|error| ApiError::of(error, caller.at))?;
    let place = format!("{}/{}", ELEVATIONS.path, outcome.elevation.id);
    let view = Json(ElevationView::of(&outcome.elevation, caller.at));
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], view).into_response())
}

async fn show(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(id): Named<ElevationId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let elevation = door.breakglass.show(&caller, id).await;
    let elevation = elevation.map_err(|error| ApiError::of(error, caller.at))?;
    Ok(Json(ElevationView::of(&elevation, caller.at)).into_response())
}

async fn list(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    let wanted = wanted_list(&mut query(text.as_deref(), &["state", "grant", "limit", "cursor"])?)?;
    let page = door.breakglass.list(&caller, wanted).await;
    let page = page.map_err(|error| ApiError::of(error, caller.at))?;
    let elevations =
        page.elevations.iter().map(|elevation| ElevationView::of(elevation, caller.at)).collect();
    Ok(Json(PageView { elevations, next_cursor: page.next.map(cursor_of) }).into_response())
}

fn wanted_list(form: &mut Form) -> Result<List, ApiError> {
    let states = form.take("state").map_or(Ok(BTreeSet::new()), |text| states(&text))?;
    let grant = form.take("grant").map(|text| GrantName::new(&text)).transpose();
    let grant = grant
        .map_err(|error| ApiError::bad_request("invalid_request", format!("parameter `grant`: {error}")))?;
    let before = form.take("cursor").map(|text| read_cursor(&text)).transpose()?;
    let limit = number(form, "limit", &(1..=LARGEST_PAGE))?.unwrap_or(USUAL_PAGE);
    Ok(List { states, grant, limit, before })
}

fn states(text: &str) -> Result<BTreeSet<StateName>, ApiError> {
    text.split(',').map(StateName::parse).collect::<Option<_>>().ok_or_else(|| {
        let known = StateName::ALL.map(StateName::as_str).join(", ");
        ApiError::bad_request(
            "invalid_request",
            format!("parameter `state` must be some of {known}, with commas between"),
        )
    })
}

/// Opaque, so that nobody builds on what is in it.
fn cursor_of(id: ElevationId) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

fn read_cursor(text: &str) -> Result<ElevationId, ApiError> {
    let id = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
    id.ok_or_else(|| {
        ApiError::bad_request("invalid_cursor", "parameter `cursor` is not what `next_cursor` was")
    })
}

/// A change of what is there: 200, or 202 while it holds in memory only.
pub(super) fn changed(outcome: Result<Outcome, BreakGlassError>, at: Moment) -> Result<Response, ApiError> {
    let outcome = outcome.map_err(|error| ApiError::of(error, at))?;
    let status = if outcome.recorded { StatusCode::OK } else { StatusCode::ACCEPTED };
    let view = ElevationView::of(&outcome.elevation, at).recorded(outcome.recorded);
    Ok((status, Json(view)).into_response())
}
