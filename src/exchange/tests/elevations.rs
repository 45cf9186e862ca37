//! Minting under an elevation. Refusals and races first: they are the product.

use std::time::Duration;

use super::world::{NOW, World, claims, code, scopes};
use crate::clock::Moment;
use crate::exchange::record::ReplayClaims;
use crate::exchange::{Attempt, Exchange, ExchangeError, Issued};
use crate::grants::Lifetime;
use crate::ids::ElevationId;
use crate::locks::LockTarget;
use crate::locks::service::NewLock;

const HOUR: Duration = Duration::from_hours(1);

fn seconds(count: i64) -> Lifetime {
    Lifetime::from_seconds(count).unwrap()
}

/// An exchange of Ann's in which something happens after the window was found and before the entry is made.
async fn while_in_flight(world: &World, happens: impl AsyncFnOnce(&World)) -> Result<Issued, ExchangeError> {
    let (request, exchange): (_, &Exchange) = (world.asks("ann", "repair"), &world.exchange);
    let caller = exchange.identify(&request, world.now()).await.unwrap();
    let attempt = Attempt { request: &request, caller: &caller, approvers: &[], at: world.now() };
    let target = exchange.resolve(attempt).await.unwrap();
    happens(world).await;
    let replay = ReplayClaims::of(&caller);
    let outcome = exchange.issue_while_it_stands(attempt, target, &replay).await;
    match outcome {
        Ok(issued) => Ok(issued),
        Err(stopped) => Err(exchange.write_down(attempt, &replay, stopped).await),
    }
}

#[tokio::test]
async fn without_an_open_window_nothing_is_issued() {
    let world = World::start().await;
    assert_eq!(code(world.ann(|_| {}).await), "no_elevation");
    let open = world.elevation(HOUR, None).await;
    world.pass(HOUR);
    assert_eq!(code(world.ann(|_| {}).await), "no_elevation", "its last moment is over");
    assert_eq!(code(world.ann(|request| request.elevation = Some(open.id)).await), "no_elevation");
    let entry = world.last_entry().await;
    assert_eq!(
        (&entry["reason"], &entry["elevation"]),
        (&"no_elevation".into(), &open.id.to_string().into())
    );
}

#[tokio::test]
async fn somebody_elses_elevation_looks_like_none() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    for named in [None, Some(open.id)] {
        let mut request = world.asks("bob", "repair");
        request.elevation = named;
        let outcome = world.exchange.exchange(&request).await;
        let ExchangeError::Refused(refusal) = outcome.unwrap_err() else { panic!("not refused") };
        assert_eq!(refusal.code(), "no_elevation");
        assert_eq!(refusal.to_string(), "the grant does not exist or the policy does not permit it");
    }
}

#[tokio::test]
async fn with_two_windows_open_one_must_be_named() {
    let world = World::start().await;
    let (first, second) = (world.elevation(HOUR, None).await, world.elevation(HOUR, None).await);
    assert_eq!(code(world.ann(|_| {}).await), "elevation_ambiguous");
    for open in [first, second] {
        let issued = world.ann(|request| request.elevation = Some(open.id)).await.unwrap();
        assert_eq!(claims(&issued).0["tidegate"]["elevation"]["id"], open.id.to_string());
    }
}

#[tokio::test]
async fn an_elevation_that_is_named_for_an_ordinary_grant_is_refused_but_not_to_a_stranger() {
    let world = World::start().await;
    let named = Some(ElevationId::new(world.now(), &crate::entropy::SystemEntropy::new()).unwrap());
    let ask = async |subject| {
        let mut request = world.asks(subject, "ledger");
        request.elevation = named;
        code(world.exchange.exchange(&request).await)
    };
    assert_eq!(ask("ann").await, "elevation_not_applicable");
    assert_eq!(ask("eve").await, "policy_denied");
    assert!(world.exchange.exchange(&world.asks("ann", "ledger")).await.is_ok());
}

#[tokio::test]
async fn what_was_revoked_before_the_entry_was_durable_is_not_delivered() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    let outcome = while_in_flight(&world, async |world| world.revoke(open.id).await).await;
    assert_eq!(code(outcome), "elevation_over");
    let entry = world.last_entry().await;
    assert_eq!(entry["type"], "credential.refused");
    assert_eq!(entry["elevation"], open.id.to_string());
    assert_eq!(code(world.ann(|_| {}).await), "no_elevation");
}

/// The right of the approvers is asked of the policies that permit the credential, not of those that opened the window.
#[tokio::test]
async fn approvers_who_lost_their_right_while_a_mint_was_in_flight_open_nothing() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    let outcome = while_in_flight(&world, async |world| {
        world.new_policies(
            "permit(principal, action, resource); forbid(principal, action == Tidegate::Action::\"approve\", resource);",
        );
    })
    .await;
    assert_eq!(code(outcome), "quorum_lost");
    assert!(world.entries_of("credential.issued").await.is_empty());
    assert_eq!(world.last_entry().await["elevation"], open.id.to_string());
}

#[tokio::test]
async fn what_ended_before_the_entry_was_durable_is_not_delivered() {
    let world = World::start().await;
    world.elevation(HOUR, None).await;
    world.pass(Duration::from_secs(3_599));
    let outcome = while_in_flight(&world, async |world| world.pass(Duration::from_secs(1))).await;
    assert_eq!(code(outcome), "elevation_over");
}

