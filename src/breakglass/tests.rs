//! The machine by examples; `properties` holds it against random histories.

mod properties;
mod scene;

use std::time::Duration;

use scene::*;

use super::*;

#[test]
fn nobody_approves_twice_and_the_requester_never() {
    let fresh = fresh();
    let mut bench = Votes::needing(2);
    assert_eq!(fresh.approve(yes(REQUESTER, START), &mut bench), Err(ChangeRefusal::Requester));
    let one = fresh.approve(yes(1, START), &mut bench).unwrap();
    assert_eq!(one.approve(yes(1, at(5)), &mut bench), Err(ChangeRefusal::Twice));
    assert_eq!(one.state, State::Requested);
}

#[test]
fn the_last_missing_approval_fixes_the_window_and_no_later_one_moves_it() {
    let mut bench = Votes::needing(2);
    let one = fresh().approve(yes(1, START), &mut bench).unwrap();
    let two = one.approve(yes(2, at(60)), &mut bench).unwrap();
    let window = Window { starts_at: at(60), ends_at: at(3_660) };
    assert_eq!(two.state, State::Approved { window });
    assert_eq!(two.approve(yes(3, at(61)), &mut bench), Err(ChangeRefusal::State(StateName::Approved)));
    let active = two.activate(at(90), &mut bench).unwrap();
    assert_eq!(active.state, State::Active { window, quorum: 2 });
    assert_eq!(active.version, 4);
}

#[test]
fn a_window_ends_at_a_whole_second_and_never_later_than_asked() {
    let mut bench = Votes::needing(1);
    let odd = START.plus(Duration::from_millis(250));
    let window = fresh().approve(yes(1, odd), &mut bench).unwrap().window().unwrap();
    assert_eq!(window.ends_at, at(3_600));
    let second = narrowed(yes(1, odd), Some(Duration::from_secs(1)), None);
    let window = fresh().approve(second, &mut bench).unwrap().window().unwrap();
    assert!(window.holds(odd) && window.ends_at == at(1));
}

#[test]
fn what_was_in_time_yesterday_is_too_late_at_the_deadline() {
    let mut bench = Votes::needing(1);
    let (deadline, fresh) = (at(TTL), fresh());
    let just = Moment::from_unix_millis(deadline.unix_millis() - 1);
    assert!(fresh.approve(yes(1, just), &mut bench).is_ok());
    assert_eq!(fresh.approve(yes(1, deadline), &mut bench), Err(ChangeRefusal::Over(StateName::Lapsed)));
    assert_eq!(fresh.deny(act(1, deadline), "no"), Err(ChangeRefusal::Over(StateName::Lapsed)));
    assert_eq!(fresh.state_at(just), StateName::Requested);
    assert_eq!(fresh.state_at(deadline), StateName::Lapsed);
    assert_eq!(fresh.passed(at(TTL + 500)).unwrap().history.last().unwrap().at, deadline);
}

#[test]
fn a_window_opens_no_earlier_than_asked_and_not_without_those_who_approved() {
    let mut bench = Votes::needing(2);
    let fresh = Elevation { ask: Ask { not_before: Some(at(600)), ..ask() }, ..fresh() };
    let approved =
        fresh.approve(yes(1, START), &mut bench).unwrap().approve(yes(2, START), &mut bench).unwrap();
    assert_eq!(approved.window(), Some(Window { starts_at: at(600), ends_at: at(4_200) }));
    assert_eq!(approved.activate(at(599), &mut bench), Err(ChangeRefusal::NotYet(at(600))));
    bench.fallen.insert(person(2).id);
    assert_eq!(approved.activate(at(600), &mut bench), Err(ChangeRefusal::QuorumLost));
    bench.fallen.clear();
    assert!(approved.activate(at(600), &mut bench).unwrap().is_active(at(600)));
    assert_eq!(approved.state_at(at(4_200)), StateName::Lapsed);
}

