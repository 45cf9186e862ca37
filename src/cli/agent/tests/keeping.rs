//! What is served, for how long, and when the broker is asked.

use super::*;

const HALF: Duration = Duration::from_secs(150);
const LATER: Duration = Duration::from_secs(181);

#[tokio::test]
async fn a_refusal_at_renewal_ends_what_is_served_at_once() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.pass(LATER);
    world.desk.say(400, denied());
    world.tick().await;
    assert_eq!(world.ask("orders-read").await.0, 403);
    assert_eq!(world.state("orders-read"), Some("refused"));
    let line = "grant `orders-read`: the broker refused, nothing is served: invalid_target: policy says no (request req-1)";
    assert_eq!(world.said(), [line]);
}

#[tokio::test]
async fn a_refusal_is_remembered_for_seconds_and_then_asked_for_again() {
    let world = World::new().await;
    world.desk.say(400, denied());
    for _ in 0..3 {
        assert_eq!(world.ask("payroll").await.0, 403);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.exchanges(), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.ask("payroll").await.0, 403);
    assert_eq!((world.exchanges(), world.said().len()), (2, 1), "and it is told once");
    world.pass(Duration::from_secs(5));
    world.give("ASIA2");
    assert_eq!(world.key("payroll").await, "ASIA2");
    assert_eq!(world.said()[1], "grant `payroll`: well again, until 2026-11-22T16:03:22Z");
}

#[tokio::test]
async fn trouble_is_told_once_however_long_a_program_asks() {
    for (status, body) in [(400, denied()), (503, away())] {
        let world = World::new().await;
        world.desk.say(status, body);
        for _ in 0..120 {
            assert_ne!(world.ask("orders-read").await.0, 200);
            world.tick().await;
            world.pass(Duration::from_secs(5));
        }
        assert_eq!(world.said().len(), 1, "{:?}", world.said());
        for _ in 0..2 {
            world.pass(Duration::from_secs(301));
            world.tick().await;
        }
        assert_eq!(world.state("orders-read"), None, "and forgotten when nobody asks any more");
    }
}

#[tokio::test]
async fn a_token_that_was_not_renewed_costs_no_credential_that_lives() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.pass(LATER);
    world.desk.say(400, bad_token());
    world.tick().await;
    assert_eq!(world.key("orders-read").await, "ASIA1");
    let why = "the broker does not take the same token again: invalid_request: the token has expired (request req-2)";
    let line =
        format!("grant `orders-read`: not renewed: {why}; what it has is served until 2026-11-22T16:03:12Z");
    assert_eq!(world.said(), [line]);

    // The broker's no to another token is a no to its owner.
    std::fs::write(&world.token, "d.e.f").unwrap();
    world.pass(Duration::from_secs(2));
    world.tick().await;
    assert_eq!(world.ask("orders-read").await.0, 400);
}

#[tokio::test]
async fn while_the_broker_is_away_what_lives_is_served_to_its_end_and_not_beyond() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.desk.say(503, away());
    for _ in 0..298 {
        world.pass(Duration::from_secs(1));
        world.tick().await;
        assert_eq!(world.key("orders-read").await, "ASIA1");
    }
    world.pass(Duration::from_secs(1));
    let (status, body) = world.ask("orders-read").await;
    assert_eq!((status, body["code"].as_str()), (503, Some("ServiceUnavailable")));
    assert!(body["message"].as_str().unwrap().contains("not now"), "{body}");
    assert_eq!(world.said().len(), 1, "told once: {:?}", world.said());

    world.give("ASIA2");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.key("orders-read").await, "ASIA2");
    assert_eq!(world.said().len(), 2, "and that it is well again: {:?}", world.said());
}

