//! A STAND-IN identity provider on loopback: discovery, one ES256 key, and tokens for whoever the story needs. It
//! plays the part of a cluster's OIDC issuer, and of two companies' where people sign in; it is not part of a production
//! build.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::keys::{SigningAlgorithm, SigningKey};

/// A person at one of the companies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Someone {
    pub(super) subject: &'static str,
    pub(super) name: &'static str,
    pub(super) group: &'static str,
}

/// The stand-in, serving until it is dropped with the runtime.
pub(super) struct Idp {
    key: SigningKey,
    pub(super) url: String,
}

impl Idp {
    /// Serves discovery and keys on a free loopback port.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let key = SigningKey::generate(SigningAlgorithm::Es256).context("the stand-in's key")?;
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let discovery = Arc::new(json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }));
        let jwks = Arc::new(json!({ "keys": [key.public()] }));
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || std::future::ready(Json(Value::clone(&discovery)))),
            )
            .route("/jwks", get(move || std::future::ready(Json(Value::clone(&jwks)))));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { key, url })
    }

    /// A service account's token as Kubernetes would project it, good for `seconds` from `at`.
    pub(super) fn service_account(
        &self,
        namespace: &str,
        account: &str,
        at: Moment,
        seconds: i64,
    ) -> anyhow::Result<String> {
        let issued_at = at.unix_seconds();
        self.sign(&json!({
            "iss": self.url,
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "aud": ["tidegate"],
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at.saturating_add(seconds),
            "jti": unique(at)?,
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": { "name": account, "uid": "3f0d4c1e-0000-4000-8000-000000000000" },
                "pod": { "name": format!("{account}-0"), "uid": "9b1d7c2a-0000-4000-8000-000000000000" },
            },
        }))
    }

    /// The ID token of somebody who has signed in with a second factor.
    pub(super) fn person(&self, who: &Someone, at: Moment, seconds: i64) -> anyhow::Result<String> {
        let issued_at = at.unix_seconds();
        self.sign(&json!({
            "iss": self.url,
            "sub": who.subject,
            "name": who.name,
            "groups": [who.group],
            "amr": ["pwd", "mfa"],
            "auth_time": issued_at,
            "aud": ["tidegate"],
            "iat": issued_at,
            "exp": issued_at.saturating_add(seconds),
            "jti": unique(at)?,
        }))
    }

    fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({ "alg": "ES256", "kid": self.key.kid() });
        let mut token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut token);
        let signature = self.key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

fn unique(at: Moment) -> anyhow::Result<uuid::Uuid> {
    let chance = crate::entropy::bytes::<10>(&crate::entropy::SystemEntropy::new())?;
    Ok(uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.unix_millis())?, &chance).into_uuid())
}
