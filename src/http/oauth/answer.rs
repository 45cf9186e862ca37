//! The good answer (RFC 8693 §2.2.1): the one place where a secret is written to a caller.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::request::AWS_TYPE;
use crate::exchange::{Issued, OpenCredential};
use crate::ids::{RequestId, Scope};
use crate::secret::Fingerprint;

#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<AwsAnswer<'a>>,
    audit: AuditAnswer,
    request_id: RequestId,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AwsAnswer<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
    /// In percent: how near policies and tags are to STS's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_policy_size: Option<i32>,
}

#[derive(Serialize)]
struct AuditAnswer {
    index: u64,
    leaf_hash: Fingerprint,
}

pub(super) fn token_answer(issued: &Issued, request_id: RequestId) -> Response {
    let audit = AuditAnswer { index: issued.receipt.index(), leaf_hash: issued.receipt.leaf_hash() };
    let expires_in = issued.expires_in.seconds();
    let answer = match &issued.credential {
        OpenCredential::Jwt { token, .. } => TokenAnswer {
            access_token: token.expose(),
            issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
            token_type: "Bearer",
            expires_in,
            scope: Some(scope_text(issued)),
            aws: None,
            audit,
            request_id,
        },
        OpenCredential::Aws {
            access_key_id,
            secret_access_key,
            session_token,
            packed_policy_percent,
            expires_at,
            ..
        } => TokenAnswer {
            access_token: session_token.expose(),
            issued_token_type: AWS_TYPE,
            token_type: "N_A",
            expires_in,
            scope: None,
            aws: Some(AwsAnswer {
                access_key_id,
                secret_access_key: secret_access_key.expose(),
                session_token: session_token.expose(),
                expiration: expires_at.floor_second().to_string(),
                packed_policy_size: *packed_policy_percent,
            }),
            audit,
            request_id,
        },
    };
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (headers, axum::Json(answer)).into_response()
}

fn scope_text(issued: &Issued) -> String {
    let names: Vec<&str> = issued.scopes.iter().map(Scope::as_str).collect();
    names.join(" ")
}
