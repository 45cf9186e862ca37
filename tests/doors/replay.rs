//! A token that is for single use.

use std::time::Duration;

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_replayed_token_is_refused_and_the_replay_is_recorded() {
    let world = World::start().await;
    let token = world.token("billing");
    world.exchange(&token, "ledger-api").await.issued();
    world.exchange(&token, "ledger-api").await.refused(400, "invalid_request");
    world.exchange(&token, "orders-read").await.refused(400, "invalid_request");
    let refused = world.entries_of("credential.refused").await;
    assert_eq!(
        refused.iter().map(|entry| entry["reason"].clone()).collect::<Vec<_>>(),
        ["replayed", "replayed"]
    );
    assert!(world.sts.calls().is_empty(), "a replay never reaches AWS");
}

#[tokio::test]
async fn a_replayed_token_is_refused_until_time_refuses_it_also_across_a_restart() {
    let mut world = World::start().await;
    let token = world.token_with("billing", &json!({ "exp": world.seconds() + 300 }));
    world.exchange(&token, "ledger-api").await.issued();
    world.restart().await;
    for seconds in [0, 299, 30] {
        world.clock.advance(Duration::from_secs(seconds));
        world.exchange(&token, "ledger-api").await.refused(400, "invalid_request");
    }
    let issued = world.entries_of("credential.issued").await.len();
    assert_eq!(issued, 1);
}

#[tokio::test]
async fn the_same_jti_with_other_claims_is_a_replay() {
    let world = World::start().await;
    let first = world.token_with("billing", &json!({ "jti": "same" }));
    let second = world.token_with("billing", &json!({ "jti": "same", "exp": world.seconds() + 60 }));
    world.exchange(&first, "ledger-api").await.issued();
    world.exchange(&second, "ledger-api").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_token_without_a_jti_is_for_single_use_all_the_same() {
    let world = World::start().await;
    let token = world.token_with("billing", &json!({ "jti": null }));
    world.exchange(&token, "ledger-api").await.issued();
    world.exchange(&token, "ledger-api").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn of_many_at_the_same_instant_exactly_one_wins() {
    let world = World::start().await;
    let token = world.token("billing");
    let attempts = (0..50).map(|_| world.exchange(&token, "ledger-api"));
    let answers = futures_util::future::join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(world.entries_of("credential.issued").await.len(), 1);
}

#[tokio::test]
async fn a_denied_request_does_not_use_the_token_up() {
    let world = World::start().await;
    let token = world.token("billing");
    world.exchange(&token, "short-lived-typo").await.refused(400, "invalid_target");
    world.exchange(&token, "ledger-api").await.issued();
}

#[tokio::test]
async fn a_fresh_token_is_not_used_up_by_a_replayed_actor() {
    let world = World::start().await;
    let (subject, actor) = (world.token("billing"), world.token("gateway"));
    let mut form = world.form(&subject, "ledger-api");
    form.extend([("actor_token", actor.as_str()), ("actor_token_type", crate::world::JWT)]);
    world.exchange(&actor, "short-lived").await.issued();
    world.post(&form).await.refused(400, "invalid_request");
    world.exchange(&subject, "ledger-api").await.issued();
}
