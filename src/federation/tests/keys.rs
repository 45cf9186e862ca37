//! The key-set cache: one fetch for many callers, few for strangers, none believed for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::tokens::{TestKey, jwks};
use super::*;

/// A real server on loopback whose key set can be changed, and that counts.
pub(super) struct KeyServer {
    pub(super) url: url::Url,
    state: Arc<ServerState>,
}

struct ServerState {
    answer: Mutex<(axum::http::StatusCode, String)>,
    hits: AtomicUsize,
    open: tokio::sync::watch::Sender<bool>,
}

impl KeyServer {
    async fn start(set: String) -> Self {
        let state = Arc::new(ServerState {
            answer: Mutex::new((axum::http::StatusCode::OK, set)),
            hits: AtomicUsize::new(0),
            open: tokio::sync::watch::channel(true).0,
        });
        let shared = Arc::clone(&state);
        let answer = move || {
            let state = Arc::clone(&shared);
            async move {
                state.hits.fetch_add(1, Ordering::SeqCst);
                let _ = state.open.subscribe().wait_for(|open| *open).await;
                state.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        let router = axum::Router::new().route("/keys", axum::routing::get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    fn answer(&self, status: u16, set: String) {
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        *self.state.answer.lock().unwrap() = (status, set);
    }

    fn hits(&self) -> usize {
        self.state.hits.load(Ordering::SeqCst)
    }
}

struct Served {
    server: KeyServer,
    clock: Arc<ManualClock>,
    federation: Arc<Federation>,
}

impl Served {
    async fn new(keys: &[&TestKey]) -> Self {
        let server = KeyServer::start(jwks(keys)).await;
        let mut issuer = settings("served", ISSUER, KeySource::JwksUrl(server.url.clone()));
        issuer.allow_private_network = true;
        issuer.max_token_lifetime = Duration::from_hours(365 * 24);
        issuer.max_token_age = Duration::from_hours(365 * 24);
        let clock = Arc::new(ManualClock::at(now()));
        let federation =
            Federation::new(vec![issuer], clock.clone(), Arc::new(SystemEntropy::new())).unwrap();
        Self { server, clock, federation: Arc::new(federation) }
    }

    async fn verify(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        use crate::clock::Clock as _;
        self.federation.verify(&UnverifiedToken::new(token.to_owned()), self.clock.now()).await
    }

    fn unavailable() -> VerifyError {
        VerifyError::KeysUnavailable(IssuerName::new("served").unwrap())
    }
}

fn token(key: &TestKey) -> String {
    let mut claims = claims();
    claims["exp"] = json!(NOW + 86_400);
    key.token(&claims)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_first_callers_cause_one_fetch() {
    let key = TestKey::p256("k");
    let served = Arc::new(Served::new(&[&key]).await);
    served.server.state.open.send_replace(false);
    let callers: Vec<_> = (0..200)
        .map(|_| {
            let (served, token) = (Arc::clone(&served), token(&key));
            tokio::spawn(async move { served.verify(&token).await })
        })
        .collect();
    while served.server.hits() == 0 {
        tokio::task::yield_now().await;
    }
    served.server.state.open.send_replace(true);
    for caller in callers {
        assert!(caller.await.unwrap().is_ok());
    }
    assert_eq!(served.server.hits(), 1);
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_take_the_fetch_with_it() {
    let key = TestKey::p256("k");
    let served = Served::new(&[&key]).await;
    served.server.state.open.send_replace(false);
    {
        let text = token(&key);
        let mut first = Box::pin(served.verify(&text));
        assert!(futures_util::poll!(&mut first).is_pending());
    }
    served.server.state.open.send_replace(true);
    assert!(served.verify(&token(&key)).await.is_ok());
    assert_eq!(served.server.hits(), 1);
}

#[tokio::test]
async fn invented_key_ids_cause_one_fetch_in_a_cool_down() {
    let key = TestKey::p256("k");
    let served = Served::new(&[&key]).await;
    served.verify(&token(&key)).await.unwrap();
    for round in 1..=3 {
        served.clock.advance(COOL_DOWN);
        for invented in 0..50 {
            let stranger = TestKey::p256(&format!("invented-{round}-{invented}"));
            assert_eq!(served.verify(&token(&stranger)).await.unwrap_err(), TokenRefusal::UnknownKey.into());
        }
        assert_eq!(served.server.hits(), 1 + round);
    }
}

#[tokio::test]
async fn a_key_id_that_was_not_found_is_not_sought_again_soon() {
    let key = TestKey::p256("k");
    let served = Served::new(&[&key]).await;
    served.verify(&token(&key)).await.unwrap();
    let gone = token(&TestKey::p256("gone"));
    for _ in 0..5 {
        served.clock.advance(COOL_DOWN);
        assert!(served.verify(&gone).await.is_err());
    }
    assert_eq!(served.server.hits(), 2);
    served.clock.advance(MISSING_KID_FOR);
    assert!(served.verify(&gone).await.is_err());
    assert_eq!(served.server.hits(), 3);
}

#[tokio::test]
async fn nobody_makes_us_fetch_with_a_token_that_cannot_be_valid() {
    let key = TestKey::p256("k");
    let served = Served::new(&[&key]).await;
    let mut expired = claims();
    expired["exp"] = json!(NOW - 3600);
    expired["iat"] = json!(NOW - 7200);
    assert_eq!(served.verify(&key.token(&expired)).await.unwrap_err(), TokenRefusal::Expired.into());
    let mut foreign = claims();
    foreign["iss"] = json!(served.server.url.as_str());
    assert_eq!(served.verify(&key.token(&foreign)).await.unwrap_err(), TokenRefusal::UnknownIssuer.into());
    assert_eq!(served.server.hits(), 0);
}

#[tokio::test]
async fn a_rotated_key_is_picked_up_by_its_first_token() {
    let (old, new) = (TestKey::p256("old"), TestKey::fresh_p256("new"));
    let served = Served::new(&[&old]).await;
    served.verify(&token(&old)).await.unwrap();
    served.server.answer(200, jwks(&[&old, &new]));
    assert_eq!(
        served.verify(&token(&new)).await.unwrap_err(),
        TokenRefusal::UnknownKey.into(),
        "cooling down"
    );
    served.clock.advance(COOL_DOWN);
    assert!(served.verify(&token(&new)).await.is_ok());
}

#[tokio::test]
async fn the_background_picks_a_rotated_key_up_and_forgets_the_withdrawn_one() {
    let (old, new) = (TestKey::p256("old"), TestKey::fresh_p256("new"));
    let served = Served::new(&[&old]).await;
    served.federation.refresh_due().await;
    served.federation.refresh_due().await;
    assert_eq!(served.server.hits(), 1, "not due");
    served.server.answer(200, jwks(&[&new]));
    served.clock.advance(REFRESH_EVERY);
    served.federation.refresh_due().await;
    assert!(served.verify(&token(&new)).await.is_ok());
    assert_eq!(served.verify(&token(&old)).await.unwrap_err(), TokenRefusal::UnknownKey.into());
}

#[tokio::test]
async fn a_good_set_survives_bad_answers_until_it_is_too_old_to_believe() {
    let key = TestKey::p256("k");
    let served = Served::new(&[&key]).await;
    served.federation.refresh_due().await;
    for (status, answer) in
        [(500, String::new()), (200, "<html>".to_owned()), (200, r#"{"keys":[]}"#.to_owned())]
    {
        served.server.answer(status, answer);
        served.clock.advance(REFRESH_EVERY);
        served.federation.refresh_due().await;
        assert!(served.verify(&token(&key)).await.is_ok(), "{status}");
        assert!(served.federation.health()[0].last_error.is_some());
    }
    served.clock.advance(MAX_STALENESS);
    assert_eq!(served.verify(&token(&key)).await.unwrap_err(), Served::unavailable());
    assert!(!served.federation.health()[0].usable);
    served.server.answer(200, jwks(&[&key]));
    assert_eq!(
        served.verify(&token(&key)).await.unwrap_err(),
        Served::unavailable(),
        "the pause after a failure"
    );
    served.clock.advance(RETRY_AFTER);
    assert!(served.verify(&token(&key)).await.is_ok(), "recovers without a restart");
}

#[tokio::test]
async fn keys_that_were_never_there_are_ours_to_answer_for() {
    let key = TestKey::p256("k");
    let served = Served::new(&[&key]).await;
    served.server.answer(503, String::new());
    for _ in 0..10 {
        assert_eq!(served.verify(&token(&key)).await.unwrap_err(), Served::unavailable());
    }
    assert_eq!(served.server.hits(), 1);
    let health = &served.federation.health()[0];
    assert_eq!((health.keys, health.fetched_at, health.last_error), (0, None, Some("status")));
}

#[tokio::test]
async fn a_key_file_is_read_again() {
    let (old, new) = (TestKey::p256("old"), TestKey::fresh_p256("new"));
    let fixture = Fixture::new(&[&old]);
    std::fs::write(fixture.file(0), jwks(&[&new])).unwrap();
    fixture.clock.advance(REREAD_EVERY);
    fixture.federation.refresh_due().await;
    assert!(fixture.verify(&new.token(&claims())).await.is_ok());
    assert_eq!(fixture.refusal(&old.token(&claims())).await, TokenRefusal::UnknownKey);
    std::fs::write(fixture.file(0), "{ half a fi").unwrap();
    fixture.clock.advance(REREAD_EVERY);
    fixture.federation.refresh_due().await;
    assert!(fixture.verify(&new.token(&claims())).await.is_ok(), "a half-written file replaces nothing");
}
