//! Requests that nobody is asked to decide, and decisions that come to nothing.

use super::people::lock;
use super::world::*;
use crate::breakglass::service::{Approve, BreakGlassError, IdempotencyKey, Keyed, NewRequest};
use crate::breakglass::{Settings, StateName};
use crate::ids::{ElevationId, GrantName};
use crate::secret::Fingerprint;

fn code(result: Result<crate::breakglass::Elevation, BreakGlassError>) -> &'static str {
    result.unwrap_err().code()
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_grant_that_exists_from_one_that_does_not() {
    let world = World::new().await;
    let sam = world.caller("customer|sam");
    let mut told = Vec::new();
    for name in [GRANT, "no-such"] {
        let new = NewRequest { grant: GrantName::new(name).unwrap(), ..new() };
        let error = world.glass.request(&sam, new, None).await.unwrap_err();
        told.push((error.code(), error.to_string().replace(name, "NAME")));
    }
    assert_eq!(told[0].0, "grant_unavailable");
    assert_eq!(told[0], told[1]);
    // The record knows better.
    assert_eq!(world.last_refusal().await, ("request".to_owned(), "unknown_grant".to_owned()));
}

#[tokio::test]
async fn a_request_that_breaks_the_rules_is_refused_with_the_rule() {
    let world = World::new().await;
    let at = world.now();
    for (new, expected) in [
        (NewRequest { reason: "short".into(), ..new() }, "reason"),
        (NewRequest { reason: "x".repeat(3_000), ..new() }, "reason"),
        (NewRequest { duration: 5 * HOUR, ..new() }, "duration"),
        (NewRequest { duration: std::time::Duration::ZERO, ..new() }, "duration"),
        (NewRequest { duration: 3 * HOUR, ..new() }, "policy"),
        (NewRequest { not_before: Some(at), ..new() }, "not_before"),
        (NewRequest { not_before: Some(at.plus(1_000 * HOUR)), ..new() }, "not_before"),
        (NewRequest { scope: Some(scope(&["root"])), ..new() }, "scope"),
        (NewRequest { scope: Some(scope(&[])), ..new() }, "scope"),
        (NewRequest { ticket: Some(String::new()), ..new() }, "ticket"),
        (NewRequest { grant: GrantName::new(OPEN).unwrap(), ..new() }, "not_break_glass"),
    ] {
        assert_eq!(code(world.ask(new).await), expected);
        assert_eq!(world.last_refusal().await, ("request".to_owned(), expected.to_owned()));
    }
    assert_eq!(world.told().await.iter().filter(|kind| *kind == "requested").count(), 0);
}

#[tokio::test]
async fn reasons_with_control_characters_and_markup_are_kept_as_text() {
    let world = World::new().await;
    let reason = "<script>alert(1)</script>\u{0}\u{1b}[31m\r\n\u{202e}\"};".to_owned();
    let elevation = world.ask(NewRequest { reason: reason.clone(), ..new() }).await.unwrap();
    assert_eq!(world.stored(elevation.id).await.ask.reason, reason);
    assert_eq!(world.last_entry().await["elevation"]["reason"], reason);
}

