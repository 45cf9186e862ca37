//! The agent among a token endpoint by a script and a clock that is moved by hand. Nothing sleeps.

mod door;
mod keeping;
mod slots;

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::bearer::Bearer;
use super::keeper::{Keeper, Surroundings};
use super::serve::{Door, router};
use crate::cli::broker::tests::{Desk, aws};
use crate::cli::options::{BrokerArgs, SubjectArgs};
use crate::clock::{Clock, Moment};
use crate::entropy::SystemEntropy;

/// A wall clock and a monotonic one that are moved apart.
#[derive(Debug)]
struct TwoClocks {
    wall: AtomicI64,
    up: AtomicI64,
}

impl Clock for TwoClocks {
    fn now(&self) -> Moment {
        Moment::from_unix_millis(self.wall.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.up.load(Ordering::SeqCst)).unwrap())
    }
}

/// An agent, its broker, its token file and what it said.
struct World {
    desk: Desk,
    clock: Arc<TwoClocks>,
    keeper: Arc<Keeper>,
    router: axum::Router,
    bearer: String,
    said: Arc<Mutex<Vec<String>>>,
    token: PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    /// The broker gives five minutes.
    async fn new() -> Self {
        Self::with(Duration::from_secs(30), None).await
    }

    async fn with(patience: Duration, expires_in: Option<Duration>) -> Self {
        let desk = Desk::open(200, five_minutes("ASIA1")).await;
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("subject");
        std::fs::write(&token, "a.b.c\n").unwrap();
        let clock = Arc::new(TwoClocks { wall: AtomicI64::new(1_795_363_092_000), up: AtomicI64::new(0) });
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let around = Surroundings {
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy::new()),
            tell: Box::new(move |line| heard.lock().unwrap().push(line.to_owned())),
            patience,
        };
        let broker = BrokerArgs::plain(&desk.url).open().unwrap();
        let subject = SubjectArgs::file(token.clone()).find().unwrap();
        let keeper = Keeper::new(broker, subject, around);
        let bearer = Arc::new(Bearer::new(&SystemEntropy::new()).unwrap());
        let path = folder.path().join("bearer");
        let file = bearer.write(Some(&path), &SystemEntropy::new()).unwrap();
        let bearer_text = std::fs::read_to_string(file.path()).unwrap();
        let router = router(Door { keeper: Arc::clone(&keeper), bearer, expires_in });
        Self { desk, clock, keeper, router, bearer: bearer_text, said, token, _folder: folder }
    }

    /// From now on the broker gives credentials of five minutes.
    fn give(&self, key_id: &str) {
        let ends = self.clock.now().plus(Duration::from_mins(5)).to_string();
        self.desk.say(200, aws(key_id, 300, &ends));
    }

    /// Both clocks go on.
    fn pass(&self, span: Duration) {
        let millis = i64::try_from(span.as_millis()).unwrap();
        self.clock.wall.fetch_add(millis, Ordering::SeqCst);
        self.clock.up.fetch_add(millis, Ordering::SeqCst);
    }

    /// The background's turn, and what it began.
    async fn tick(&self) {
        self.keeper.tick();
        self.keeper.settled().await;
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// An SDK asks.
    async fn ask(&self, grant: &str) -> (u16, Value) {
        answer(self.send(self.request(&format!("/aws/credentials/{grant}"))).await).await
    }

    /// The key id that an SDK gets.
    async fn key(&self, grant: &str) -> String {
        let (status, body) = self.ask(grant).await;
        assert_eq!(status, 200, "{body}");
        body["AccessKeyId"].as_str().unwrap().to_owned()
    }

    fn request(&self, path: &str) -> Request<Body> {
        let request = Request::get(path).header("host", "127.0.0.1:9911");
        request.header("authorization", &self.bearer).body(Body::empty()).unwrap()
    }

    fn exchanges(&self) -> usize {
        self.desk.forms().len()
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn state(&self, grant: &str) -> Option<&'static str> {
        let grants = self.keeper.status().grants;
        grants.iter().find(|one| one.wish.grant.as_str() == grant).map(|one| one.slot.state)
    }
}

fn five_minutes(key_id: &str) -> Value {
    aws(key_id, 300, "2026-11-22T16:03:12Z")
}

fn denied() -> Value {
    json!({ "error": "invalid_target", "error_description": "policy says no", "request_id": "req-1" })
}

fn bad_token() -> Value {
    json!({ "error": "invalid_request", "error_description": "the token has expired", "request_id": "req-2" })
}

fn away() -> Value {
    json!({ "error": "temporarily_unavailable", "error_description": "not now" })
}

async fn answer(response: Response) -> (u16, Value) {
    let status: StatusCode = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8(body.to_vec()).unwrap()));
    (status.as_u16(), body)
}
