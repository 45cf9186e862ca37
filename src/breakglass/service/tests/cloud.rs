//! AWS sessions that outlived their elevation, against a stand-in IAM.

use std::sync::Arc;

use super::world::*;
use crate::audit::tests::Bench;
use crate::breakglass::CloudEnd;
use crate::breakglass::service::NewRequest;
use crate::grants::{AwsGrant, GrantKind, RoleArn};
use crate::issuance::aws::end_sessions_tests::{FakeIam, ROLE, Says};

pub(super) fn start(iam: &FakeIam) -> Start {
    let aws = AwsGrant::new(RoleArn::new(ROLE).unwrap(), None);
    let grants = vec![grant_of(GRANT, true, GrantKind::Aws(Arc::new(aws))), grant(OTHER, true, &["read"])];
    Start { grants, sessions: Some(iam.ender()), ..Start::default() }
}

async fn told(world: &World) -> Vec<String> {
    world
        .told()
        .await
        .iter()
        .filter_map(|kind| kind.strip_prefix("sessions_end.").map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_revocation_is_asked_and_confirmed_and_its_deny_is_lifted_after_the_window() {
    let iam = FakeIam::start(&[]).await;
    let world = World::with(Bench::new(), start(&iam)).await;
    let active = world.active().await;
    let end = active.window().unwrap().ends_at;
    world.glass.revoke(&world.bob(), active.id, "an incident".into(), None).await.unwrap();
    assert_eq!(world.stored(active.id).await.cloud.name(), "asked");
    world.glass.end_sessions().await;
    world.glass.end_sessions().await;
    assert_eq!(told(&world).await, ["asked", "confirmed"]);
    assert_eq!(world.stored(active.id).await.cloud.name(), "confirmed");
    let denies = iam.calls().iter().filter(|call| call.starts_with("PutRolePolicy")).count();
    assert_eq!(denies, 1);
    // Over a restart, and past the end of the window.
    world.bench.clock.set(end);
    let world = world.restart_with(start(&iam)).await;
    world.glass.sweep().await;
    world.glass.end_sessions().await;
    world.glass.end_sessions().await;
    assert_eq!(told(&world).await, ["asked", "confirmed", "lifted"]);
    assert!(iam.calls().iter().any(|call| call.starts_with("DeleteRolePolicy")));
}

#[tokio::test]
async fn what_aws_refuses_is_a_state_that_is_seen_and_tried_again_until_it_is_taken() {
    let iam = FakeIam::start(&[Says::Code(403, "AccessDenied"), Says::Code(403, "AccessDenied")]).await;
    let world = World::with(Bench::new(), start(&iam)).await;
    let active = world.active().await;
    world.glass.end(&world.ann(), active.id, None).await.unwrap();
    world.glass.end_sessions().await;
    let entry = world.last_entry().await;
    assert_eq!(entry["type"], "elevation.sessions_end.failed");
    assert!(entry["note"].as_str().unwrap().contains("AccessDenied"), "{entry}");
    let CloudEnd::Asked { attempts: 1, next_try, .. } = world.stored(active.id).await.cloud else { panic!() };
    let calls = iam.calls().len();
    world.glass.end_sessions().await;
    assert_eq!(iam.calls().len(), calls, "not before its time");
    world.bench.clock.set(next_try);
    world.glass.end_sessions().await;
    world.bench.clock.set(next_try.plus(MINUTE));
    world.glass.end_sessions().await;
    assert_eq!(told(&world).await, ["asked", "failed", "failed", "confirmed"]);
}

#[tokio::test]
async fn nothing_is_cut_off_where_nothing_was_issued_or_nothing_can_be_cut() {
    let iam = FakeIam::start(&[]).await;
    let world = World::with(Bench::new(), start(&iam)).await;
    let later = world.approved(NewRequest { not_before: Some(world.now().plus(HOUR)), ..new() }).await;
    world.glass.revoke(&world.bob(), later.id, "never opened".into(), None).await.unwrap();
    let jwt = NewRequest { grant: crate::ids::GrantName::new(OTHER).unwrap(), ..new() };
    let jwt = world.approved(jwt).await;
    world.glass.revoke(&world.bob(), jwt.id, "a jwt".into(), None).await.unwrap();
    let expired = world.active().await;
    world.bench.clock.set(expired.window().unwrap().ends_at);
    world.glass.sweep().await;
    world.glass.end_sessions().await;
    assert!(iam.calls().is_empty() && told(&world).await.is_empty());
}

#[tokio::test]
async fn a_revocation_that_was_written_down_late_is_cut_off_from_when_it_was_made() {
    let iam = FakeIam::start(&[]).await;
    let world = World::with(Bench::new(), start(&iam)).await;
    let active = world.active().await;
    let at = world.now();
    world.make_sick();
    world.glass.revoke(&world.bob(), active.id, "an incident".into(), None).await.unwrap();
    world.advance(MINUTE);
    world.heal();
    world.glass.sweep().await;
    let CloudEnd::Asked { since, .. } = world.stored(active.id).await.cloud else { panic!() };
    assert_eq!(since, at);
    world.glass.end_sessions().await;
    assert_eq!(told(&world).await, ["asked", "confirmed"]);
}
