//! The ops listener.

use crate::world::{Answer, World};

#[tokio::test]
async fn a_started_broker_is_healthy_and_ready() {
    let world = World::start().await;
    assert_eq!(world.http.get(world.ops("/healthz")).send().await.unwrap().status(), 200);
    let ready = Answer::of(world.http.get(world.ops("/readyz")).send().await.unwrap()).await;
    assert_eq!((ready.status, ready.body["ready"].as_bool()), (200, Some(true)), "{}", ready.body);
}

#[tokio::test]
async fn metrics_have_every_step_and_no_subject() {
    let world = World::start().await;
    world.exchange(&world.token("billing"), "ledger-api").await.issued();
    world.exchange(&world.token("web"), "ledger-api").await.refused(400, "invalid_target");
    let text = world.http.get(world.ops("/metrics")).send().await.unwrap().text().await.unwrap();
    for step in ["verify", "decide", "issue", "record"] {
        assert!(
            text.contains(&format!("tidegate_exchange_step_seconds_count{{step=\"{step}\"}}")),
            "{step}\n{text}"
        );
    }
    for family in [
        "tidegate_refusals_total",
        "tidegate_audit_log_entries",
        "tidegate_issuer_keys{",
        "tidegate_clock_seconds",
    ] {
        assert!(text.contains(family), "{family}");
    }
    for private in ["serviceaccount", "billing", "127.0.0.1"] {
        assert!(!text.contains(private), "{private}");
    }
}

#[tokio::test]
async fn keys_are_neither_listed_nor_rotated_for_whoever_reaches_the_listener() {
    let world = World::start().await;
    let before = world.entries().await.len();
    let posts = ["/keys/rotate", "/keys/rotate-kek"].map(|path| world.http.post(world.ops(path)));
    for request in posts.into_iter().chain([world.http.get(world.ops("/keys"))]) {
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    assert_eq!(world.entries().await.len(), before);
}

#[tokio::test]
async fn the_public_listener_serves_nothing_of_the_ops_listener() {
    let world = World::start().await;
    for path in ["/healthz", "/readyz", "/metrics", "/keys"] {
        assert_eq!(world.http.get(world.url(path)).send().await.unwrap().status(), 404, "{path}");
    }
}
