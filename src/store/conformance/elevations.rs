//! Elevations: compare-and-swap with the time in it, room, lists.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Open, promises};
use crate::breakglass::{CloudEnd, Elevation, StateName};
use crate::clock::Moment;
use crate::ids::GrantName;
use crate::store::samples::{
    AT, active, approved, asked, asked_by, change, denied, new, person_id, revoked, seconds,
};
use crate::store::{ElevationChange, ElevationGuard, ElevationQuery, OpenLimits, Store, Swap};

promises! {
    a_dropped_change_leaves_nothing,
    every_state_is_read_back_as_it_was_written,
    a_taken_id_or_another_version_loses,
    a_change_that_does_not_go_forward_loses,
    a_change_at_its_deadline_is_late,
    who_has_too_many_open_ones_gets_no_more,
    room_is_counted_within_the_unit,
    a_guard_holds_only_its_version_and_only_before_its_end,
    of_racing_changes_exactly_one_wins,
    racing_requests_never_exceed_the_room,
    lists_are_filtered_newest_first_and_paged,
    the_longest_due_come_first,
}

async fn swap(store: &dyn Store, change: &ElevationChange, at: Moment) -> Swap {
    let mut unit = store.begin().await.unwrap();
    let swap = unit.swap_elevation(change, at).await.unwrap();
    unit.commit().await.unwrap();
    swap
}

async fn put(store: &dyn Store, elevation: &Elevation) {
    assert_eq!(swap(store, &new(elevation), AT).await, Swap::Done);
}

async fn found(store: &dyn Store, like: &Elevation) -> Option<Elevation> {
    store.elevation(like.id).await.unwrap()
}

async fn a_dropped_change_leaves_nothing(open: Open<'_>) {
    let store = open().await;
    let first = asked();
    let mut unit = store.begin().await.unwrap();
    assert_eq!(unit.swap_elevation(&new(&first), AT).await.unwrap(), Swap::Done);
    drop(unit);
    assert_eq!(found(store.as_ref(), &first).await, None);
    put(store.as_ref(), &first).await;
    let mut unit = store.begin().await.unwrap();
    let next = denied(&first, AT);
    assert_eq!(unit.swap_elevation(&change(&first, &next), AT).await.unwrap(), Swap::Done);
    drop(unit);
    assert_eq!(found(store.as_ref(), &first).await, Some(first));
}

async fn every_state_is_read_back_as_it_was_written(open: Open<'_>) {
    let first = asked();
    let open_now = active(&first, AT);
    let cut_off = Elevation { cloud: CloudEnd::asked(AT, AT.plus(seconds(900))), ..revoked(&open_now, AT) };
    let warned = open_now.warn(AT.plus(Duration::from_mins(29))).unwrap().0;
    let lives = [
        first.clone(),
        denied(&first, AT),
        first.passed(first.ask.expires_at).unwrap(),
        approved(&first, AT),
        open_now.clone(),
        warned,
        open_now.passed(open_now.deadline().unwrap()).unwrap(),
        cut_off,
    ];
    for life in lives {
        let store = open().await;
        let fresh = Elevation { id: asked().id, ..life };
        put(store.as_ref(), &fresh).await;
        drop(store);
        assert_eq!(found(open().await.as_ref(), &fresh).await, Some(fresh.clone()), "{fresh:?}");
    }
}

async fn a_taken_id_or_another_version_loses(open: Open<'_>) {
    let store = open().await;
    let first = asked();
    let second = denied(&first, AT);
    assert_eq!(swap(store.as_ref(), &change(&first, &second), AT).await, Swap::Lost, "nothing to change");
    assert_eq!(found(store.as_ref(), &first).await, None, "a change never makes one");
    put(store.as_ref(), &first).await;
    let impostor = Elevation { approvals_needed: 0, ..first.clone() };
    assert_eq!(swap(store.as_ref(), &new(&impostor), AT).await, Swap::Lost);
    let limits = Some(OpenLimits { per_person: 9, per_grant: 9 });
    let roomy = ElevationChange { room: limits, ..new(&impostor) };
    assert_eq!(swap(store.as_ref(), &roomy, AT).await, Swap::Lost);
    for from in [0, 2, 3, u64::from(u32::MAX)] {
        let wrong = ElevationChange { from: Some(from), ..change(&first, &second) };
        assert_eq!(swap(store.as_ref(), &wrong, AT).await, Swap::Lost, "{from}");
        assert_eq!(found(store.as_ref(), &first).await, Some(first.clone()));
    }
    assert_eq!(swap(store.as_ref(), &change(&first, &second), AT).await, Swap::Done);
    assert_eq!(swap(store.as_ref(), &change(&first, &second), AT).await, Swap::Lost, "once");
    assert_eq!(found(store.as_ref(), &first).await, Some(second));
}

