use axum::http::{HeaderValue, Request};
use axum::routing::get;
use tower::ServiceExt as _;

use super::*;
use crate::clock::{ManualClock, Moment};
use crate::entropy::SystemEntropy;

fn edge(concurrency: usize, deadline: Duration) -> Arc<Edge> {
    let settings = EdgeSettings { concurrency, deadline, trusted_proxies: Vec::new() };
    let clock = Arc::new(ManualClock::at(Moment::from_unix_seconds(1_795_363_392)));
    Arc::new(Edge::new(settings, clock, Arc::new(SystemEntropy::new())))
}

fn request(path: &str) -> Request<Body> {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

async fn panics() -> &'static str {
    panic!("a secret in a panic")
}

fn router(edge: &Arc<Edge>) -> Router {
    let router = Router::new()
        .route("/fine", get(|| async { "fine" }))
        .route("/.well-known/jwks.json", get(|| async { "keys" }))
        .route("/panics", get(panics))
        .route("/hangs", get(std::future::pending::<&'static str>));
    wrap(router, edge)
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_panicking_handler_costs_one_answer_and_tells_nothing() {
    let router = router(&edge(8, Duration::from_secs(5)));
    let response = router.clone().oneshot(request("/panics")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.headers().contains_key("x-request-id"));
    assert!(!text(response).await.contains("secret"));
    assert_eq!(router.oneshot(request("/fine")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_past_its_deadline_is_answered_and_gives_its_place_back() {
    let router = router(&edge(1, Duration::from_millis(20)));
    for _ in 0..3 {
        let response = router.clone().oneshot(request("/hangs")).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(router.oneshot(request("/fine")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn over_the_limit_a_request_is_turned_away_at_once() {
    let router = router(&edge(1, Duration::from_mins(1)));
    let waiting = tokio::spawn(router.clone().oneshot(request("/hangs")));
    tokio::task::yield_now().await;
    let response = router.oneshot(request("/fine")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    waiting.abort();
}

#[tokio::test]
async fn whoever_checks_our_tokens_gets_the_keys_while_every_place_is_taken() {
    let router = router(&edge(1, Duration::from_mins(1)));
    let waiting = tokio::spawn(router.clone().oneshot(request("/hangs")));
    tokio::task::yield_now().await;
    assert_eq!(router.oneshot(request("/.well-known/jwks.json")).await.unwrap().status(), StatusCode::OK);
    waiting.abort();
}

fn from(peer: &str, forwarded: &[&str], trusted: &[&str]) -> Option<IpAddr> {
    let mut request = request("/fine");
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
    for line in forwarded {
        request.headers_mut().append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
    }
    let trusted: Vec<Network> = trusted.iter().map(|network| Network::parse(network).unwrap()).collect();
    source_ip(&request, &trusted)
}

#[test]
fn x_forwarded_for_is_believed_only_from_a_trusted_proxy() {
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    assert_eq!(from("192.0.2.1", &["198.51.100.7"], &[]), ip("192.0.2.1"));
    assert_eq!(from("192.0.2.1", &["198.51.100.7"], &["10.0.0.0/8"]), ip("192.0.2.1"));
    assert_eq!(from("10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]), ip("198.51.100.7"));
}

#[test]
fn what_a_caller_wrote_into_x_forwarded_for_is_not_believed() {
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let trusted = ["10.0.0.0/8"];
    assert_eq!(from("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"], &trusted), ip("198.51.100.7"));
    assert_eq!(from("10.0.0.1", &["1.1.1.1", "198.51.100.7"], &trusted), ip("198.51.100.7"));
    assert_eq!(from("10.0.0.1", &["rubbish"], &trusted), ip("10.0.0.1"));
    assert_eq!(from("10.0.0.1", &[], &trusted), ip("10.0.0.1"));
    assert_eq!(from("::ffff:10.0.0.1", &["198.51.100.7"], &trusted), ip("198.51.100.7"));
}

#[tokio::test]
async fn what_clients_do_of_themselves_makes_no_line_at_the_usual_level() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(Arc::new(std::fs::File::create(&path).unwrap()))
        .finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let refused = StatusCode::UNAUTHORIZED;
    let router = Router::new()
        .route("/expected", get(move || async move { (refused, axum::Extension(Expected)) }))
        .route("/other", get(move || async move { refused }));
    let router = wrap(router, &edge(8, Duration::from_secs(5)));
    for path in ["/expected", "/other"] {
        let response = router.clone().oneshot(request(path)).await.unwrap();
        assert_eq!(response.status(), refused);
        assert!(response.headers().contains_key("x-request-id"));
    }
    let log = std::fs::read_to_string(&path).unwrap();
    assert!(log.contains("/other") && !log.contains("/expected"), "{log}");
}
