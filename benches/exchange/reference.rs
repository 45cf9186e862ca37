//! The bare reference: the same HTTP stack; verify, sign, one group-committed file append, and nothing else. No
//! policy, no replay guard, no tree, no limits: what an exchange cannot cost less than.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// The key that verifies subject tokens.
pub enum Verifier {
    Es256(Vec<u8>),
    Rs256 { n: Vec<u8>, e: Vec<u8> },
}

impl Verifier {
    fn from_jwks(jwks: &Value) -> Self {
        let key = &jwks["keys"][0];
        let bytes = |name: &str| B64.decode(key[name].as_str().expect("text")).expect("base64url");
        match key["kty"].as_str() {
            Some("EC") => Self::Es256([vec![4], bytes("x"), bytes("y")].concat()),
            _ => Self::Rs256 { n: bytes("n"), e: bytes("e") },
        }
    }
}

struct Reference {
    verifier: Verifier,
    signer: EcdsaKeyPair,
    random: SystemRandom,
    log: mpsc::Sender<(Vec<u8>, oneshot::Sender<()>)>,
}

/// Serves on a free loopback port until the runtime ends: verifies with the key in the folder, logs into it.
pub fn start(folder: &Path) -> SocketAddr {
    let log = File::create(folder.join("reference.log")).expect("a file");
    let jwks = std::fs::read(folder.join("jwks.json")).expect("a key set");
    let verifier = Verifier::from_jwks(&serde_json::from_slice(&jwks).expect("JSON"));
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let signer =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).expect("a key");
    let (sender, receiver) = mpsc::channel(1024);
    std::thread::spawn(move || write_log(receiver, log));
    let state = Arc::new(Reference { verifier, signer, random, log: sender });
    let router = Router::new().route("/oauth2/token", post(exchange)).with_state(state);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.set_nonblocking(true).expect("nonblocking");
    let address = socket.local_addr().expect("an address");
    let server = axum_server::from_tcp(socket)
        .expect("a server")
        .acceptor(axum_server::accept::NoDelayAcceptor::new());
    tokio::spawn(server.serve(router.into_make_service_with_connect_info::<SocketAddr>()));
    address
}

async fn exchange(State(reference): State<Arc<Reference>>, body: Bytes) -> Response {
    let token =
        url::form_urlencoded::parse(&body).find(|(name, _)| name == "subject_token").expect("a token").1;
    let (signed, signature) = token.rsplit_once('.').expect("a JWS");
    let signature = B64.decode(signature).expect("base64url");
    match &reference.verifier {
        Verifier::Es256(key) => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(signed.as_bytes(), &signature)
        }
        Verifier::Rs256 { n, e } => {
            RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
        }
    }
    .expect("a signature that holds");
    let payload = B64.decode(signed.split('.').nth(1).expect("a payload")).expect("base64url");
    let claims: Value = serde_json::from_slice(&payload).expect("JSON");
    let token = sign(&reference, &claims);
    let (done, durable) = oneshot::channel();
    let line = serde_json::to_vec(&json!({ "sub": claims["sub"], "jti": claims["jti"], "aud": "ledger" }))
        .expect("JSON");
    reference.log.send((line, done)).await.expect("the log");
    durable.await.expect("durable");
    axum::Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 300 })).into_response()
}

fn sign(reference: &Reference, claims: &Value) -> String {
    let mut token = B64.encode(br#"{"alg":"ES256","typ":"at+jwt","kid":"k"}"#);
    token.push('.');
    let payload = json!({
        "iss": "https://broker.example.com", "sub": claims["sub"], "aud": "https://ledger.internal",
        "exp": 2_000_000_000, "iat": 1_900_000_000, "jti": claims["jti"], "scope": "ledger.read ledger.write",
    });
    B64.encode_string(serde_json::to_vec(&payload).expect("JSON"), &mut token);
    let signature = reference.signer.sign(&reference.random, token.as_bytes()).expect("a signature");
    token.push('.');
    B64.encode_string(signature, &mut token);
    token
}

/// Writes whatever waits, syncs once, releases everybody.
fn write_log(mut receiver: mpsc::Receiver<(Vec<u8>, oneshot::Sender<()>)>, mut log: File) {
    while let Some(first) = receiver.blocking_recv() {
        let mut waiting = vec![first];
        while let Ok(more) = receiver.try_recv() {
            waiting.push(more);
        }
        let lines: Vec<u8> =
            waiting.iter().flat_map(|(line, _)| line.iter().copied().chain([b'\n'])).collect();
        log.write_all(&lines).expect("write");
        log.sync_data().expect("fdatasync");
        for (_, done) in waiting {
            let _ = done.send(());
        }
    }
}
