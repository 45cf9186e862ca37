//! The fetch, against real servers that misbehave.

use std::path::Path;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Redirect;
use axum::routing::get;
use serde_json::json;

use super::super::fetch::{FetchError, Fetcher, Timeouts};
use super::tokens::{TestKey, jwks};
use super::*;
use crate::network::SystemRoots;

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn fetcher(base: &str, keys: KeySource) -> Fetcher {
    let mut issuer = settings("net", base, keys);
    issuer.allow_private_network = true;
    let short = Timeouts { connect: Duration::from_millis(500), total: Duration::from_millis(500) };
    Fetcher::new(&issuer, &SystemRoots::default(), short).unwrap()
}

async fn fault_of(path: &str, router: Router) -> FetchError {
    let base = serve(router).await;
    let url = format!("{base}{path}").parse().unwrap();
    fetcher(&base, KeySource::JwksUrl(url)).fetch().await.unwrap_err()
}

fn good_set() -> String {
    jwks(&[&TestKey::p256("k")])
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let router = Router::new()
        .route("/keys", get(|| async { Redirect::temporary("/real") }))
        .route("/real", get(|| async { good_set() }));
    assert_eq!(fault_of("/keys", router).await, FetchError::Status(307));
}

#[tokio::test]
async fn a_body_over_the_cap_is_cut_also_when_no_length_was_announced() {
    let endless = || async {
        let chunk: Result<_, std::io::Error> = Ok(Bytes::from(vec![b' '; 64 * 1024]));
        Body::from_stream(futures_util::stream::repeat_with(move || {
            Ok::<_, std::io::Error>(chunk.as_ref().unwrap().clone())
        }))
    };
    let announced = || async { " ".repeat(300 * 1024) };
    assert_eq!(fault_of("/keys", Router::new().route("/keys", get(endless))).await, FetchError::TooLarge);
    assert_eq!(fault_of("/keys", Router::new().route("/keys", get(announced))).await, FetchError::TooLarge);
}

#[tokio::test]
async fn a_body_that_drips_or_never_comes_ends_in_time() {
    let silent =
        || async { Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()) };
    let never = || std::future::pending::<String>();
    assert_eq!(fault_of("/keys", Router::new().route("/keys", get(silent))).await, FetchError::Timeout);
    assert_eq!(fault_of("/keys", Router::new().route("/keys", get(never))).await, FetchError::Timeout);
}

#[tokio::test]
async fn what_is_no_key_set_is_an_error() {
    let html = || async { "<html>sign in</html>" };
    assert_eq!(fault_of("/keys", Router::new().route("/keys", get(html))).await, FetchError::NotAKeySet);
    assert_eq!(fault_of("/gone", Router::new()).await, FetchError::Status(404));
    let secret = || async { r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"# };
    assert_eq!(fault_of("/keys", Router::new().route("/keys", get(secret))).await, FetchError::NoUsableKey);
}

/// A server whose discovery document says `issuer` and `jwks_uri`; `{base}` stands for its own address.
async fn discovery(issuer: &str, jwks_uri: &str) -> Fetcher {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let document =
        json!({"issuer": issuer.replace("{base}", &base), "jwks_uri": jwks_uri.replace("{base}", &base)})
            .to_string();
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(move || async { document }))
        .route("/keys", get(|| async { good_set() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    fetcher(&base, KeySource::Discovery)
}

#[tokio::test]
async fn discovery_leads_to_the_keys() {
    assert_eq!(discovery("{base}", "{base}/keys").await.fetch().await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_discovery_document_that_speaks_for_another_issuer_is_refused() {
    for issuer in ["{base}/", "{base}/tenant", "https://issuer.example", "HTTP://127.0.0.1", ""] {
        let fault = discovery(issuer, "{base}/keys").await.fetch().await.unwrap_err();
        assert_eq!(fault, FetchError::OtherIssuer, "{issuer}");
    }
}

#[tokio::test]
async fn a_discovery_document_cannot_send_us_where_the_rule_does_not_allow() {
    for uri in ["https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/", "https://0.0.0.0/"] {
        let fault = discovery("{base}", uri).await.fetch().await.unwrap_err();
        assert!(matches!(fault, FetchError::AddressNotAllowed(_)), "{uri}: {fault}");
    }
    for uri in
        ["http://issuer.example/keys", "http://10.0.0.1/keys", "file:///etc/passwd", "ftp://127.0.0.1/keys"]
    {
        let fault = discovery("{base}", uri).await.fetch().await.unwrap_err();
        assert!(matches!(fault, FetchError::NotHttps(_)), "{uri}: {fault}");
    }
    assert_eq!(discovery("{base}", "keys").await.fetch().await.unwrap_err(), FetchError::NotDiscovery);
}

/// An HTTPS server for `localhost` with its own CA, whose certificate is at the returned path.
fn https(folder: &Path) -> (url::Url, PathBuf) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let ca_path = folder.join("ca.pem");
    std::fs::write(&ca_path, ca_pem).unwrap();
    let signer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &signer).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port()).parse().unwrap();
    let router = Router::new().route("/keys", get(|| async { good_set() }));
    let tls = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
    tokio::spawn(async move {
        axum_server::from_tcp_rustls(listener, tls).unwrap().serve(router.into_make_service()).await
    });
    (url, ca_path)
}

#[tokio::test]
async fn a_private_ca_is_trusted_only_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (url, ca_file) = https(folder.path());
    let mut issuer = settings("tls", ISSUER, KeySource::JwksUrl(url));
    issuer.allow_private_network = true;
    let roots = SystemRoots::default();
    let build = |issuer: &IssuerSettings| Fetcher::new(issuer, &roots, Timeouts::default());
    let fault = build(&issuer).unwrap().fetch().await.unwrap_err();
    assert!(matches!(fault, FetchError::Connect(_)), "{fault}");
    issuer.ca_file = Some(ca_file);
    assert_eq!(build(&issuer).unwrap().fetch().await.unwrap().keys.len(), 1);
    issuer.ca_file = Some(folder.path().join("absent.pem"));
    assert!(build(&issuer).is_err());
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_needs_the_opt_in_when_we_connect() {
    let folder = tempfile::tempdir().unwrap();
    let (url, ca_file) = https(folder.path());
    let mut issuer = settings("tls", ISSUER, KeySource::JwksUrl(url));
    issuer.ca_file = Some(ca_file);
    let fetcher = Fetcher::new(&issuer, &SystemRoots::default(), Timeouts::default()).unwrap();
    let fault = fetcher.fetch().await.unwrap_err();
    assert!(matches!(fault, FetchError::AddressNotAllowed(_)), "{fault}");
}
