//! What a solver says can happen really happens at a broker's doors, and what it proves cannot does not.

use std::time::Duration;

use serde_json::json;
use tidegate::clock::Clock as _;
use tidegate::policy::facts::Asked;
use tidegate::policy::{Facts, Invariant};
use tidegate::proof::{Answer as Proof, HeldBy};

use crate::api::ask;
use crate::world::{Answer, World};

/// One promise about one planted policy.
struct Promise {
    invariant: &'static str,
    planted: &'static str,
}

const TWO_MINUTES: Promise = Promise {
    invariant: r#"@id("two-minutes") @doc("`short-lived` never lives longer than two minutes")
        forbid (principal, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"short-lived")
        when { context.ttl > duration("2m") };"#,
    planted: r#"@id("planted") permit (principal, action == Tidegate::Action::"issue",
        resource == Tidegate::Grant::"short-lived") when { context.ttl <= duration("10m") };"#,
};

const BILLING: Promise = Promise {
    invariant: r#"@id("billing") @doc("Only `billing` has the ledger")
        forbid (principal is Tidegate::Workload, action == Tidegate::Action::"issue",
        resource == Tidegate::Grant::"ledger-api")
        unless { principal has kubernetes && principal.kubernetes.namespace == "billing" };"#,
    planted: r#"@id("planted") permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue",
        resource == Tidegate::Grant::"ledger-api")
        when { principal has kubernetes && principal.kubernetes.namespace like "bill*" };"#,
};

const TWO_PEOPLE: Promise = Promise {
    invariant: r#"@id("two-people") @doc("Two people stand behind every credential for `prod-ledger`")
        forbid (principal, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"prod-ledger")
        unless { context has elevation && context.elevation.approvals >= 2 };"#,
    planted: r#"@id("one-suffices") permit (principal, action in [Tidegate::Action::"request",
        Tidegate::Action::"activate", Tidegate::Action::"issue"], resource == Tidegate::Grant::"prod-ledger");"#,
};

const THE_VENDOR: Promise = Promise {
    invariant: r#"@id("the-vendor") @doc("Nobody of `people` approves")
        forbid (principal is Tidegate::Person, action == Tidegate::Action::"approve", resource)
        when { principal.issuer == Tidegate::Issuer::"people" };"#,
    planted: r#"@id("planted") permit (principal, action in [Tidegate::Action::"approve",
        Tidegate::Action::"view"], resource);"#,
};

impl World {
    /// Puts the policy into the folder, or takes it out, and lets the broker load it.
    async fn plant(&self, text: Option<&str>) {
        match text {
            Some(text) => self.write("policies/customer/planted.cedar", text),
            None => std::fs::remove_file(self.folder.path().join("policies/customer/planted.cedar")).unwrap(),
        }
        self.reload().await;
    }

    async fn proof(&self, promise: &Promise) -> Proof {
        let invariants = Invariant::parse("i.cedar", promise.invariant.to_owned()).unwrap();
        self.proofs(&invariants, self.clock.now()).await.verdicts.remove(0).answer
    }

    async fn exchange_as(&self, facts: &Facts) -> Answer {
        self.exchange_like(facts, None).await
    }
}

fn example(answer: Proof) -> Facts {
    let Proof::Refuted(refutation) = answer else { panic!("not refuted: {answer:?}") };
    refutation.example
}

fn is_proved(answer: &Proof) -> bool {
    matches!(answer, Proof::Proved { held_by: HeldBy::Policies, about_nothing: false })
}

#[tokio::test]
async fn a_lifetime_that_a_planted_policy_permits_is_found_and_issued_and_not_without_it() {
    let world = World::start().await;
    assert!(is_proved(&world.proof(&TWO_MINUTES).await));
    world.plant(Some(TWO_MINUTES.planted)).await;
    let facts = example(world.proof(&TWO_MINUTES).await);
    let Asked::Issue { ttl, .. } = &facts.asked else { panic!("{facts:?}") };
    let issued = world.exchange_as(&facts).await.issued();
    assert_eq!(issued["expires_in"], ttl.as_secs(), "{facts:?}");
    assert!(ttl.as_secs() > 120);
    world.plant(None).await;
    world.clock.advance(Duration::from_secs(1));
    let without = world.exchange_as(&facts).await;
    assert!(without.status != 200 || without.body["expires_in"].as_u64() <= Some(120), "{}", without.body);
}

#[tokio::test]
async fn a_workload_that_a_planted_policy_lets_in_is_found_and_let_in_and_not_without_it() {
    let world = World::start().await;
    assert!(is_proved(&world.proof(&BILLING).await));
    world.plant(Some(BILLING.planted)).await;
    let facts = example(world.proof(&BILLING).await);
    world.exchange_as(&facts).await.issued();
    world.plant(None).await;
    world.clock.advance(Duration::from_secs(1));
    world.exchange_as(&facts).await.refused(400, "invalid_target");
}

#[tokio::test]
async fn one_approval_that_planted_policies_are_content_with_is_found_and_suffices_and_not_without_them() {
    let world = World::start().await;
    assert!(is_proved(&world.proof(&TWO_PEOPLE).await));
    world.plant(Some(TWO_PEOPLE.planted)).await;
    let facts = example(world.proof(&TWO_PEOPLE).await);
    let Asked::Issue { elevation: Some(open), .. } = &facts.asked else { panic!("{facts:?}") };
    assert_eq!(open.approvals, 1);
    let caller = world.token_of(&facts.principal, &facts.auth);
    let asked = world.api(&caller, "POST", "/v1/elevations", ask("prod-ledger")).await.done();
    let id = asked["id"].as_str().unwrap().to_owned();
    let opened = world.act(&world.staff("lea", "leads"), &id, "approve", json!({})).await.done();
    assert_eq!(opened["state"], "active");
    world.exchange_as(&facts).await.issued();
    world.plant(None).await;
    world.clock.advance(Duration::from_secs(1));
    world.exchange_as(&facts).await.refused(400, "invalid_target");
}

#[tokio::test]
async fn what_the_broker_holds_itself_stays_proved_and_refused_whatever_is_planted() {
    let world = World::start().await;
    // The policies of this world leave it to groups of `staff`.
    assert!(matches!(world.proof(&THE_VENDOR).await, Proof::Proved { held_by: HeldBy::Policies, .. }));
    world.plant(Some(THE_VENDOR.planted)).await;
    let planted = world.proof(&THE_VENDOR).await;
    assert!(matches!(planted, Proof::Proved { held_by: HeldBy::Broker, .. }), "{planted:?}");
    let id = world.requested("prod-ledger").await;
    let vendors_lead = world.sign_in(&world.people, "people", "lee", &["sre", "leads"]);
    let refused = world.act(&vendors_lead, &id, "approve", json!({})).await;
    refused.problem(403, "issuer_may_not_approve");
}
