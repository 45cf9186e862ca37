//! `/openapi.json`: the contract, as a file that a test holds against the route table.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::routes::OPENAPI;

/// The document, in version 3.1 of the format.
pub(super) const DOCUMENT: &str = include_str!("../../docs/openapi.json");

pub(super) fn routes() -> Router {
    Router::new().route(OPENAPI.path, get(openapi))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")], DOCUMENT)
        .into_response()
}