#[test]
fn a_policy_that_wants_nobody_still_wants_somebody() {
    let mut bench = Votes::needing(0);
    bench.fallen.insert(person(1).id);
    assert_eq!(fresh().approve(yes(1, START), &mut bench).unwrap().state, State::Requested);
}

#[test]
fn the_narrowest_approval_stands_and_none_widens() {
    let mut bench = Votes::needing(2);
    let half = Duration::from_mins(30);
    let one = fresh().approve(narrowed(yes(1, START), Some(half), Some(&["read"])), &mut bench).unwrap();
    let wide = narrowed(yes(2, START), Some(Duration::from_hours(1)), Some(&["read", "write"]));
    let two = one.approve(wide, &mut bench).unwrap();
    assert_eq!((two.duration(), two.scope()), (half, Some(scope(&["read"]))));
    for wider in [
        narrowed(yes(2, START), Some(Duration::from_secs(3_601)), None),
        narrowed(yes(2, START), None, Some(&["root"])),
    ] {
        assert_eq!(one.approve(wider, &mut bench), Err(ChangeRefusal::Widens));
    }
    // Each is a part of what was asked for; together they leave nothing.
    let disjoint = narrowed(yes(2, START), None, Some(&["write"]));
    assert_eq!(one.approve(disjoint, &mut bench), Err(ChangeRefusal::NothingLeft));
    let aws = Elevation { ask: Ask { scope: None, ..ask() }, ..fresh() };
    let scoped = narrowed(yes(1, START), None, Some(&["read"]));
    assert_eq!(aws.approve(scoped, &mut bench), Err(ChangeRefusal::Widens));
}

#[test]
fn approvals_that_do_not_count_do_not_pile_up() {
    let mut bench = Votes::needing(100);
    let mut elevation = fresh();
    for number in 1..=20 {
        elevation = elevation.approve(yes(number, START), &mut bench).unwrap();
    }
    assert_eq!(elevation.approve(yes(21, START), &mut bench), Err(ChangeRefusal::TooMany));
}

#[test]
fn each_ending_is_the_right_persons_and_from_the_right_state() {
    let mut bench = Votes::needing(1);
    let fresh = fresh();
    let approved = fresh.approve(yes(1, START), &mut bench).unwrap();
    let active = approved.activate(START, &mut bench).unwrap();
    assert_eq!(fresh.deny(act(REQUESTER, START), "no"), Err(ChangeRefusal::Requester));
    assert_eq!(fresh.withdraw(act(1, START)), Err(ChangeRefusal::NotRequester));
    assert_eq!(active.end(act(1, START)), Err(ChangeRefusal::NotRequester));
    assert_eq!(active.withdraw(act(REQUESTER, START)), Err(ChangeRefusal::State(StateName::Active)));
    assert_eq!(approved.end(act(REQUESTER, START)), Err(ChangeRefusal::State(StateName::Approved)));
    assert_eq!(approved.deny(act(1, START), "no"), Err(ChangeRefusal::State(StateName::Approved)));
    assert_eq!(fresh.revoke(act(1, START), "no"), Err(ChangeRefusal::State(StateName::Requested)));
    assert_eq!(approved.withdraw(act(REQUESTER, START)).unwrap().state_name(), StateName::Withdrawn);
    assert_eq!(approved.revoke(act(1, START), "no").unwrap().state_name(), StateName::Revoked);
    assert_eq!(active.end(act(REQUESTER, START)).unwrap().state_name(), StateName::Ended);
    assert_eq!(active.revoke(act(1, START), "no").unwrap().state_name(), StateName::Revoked);
    let end = active.window().unwrap().ends_at;
    assert_eq!(active.revoke(act(1, end), "no"), Err(ChangeRefusal::Over(StateName::Expired)));
    assert_eq!(active.end(act(REQUESTER, end)), Err(ChangeRefusal::Over(StateName::Expired)));
}

