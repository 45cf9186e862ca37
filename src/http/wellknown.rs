//! Discovery documents and our key set (OIDC Discovery §3, RFC 8414 §2, RFC 7517 §5): what verifiers of our tokens read.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::routes::{INTROSPECT, JWKS, OAUTH_METADATA, OPENID_CONFIGURATION, REVOKE_TOKEN};
use crate::clock::Clock;
use crate::keys::{KeyRing, PublicJwk};

/// How long others may keep our key set. A new key is published much longer than this before it signs.
const CACHE: &str = "public, max-age=300";

/// What we publish about ourselves.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: Vec<&'static str>,
    scopes_supported: Vec<String>,
    claims_supported: [&'static str; 11],
    service_documentation: &'static str,
}

impl Metadata {
    /// For `issuer`, without a slash at its end.
    pub fn new(issuer: &str, signing_algorithm: &'static str, scopes: Vec<String>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: format!("{issuer}/oauth2/token"),
            jwks_uri: format!("{issuer}{}", JWKS.path),
            grant_types_supported: [
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
            ],
            // The subject token authenticates the caller: there are no clients to register.
            token_endpoint_auth_methods_supported: ["none"],
            introspection_endpoint: format!("{issuer}{}", INTROSPECT.path),
            introspection_endpoint_auth_methods_supported: ["Bearer"],
            revocation_endpoint: format!("{issuer}{}", REVOKE_TOKEN.path),
            // A bearer token, too, but for this endpoint RFC 8414 knows client authentication only, and silence would mean
            // `client_secret_basic`.
            revocation_endpoint_auth_methods_supported: ["none"],
            // Required by OIDC Discovery and by AWS IAM; we have no authorization endpoint.
            response_types_supported: ["none"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: vec![signing_algorithm],
            scopes_supported: scopes,
            claims_supported: [
                "iss",
                "sub",
                "aud",
                "exp",
                "iat",
                "nbf",
                "jti",
                "client_id",
                "scope",
                "act",
                "tidegate",
            ],
            service_documentation: "/openapi.json",
        }
    }
}

/// The discovery door.
#[derive(Debug)]
pub struct MetadataDoor {
    metadata: Metadata,
    ring: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
}

impl MetadataDoor {
    /// Publishes `metadata` and the keys of `ring`.
    pub fn new(metadata: Metadata, ring: Arc<KeyRing>, clock: Arc<dyn Clock>) -> Self {
        Self { metadata, ring, clock }
    }
}

#[derive(Serialize)]
struct KeySet {
    keys: Vec<PublicJwk>,
}

pub(super) fn routes(door: &Arc<MetadataDoor>) -> Router {
    Router::new()
        .route(OPENID_CONFIGURATION.path, get(metadata))
        .route(OAUTH_METADATA.path, get(metadata))
        .route(JWKS.path, get(jwks))
        .with_state(Arc::clone(door))
}

async fn metadata(State(door): State<Arc<MetadataDoor>>) -> Response {
    ([(header::CACHE_CONTROL, CACHE)], Json(&door.metadata)).into_response()
}

async fn jwks(State(door): State<Arc<MetadataDoor>>) -> Response {
    let keys = door.ring.published(door.clock.now());
    ([(header::CACHE_CONTROL, CACHE)], Json(KeySet { keys })).into_response()
}
