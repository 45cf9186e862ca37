//! A relay in front of an AWS stand-in that writes down what passes: who called how often is counted by neither side.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::http;

/// A relay on loopback, for the life of the test's runtime.
pub(crate) struct Relay {
    url: String,
    way: Arc<Way>,
}

struct Way {
    to: String,
    hold: Duration,
    client: reqwest::Client,
    actions: Mutex<Vec<String>>,
    cut: AtomicBool,
}

impl Relay {
    /// Passes everything on to `to`, each call after `hold`: as slow as a call across the world.
    pub(crate) async fn start(to: &str, hold: Duration) -> Self {
        let way = Way {
            to: to.to_owned(),
            hold,
            client: http::client(),
            actions: Mutex::default(),
            cut: AtomicBool::new(false),
        };
        let way = Arc::new(way);
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(Arc::clone(&way));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, way }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From then on nothing passes, or everything does again.
    pub(crate) fn cut(&self, cut: bool) {
        self.way.cut.store(cut, Ordering::Relaxed);
    }

    /// How often that action was called so far.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.way.actions.lock().unwrap().iter().filter(|called| *called == action).count()
    }
}

/// With the same `Host`, because the signature covers it.
async fn pass_on(
    State(way): State<Arc<Way>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let action = url::form_urlencoded::parse(&body).find(|(name, _)| name == "Action");
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).map(str::to_owned);
    let action = action.map(|(_, value)| value.into_owned()).or(target);
    let action = action.unwrap_or_else(|| uri.path().to_owned());
    if way.cut.load(Ordering::Relaxed) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    way.actions.lock().unwrap().push(action);
    tokio::time::sleep(way.hold).await;
    let request = way.client.request(method, format!("{}{uri}", way.to)).headers(headers).body(body);
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, kind) = (answer.status(), answer.headers().get("content-type").cloned());
    let body = answer.bytes().await.unwrap_or_default();
    let mut response = (status, body).into_response();
    response.headers_mut().extend(kind.map(|kind| (axum::http::header::CONTENT_TYPE, kind)));
    response
}