#[tokio::test]
async fn a_lock_that_came_meanwhile_stops_the_delivery() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    let outcome = while_in_flight(&world, async |world: &World| {
        let (target, reason) = (LockTarget::Elevation(open.id), "stop".to_owned());
        let lock = NewLock { target, reason, ttl: None };
        world.locks.set(&world.caller("staff", "lead"), lock, None).await.unwrap();
    })
    .await;
    assert_eq!(code(outcome), "locked");
    assert_eq!(code(world.ann(|_| {}).await), "locked");
}

#[tokio::test]
async fn a_mint_in_flight_stands_on_no_approval_of_somebody_whom_another_replica_has_locked() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    let outcome = while_in_flight(&world, async |world| world.lock_elsewhere("principal:staff|lead").await);
    assert_eq!(code(outcome.await), "elevation_over");
    assert_eq!(world.last_entry().await["elevation"], open.id.to_string());
    assert_eq!(code(world.ann(|_| {}).await), "quorum_lost");
    assert!(world.entries_of("credential.issued").await.is_empty());
}

#[tokio::test]
async fn a_lock_on_somebody_who_approved_nothing_costs_nobody_a_credential() {
    let world = World::start().await;
    world.elevation(HOUR, None).await;
    let outcome = while_in_flight(&world, async |world| world.lock_elsewhere("principal:staff|other").await);
    outcome.await.unwrap();
}

#[tokio::test]
async fn a_warning_that_was_written_meanwhile_costs_nobody_a_credential() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    world.pass(Duration::from_mins(56));
    let outcome = while_in_flight(&world, async |world| {
        world.break_glass.sweep().await;
        assert_eq!(world.last_entry().await["elevation"]["version"], open.version + 1);
    });
    let issued = outcome.await.unwrap();
    assert_eq!(claims(&issued).0["tidegate"]["elevation"]["id"], open.id.to_string());
    assert_eq!(world.last_entry().await["elevation"]["version"], open.version + 1);
}

#[tokio::test]
async fn approvals_are_counted_by_todays_policies() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    assert!(world.ann(|_| {}).await.is_ok());
    world.new_policies("permit(principal, action, resource) unless { principal.subject == \"lead\" };");
    assert_eq!(code(world.ann(|_| {}).await), "quorum_lost");
    assert_eq!(world.last_entry().await["elevation"], open.id.to_string());
}

#[tokio::test]
async fn a_refused_exchange_gives_its_single_use_token_back() {
    let world = World::start().await;
    let request = world.asks("ann", "repair");
    assert_eq!(code(world.exchange.exchange(&request).await), "no_elevation");
    world.elevation(HOUR, None).await;
    assert!(world.exchange.exchange(&request).await.is_ok());
    assert_eq!(code(world.exchange.exchange(&request).await), "replayed");
}

#[tokio::test]
async fn scopes_are_those_that_were_approved() {
    let world = World::start().await;
    world.elevation(HOUR, Some(&["read"])).await;
    let wide = world.ann(|request| request.scopes = Some(scopes(&["read", "write"]))).await;
    assert_eq!(code(wide), "scope_outside_grant");
    for asked in [None, Some(scopes(&["read"]))] {
        let issued = world.ann(|request| request.scopes = asked).await.unwrap();
        assert_eq!(claims(&issued).0["scope"], "read");
        assert_eq!(issued.scopes, scopes(&["read"]));
    }
}

#[tokio::test]
async fn no_credential_outlives_the_window_and_longer_ones_are_cut_to_it() {
    let world = World::start().await;
    let end = NOW + 3600;
    assert_eq!(world.elevation(HOUR, None).await.window().unwrap().ends_at, Moment::from_unix_seconds(end));
    let ends = async |asked| {
        let issued = world.ann(|request| request.lifetime = asked).await.unwrap();
        let (claims, expires_at) = claims(&issued);
        assert_eq!(claims["exp"], expires_at.unix_seconds());
        assert_eq!(
            i64::from(issued.expires_in.seconds()),
            expires_at.unix_seconds() - world.now().unix_seconds()
        );
        expires_at.unix_seconds()
    };
    assert_eq!(ends(None).await, NOW + 300, "the grant's default");
    assert_eq!(ends(Some(seconds(604_800))).await, end, "the whole window and no more");
    world.pass(Duration::from_millis(3_598_500));
    assert_eq!(ends(None).await, end);
    assert_eq!(ends(Some(seconds(60))).await, end);
    world.pass(Duration::from_millis(1_499));
    assert_eq!(ends(None).await, end, "the last millisecond");
    world.pass(Duration::from_millis(1));
    assert_eq!(code(world.ann(|_| {}).await), "no_elevation");
}

#[tokio::test]
async fn the_entry_and_the_claims_name_the_elevation() {
    let world = World::start().await;
    let open = world.elevation(HOUR, None).await;
    let issued = world.ann(|_| {}).await.unwrap();
    let entry = world.last_entry().await;
    assert_eq!(entry["type"], "credential.issued");
    assert_eq!(
        entry["elevation"],
        serde_json::json!({
            "id": open.id.to_string(), "version": open.version, "approvals": 1,
            "ends_at": open.window().unwrap().ends_at,
        })
    );
    let claims = claims(&issued).0;
    assert_eq!(
        claims["tidegate"]["elevation"],
        serde_json::json!({ "id": open.id.to_string(), "approvals": 1 })
    );
    assert_eq!(claims["sub"], "vendor|ann");
}