#[tokio::test]
async fn a_broker_that_is_away_is_asked_ever_less_often_and_not_before_it_wants_to_be() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.desk.say(503, away());
    world.pass(HALF + Duration::from_secs(31));
    for _ in 0..100 {
        world.tick().await;
        world.key("orders-read").await;
        world.pass(Duration::from_secs(1));
    }
    // The script's `Retry-After` is 7 s, the longest wait 15 s.
    let attempts = world.exchanges() - 1;
    assert!((8..=14).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn neither_a_clock_set_back_nor_a_laptop_that_slept_prolongs_anything() {
    let back = World::new().await;
    back.key("orders-read").await;
    back.desk.say(503, away());
    back.clock.wall.fetch_sub(3_600_000, Ordering::SeqCst);
    back.clock.up.fetch_add(300_000, Ordering::SeqCst);
    assert_eq!(back.ask("orders-read").await.0, 503);

    let slept = World::new().await;
    slept.key("orders-read").await;
    slept.desk.say(503, away());
    slept.clock.wall.fetch_add(300_000, Ordering::SeqCst);
    assert_eq!(slept.ask("orders-read").await.0, 503);
}

#[tokio::test]
async fn nothing_is_served_in_its_last_second_whichever_end_comes_first() {
    for (seconds, ends) in
        [(300, "2026-11-22T16:03:12Z"), (300, "2026-11-22T16:00:00Z"), (108, "2026-11-22T16:03:12Z")]
    {
        let world = World::new().await;
        world.desk.say(200, aws("ASIA1", seconds, ends));
        world.key("orders-read").await;
        world.desk.say(503, away());
        let end: Moment = ends.parse().unwrap();
        let left = Duration::from_secs(seconds).min(end.since(world.clock.now()));
        world.pass(left.checked_sub(Duration::from_millis(1_001)).unwrap());
        world.key("orders-read").await;
        world.pass(Duration::from_millis(1));
        assert_eq!(world.ask("orders-read").await.0, 503, "{seconds} {ends}");
    }
}

#[tokio::test]
async fn a_thousand_requests_are_one_exchange() {
    let world = World::new().await;
    for _ in 0..1_000 {
        assert_eq!(world.key("orders-read").await, "ASIA1");
    }
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn two_hundred_at_once_for_what_is_not_there_are_one_exchange_for_each_grant() {
    let world = World::new().await;
    world.desk.hold();
    let ask = |name: &'static str| async { world.key(name).await };
    let all =
        futures_util::future::join_all((0..200).map(|n| ask(if n % 2 == 0 { "orders" } else { "ledger" })));
    let release = async {
        while world.exchanges() < 2 {
            tokio::task::yield_now().await;
        }
        world.desk.release();
    };
    let (keys, ()) = tokio::join!(all, release);
    assert_eq!((keys.len(), world.exchanges()), (200, 2));
}

#[tokio::test]
async fn an_exchange_that_takes_long_goes_on_when_whoever_asked_has_left() {
    let world = World::with(Duration::ZERO, None).await;
    world.desk.hold();
    let (status, body) = world.ask("orders-read").await;
    assert_eq!((status, body["code"].as_str()), (503, Some("ServiceUnavailable")));
    world.desk.release();
    world.keeper.settled().await;
    assert_eq!(world.key("orders-read").await, "ASIA1");
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn what_is_used_is_renewed_after_half_its_life_before_anybody_must_wait() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.give("ASIA2");
    world.pass(HALF.checked_sub(Duration::from_millis(1)).unwrap());
    world.tick().await;
    assert_eq!((world.exchanges(), world.key("orders-read").await.as_str()), (1, "ASIA1"));
    world.pass(Duration::from_secs(31));
    world.tick().await;
    assert_eq!((world.exchanges(), world.key("orders-read").await.as_str()), (2, "ASIA2"));
}

#[tokio::test]
async fn a_request_near_the_end_starts_the_renewal_and_does_not_wait_for_it() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.pass(LATER);
    world.give("ASIA2");
    world.desk.hold();
    assert_eq!(world.key("orders-read").await, "ASIA1");
    assert_eq!(world.key("orders-read").await, "ASIA1");
    world.desk.release();
    world.keeper.settled().await;
    assert_eq!((world.exchanges(), world.key("orders-read").await.as_str()), (2, "ASIA2"));
}

#[tokio::test]
async fn what_nobody_uses_any_more_is_renewed_once_and_then_forgotten() {
    let world = World::new().await;
    world.key("orders-read").await;
    for _ in 0..1_200 {
        world.pass(Duration::from_secs(1));
        world.tick().await;
    }
    assert_eq!((world.exchanges(), world.state("orders-read")), (2, None));
}

#[tokio::test]
async fn every_exchange_reads_the_token_afresh_and_asks_for_aws_credentials_only() {
    let elevation = "elv-019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071";
    let world = World::with(Duration::from_secs(30), Some(Duration::from_mins(5))).await;
    world.key("orders-read").await;
    std::fs::write(&world.token, "d.e.f").unwrap();
    world.key(&format!("orders-read?elevation={elevation}&expires_in=900")).await;
    let forms = world.desk.forms();
    let of =
        |name: &str| forms.iter().map(|form| form.get(name).cloned().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(of("subject_token"), ["a.b.c", "d.e.f"]);
    assert_eq!(of("audience"), ["orders-read", "orders-read"]);
    assert_eq!(of("elevation"), ["", elevation]);
    assert_eq!(of("expires_in"), ["300", "900"]);
    assert!(of("requested_token_type").iter().all(|kind| kind.ends_with(":aws-credentials")));
}

#[tokio::test]
async fn a_token_file_that_is_gone_is_named_and_what_lives_goes_on() {
    let world = World::new().await;
    world.key("orders-read").await;
    std::fs::remove_file(&world.token).unwrap();
    world.pass(LATER);
    world.tick().await;
    assert_eq!(world.key("orders-read").await, "ASIA1");
    let (status, body) = world.ask("other").await;
    assert_eq!(status, 503);
    assert!(body["message"].as_str().unwrap().contains("the subject token file `"), "{body}");
}

#[tokio::test]
async fn an_answer_that_is_no_aws_credential_is_served_to_nobody() {
    let world = World::new().await;
    for body in [json!({ "access_token": "a.b.c", "expires_in": 300 }), json!({ "x": "hunter2" }), json!([])]
    {
        world.desk.say(200, body);
        let (status, body) = world.ask("orders-read").await;
        assert_eq!(status, 503, "{body}");
        assert!(!body.to_string().contains("hunter2"));
        world.pass(Duration::from_secs(2));
    }
    world.desk.say(200, aws("ASIA1", 0, "2026-11-22T16:03:12Z"));
    assert_eq!(world.ask("orders-read").await.0, 503, "one that has ended already is none");
    world.pass(Duration::from_secs(2));
    world.desk.say(200, aws("ASIA1", 300, "2026-11-22T15:58:13Z"));
    assert_eq!(world.ask("orders-read").await.0, 503, "nor one that SDKs would take for ended");
}

#[tokio::test]
async fn grants_without_number_push_out_what_is_worth_least() {
    let world = World::new().await;
    world.key("orders-read").await;
    world.desk.say(400, denied());
    for n in 0..300 {
        world.pass(Duration::from_millis(1));
        world.ask(&format!("guess-{n}")).await;
    }
    assert_eq!(world.keeper.status().grants.len(), 256);
    assert_eq!(world.state("orders-read"), Some("live"), "refusals make room first");
}

#[tokio::test]
async fn nothing_that_is_said_holds_a_secret() {
    let world = World::new().await;
    world.key("orders-read").await;
    for (status, body) in [(503, away()), (400, bad_token()), (400, denied())] {
        world.pass(LATER);
        world.desk.say(status, body);
        world.tick().await;
        world.ask("orders-read").await;
    }
    let said = world.said();
    assert_eq!(said.len(), 2, "{said:?}");
    let said = format!("{said:?} {:?}", world.keeper.status());
    for secret in ["hunter2", "SESSION", "a.b.c", &world.bearer] {
        assert!(!said.contains(secret), "{said}");
    }
}
