//! Who may ask, and what an answer looks like.

use super::*;

async fn refusal(world: &World, request: Request<Body>) -> (u16, String) {
    let (status, body) = answer(world.send(request).await).await;
    (status, body.as_str().unwrap_or_default().to_owned())
}

fn bare(path: &str) -> axum::http::request::Builder {
    Request::get(path).header("host", "localhost:9911")
}

#[tokio::test]
async fn without_the_agents_token_nobody_gets_anything() {
    let world = World::new().await;
    let path = "/aws/credentials/orders-read";
    let (status, text) = refusal(&world, bare(path).body(Body::empty()).unwrap()).await;
    assert_eq!(status, 401);
    assert!(text.starts_with("no Authorization"), "{text}");
    let cut = world.bearer.get(1..).unwrap();
    let longer = format!("{}x", world.bearer);
    for wrong in ["", "x", "Bearer ", "a.b.c", cut, &longer, &format!("Basic {}", world.bearer)] {
        let request = bare(path).header("authorization", wrong).body(Body::empty()).unwrap();
        let (status, text) = refusal(&world, request).await;
        assert_eq!((status, text.contains("not the agent's token")), (403, true), "{wrong}");
    }
    let twice = bare(path).header("authorization", &world.bearer).header("authorization", &world.bearer);
    assert_eq!(refusal(&world, twice.body(Body::empty()).unwrap()).await.0, 403);
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn a_page_in_a_browser_a_proxy_and_a_rebound_name_are_refused_even_with_the_token() {
    let world = World::new().await;
    for (name, value) in [
        ("origin", "http://127.0.0.1:9911"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "no-cors"),
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("via", "1.1 proxy"),
        ("host", "evil.example"),
    ] {
        let mut request = world.request("/aws/credentials/orders-read");
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(refusal(&world, request).await.0, 403, "{name}");
    }
    for host in
        ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9911", "a@127.0.0.1", "", "[::1"]
    {
        let mut request = world.request("/healthz");
        request.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(refusal(&world, request).await.0, 403, "{host}");
    }
    let mut nameless = world.request("/healthz");
    nameless.headers_mut().remove("host");
    assert_eq!(refusal(&world, nameless).await.0, 403);
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn a_stranger_on_the_machine_sees_that_it_lives_and_no_more() {
    let world = World::new().await;
    world.key("orders-read").await;
    let (status, body) = answer(world.send(bare("/healthz").body(Body::empty()).unwrap()).await).await;
    assert_eq!((status, body), (200, json!({ "status": "ok" })));
    let wrong = bare("/healthz").header("authorization", "x").body(Body::empty()).unwrap();
    assert_eq!(refusal(&world, wrong).await.0, 403);
}

#[tokio::test]
async fn what_is_no_grants_name_or_no_get_does_not_reach_the_broker() {
    let world = World::new().await;
    for bad in ["Orders", "a%2Fb", "a%00", "%2e%2e%2fx", &"x".repeat(65), "a?x=1", "a?expires_in=15m"] {
        let (status, body) = world.ask(bad).await;
        assert_eq!((status, &body["code"]), (400, &json!("ValidationError")), "{bad}");
    }
    for path in ["/", "/aws/credentials/", "/aws/credentials/a/b"] {
        assert_eq!(answer(world.send(world.request(path)).await).await.0, 404, "{path}");
    }
    let mut post = world.request("/aws/credentials/orders-read");
    *post.method_mut() = axum::http::Method::POST;
    assert_eq!(answer(world.send(post).await).await.0, 405);
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn sdks_get_what_they_read_from_a_containers_endpoint() {
    let world = World::new().await;
    for value in [world.bearer.clone(), format!("Bearer {}", world.bearer)] {
        for host in ["127.0.0.1:9911", "localhost:9911", "LOCALHOST", "[::1]:9911", "127.0.0.1"] {
            let request = Request::get("/aws/credentials/orders-read?expires_in=300").header("host", host);
            let request = request.header("authorization", &value).body(Body::empty()).unwrap();
            let response = world.send(request).await;
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(response.headers()["content-type"], "application/json");
            let whole = json!({ "AccessKeyId": "ASIA1", "SecretAccessKey": "hunter2", "Token": "SESSION",
                "Expiration": "2026-11-22T16:03:12Z" });
            assert_eq!(answer(response).await, (200, whole));
        }
    }
}

#[tokio::test]
async fn a_refusal_of_policy_is_told_in_words_that_sdks_show() {
    let world = World::new().await;
    world.desk.say(400, denied());
    let (status, body) = world.ask("payroll").await;
    assert_eq!(status, 403);
    let message = "grant `payroll`: the broker refused: invalid_target: policy says no (request req-1)";
    assert_eq!(body, json!({ "code": "AccessDenied", "message": message }));
}

#[tokio::test]
async fn the_workload_sees_how_every_grant_stands_and_no_secret() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.desk.say(400, denied());
    world.ask("payroll").await;
    world.desk.say(503, away());
    world.ask("stock").await;
    let (status, body) = answer(world.send(world.request("/healthz")).await).await;
    assert_eq!(status, 200);
    let broker = format!("{}/", world.desk.url);
    assert_eq!(
        body,
        json!({ "status": "degraded", "broker": broker, "grants": [
            { "grant": "orders-read", "state": "live", "expires_at": "2026-11-22T16:03:12Z" },
            { "grant": "payroll", "state": "refused",
              "last_error": "the broker refused: invalid_target: policy says no (request req-1)" },
            { "grant": "stock", "state": "failing",
              "last_error": "refused: temporarily_unavailable: not now" },
        ] })
    );
}
