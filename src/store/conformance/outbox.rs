//! The outbox: nothing is lost, nothing overtakes, nobody waits for another's trouble.

use super::{Open, promises};
use crate::breakglass::Elevation;
use crate::clock::Moment;
use crate::notify::HookId;
use crate::store::samples::{AT, asked, denied, hook, message, seconds};
use crate::store::{OutboxRow, Store, WaitingMessage};

promises! {
    dropped_messages_are_never_sent,
    messages_outlive_the_store,
    a_later_message_waits_for_the_one_before_it,
    elevations_and_receivers_do_not_wait_for_each_other,
    a_failed_message_waits_until_its_next_try,
    a_page_has_the_oldest_and_no_more_than_was_asked_for,
    a_place_is_given_once,
}

async fn put(store: &dyn Store, rows: &[OutboxRow]) {
    let mut unit = store.begin().await.unwrap();
    unit.put_messages(rows).await.unwrap();
    unit.commit().await.unwrap();
}

async fn due(store: &dyn Store, to: HookId, at: Moment) -> Vec<WaitingMessage> {
    store.due_messages(to, at, 100).await.unwrap()
}

fn life(first: &Elevation) -> [OutboxRow; 3] {
    let second = denied(first, AT);
    let third = Elevation { version: 3, ..second.clone() };
    [first, &second, &third].map(|elevation| message(hook(1), elevation))
}

async fn dropped_messages_are_never_sent(open: Open<'_>) {
    let store = open().await;
    put(store.as_ref(), &[]).await;
    let mut unit = store.begin().await.unwrap();
    unit.put_messages(&life(&asked())).await.unwrap();
    drop(unit);
    assert!(due(store.as_ref(), hook(1), AT).await.is_empty());
    assert_eq!(store.waiting_messages().await.unwrap(), 0);
}

async fn messages_outlive_the_store(open: Open<'_>) {
    let rows = life(&asked());
    let store = open().await;
    put(store.as_ref(), &rows).await;
    let first = due(store.as_ref(), hook(1), AT).await.remove(0);
    store.message_failed(first.sequence, AT.plus(seconds(5))).await.unwrap();
    drop(store);
    let store = open().await;
    assert_eq!(store.waiting_messages().await.unwrap(), 3);
    assert!(due(store.as_ref(), hook(1), AT).await.is_empty());
    let expected = WaitingMessage { attempts: 1, ..first };
    assert_eq!(expected.message, rows[0].message);
    assert_eq!(due(store.as_ref(), hook(1), AT.plus(seconds(5))).await, [expected]);
}

async fn a_later_message_waits_for_the_one_before_it(open: Open<'_>) {
    let store = open().await;
    let rows = life(&asked());
    put(store.as_ref(), &rows[..2]).await;
    put(store.as_ref(), &rows[2..]).await;
    for (n, row) in rows.iter().enumerate() {
        let waiting = due(store.as_ref(), hook(1), AT).await;
        assert_eq!(waiting.iter().map(|one| &one.message).collect::<Vec<_>>(), [&row.message], "{n}");
        // While the first one is put off, the others are not due either.
        store.message_failed(waiting[0].sequence, AT.plus(seconds(60))).await.unwrap();
        assert!(due(store.as_ref(), hook(1), AT.plus(seconds(59))).await.is_empty(), "{n}");
        store.message_arrived(waiting[0].sequence).await.unwrap();
        assert_eq!(store.waiting_messages().await.unwrap(), 2 - n as u64);
    }
    assert!(due(store.as_ref(), hook(1), AT).await.is_empty());
}

async fn elevations_and_receivers_do_not_wait_for_each_other(open: Open<'_>) {
    let store = open().await;
    let (one, two) = (asked(), asked());
    let rows = [
        message(hook(1), &one),
        message(hook(2), &one),
        message(hook(1), &denied(&one, AT)),
        message(hook(1), &two),
        message(hook(2), &denied(&one, AT)),
    ];
    put(store.as_ref(), &rows).await;
    assert_eq!(store.waiting_messages().await.unwrap(), 5);
    let first = due(store.as_ref(), hook(1), AT).await;
    assert_eq!(
        first.iter().map(|one| &one.message).collect::<Vec<_>>(),
        [&rows[0].message, &rows[3].message]
    );
    assert!(first[0].sequence < first[1].sequence);
    store.message_failed(first[0].sequence, AT.plus(seconds(60))).await.unwrap();
    assert_eq!(due(store.as_ref(), hook(1), AT).await, first[1..]);
    assert_eq!(due(store.as_ref(), hook(2), AT).await[0].message, rows[1].message);
    assert!(due(store.as_ref(), hook(3), AT).await.is_empty());
}

async fn a_failed_message_waits_until_its_next_try(open: Open<'_>) {
    let store = open().await;
    put(store.as_ref(), &[message(hook(1), &asked())]).await;
    let sequence = due(store.as_ref(), hook(1), Moment::EPOCH).await[0].sequence;
    for attempts in 1..4 {
        let next = AT.plus(seconds(attempts.into()));
        store.message_failed(sequence, next).await.unwrap();
        assert!(due(store.as_ref(), hook(1), next.minus(seconds(1))).await.is_empty());
        let waiting = due(store.as_ref(), hook(1), next).await;
        assert_eq!((waiting[0].sequence, waiting[0].attempts), (sequence, attempts));
    }
    store.message_arrived(sequence).await.unwrap();
    // Said again, about what is gone: no error, and nothing comes back.
    store.message_arrived(sequence).await.unwrap();
    store.message_failed(sequence, AT).await.unwrap();
    assert_eq!(store.waiting_messages().await.unwrap(), 0);
}

async fn a_page_has_the_oldest_and_no_more_than_was_asked_for(open: Open<'_>) {
    let store = open().await;
    let rows: Vec<_> = (0..20).flat_map(|_| life(&asked())).collect();
    put(store.as_ref(), &rows).await;
    let page = store.due_messages(hook(1), AT, 7).await.unwrap();
    let oldest: Vec<_> = rows.iter().step_by(3).take(7).map(|row| &row.message).collect();
    assert_eq!(page.iter().map(|one| &one.message).collect::<Vec<_>>(), oldest);
    assert!(store.due_messages(hook(1), AT, 0).await.unwrap().is_empty());
    assert_eq!(due(store.as_ref(), hook(1), AT).await.len(), 20);
}

async fn a_place_is_given_once(open: Open<'_>) {
    let store = open().await;
    put(store.as_ref(), &[message(hook(1), &asked())]).await;
    let first = due(store.as_ref(), hook(1), AT).await[0].sequence;
    store.message_arrived(first).await.unwrap();
    drop(store);
    let store = open().await;
    put(store.as_ref(), &[message(hook(1), &asked())]).await;
    let second = due(store.as_ref(), hook(1), AT).await[0].sequence;
    assert!(second > first, "a late word about {first} must not hit another message");
}
