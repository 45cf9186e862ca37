//! A caller's own session policy where there is nothing that it could narrow.

use super::world::World;
use crate::exchange::{ExchangeError, NarrowingFault, Refusal, TargetRefusal};

async fn refusal(world: &World, subject: &str, grant: &str) -> Refusal {
    let mut request = world.asks(subject, grant);
    request.narrowing = Some("{}".to_owned());
    match world.exchange.exchange(&request).await {
        Err(ExchangeError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_policy_for_a_token_is_refused_and_recorded() {
    let world = World::start().await;
    let refused = refusal(&world, "ann", "ledger").await;
    assert!(
        matches!(&refused, Refusal::Narrowing { fault: NarrowingFault::NotApplicable, told, .. } if told.contains("leave the policy out")),
        "{refused}"
    );
    assert_eq!(world.last_entry().await["reason"], "narrowing_not_applicable");
}

/// Whoever may not have a grant must not learn what kind it is.
#[tokio::test]
async fn who_may_not_have_the_grant_learns_nothing_by_bringing_a_policy() {
    let world = World::start().await;
    for grant in ["ledger", "repair", "none-such"] {
        let refused = refusal(&world, "eve", grant).await;
        assert_eq!(refused.to_string(), Refusal::Target(TargetRefusal::Unknown).to_string(), "{grant}");
    }
}