async fn a_change_that_does_not_go_forward_loses(open: Open<'_>) {
    let store = open().await;
    let first = Elevation { version: 5, ..asked() };
    put(store.as_ref(), &first).await;
    for version in [1, 4, 5] {
        let back = Elevation { version, ..denied(&first, AT) };
        assert_eq!(swap(store.as_ref(), &change(&first, &back), AT).await, Swap::Lost, "{version}");
    }
    assert_eq!(found(store.as_ref(), &first).await, Some(first));
}

async fn a_change_at_its_deadline_is_late(open: Open<'_>) {
    let store = open().await;
    let (first, end) = (asked(), asked().ask.expires_at);
    let just_before = end.minus(Duration::from_millis(1));
    let bound = ElevationChange { before: Some(end), ..new(&first) };
    for late in [end, end.plus(seconds(1))] {
        assert_eq!(swap(store.as_ref(), &bound, late).await, Swap::Late);
        assert_eq!(found(store.as_ref(), &first).await, None);
    }
    assert_eq!(swap(store.as_ref(), &bound, just_before).await, Swap::Done);
    let second = denied(&first, AT);
    for late in [end, end.plus(seconds(1))] {
        assert_eq!(swap(store.as_ref(), &change(&first, &second), late).await, Swap::Late);
        let both = ElevationChange { from: Some(7), ..change(&first, &second) };
        assert_eq!(swap(store.as_ref(), &both, late).await, Swap::Late);
        assert_eq!(found(store.as_ref(), &first).await, Some(first.clone()));
    }
    assert_eq!(swap(store.as_ref(), &change(&first, &second), just_before).await, Swap::Done);
    // What has no deadline is never late.
    let third = Elevation { version: 3, ..second.clone() };
    assert_eq!(swap(store.as_ref(), &change(&second, &third), end.plus(seconds(1))).await, Swap::Done);
}

async fn who_has_too_many_open_ones_gets_no_more(open: Open<'_>) {
    let store = open().await;
    let room = Some(OpenLimits { per_person: 2, per_grant: 3 });
    let ask = async |person: &str, grant: &str| {
        let next = asked_by(person, grant, AT);
        let swap = swap(store.as_ref(), &ElevationChange { room, ..new(&next) }, AT).await;
        assert_eq!(found(store.as_ref(), &next).await.is_some(), swap == Swap::Done);
        (next, swap)
    };
    let (first, done) = ask("ann", "orders").await;
    assert_eq!(done, Swap::Done);
    assert_eq!(ask("ann", "billing").await.1, Swap::Done);
    assert_eq!(ask("ann", "stock").await.1, Swap::PersonFull);
    assert_eq!(ask("bob", "orders").await.1, Swap::Done);
    assert_eq!(ask("cyd", "orders").await.1, Swap::Done);
    assert_eq!(ask("dan", "orders").await.1, Swap::GrantFull);
    assert_eq!(ask("ann", "orders").await.1, Swap::PersonFull, "the caller's own limit is said first");
    // A change of what is open needs no room, and what has ended makes some.
    let (open_now, over) = (active(&first, AT), revoked(&active(&first, AT), AT));
    assert_eq!(
        swap(store.as_ref(), &ElevationChange { room, ..change(&first, &open_now) }, AT).await,
        Swap::Done
    );
    assert_eq!(ask("dan", "orders").await.1, Swap::GrantFull, "an active one is open");
    assert_eq!(swap(store.as_ref(), &change(&open_now, &over), AT).await, Swap::Done);
    assert_eq!(ask("dan", "orders").await.1, Swap::Done);
    assert_eq!(ask("ann", "stock").await.1, Swap::Done);
    assert_eq!(ask("ann", "stock").await.1, Swap::PersonFull);
}

