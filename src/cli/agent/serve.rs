//! The agent's HTTP side: who may ask, and answers as SDKs read them. Whoever has the bearer is the workload.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, FORWARDED, HOST, ORIGIN, VIA};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;

use super::bearer::Bearer;
use super::keeper::Keeper;
use super::slot::Kind;
use super::wish::Wish;

/// Only browsers and proxies send these. A page that makes a browser call us, or a proxy that makes us public, is no SDK.
const NOT_OF_AN_SDK: [HeaderName; 7] = [
    ORIGIN,
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
];

/// What the routes stand on.
pub(super) struct Door {
    pub(super) keeper: Arc<Keeper>,
    pub(super) bearer: Arc<Bearer>,
    /// For who asks without a lifetime.
    pub(super) expires_in: Option<Duration>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Known,
    /// May see that the agent lives, and nothing else.
    Unknown,
}

pub(super) fn router(door: Door) -> Router {
    let door = Arc::new(door);
    Router::new()
        .route("/aws/credentials/{grant}", get(credentials))
        .route("/healthz", get(health))
        .fallback(|| async {
            plain(StatusCode::NOT_FOUND, "there is nothing at this path: ask for /aws/credentials/GRANT")
        })
        .method_not_allowed_fallback(|| async { plain(StatusCode::METHOD_NOT_ALLOWED, "only GET") })
        .layer(from_fn_with_state(Arc::clone(&door), guard))
        .with_state(door)
}

/// In front of every route.
async fn guard(State(door): State<Arc<Door>>, mut request: Request<Body>, next: Next) -> Response {
    if let Some(why) = is_no_sdk(&request) {
        return plain(StatusCode::FORBIDDEN, why);
    }
    let is_health = request.method() == Method::GET && request.uri().path() == "/healthz";
    let caller = match door.admit(request.headers()) {
        Ok(()) => Caller::Known,
        Err(Stranger::Nothing) if is_health => Caller::Unknown,
        Err(stranger) => return stranger.answer(),
    };
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn credentials(
    State(door): State<Arc<Door>>,
    Path(grant): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let mut wish = match Wish::read(&grant, query.as_deref().unwrap_or_default()) {
        Ok(wish) => wish,
        Err(why) => return error(Kind::Invalid, &why),
    };
    wish.expires_in = wish.expires_in.or(door.expires_in);
    match door.keeper.credential(&wish).await {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(trouble) => error(trouble.kind, &format!("grant `{wish}`: {}", trouble.message)),
    }
}

/// That it lives, to everybody on the machine; how each grant stands, to the workload.
async fn health(State(door): State<Arc<Door>>, request: Request<Body>) -> Response {
    let status = door.keeper.status();
    match request.extensions().get::<Caller>() {
        Some(Caller::Known) => axum::Json(status).into_response(),
        _ => axum::Json(json!({ "status": status.status })).into_response(),
    }
}

/// Why a caller is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    Nothing,
    Wrong,
}

impl Door {
    /// The bearer as SDKs send it, as it is in the file; or after `Bearer `, as people do.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Stranger> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(presented) = values.next() else { return Err(Stranger::Nothing) };
        let presented = presented.as_bytes().strip_prefix(b"Bearer ").unwrap_or(presented.as_bytes());
        if self.bearer.is(presented) && values.next().is_none() { Ok(()) } else { Err(Stranger::Wrong) }
    }
}

impl Stranger {
    fn answer(self) -> Response {
        match self {
            Self::Nothing => plain(
                StatusCode::UNAUTHORIZED,
                "no Authorization: name the agent's token file in AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; SDKs that are \
                 too old for it do not send it",
            ),
            Self::Wrong => plain(
                StatusCode::FORBIDDEN,
                "this is not the agent's token: it is made anew at each start, and is in the agent's token file",
            ),
        }
    }
}

/// A name that a stranger's DNS points here (rebinding), a browser, or a proxy.
fn is_no_sdk(request: &Request<Body>) -> Option<&'static str> {
    let headers = request.headers();
    if !is_loopback(request) {
        return Some("the Host is no loopback address");
    }
    if NOT_OF_AN_SDK.iter().any(|name| headers.contains_key(name)) {
        return Some("browsers and proxies are not served");
    }
    None
}

fn is_loopback(request: &Request<Body>) -> bool {
    let mut named = request.headers().get_all(HOST).iter();
    let authority = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        // HTTP/2 puts it into the target.
        (None, _) => request.uri().authority().cloned(),
        _ => None,
    };
    authority.is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_bare = !authority.as_str().contains('@');
        is_bare
            && (host.eq_ignore_ascii_case("localhost")
                || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
    })
}

/// The body that Go shows in part and boto3 as a whole, in the words of the broker's own container door. What is 5xx is
/// tried again by every SDK.
fn error(kind: Kind, message: &str) -> Response {
    let (status, code) = match kind {
        Kind::Denied => (StatusCode::FORBIDDEN, "AccessDenied"),
        Kind::Invalid => (StatusCode::BAD_REQUEST, "ValidationError"),
        Kind::Passing => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    };
    (status, axum::Json(json!({ "code": code, "message": message }))).into_response()
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], text).into_response()
}
