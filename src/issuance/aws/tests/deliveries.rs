//! Who is served on the entry of somebody before. Refusals first.

use std::task::Poll;

use futures_util::poll;

use super::*;
use crate::policy::Permit;

const ANOTHER: &str = "system:serviceaccount:billing:other";

fn shared(permit: &Permit) -> AwsOrder<'_> {
    AwsOrder { footing: Footing::Shared, ..order(permit, start()) }
}

/// The entry of what was made is durable.
fn remembered(made: Made) -> Arc<Receipt> {
    let receipt = Arc::new(Receipt::for_test(made.credential.request_id()));
    let Standing::Unrecorded(turn) = made.standing else { panic!("it stands on an entry already") };
    turn.expect("its entry may stand for others").remember(&receipt);
    receipt
}

fn is_recorded(made: &Made) -> bool {
    matches!(made.standing, Standing::Recorded(_))
}

fn has_turn(made: &Made) -> bool {
    matches!(made.standing, Standing::Unrecorded(Some(_)))
}

#[tokio::test]
async fn nothing_is_delivered_before_the_issue_is_on_record() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    for _ in 0..3 {
        let made = ordered(&issuer, shared(&permit)).await.unwrap();
        assert!(has_turn(&made), "the entry of the one before failed: the next one makes it");
    }
    remembered(ordered(&issuer, shared(&permit)).await.unwrap());
    assert!(is_recorded(&ordered(&issuer, shared(&permit)).await.unwrap()));
    assert_eq!(sts.calls(), 1);
}

#[tokio::test]
async fn a_receipt_of_another_request_is_not_remembered() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let made = ordered(&issuer, shared(&permit)).await.unwrap();
    let Standing::Unrecorded(Some(turn)) = made.standing else { panic!("no turn") };
    turn.remember(&Arc::new(Receipt::for_test(shared(&permit).request_id)));
    assert!(has_turn(&ordered(&issuer, shared(&permit)).await.unwrap()));
}

#[tokio::test]
async fn a_delivery_opens_with_the_receipt_of_its_issue_and_with_no_other() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let issue = remembered(ordered(&issuer, shared(&permit)).await.unwrap());
    let order = shared(&permit);
    let made = ordered(&issuer, order).await.unwrap();
    let own = Receipt::for_test(order.request_id);
    assert!(made.credential.open(&own).is_err(), "no entry was made for this request");
    let made = ordered(&issuer, order).await.unwrap();
    let Standing::Recorded(receipt) = made.standing else { panic!("not on record") };
    assert!(Arc::ptr_eq(&receipt, &issue));
    assert!(is_cached(&made.credential));
    let OpenCredential::Aws { access_key_id, .. } = made.credential.open(&receipt).unwrap() else {
        panic!("not AWS")
    };
    assert_eq!(access_key_id, "ASIA1");
}

#[tokio::test]
async fn nobody_is_delivered_on_the_entry_of_another_caller() {
    let sts = FakeSts::start(&[]).await;
    let issuer = sts.issuer(&clock());
    let (one, other) = (permit(SUBJECT, 600), permit(ANOTHER, 600));
    remembered(ordered(&issuer, shared(&one)).await.unwrap());
    let made = ordered(&issuer, shared(&other)).await.unwrap();
    assert!(!is_recorded(&made));
    assert_eq!(access_key(&made.credential), "ASIA2");
}

#[tokio::test]
async fn who_takes_a_token_or_names_an_actor_makes_an_entry_each_time() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let with = |footing| AwsOrder { footing, ..order(&permit, start()) };
    assert!(!has_turn(&ordered(&issuer, with(Footing::Alone)).await.unwrap()), "it stands for nobody");
    remembered(ordered(&issuer, with(Footing::Own)).await.unwrap());
    for footing in [Footing::Own, Footing::Alone] {
        let order = with(footing);
        let made = ordered(&issuer, order).await.unwrap();
        assert!(!is_recorded(&made) && !has_turn(&made), "{footing:?}");
        assert_eq!(made.credential.request_id(), order.request_id, "{footing:?}");
    }
    assert!(is_recorded(&ordered(&issuer, with(Footing::Shared)).await.unwrap()));
    assert_eq!(sts.calls(), 1);
}

#[tokio::test]
async fn under_other_policies_an_entry_is_made_anew_once() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, before) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let first = remembered(ordered(&issuer, shared(&before)).await.unwrap());
    let after = permit(SUBJECT, 600).by_policies("other policies");
    let made = ordered(&issuer, shared(&after)).await.unwrap();
    assert!(has_turn(&made) && is_cached(&made.credential));
    let second = remembered(made);
    let made = ordered(&issuer, shared(&after)).await.unwrap();
    let Standing::Recorded(receipt) = made.standing else { panic!("not on record") };
    assert!(Arc::ptr_eq(&receipt, &second) && !Arc::ptr_eq(&receipt, &first));
    assert_eq!(sts.calls(), 1);
}

#[tokio::test]
async fn those_who_want_the_same_session_wait_for_its_entry_and_then_stand_on_it() {
    let sts = FakeSts::start(&[]).await;
    let (issuer, permit) = (sts.issuer(&clock()), permit(SUBJECT, 600));
    let first = ordered(&issuer, shared(&permit)).await.unwrap();
    let mut second = Box::pin(ordered(&issuer, shared(&permit)));
    assert!(poll!(second.as_mut()).is_pending());
    let issue = remembered(first);
    let Poll::Ready(Ok(made)) = poll!(second.as_mut()) else { panic!("it waits for nothing any more") };
    let Standing::Recorded(receipt) = made.standing else { panic!("not on record") };
    assert!(Arc::ptr_eq(&receipt, &issue));
}

#[tokio::test]
async fn what_ended_while_a_caller_waited_is_not_delivered() {
    let sts = FakeSts::start(&[Says::Short(300)]).await;
    let clock = clock();
    let (issuer, permit) = (sts.issuer(&clock), permit(SUBJECT, 600));
    let first = ordered(&issuer, shared(&permit)).await.unwrap();
    let mut second = Box::pin(ordered(&issuer, shared(&permit)));
    assert!(poll!(second.as_mut()).is_pending());
    clock.advance(Duration::from_mins(5));
    remembered(first);
    let made = second.await.unwrap();
    assert_eq!((access_key(&made.credential).as_str(), sts.calls()), ("ASIA2", 2));
}

#[tokio::test]
async fn a_session_that_was_replaced_takes_its_receipt_along() {
    let sts = FakeSts::start(&[]).await;
    let clock = clock();
    let (issuer, permit) = (sts.issuer(&clock), permit(SUBJECT, 600));
    let issue = Arc::downgrade(&remembered(ordered(&issuer, shared(&permit)).await.unwrap()));
    assert!(issue.upgrade().is_some());
    clock.advance(Duration::from_mins(5));
    let successor = AwsOrder { at: clock.now(), ..shared(&permit) };
    remembered(ordered(&issuer, successor).await.unwrap());
    assert!(issue.upgrade().is_none(), "whoever counts deliveries on it sees that none will come");
}