async fn room_is_counted_within_the_unit(open: Open<'_>) {
    let store = open().await;
    let room = Some(OpenLimits { per_person: 1, per_grant: 9 });
    let (one, two) = (asked(), asked());
    let over = denied(&one, AT);
    let mut unit = store.begin().await.unwrap();
    for (change, expected) in [
        (ElevationChange { room, ..new(&one) }, Swap::Done),
        (ElevationChange { room, ..new(&two) }, Swap::PersonFull),
        (change(&one, &over), Swap::Done),
        (ElevationChange { room, ..new(&two) }, Swap::Done),
    ] {
        assert_eq!(unit.swap_elevation(&change, AT).await.unwrap(), expected);
    }
    unit.commit().await.unwrap();
    assert_eq!(found(store.as_ref(), &one).await, Some(over));
    assert_eq!(found(store.as_ref(), &two).await, Some(two));
    let none = Some(OpenLimits { per_person: 0, per_grant: 0 });
    let other = ElevationChange { room: none, ..new(&asked_by("eve", "stock", AT)) };
    assert_eq!(swap(store.as_ref(), &other, AT).await, Swap::PersonFull, "zero is none");
}

async fn a_guard_holds_only_its_version_and_only_before_its_end(open: Open<'_>) {
    let store = open().await;
    let first = active(&asked(), AT);
    let end = first.deadline().unwrap();
    let guard = ElevationGuard { id: first.id, version: first.version, before: end };
    let holds = async |guard: &ElevationGuard, at: Moment| {
        let mut unit = store.begin().await.unwrap();
        unit.holds(guard, at).await.unwrap()
    };
    assert!(!holds(&guard, AT).await, "it is not there");
    put(store.as_ref(), &first).await;
    assert!(holds(&guard, AT).await);
    assert!(holds(&guard, end.minus(Duration::from_millis(1))).await);
    assert!(!holds(&guard, end).await);
    for version in [0, first.version - 1, first.version + 1] {
        assert!(!holds(&ElevationGuard { version, ..guard.clone() }, AT).await, "{version}");
    }
    // A change in the same unit is seen.
    let mut unit = store.begin().await.unwrap();
    let next = revoked(&first, AT);
    assert_eq!(unit.swap_elevation(&change(&first, &next), AT).await.unwrap(), Swap::Done);
    assert!(!unit.holds(&guard, AT).await.unwrap());
    assert!(unit.holds(&ElevationGuard { version: next.version, ..guard.clone() }, AT).await.unwrap());
    drop(unit);
    assert!(holds(&guard, AT).await, "the change was dropped");
}

