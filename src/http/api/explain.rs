//! `/v1/explain`: why a request would be permitted, or not. The body is read here; who may ask, and what is answered, is
//! for the use case.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};

use super::ApiDoor;
use super::bearer::SignedIn;
use super::body::Post;
use super::error::ApiError;
use crate::clock::Moment;
use crate::explain::{Described, ExplainError};
use crate::http::routes::EXPLAIN;

pub(super) fn routes() -> Router<Arc<ApiDoor>> {
    Router::new().route(EXPLAIN.path, post(explain))
}

async fn explain(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    post: Post<Described>,
) -> Result<Response, ApiError> {
    let answer = door.explainer.explain(&caller, post.body).await;
    Ok(Json(answer.map_err(|error| refused(error, caller.at))?).into_response())
}

fn refused(error: ExplainError, at: Moment) -> ApiError {
    match error {
        ExplainError::Asking(error) => ApiError::of(error, at),
        ExplainError::Question(told) => ApiError::bad_request("question", told),
        ExplainError::Token(told) => {
            ApiError::bad_request("subject_token", format!("the token was not accepted: {told}"))
        }
        ExplainError::Unavailable(cause) => {
            ApiError::unavailable("this cannot be explained now; try again", cause)
        }
    }
}
