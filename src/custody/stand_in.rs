//! A stand-in AWS KMS on loopback, reached through the real SDK: opens what it wrapped for the same key and context.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{KekSource, KmsKey, KmsSettings, Sources};

pub(crate) const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub(crate) const OTHER_KEY: &str =
    "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-ba0987654321";
pub(crate) const ORIGIN: &str = "broker.example.com/tidegate";

/// What it answers next; after the last one it does its work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Fine,
    Code(u16, &'static str),
    /// 32 other bytes than were wrapped.
    Lie,
    Silence,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) says: VecDeque<Says>,
    /// `Encrypt` and `Decrypt`, in order.
    pub(crate) calls: Vec<String>,
}

pub(crate) struct StandIn {
    pub(crate) script: Arc<Mutex<Script>>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { script, address, server }
    }

    pub(crate) fn say(&self, says: &[Says]) {
        self.script.lock().unwrap().says.extend(says);
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.script.lock().unwrap().calls.clone()
    }

    pub(crate) fn settings(&self) -> KmsSettings {
        KmsSettings {
            endpoint: Some(format!("http://{}", self.address)),
            ca_file: None,
            credentials: Some(aws_credential_types::Credentials::new(
                "AKIDTEST",
                "not-a-secret",
                None,
                None,
                "tests",
            )),
            origin: ORIGIN.to_owned(),
            deadline: Duration::from_secs(30),
        }
    }

    pub(crate) fn sources(&self, wanted: KekSource, previous: Option<KekSource>) -> Sources {
        Sources { wanted, previous, kms: self.settings() }
    }
}

pub(crate) fn kms(arn: &str) -> KekSource {
    KekSource::Kms(KmsKey::new(arn).unwrap())
}

/// The same key-encryption key as [`Kek::from_bytes`](crate::keys::Kek::from_bytes) of 32 such bytes.
pub(crate) fn value(byte: u8) -> KekSource {
    KekSource::Value(crate::secret::SecretText::new(STANDARD.encode([byte; 32])))
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: String) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    let operation = target.strip_prefix("TrentService.").unwrap().to_owned();
    let signature = headers[header::AUTHORIZATION].to_str().unwrap();
    assert!(signature.contains("/eu-central-1/kms/"), "{signature}");
    let says = {
        let mut script = script.lock().unwrap();
        script.calls.push(operation.clone());
        script.says.pop_front().unwrap_or(Says::Fine)
    };
    let request: Value = serde_json::from_str(&body).unwrap();
    match says {
        Says::Silence => std::future::pending().await,
        Says::Code(status, code) => refusal(status, code),
        Says::Lie => json!({ "KeyId": request["KeyId"], "Plaintext": STANDARD.encode([66; 32]) })
            .to_string()
            .into_response(),
        Says::Fine if operation == "Encrypt" => {
            let wrapped = STANDARD.encode(body.as_bytes());
            json!({ "KeyId": request["KeyId"], "CiphertextBlob": wrapped }).to_string().into_response()
        }
        Says::Fine => decrypt(&request),
    }
}

fn decrypt(request: &Value) -> Response {
    let wrapped = STANDARD.decode(request["CiphertextBlob"].as_str().unwrap()).unwrap();
    let Ok(wrapped) = serde_json::from_slice::<Value>(&wrapped) else {
        return refusal(400, "InvalidCiphertextException");
    };
    if wrapped["KeyId"] != request["KeyId"] {
        return refusal(400, "IncorrectKeyException");
    }
    if wrapped["EncryptionContext"] != request["EncryptionContext"] {
        return refusal(400, "InvalidCiphertextException");
    }
    json!({ "KeyId": request["KeyId"], "Plaintext": wrapped["Plaintext"] }).to_string().into_response()
}

fn refusal(status: u16, code: &str) -> Response {
    let body = json!({ "__type": code, "message": "their words" }).to_string();
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}