async fn of_racing_changes_exactly_one_wins(open: Open<'_>) {
    let store = open().await;
    let mut stands = asked();
    put(store.as_ref(), &stands).await;
    for round in 0..5 {
        let tasks: Vec<_> = (0..32_u32)
            .map(|n| {
                let (store, old) = (Arc::clone(&store), stands.clone());
                tokio::spawn(async move {
                    let version = old.version + 1;
                    let next = Elevation { version, approvals_needed: 1_000 * round + n, ..old.clone() };
                    let swap = swap(store.as_ref(), &change(&old, &next), AT).await;
                    (swap, next)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (Swap::Done, next) => winners.push(next),
                (swap, _) => assert_eq!(swap, Swap::Lost),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let winner = winners.remove(0);
        assert_eq!(found(store.as_ref(), &stands).await, Some(winner.clone()));
        stands = winner;
    }
}

async fn racing_requests_never_exceed_the_room(open: Open<'_>) {
    let store = open().await;
    let room = Some(OpenLimits { per_person: 3, per_grant: 100 });
    let tasks: Vec<_> = (0..24)
        .map(|_| {
            let store = Arc::clone(&store);
            let change = ElevationChange { room, ..new(&asked()) };
            tokio::spawn(async move { swap(store.as_ref(), &change, AT).await })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        match task.await.unwrap() {
            Swap::Done => done += 1,
            swap => assert_eq!(swap, Swap::PersonFull),
        }
    }
    assert_eq!(done, 3);
    let everything = ElevationQuery { limit: 100, ..ElevationQuery::default() };
    assert_eq!(store.elevations(everything).await.unwrap().len(), 3);
}

async fn lists_are_filtered_newest_first_and_paged(open: Open<'_>) {
    let store = open().await;
    let mut newest_first = Vec::new();
    for n in 0..12_u64 {
        let (person, grant) =
            (["ann", "bob"][usize::from(n % 2 == 1)], ["orders", "stock"][usize::from(n % 3 == 0)]);
        let first = asked_by(person, grant, AT.plus(seconds(n)));
        let kept = if n < 4 { denied(&first, AT) } else { first };
        put(store.as_ref(), &kept).await;
        newest_first.insert(0, kept);
    }
    let list = async |query: ElevationQuery| store.elevations(query).await.unwrap();
    let all = ElevationQuery { limit: 100, ..ElevationQuery::default() };
    assert_eq!(list(all.clone()).await, newest_first);
    assert!(list(ElevationQuery { limit: 0, ..all.clone() }).await.is_empty());
    let only = |keep: &dyn Fn(&Elevation) -> bool| -> Vec<Elevation> {
        newest_first.iter().filter(|elevation| keep(elevation)).cloned().collect()
    };
    let states = BTreeSet::from([StateName::Denied, StateName::Active]);
    let by_state = list(ElevationQuery { states: states.clone(), ..all.clone() }).await;
    assert_eq!(by_state, only(&|e| e.state_name() == StateName::Denied));
    let waiting = BTreeSet::from([StateName::Requested]);
    assert_eq!(list(ElevationQuery { states: waiting.clone(), ..all.clone() }).await.len(), 8);
    let grant = Some(GrantName::new("stock").unwrap());
    let by_grant = list(ElevationQuery { grant: grant.clone(), ..all.clone() }).await;
    assert_eq!(by_grant, only(&|e| e.ask.grant.as_str() == "stock"));
    let requester = Some(person_id("bob"));
    let by_person = list(ElevationQuery { requester: requester.clone(), ..all.clone() }).await;
    assert_eq!(by_person, only(&|e| e.is_requester(&person_id("bob"))));
    let every_filter = ElevationQuery { states: waiting, grant, requester, ..all.clone() };
    let by_everything = list(every_filter.clone()).await;
    assert_eq!(
        by_everything,
        only(&|e| { e.is_open() && e.is_requester(&person_id("bob")) && e.ask.grant.as_str() == "stock" })
    );
    assert_eq!(by_everything.len(), 1);
    let past_it = ElevationQuery { before: Some(by_everything[0].id), ..every_filter };
    assert!(list(past_it).await.is_empty());
    let mut paged = Vec::new();
    loop {
        let before = paged.last().map(|last: &Elevation| last.id);
        let page = list(ElevationQuery { before, limit: 5, ..all.clone() }).await;
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 5);
        paged.extend(page);
    }
    assert_eq!(paged, newest_first);
}

async fn the_longest_due_come_first(open: Open<'_>) {
    let store = open().await;
    // Due when they expire: ten minutes after they were asked for.
    let waiting: Vec<_> = (0..5).map(|n| asked_by("ann", "orders", AT.plus(seconds(n)))).collect();
    for elevation in waiting.iter().rev() {
        put(store.as_ref(), elevation).await;
    }
    put(store.as_ref(), &denied(&asked(), AT)).await;
    let due = async |at: Moment, limit: u32| store.due_elevations(at, limit).await.unwrap();
    let first = AT.plus(Duration::from_mins(10));
    assert!(due(first.minus(Duration::from_millis(1)), 9).await.is_empty());
    assert_eq!(due(first, 9).await, waiting[..1]);
    assert_eq!(due(first.plus(seconds(2)), 9).await, waiting[..3]);
    assert_eq!(due(first.plus(seconds(60)), 2).await, waiting[..2]);
    assert_eq!(due(first.plus(seconds(60)), 9).await, waiting);
    // What was dealt with is due no more, or at another time.
    let over = waiting[0].passed(first).unwrap();
    let late = ElevationChange { before: None, ..change(&waiting[0], &over) };
    assert_eq!(swap(store.as_ref(), &late, first).await, Swap::Done);
    assert_eq!(due(first.plus(seconds(60)), 9).await, waiting[1..]);
    // After its end, only the cloud can make one due.
    let cut_off = Elevation {
        version: over.version + 1,
        cloud: CloudEnd::asked(first, first.plus(seconds(900))),
        ..over.clone()
    };
    assert_eq!(swap(store.as_ref(), &change(&over, &cut_off), first).await, Swap::Done);
    assert_eq!(due(first, 9).await, [cut_off]);
}
