//! `GetCallerIdentity` at `POST /sts`: who holds a key that this broker issued.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;

use crate::sts_door::Spoken;
use crate::world::{NOW, World};

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The keys that the stand-in STS gives first.
const KEY: (&str, &str, &str) = ("ASIATEST000000000001", "s3cr3t", "session-1");

/// Headers of a request that was signed with `key` at `at`.
fn signed(world: &World, key: (&str, &str, &str), at: i64, service: &str) -> Vec<(String, String)> {
    let host = world.running().public_address().to_string();
    let (id, secret, token) = key;
    let identity =
        Credentials::new(id, secret, Some(token.to_owned()).filter(|token| !token.is_empty()), None, "test")
            .into();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at.try_into().unwrap());
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let headers = [("host", host.as_str()), ("content-type", FORM), ("amz-sdk-request", "attempt=1;  max=3")];
    let request =
        SignableRequest::new("POST", "/sts", headers.into_iter(), SignableBody::Bytes(BODY.as_bytes()));
    let (instructions, _) = sign(request.unwrap(), &params).unwrap().into_parts();
    let added = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(added).collect()
}

async fn send(world: &World, path: &str, headers: &[(String, String)], body: &'static str) -> Spoken {
    let mut request = world.http.post(world.url(path)).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Spoken::of(request.send().await.unwrap()).await
}

async fn ask(world: &World, key: (&str, &str, &str)) -> Spoken {
    send(world, "/sts", &signed(world, key, world.seconds(), "sts"), BODY).await
}

async fn with_a_key() -> World {
    let world = World::start().await;
    world.exchange(&world.token("billing"), "orders-read").await.issued();
    world
}

#[tokio::test]
async fn a_key_that_was_not_issued_here_is_not_known() {
    let world = with_a_key().await;
    for key in [("AKIATEST", "secret", "t"), ("ASIATEST000000000002", KEY.1, KEY.2)] {
        ask(&world, key).await.refused(403, "InvalidClientTokenId");
    }
    ask(&world, (KEY.0, KEY.1, "another session's token")).await.refused(403, "InvalidClientTokenId");
    ask(&world, (KEY.0, KEY.1, "")).await.refused(403, "InvalidClientTokenId");
}

#[tokio::test]
async fn a_request_that_is_not_what_was_signed_does_not_match() {
    let world = with_a_key().await;
    ask(&world, (KEY.0, "another secret", KEY.2)).await.refused(403, "SignatureDoesNotMatch");
    let good = signed(&world, KEY, world.seconds(), "sts");
    for (header, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", "another.example.com"),
        ("amz-sdk-request", "attempt=2; max=3"),
    ] {
        let changed: Vec<_> = good
            .iter()
            .map(|(name, old)| (name.clone(), if name == header { value.to_owned() } else { old.clone() }))
            .collect();
        send(&world, "/sts", &changed, BODY).await.refused(403, "SignatureDoesNotMatch");
    }
    send(&world, "/sts/", &good, BODY).await.refused(403, "SignatureDoesNotMatch");
    let other = "Version=2011-06-15&Action=GetCallerIdentity";
    send(&world, "/sts", &good, other).await.refused(403, "SignatureDoesNotMatch");
    send(&world, "/sts", &good, BODY).await.issued();
}

#[tokio::test]
async fn an_unsigned_an_incomplete_and_a_foreign_signature_are_told_apart() {
    let world = with_a_key().await;
    let form = [("content-type".to_owned(), FORM.to_owned())];
    send(&world, "/sts", &form, BODY).await.refused(403, "MissingAuthenticationToken");
    let foreign = signed(&world, KEY, world.seconds(), "s3");
    send(&world, "/sts", &foreign, BODY).await.refused(400, "IncompleteSignature");
    for missing in ["x-amz-date", "x-amz-security-token"] {
        let good = signed(&world, KEY, world.seconds(), "sts");
        let less: Vec<_> = good.into_iter().filter(|(name, _)| name != missing).collect();
        send(&world, "/sts", &less, BODY).await.refused(400, "IncompleteSignature");
    }
}

#[tokio::test]
async fn a_signature_is_worth_five_minutes() {
    let world = with_a_key().await;
    let at = world.seconds();
    for skew in [-301, 301] {
        let headers = signed(&world, KEY, at + skew, "sts");
        send(&world, "/sts", &headers, BODY).await.refused(403, "SignatureDoesNotMatch");
    }
    for skew in [-300, 300] {
        send(&world, "/sts", &signed(&world, KEY, at + skew, "sts"), BODY).await.issued();
    }
}

#[tokio::test]
async fn after_its_end_a_key_has_expired() {
    let world = with_a_key().await;
    world.clock.advance(Duration::from_secs(599));
    ask(&world, KEY).await.issued();
    world.clock.advance(Duration::from_secs(1));
    ask(&world, KEY).await.refused(403, "ExpiredToken");
}

#[tokio::test]
async fn signatures_that_do_not_hold_make_an_address_wait() {
    let world = World::start_with("rate_per_ip = 1\nburst_per_ip = 1").await;
    for _ in 0..2 {
        ask(&world, KEY).await.refused(403, "InvalidClientTokenId");
    }
    ask(&world, KEY).await.refused(429, "Throttling");
}

#[tokio::test]
async fn keys_of_every_door_are_known_and_nothing_is_recorded() {
    for door in ["token", "container", "sts"] {
        let world = World::start().await;
        let token = world.token("billing");
        match door {
            "token" => drop(world.exchange(&token, "orders-read").await.issued()),
            "container" => drop(world.container(&token, "orders-read").await.issued()),
            _ => drop(world.assume(&token, &[]).await.issued()),
        }
        let before = world.entries().await.len();
        let spoken = ask(&world, KEY).await.issued();
        insta::assert_snapshot!("caller_identity", spoken.shape());
        assert_eq!(world.entries().await.len(), before);
        assert_eq!(world.sts.calls().len(), 1, "nothing is passed on to AWS");
    }
}

/// Signed by botocore 1.44.8 with the keys of the stand-in at the moment at which the tests' clock stands.
#[tokio::test]
async fn a_request_that_botocore_signed_is_accepted() {
    let world = with_a_key().await;
    assert_eq!(world.seconds(), NOW);
    let authorization = "AWS4-HMAC-SHA256 Credential=ASIATEST000000000001/20261122/eu-central-1/sts/aws4_request, \
                         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
                         Signature=a89075a28836eb2dae8dc1720d4bb37ce5dc1af81a6a4cf8c1a6fee8a5ac3d46";
    let headers = [
        ("host", "broker.example.com"),
        ("content-type", FORM),
        ("user-agent", "Boto3/1"),
        ("x-amz-date", "20261122T160312Z"),
        ("x-amz-security-token", "session-1"),
        ("authorization", authorization),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    send(&world, "/sts", &headers, BODY).await.issued();
}