#[tokio::test]
async fn a_request_that_nobody_could_ever_approve_is_refused_with_that_reason() {
    let world = World::with(
        crate::audit::tests::Bench::new(),
        Start { customer_may_approve: false, ..Start::default() },
    )
    .await;
    let error = world.ask(new()).await.unwrap_err();
    assert!(
        matches!(&error, BreakGlassError::Invalid { code: "no_approver", told } if told.contains("may_approve")),
        "{error}"
    );
    let world = World::new().await;
    world.set_policy(&POLICY.replace("context.approvals.count >= 2", "context.approvals.count >= 1000"));
    let error = world.ask(new()).await.unwrap_err();
    assert!(
        matches!(&error, BreakGlassError::Invalid { code: "no_approver", told } if told.contains("number")),
        "{error}"
    );
    world.set_policy(
        &POLICY
            .replace(r#"action == Tidegate::Action::"approve""#, r#"action == Tidegate::Action::"explain""#),
    );
    let error = world.ask(new()).await.unwrap_err();
    assert!(
        matches!(&error, BreakGlassError::Invalid { code: "no_approver", told } if told.contains("policy")),
        "{error}"
    );
}

#[tokio::test]
async fn open_requests_are_limited_per_person_and_per_grant() {
    let settings = Settings { open_per_person: 2, open_per_grant: 3, ..Settings::default() };
    let world = World::with(crate::audit::tests::Bench::new(), Start { settings, ..Start::default() }).await;
    world.request().await;
    let second = world.request().await;
    assert_eq!(code(world.ask(new()).await), "too_many_of_yours");
    let dan = world.caller("vendor|dan");
    world.glass.request(&dan, new(), None).await.unwrap();
    let error = world.glass.request(&dan, new(), None).await.unwrap_err();
    assert_eq!(error.code(), "too_many_of_grant");
    // What is over makes room.
    world.glass.withdraw(&world.ann(), second.id, None).await.unwrap();
    world.request().await;
}

#[tokio::test]
async fn terminal_is_terminal_and_the_answer_shows_how_it_stands() {
    let world = World::new().await;
    let id = world.request().await.id;
    world.glass.withdraw(&world.ann(), id, None).await.unwrap();
    let (bob, ann) = (world.bob(), world.ann());
    for error in [
        world.approve(&bob, id).await.unwrap_err(),
        world.glass.deny(&bob, id, "no".into(), None).await.unwrap_err(),
        world.glass.revoke(&bob, id, "no".into(), None).await.unwrap_err(),
        world.glass.withdraw(&ann, id, None).await.unwrap_err(),
        world.glass.end(&ann, id, None).await.unwrap_err(),
    ] {
        let BreakGlassError::Conflict { code: "wrong_state", current, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((current.id, current.state_name()), (id, StateName::Withdrawn));
        assert_eq!(world.last_entry().await["version"], 2);
    }
    assert_eq!(world.stored(id).await.version, 2);
}

#[tokio::test]
async fn the_same_approver_counts_once() {
    let world = World::new().await;
    let id = world.request().await.id;
    world.approve(&world.bob(), id).await.unwrap();
    let error = world.approve(&world.bob(), id).await.unwrap_err();
    assert!(matches!(&error, BreakGlassError::Conflict { code: "approved_already", .. }), "{error:?}");
    assert_eq!(world.stored(id).await.approvals.len(), 1);
    assert_eq!(world.state(id).await, StateName::Requested);
}

#[tokio::test]
async fn an_approval_that_narrows_stands_when_a_second_one_approves_the_original() {
    let world = World::new().await;
    let id = world.request().await.id;
    let half = narrow(Some(30 * MINUTE), Some(&["read"]));
    world.glass.approve(&world.bob(), id, half, None).await.unwrap();
    let original = narrow(Some(HOUR), Some(&["read", "write"]));
    let elevation = world.glass.approve(&world.cyd(), id, original, None).await.unwrap().elevation;
    assert_eq!(elevation.window().unwrap().length(), 30 * MINUTE);
    assert_eq!(world.window(None).await.unwrap().scope, Some(scope(&["read"])));
}

#[tokio::test]
async fn an_approval_never_widens_and_leaves_something() {
    let world = World::new().await;
    let id = world.ask(NewRequest { scope: Some(scope(&["read"])), ..new() }).await.unwrap().id;
    for (approve, expected) in [
        (narrow(Some(2 * HOUR), None), "approval_widens"),
        (narrow(None, Some(&["read", "write"])), "approval_widens"),
        (narrow(None, Some(&[])), "nothing_left"),
        (narrow(Some(std::time::Duration::ZERO), None), "nothing_left"),
        (Approve { comment: Some("x".repeat(2_001)), ..Approve::default() }, "comment"),
    ] {
        assert_eq!(world.glass.approve(&world.bob(), id, approve, None).await.unwrap_err().code(), expected);
    }
    assert_eq!(world.stored(id).await.version, 1);
}

#[tokio::test]
async fn a_reason_is_demanded_of_who_stops_somebody() {
    let world = World::new().await;
    let id = world.request().await.id;
    for bad in [String::new(), " \n".to_owned(), "x".repeat(2_001)] {
        assert_eq!(world.glass.deny(&world.bob(), id, bad, None).await.unwrap_err().code(), "reason");
    }
}

#[tokio::test]
async fn locks_stop_asking_and_approving_and_never_what_stops_something() {
    let world = World::new().await;
    let id = world.request().await.id;
    let active = world.active().await;
    let lock = lock(&world, "all").await;
    assert_eq!(code(world.ask(new()).await), "locked");
    assert_eq!(world.approve(&world.bob(), id).await.unwrap_err().code(), "locked");
    assert_eq!(world.last_refusal().await, ("approve".to_owned(), "locked".to_owned()));
    world.glass.deny(&world.bob(), id, "not today".into(), None).await.unwrap();
    world.glass.revoke(&world.bob(), active.id, "an incident".into(), None).await.unwrap();
    world.glass.show(&world.ann(), id).await.unwrap();
    world.locks.lift(&world.caller("customer|olga"), lock.id).await.unwrap();
    world.request().await;
}

#[tokio::test]
async fn a_repeated_request_is_one_request_and_another_body_is_a_mistake() {
    let world = World::new().await;
    let key = IdempotencyKey::new("k-1").unwrap();
    let keyed = |body: &str, route| Some(Keyed { key: &key, route, body: Fingerprint::of(body.as_bytes()) });
    let first = world.glass.request(&world.ann(), new(), keyed("a", "request")).await.unwrap().elevation;
    let again = world.glass.request(&world.ann(), new(), keyed("a", "request")).await.unwrap().elevation;
    assert_eq!(first, again);
    let error = world.glass.request(&world.ann(), new(), keyed("b", "request")).await.unwrap_err();
    assert!(matches!(error, BreakGlassError::KeyReused));
    // The key is this person's: another's is another.
    let dan = world.caller("vendor|dan");
    assert_ne!(world.glass.request(&dan, new(), keyed("a", "request")).await.unwrap().elevation.id, first.id);
    // An approval that is sent again is no second one and no conflict; on another elevation it is a mistake.
    for _ in 0..2 {
        let outcome =
            world.glass.approve(&world.bob(), first.id, Approve::default(), keyed("{}", "approve")).await;
        assert_eq!(outcome.unwrap().elevation.approvals.len(), 1);
    }
    let other = world.request().await.id;
    let error = world.glass.approve(&world.bob(), other, Approve::default(), keyed("{}", "approve")).await;
    assert!(matches!(error, Err(BreakGlassError::KeyReused)));
    let world = world.restart().await;
    assert_eq!(
        world.glass.request(&world.ann(), new(), keyed("a", "request")).await.unwrap().elevation.id,
        first.id
    );
}

#[tokio::test]
async fn a_guessed_id_is_written_down_whether_or_not_there_is_something_of_that_name() {
    let world = World::new().await;
    let sam = world.caller("customer|sam");
    let unknown = ElevationId::new(world.now(), &crate::entropy::SystemEntropy::new()).unwrap();
    let hidden = world.request().await.id;
    for (id, reason) in [(unknown, "unknown_elevation"), (hidden, "not_visible")] {
        let size = world.log.size();
        assert!(matches!(world.glass.show(&sam, id).await, Err(BreakGlassError::NotFound)));
        assert_eq!(world.last_refusal().await, ("view".to_owned(), reason.to_owned()));
        assert!(matches!(world.approve(&sam, id).await, Err(BreakGlassError::NotFound)));
        assert_eq!(world.last_refusal().await, ("approve".to_owned(), reason.to_owned()));
        assert_eq!(world.log.size(), size + 2);
    }
}
