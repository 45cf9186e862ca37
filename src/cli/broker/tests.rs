//! The client against a token endpoint that answers by a script, on loopback, plain and over TLS.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response as Answer};
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::config::{ClientCertificates, TlsSettings};

/// A token endpoint. It says always the same until it is told something else.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Desk {
    pub(in crate::cli) url: String,
    says: Arc<Mutex<(u16, Value)>>,
    forms: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
    /// A permit is an answer.
    gate: Arc<Semaphore>,
}

impl Desk {
    pub(in crate::cli) async fn open(status: u16, body: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let desk = Self::new(&format!("http://{}", listener.local_addr().unwrap()), status, body);
        let router = desk.router();
        tokio::spawn(async { axum::serve(listener, router).await });
        desk
    }

    fn new(url: &str, status: u16, body: Value) -> Self {
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { url: url.to_owned(), says: Arc::new(Mutex::new((status, body))), forms: Arc::default(), gate }
    }

    fn router(&self) -> Router {
        let desk = self.clone();
        let answer = move |body: String| {
            let desk = desk.clone();
            async move { desk.answer(&body).await }
        };
        Router::new().route("/oauth2/token", post(answer))
    }

    async fn answer(&self, body: &str) -> Answer {
        self.forms.lock().unwrap().push(url::form_urlencoded::parse(body.as_bytes()).into_owned().collect());
        self.gate.acquire().await.unwrap().forget();
        let (status, body) = self.says.lock().unwrap().clone();
        let headers = [("location", "http://127.0.0.1:1/"), ("retry-after", "7")];
        (StatusCode::from_u16(status).unwrap(), headers, axum::Json(body)).into_response()
    }

    pub(in crate::cli) fn say(&self, status: u16, body: Value) {
        *self.says.lock().unwrap() = (status, body);
    }

    /// Nobody is answered from now on.
    pub(in crate::cli) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Everybody is answered again.
    pub(in crate::cli) fn release(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS - self.gate.available_permits());
    }

    /// The forms that came so far.
    pub(in crate::cli) fn forms(&self) -> Vec<BTreeMap<String, String>> {
        self.forms.lock().unwrap().clone()
    }
}

/// AWS credentials with so many seconds left.
pub(in crate::cli) fn aws(key_id: &str, seconds: u64, ends: &str) -> Value {
    json!({ "access_token": "SESSION", "token_type": "N_A", "expires_in": seconds, "aws": {
        "AccessKeyId": key_id, "SecretAccessKey": "hunter2", "SessionToken": "SESSION", "Expiration": ends } })
}

fn token() -> SecretText {
    SecretText::new("a.b.c".into())
}

fn wanted() -> Wanted<'static> {
    Wanted {
        grant: "ledger-api",
        scope: Some("a b"),
        expires_in: Some(Duration::from_mins(5)),
        elevation: Some("elv-1"),
        kind: Some(AWS_TYPE),
    }
}

fn plain(url: &str) -> anyhow::Result<Broker> {
    Broker::at(url, TrustFiles::default())
}

