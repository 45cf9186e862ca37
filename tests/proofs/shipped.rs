//! Every shipped invariant: refuted where its opposite is planted, and proved as shipped.

use tidegate::policy::{Invariant, Relations, World};
use tidegate::proof::{Answer, HeldBy, Question, Refutation, prove};

use crate::place::{Folder, invariants, named, now, shipped, solver, world};
use crate::planted;

async fn answer(folder: &Folder, invariant: &Invariant, world: &World) -> Answer {
    let sets = folder.sets();
    let invariants = std::slice::from_ref(invariant);
    let question = Question { sets: &sets, invariants, no_wider_than: None, world, now: now() };
    let mut report = prove(question, &mut solver().await, &mut |_| {}).await;
    report.verdicts.remove(0).answer
}

/// The vendor's people may approve: where they may not, the broker stops them.
fn a_world_that_trusts_the_vendor() -> World {
    let mut world = world();
    world.issuers.iter_mut().for_each(|issuer| issuer.may_approve |= issuer.name.as_str() == "vendor");
    world
}

#[tokio::test]
async fn whatever_breaks_an_invariant_is_found_and_its_example_is_really_decided_so() {
    for planted in planted::all() {
        let (folder, invariant, world) =
            (planted.folder(), named(planted.id), a_world_that_trusts_the_vendor());
        let answer = answer(&folder, &invariant, &world).await;
        let Answer::Refuted(refutation) = &answer else { panic!("{}: {answer:?}", planted.id) };
        let Refutation { example, .. } = &**refutation;
        assert!(invariant.matches(example, &Relations::default()), "{}: {example:?}", planted.id);
        let permits = |folder: &Folder| folder.sets().decide(example).is_ok();
        let broken = planted.id != "leads-can-always-stop";
        assert_eq!(permits(&folder), broken, "{}: {example:?}", planted.id);
        assert_eq!(permits(&Folder::shipped()), !broken, "{}: {example:?}", planted.id);
        let json = serde_json::to_string(example).unwrap();
        assert_eq!(&serde_json::from_str::<tidegate::policy::Facts>(&json).unwrap(), example);
    }
}

#[tokio::test]
async fn what_the_broker_holds_beside_its_policies_is_proved_and_said_to_be_held_by_it_alone() {
    for planted in planted::held_by_the_broker() {
        let answer = answer(&planted.folder(), &named(planted.id), &world()).await;
        assert!(
            matches!(answer, Answer::Proved { held_by: HeldBy::Broker, .. }),
            "{}: {answer:?}",
            planted.id
        );
    }
}

#[tokio::test]
async fn a_promise_about_nobody_is_proved_and_said_to_be_about_nothing() {
    let text = "@id(\"far\") @doc(\"Nobody of `partner` gets anything\") forbid (principal, action, resource) \
                when { principal.issuer == Tidegate::Issuer::\"partner\" };";
    let invariant = Invariant::parse("far.cedar", text.to_owned()).unwrap().remove(0);
    let answer = answer(&Folder::shipped(), &invariant, &world()).await;
    assert!(matches!(answer, Answer::Proved { about_nothing: true, .. }), "{answer:?}");
}

#[tokio::test]
async fn an_invariant_that_can_fail_itself_is_not_called_proved() {
    let text = "@id(\"sum\") @doc(\"A sum\") forbid (principal is Tidegate::Person, action == \
                Tidegate::Action::\"activate\", resource) when { context.approvals.count * 9000000000000000000 > 1 };";
    let invariant = Invariant::parse("sum.cedar", text.to_owned()).unwrap().remove(0);
    let answer = answer(&Folder::shipped(), &invariant, &world()).await;
    assert!(matches!(&answer, Answer::Unknown { why } if why.contains("fails")), "{answer:?}");
}

#[tokio::test]
async fn every_shipped_invariant_is_proved_by_the_shipped_policies_themselves_and_about_something() {
    let (sets, world, invariants) = (Folder::shipped().sets(), world(), invariants());
    let question =
        Question { sets: &sets, invariants: &invariants, no_wider_than: None, world: &world, now: now() };
    let report = prove(question, &mut solver().await, &mut |_| {}).await;
    assert!(report.verdicts.len() >= 10);
    for verdict in &report.verdicts {
        assert!(
            matches!(verdict.answer, Answer::Proved { held_by: HeldBy::Policies, about_nothing: false }),
            "{}: {:?}",
            verdict.id,
            verdict.answer
        );
    }
}

#[tokio::test]
async fn a_set_is_no_wider_than_itself_and_wider_than_one_with_a_forbid_more() {
    let (sets, world) = (Folder::shipped().sets(), world());
    let forbid = "@id(\"planted\") forbid (principal, action == Tidegate::Action::\"lock\", resource);";
    let narrower = Folder::shipped().with("vendor", forbid).sets();
    let question = |sets, older| Question {
        sets,
        invariants: &[],
        no_wider_than: Some(older),
        world: &world,
        now: now(),
    };
    let mut solver = solver().await;
    for older in [&sets, &narrower] {
        let report = prove(question(&sets, older), &mut solver, &mut |_| {}).await;
        let proved = std::ptr::eq(older, &raw const sets);
        assert_eq!(report.is_proved(), proved, "{report:?}");
    }
    assert!(prove(question(&narrower, &sets), &mut solver, &mut |_| {}).await.is_proved());
}

#[test]
fn an_invariant_has_a_name_and_words_and_is_valid() {
    let refused = |text: &str| Invariant::parse("i.cedar", text.to_owned()).unwrap_err().to_string();
    let rest = "forbid (principal, action, resource);";
    assert!(refused(&format!("@doc(\"d\")\n{rest}")).contains("i.cedar:1:1: an invariant needs `@id"));
    assert!(refused(&format!("\n@id(\"i\")\n{rest}")).contains("i.cedar:2:1: an invariant needs `@doc"));
    let misspelt = "@id(\"i\") @doc(\"d\")\nforbid (principal, action, resource) when { principal.isuer == principal.issuer };";
    assert!(refused(misspelt).contains("i.cedar:2:"), "{}", refused(misspelt));
    assert!(refused("").contains("no invariant"));
    assert!(shipped().join("invariants.cedar").exists());
}
