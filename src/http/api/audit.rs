//! `/v1/audit/…`: the log entry by entry, for the auditor's tools. What it says is to be believed only with the proof and
//! the log's verifier key.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::value::RawValue;

use super::ApiDoor;
use super::bearer::SignedIn;
use super::body::{Named, NoQuery, number, query};
use super::error::ApiError;
use crate::audit::merkle::leaf_hash;
use crate::http::routes::{ENTRIES, PROOF};
use crate::people::Caller;
use crate::secret::Fingerprint;

/// How many entries an answer has, when the caller does not say.
const USUAL_PAGE: u32 = 100;
/// An entry has 64 KiB at most, and usually one.
const LARGEST_PAGE: u32 = 256;

#[derive(Serialize)]
struct EntryPage {
    /// How long the log is.
    size: u64,
    entries: Vec<EntryView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_from: Option<u64>,
}

#[derive(Serialize)]
struct EntryView {
    index: u64,
    /// RFC 6962 §2.1, of the entry's bytes exactly as they stand in `entry`.
    leaf_hash: Fingerprint,
    entry: Box<RawValue>,
}

#[derive(Serialize)]
struct ProofView {
    #[serde(flatten)]
    entry: EntryView,
    /// A C2SP tlog-proof of the entry against the newest checkpoint, which is within it.
    proof: String,
}

pub(super) fn routes() -> Router<Arc<ApiDoor>> {
    Router::new().route(ENTRIES.path, get(entries)).route(PROOF.path, get(proof))
}

async fn entries(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    RawQuery(text): RawQuery,
) -> Result<Response, ApiError> {
    let mut form = query(text.as_deref(), &["from", "limit"])?;
    let from = number(&mut form, "from", &(0..=u64::MAX))?.unwrap_or(0);
    let limit = number(&mut form, "limit", &(1..=LARGEST_PAGE))?.unwrap_or(USUAL_PAGE);
    door.audits(&caller).await?;
    let size = door.audit.size();
    let rows =
        if from < size { door.audit.entries(from, limit).await.map_err(unreadable)? } else { Vec::new() };
    let next = rows.last().map(|(index, _)| index.saturating_add(1)).filter(|next| *next < size);
    let entries = rows.iter().map(|(index, bytes)| EntryView::of(*index, bytes)).collect::<Result<_, _>>()?;
    Ok(Json(EntryPage { size, entries, next_from: next }).into_response())
}

async fn proof(
    SignedIn(caller): SignedIn,
    State(door): State<Arc<ApiDoor>>,
    Named(index): Named<u64>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    door.audits(&caller).await?;
    let bytes = door.audit.entry(index).await.map_err(unreadable)?.ok_or_else(ApiError::not_found)?;
    let proof = door.audit.tlog_proof(index).await.map_err(unreadable)?;
    Ok(Json(ProofView { entry: EntryView::of(index, &bytes)?, proof }).into_response())
}

impl ApiDoor {
    async fn audits(&self, caller: &Caller) -> Result<(), ApiError> {
        self.breakglass.may_audit(caller).await.map_err(|error| ApiError::of(error, caller.at))
    }
}

impl EntryView {
    fn of(index: u64, bytes: &[u8]) -> Result<Self, ApiError> {
        let entry = serde_json::from_slice(bytes).map_err(unreadable)?;
        Ok(Self { index, leaf_hash: Fingerprint::from_bytes(leaf_hash(bytes)), entry })
    }
}

fn unreadable(cause: impl std::fmt::Display) -> ApiError {
    ApiError::unavailable("the log cannot be read now; try again", cause.to_string())
}