async fn refusal(broker: &Broker) -> String {
    broker.exchange(&token(), &wanted()).await.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_token_never_goes_over_plain_http_to_another_machine() {
    let refusal = plain("http://broker.example.com").unwrap_err().to_string();
    assert!(refusal.contains("plain http"), "{refusal}");
}

#[tokio::test]
async fn a_redirect_takes_the_token_nowhere() {
    let desk = Desk::open(307, json!({ "error": "x" })).await;
    assert_eq!(refusal(&plain(&desk.url).unwrap()).await, "refused: x");
    assert_eq!(desk.forms().len(), 1);
}

#[tokio::test]
async fn a_broker_that_is_away_is_named_and_the_token_is_not() {
    let refusal = refusal(&plain("http://127.0.0.1:1").unwrap()).await;
    assert!(refusal.starts_with("the broker at `http://127.0.0.1:1/` cannot be reached"), "{refusal}");
    assert!(!refusal.contains("a.b.c"));
}

#[tokio::test]
async fn a_broker_that_cannot_now_says_when_to_come_back() {
    let desk = Desk::open(503, json!({ "error": "temporarily_unavailable" })).await;
    let refusal = plain(&desk.url).unwrap().exchange(&token(), &wanted()).await;
    let Err(ExchangeError::Away { retry_after, .. }) = refusal else { panic!("not away") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn the_exchange_is_a_form_of_rfc_8693() {
    let desk = Desk::open(200, aws("ASIA", 300, "2026-11-22T16:03:12Z")).await;
    let granted = plain(&desk.url).unwrap().exchange(&token(), &wanted()).await.unwrap();
    assert_eq!(granted.given().unwrap().aws.unwrap().access_key_id, "ASIA");
    let lines: Vec<_> = desk.forms()[0].iter().map(|(name, value)| format!("{name}={value}")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes `{name}.crt` and `{name}.key` of a leaf.
    fn leaf(&self, folder: &Path, name: &str, purpose: ExtendedKeyUsagePurpose) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A desk behind TLS that takes only clients of its own authority.
fn guarded(folder: &Path) -> Desk {
    crate::server::install_crypto_provider();
    let authority = Authority::new();
    std::fs::write(folder.join("ca.crt"), authority.0.pem()).unwrap();
    authority.leaf(folder, "server", ExtendedKeyUsagePurpose::ServerAuth);
    authority.leaf(folder, "client", ExtendedKeyUsagePurpose::ClientAuth);
    Authority::new().leaf(folder, "stranger", ExtendedKeyUsagePurpose::ClientAuth);
    let clients = Some(ClientCertificates { ca_file: folder.join("ca.crt"), required: true });
    let settings =
        TlsSettings { cert_file: folder.join("server.crt"), key_file: folder.join("server.key"), clients };
    let config = RustlsConfig::from_config(crate::server::server_config(&settings).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let desk = Desk::new(&format!("https://localhost:{port}"), 200, aws("ASIA", 300, "2026-11-22T16:03:12Z"));
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(desk.router().into_make_service()));
    desk
}

fn trust(folder: &Path, identity: Option<&str>) -> TrustFiles {
    let file = |name: &str, end: &str| folder.join(format!("{name}.{end}"));
    TrustFiles {
        authorities: Some(folder.join("ca.crt")),
        identity: identity.map(|name| (file(name, "crt"), file(name, "key"))),
    }
}

#[tokio::test]
async fn a_broker_that_the_named_authorities_do_not_vouch_for_gets_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let desk = guarded(folder.path());
    std::fs::write(folder.path().join("ca.crt"), Authority::new().0.pem()).unwrap();
    let broker = Broker::at(&desk.url, trust(folder.path(), Some("client"))).unwrap();
    let refusal = refusal(&broker).await;
    assert!(refusal.contains("cannot be reached") && refusal.contains("certificate"), "{refusal}");
    assert!(desk.forms().is_empty());
}

#[tokio::test]
async fn a_client_certificate_opens_a_door_that_is_closed_without_and_is_read_again_when_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let desk = guarded(folder.path());
    let at = |identity| Broker::at(&desk.url, trust(folder.path(), identity)).unwrap();
    assert!(refusal(&at(None)).await.contains("cannot be reached"));

    let broker = at(Some("stranger"));
    assert!(refusal(&broker).await.contains("cannot be reached"));
    for end in ["crt", "key"] {
        let [from, to] = ["client", "stranger"].map(|name| folder.path().join(format!("{name}.{end}")));
        std::fs::rename(from, to).unwrap();
    }
    assert!(broker.exchange(&token(), &wanted()).await.is_ok());
    assert_eq!(desk.forms().len(), 1);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), "no certificate").unwrap();
    let refusal = |trust| format!("{:#}", Broker::at("https://localhost", trust).unwrap_err());
    let missing = TrustFiles { authorities: Some("/nowhere/ca.pem".into()), identity: None };
    assert!(refusal(missing).starts_with("--ca-file: `/nowhere/ca.pem` cannot be read"));
    assert_eq!(refusal(trust(folder.path(), None)), "--ca-file: it holds no PEM certificate");
    let key = TrustFiles { authorities: None, ..trust(folder.path(), Some("none")) };
    assert!(refusal(key).starts_with("--client-cert-file: `"));
}
