//! The client against a broker that answers by a script, on loopback.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http;
use axum::response::{IntoResponse as _, Response as Answer};
use futures_util::stream;
use serde_json::json;

use super::*;

/// What the stand-in does with a request.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Reply {
    Json(u16, Value),
    /// Begins to answer and is gone.
    HangUp,
    /// Some server-sent events, and the end of the connection.
    Events(String),
}

/// What the stand-in was asked.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Asked {
    pub(in crate::cli) line: String,
    pub(in crate::cli) headers: http::HeaderMap,
    pub(in crate::cli) body: Value,
}

impl Asked {
    pub(in crate::cli) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A broker by a script. The last reply is given for ever.
#[derive(Clone, Debug)]
pub(in crate::cli) struct StandIn {
    pub(in crate::cli) url: String,
    script: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl StandIn {
    pub(in crate::cli) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let stand_in = Self { url, script, asked: Arc::default() };
        let answering = stand_in.clone();
        let answer = move |request: Request| {
            let stand_in = answering.clone();
            async move { stand_in.answer(request).await }
        };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async { axum::serve(listener, router).await });
        stand_in
    }

    async fn answer(&self, request: Request) -> Answer {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let line = format!("{} {}", parts.method, parts.uri);
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        self.asked.lock().unwrap().push(Asked { line, headers: parts.headers, body });
        let mut script = self.script.lock().unwrap();
        let reply = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        match reply.unwrap() {
            Reply::Json(status, body) => {
                (http::StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
            }
            Reply::HangUp => {
                let parts = [Ok("{"), Err(std::io::Error::other("gone"))];
                Body::from_stream(stream::iter(parts)).into_response()
            }
            Reply::Events(text) => ([("content-type", "text/event-stream")], text).into_response(),
        }
    }

    pub(in crate::cli) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A client of a person with a token, who is in a hurry.
    pub(in crate::cli) fn api(&self, folder: &tempfile::TempDir) -> Api {
        let path = folder.path().join("token");
        std::fs::write(&path, "h.p.s\n").unwrap();
        let args = PersonArgs { subject_token_file: Some(path), broker: BrokerArgs::plain(&self.url) };
        Api { patience: HASTY, ..args.api().unwrap() }
    }
}

/// Waits that no test notices.
pub(in crate::cli) const HASTY: Patience =
    Patience { tries: 4, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(2) };

fn problem(status: u16) -> Reply {
    Reply::Json(
        status,
        json!({ "title": "No", "status": status, "detail": "not now", "code": "c", "request_id": "r" }),
    )
}

async fn post(script: impl IntoIterator<Item = Reply>) -> (anyhow::Result<Value>, Vec<Asked>) {
    let (stand_in, folder) = (StandIn::start(script).await, tempfile::tempdir().unwrap());
    let body = json!({ "reason": "why" });
    let answer = stand_in.api(&folder).post("/v1/locks", &body, Doing::Lock).await;
    (answer, stand_in.asked())
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    for status in [400, 401, 403, 404, 409, 422, 429, 500] {
        let (answer, asked) = post([problem(status)]).await;
        assert!(answer.unwrap_err().is::<Refusal>(), "{status}");
        assert_eq!(asked.len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_redirect_takes_the_token_nowhere() {
    let (answer, asked) = post([Reply::Json(307, json!({}))]).await;
    assert!(answer.unwrap_err().to_string().contains("HTTP 307"));
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key_and_the_same_body() {
    let done = Reply::Json(201, json!({ "id": "lck-1" }));
    let (answer, asked) = post([problem(503), Reply::HangUp, problem(502), done]).await;
    assert_eq!(answer.unwrap(), json!({ "id": "lck-1" }));
    assert_eq!(asked.len(), 4);
    let key = asked[0].header("idempotency-key");
    assert_eq!(key.len(), 32);
    for again in &asked {
        assert_eq!(again.header("idempotency-key"), key);
        assert_eq!(again.body, json!({ "reason": "why" }));
        assert_eq!(again.header("authorization"), "Bearer h.p.s");
        assert_eq!(again.line, "POST /v1/locks");
    }
}

#[tokio::test]
async fn every_invocation_has_a_key_of_its_own() {
    let (_, one) = post([problem(409)]).await;
    let (_, two) = post([problem(409)]).await;
    assert_ne!(one[0].header("idempotency-key"), two[0].header("idempotency-key"));
}

#[tokio::test]
async fn patience_ends_and_says_so_without_the_token() {
    let (answer, asked) = post([problem(503)]).await;
    let told = format!("{:#}", answer.unwrap_err());
    assert_eq!(told, "no answer after 4 attempts: refused: c: not now (request r)");
    assert_eq!(asked.len(), 4);
    let folder = tempfile::tempdir().unwrap();
    let nobody =
        StandIn { url: "http://127.0.0.1:1".to_owned(), script: Arc::default(), asked: Arc::default() };
    let told = format!("{:#}", nobody.api(&folder).get("/v1/whoami", &[], Doing::Look).await.unwrap_err());
    assert!(told.contains("cannot be reached") && !told.contains("h.p.s"), "{told}");
}

#[tokio::test]
async fn a_deletion_is_sent_once_because_its_second_answer_would_be_no() {
    let (stand_in, folder) = (StandIn::start([Reply::HangUp]).await, tempfile::tempdir().unwrap());
    let refusal = stand_in.api(&folder).delete("/v1/locks/lck-1", Doing::Lift).await.unwrap_err();
    assert!(refusal.to_string().contains("not known whether"), "{refusal}");
    assert_eq!(stand_in.asked().len(), 1);
}

#[tokio::test]
async fn a_query_cannot_become_another_one() {
    let (stand_in, folder) =
        (StandIn::start([Reply::Json(200, json!({}))]).await, tempfile::tempdir().unwrap());
    stand_in.api(&folder).get("/v1/elevations", &[("grant", "a&state=b c")], Doing::Look).await.unwrap();
    assert_eq!(stand_in.asked()[0].line, "GET /v1/elevations?grant=a%26state%3Db+c");
}

#[tokio::test]
async fn a_renewed_token_is_used_for_the_next_request() {
    let (stand_in, folder) =
        (StandIn::start([Reply::Json(200, json!({}))]).await, tempfile::tempdir().unwrap());
    let api = stand_in.api(&folder);
    api.get("/v1/whoami", &[], Doing::Look).await.unwrap();
    std::fs::write(folder.path().join("token"), "n.e.w").unwrap();
    api.get("/v1/whoami", &[], Doing::Look).await.unwrap();
    let asked = stand_in.asked();
    assert_eq!(
        (asked[0].header("authorization"), asked[1].header("authorization")),
        ("Bearer h.p.s", "Bearer n.e.w")
    );
}

#[tokio::test]
async fn a_broken_stream_goes_on_after_the_last_whole_event() {
    let script = [
        Reply::Events("retry: 1\nid: 3\n\n".to_owned()),
        Reply::Events("id: 7\nevent: a\ndata: 1\n\nid: 8\ndata: 2".to_owned()),
        problem(503),
        Reply::Events("id: 8\nevent: b\ndata: 2\n\n".to_owned()),
        problem(401),
    ];
    let (stand_in, folder) = (StandIn::start(script).await, tempfile::tempdir().unwrap());
    let api = stand_in.api(&folder);
    let mut events = Events::new(&api, None).with_patience(HASTY);
    let mut broke = Vec::new();
    let mut next = async |events: &mut Events<'_>| events.next(|why, _| broke.push(why.to_string())).await;
    assert_eq!(
        next(&mut events).await.unwrap(),
        Event { id: "7".into(), kind: "a".into(), data: "1".into() }
    );
    assert_eq!(
        next(&mut events).await.unwrap(),
        Event { id: "8".into(), kind: "b".into(), data: "2".into() }
    );
    assert!(next(&mut events).await.unwrap_err().is::<Refusal>());
    assert_eq!(broke.len(), 4, "{broke:?}");
    let asked = stand_in.asked();
    let from: Vec<&str> = asked.iter().map(|asked| asked.header("last-event-id")).collect();
    assert_eq!(from, ["", "3", "7", "7", "8"]);
    assert!(asked.iter().all(|asked| asked.line == "GET /v1/events"));
}

#[test]
fn waits_grow_and_do_not_grow_for_ever() {
    let patience =
        Patience { tries: 9, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(30) };
    let waits = [1, 2, 3, 7, 100, u32::MAX].map(|n| patience.wait(n).as_millis());
    assert_eq!(waits, [500, 1_000, 2_000, 30_000, 30_000, 30_000]);
}