#[test]
fn warnings_are_said_once_and_the_latest_covers_the_one_before() {
    let mut bench = Votes::needing(1);
    let active = fresh().approve(yes(1, START), &mut bench).unwrap().activate(START, &mut bench).unwrap();
    let end = active.window().unwrap().ends_at;
    assert_eq!(active.next_due(), Some(end.minus(Duration::from_mins(5))));
    assert_eq!(active.warn(end.minus(Duration::from_secs(301))), None);
    let (next, said) = active.warn(end.minus(Duration::from_secs(59))).unwrap();
    assert_eq!((said, next.warn(end.minus(Duration::from_secs(58)))), (Warning::OneMinute, None));
    assert_eq!(next.next_due(), Some(end));
    let short = narrowed(yes(1, START), Some(Duration::from_mins(5)), None);
    let short = fresh().approve(short, &mut bench).unwrap().activate(START, &mut bench).unwrap();
    assert_eq!(short.warn(START), None, "its opening said it");
}

#[test]
fn sessions_are_cut_off_until_aws_confirms_and_the_deny_is_lifted_when_it_is_of_no_more_use() {
    let mut bench = Votes::needing(1);
    let active = fresh().approve(yes(1, START), &mut bench).unwrap().activate(START, &mut bench).unwrap();
    let end = active.window().unwrap().ends_at;
    let revoked = active.revoke(act(1, at(60)), "no").unwrap().cut_off(at(60));
    let asked = revoked.sessions_end_asked(at(60)).unwrap();
    assert_eq!(asked.sessions_end_asked(at(60)), None, "asked once");
    let step = asked.cloud.step(at(60)).unwrap();
    assert_eq!(step, CloudStep::Deny { since: at(60), until: end });
    let failed = asked.cloud_failed(at(60));
    assert_eq!(failed.cloud.name(), "failing");
    assert_eq!((failed.cloud.step(at(61)), failed.next_due()), (None, Some(at(62))));
    let (confirmed, change) = failed.cloud_done(step, at(62));
    assert_eq!(
        (change, confirmed.cloud.step(at(63)), confirmed.next_due()),
        (Change::SessionsEndConfirmed, None, Some(end))
    );
    let (lifted, change) = confirmed.cloud_done(confirmed.cloud.step(end).unwrap(), end);
    assert_eq!((change, lifted.cloud.name(), lifted.next_due()), (Change::SessionsEndLifted, "lifted", None));
    // AWS was away all the time: there is nothing left to cut off, and perhaps something to take away.
    let step = failed.cloud.step(end).unwrap();
    assert_eq!(step, CloudStep::Lift { since: at(60), until: end });
    assert_eq!(failed.cloud_done(step, end).0.cloud.name(), "lifted");
}

#[test]
fn failures_wait_longer_each_time_and_never_for_ever() {
    let mut cloud = CloudEnd::asked(START, at(86_400));
    let mut waits = Vec::new();
    for _ in 0..40 {
        cloud = cloud.failed(START);
        waits.push(cloud.next_due().unwrap().since(START).as_secs());
    }
    assert_eq!(waits[..4], [2, 4, 8, 16]);
    assert!(waits.is_sorted() && waits[39] == 300);
}

#[test]
fn what_is_kept_reads_back_as_it_was() {
    let mut bench = Votes::needing(1);
    let active = fresh()
        .approve(narrowed(yes(1, START), Some(Duration::from_mins(10)), Some(&["read"])), &mut bench)
        .unwrap()
        .activate(START, &mut bench)
        .unwrap();
    let revoked = active.revoke(act(1, at(5)), "<b>\u{0}").unwrap().cut_off(at(5));
    for elevation in [fresh(), active, revoked] {
        let text = serde_json::to_string(&elevation).unwrap();
        assert_eq!(serde_json::from_str::<Elevation>(&text).unwrap(), elevation);
    }
}
