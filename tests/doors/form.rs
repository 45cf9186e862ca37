//! What is wrong with a request before anybody looks at its token. Nothing is issued, nothing is written.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{Answer, EXCHANGE, JWT, World};

#[tokio::test]
async fn every_malformed_request_is_answered_in_oauths_dialect() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let token = world.token("billing");
    let good = world.form(&token, "ledger-api");
    let without = |name: &str| good.iter().copied().filter(|pair| pair.0 != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| [without(name), vec![(name, value)]].concat();
    let twice = |name: &'static str, value: &'static str| [good.clone(), vec![(name, value)]].concat();
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("no grant_type", without("grant_type")),
        ("another grant_type", with("grant_type", "password")),
        ("no subject_token", without("subject_token")),
        ("no subject_token_type", without("subject_token_type")),
        ("another subject_token_type", with("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")),
        ("no audience", without("audience")),
        ("several audiences", twice("audience", "orders-read")),
        ("unknown parameter", twice("resource", "https://x")),
        ("an assertion too", twice("assertion", "x")),
        ("actor type without actor", twice("actor_token_type", JWT)),
        ("zero", twice("expires_in", "0")),
        ("negative", twice("expires_in", "-1")),
        ("huge", twice("expires_in", "99999999999999999999")),
        ("over a week", twice("expires_in", "604801")),
        ("float", twice("expires_in", "60.5")),
        ("plus", twice("expires_in", "+60")),
        ("a scope with a quote", twice("scope", "a\"b")),
        (
            "another token type",
            twice("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
        ),
        (
            "a type that does not fit",
            twice("requested_token_type", "urn:tidegate:params:oauth:token-type:aws-credentials"),
        ),
    ];
    let mut answers = String::new();
    for (name, form) in cases {
        let answer = world.post(&form).await;
        let code = answer.body["error"].as_str().unwrap().to_owned();
        let status = answer.status;
        let told = answer.refused(status, &code);
        answers.push_str(&format!("{name}: {status} {code}: {told}\n"));
    }
    insta::assert_snapshot!("oauth_dialect", answers);
    let written = world.entries().await.len() - before;
    assert_eq!(written, 1, "only the last one was by an identified caller");
}

#[tokio::test]
async fn another_content_type_and_a_large_body_are_refused() {
    let world = World::start().await;
    let post = || world.http.post(world.url("/oauth2/token"));
    let json = post().header("content-type", "application/json").body("{}").send().await.unwrap();
    Answer::of(json).await.refused(400, "invalid_request");
    let large = post()
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("grant_type={EXCHANGE}&subject_token={}", "x".repeat(70_000)))
        .send()
        .await
        .unwrap();
    Answer::of(large).await.refused(413, "invalid_request");
}

#[tokio::test]
async fn a_slow_body_is_cut_with_an_answer() {
    let world = World::start_with("request_timeout = \"1s\"").await;
    let mut stream = tokio::net::TcpStream::connect(world.running().public_address()).await.unwrap();
    let head = "POST /oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 1000\r\n\r\ngrant_type=";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["error"], "invalid_request");
}

#[tokio::test]
async fn a_stranger_who_does_not_stop_is_slowed_down() {
    let world = World::start_with("rate_per_ip = 1\nburst_per_ip = 5").await;
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(world.exchange("rubbish", "ledger-api").await.status);
    }
    assert_eq!(statuses[..5], [400; 5]);
    assert!(statuses.contains(&429), "{statuses:?}");
}
