//! Every shipped invariant at a broker's doors: a policy that breaks it is planted, the solver finds a request that it lets
//! in, and a broker that decides by the same policies really lets it in; with the shipped policies it does not. Where the
//! broker holds an invariant itself, the plant changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tidegate::clock::Clock as _;
use tidegate::policy::{Action, Facts, Invariant, PolicySets};
use tidegate::proof::{Answer as Proof, HeldBy};

use crate::place::{Folder, invariants, named};
use crate::planted::{self, Planted};
use crate::shipped::{Met, Trust, USUAL, person};
use crate::world::World;

const TRUSTS_THE_VENDOR: Trust = Trust { vendor: "may_approve = true", ..USUAL };
/// As an issuer that everybody shares would have to be.
const PINS_GITHUB: Trust = Trust { github: "require = { repository_owner_id = [\"8102394\"] }", ..USUAL };

impl World {
    /// With what breaks the invariant in force, which somebody put there while the broker ran.
    async fn planted(trust: Trust, planted: &Planted) -> Self {
        let world = Self::start_shipped(trust).await;
        world.follow(&planted.folder()).await;
        world
    }

    /// The examples of all invariants that do not hold here, of those that are about an action that the plant speaks of:
    /// the others are asked of what is as shipped. There is time enough before them for what must come first.
    async fn refuted(&self, plant: &str) -> BTreeMap<String, Facts> {
        let mut all = invariants();
        all.retain(|invariant| {
            let text = invariant.policy.policy.to_string();
            Action::ALL
                .iter()
                .map(|action| format!("Action::\"{}\"", action.as_str()))
                .any(|action| plant.contains(&action) && text.contains(&action))
        });
        assert!(!all.is_empty(), "{plant}");
        let report = self.proofs(&all, self.clock.now().plus(Duration::from_hours(1))).await;
        let refuted = report.verdicts.into_iter().filter_map(|verdict| match verdict.answer {
            Proof::Refuted(refutation) => Some((verdict.id, refutation.example)),
            Proof::Proved { .. } => None,
            Proof::Unknown { why } => panic!("{}: {why}", verdict.id),
        });
        refuted.collect()
    }

    /// The one example, where nothing else is broken.
    async fn example(&self, planted: &Planted) -> Facts {
        let mut refuted = self.refuted(&planted.with).await;
        assert_eq!(refuted.keys().map(String::as_str).collect::<BTreeSet<_>>(), planted.breaks());
        refuted.remove(planted.id).unwrap()
    }

    fn is_about(&self, invariant: &Invariant, facts: &Facts) -> bool {
        let sets = PolicySets::read(&self.folder.path().join("policies")).unwrap();
        invariant.matches(facts, sets.relations())
    }
}

fn plants(id: &str) -> Vec<Planted> {
    let plants: Vec<_> = planted::all().into_iter().filter(|planted| planted.id == id).collect();
    assert!(!plants.is_empty());
    plants
}

fn held(id: &str) -> Planted {
    planted::held_by_the_broker().into_iter().find(|planted| planted.id == id).unwrap()
}

/// What the log says was allowed is the example's request. Whoever had to get that far may be in more groups than it says.
fn is_it(example: &Facts, met: &Facts) {
    assert!(example.principal.groups.is_subset(&met.principal.groups), "{example:?}\n{met:?}");
    let mut caller = met.principal.clone();
    caller.groups.clone_from(&example.principal.groups);
    assert_eq!(caller, example.principal);
    assert_eq!(met.grant, example.grant);
    assert_eq!(met.asked.action(), example.asked.action());
    assert_eq!(met.at, example.at);
}

/// With the plant it is allowed. As shipped it is refused for that reason; or, where there is none, less is allowed.
async fn is_broken_by_its_plants(id: &str, trust: Trust, as_shipped: Option<&str>) {
    let invariant = named(id);
    for planted in plants(id) {
        let world = World::planted(trust, &planted).await;
        let example = world.example(&planted).await;
        let Met::Allowed(facts) = world.meet(&example).await else {
            panic!("{id}: not allowed: {example:?}")
        };
        if let Some(facts) = facts {
            is_it(&example, &facts);
            assert!(world.is_about(&invariant, &facts), "{id}: {facts:?}");
        }
        let shipped = World::start_shipped(trust).await;
        match (shipped.meet(&example).await, as_shipped) {
            (Met::Refused(reason), Some(expected)) => assert_eq!(reason, expected, "{id}: {example:?}"),
            (Met::Allowed(Some(less)), None) => assert!(!world.is_about(&invariant, &less), "{id}: {less:?}"),
            (met, _) => panic!("{id}: {met:?}: {example:?}"),
        }
    }
}

/// Policies alone would permit it, and the broker does not ask them.
async fn is_held_by_the_broker(id: &str) -> World {
    let world = World::planted(USUAL, &held(id)).await;
    let report = world.proofs(&[named(id)], world.clock.now()).await;
    let answer = &report.verdicts[0].answer;
    assert!(matches!(answer, Proof::Proved { held_by: HeldBy::Broker, .. }), "{id}: {answer:?}");
    world
}

#[test]
fn every_shipped_invariant_is_looked_at_here() {
    let planted = planted::all().into_iter().chain(planted::held_by_the_broker());
    let looked_at: BTreeSet<_> = planted.flat_map(|planted| planted.breaks()).collect();
    let shipped = invariants();
    assert_eq!(looked_at, shipped.iter().map(|invariant| invariant.id.as_str()).collect());
}

#[tokio::test]
async fn a_credential_that_one_person_approved_is_issued_only_where_policies_were_planted() {
    is_broken_by_its_plants("two-people-behind-a-credential", USUAL, Some("no_elevation")).await;
}

#[tokio::test]
async fn a_window_that_one_person_approved_opens_only_where_a_policy_was_planted() {
    is_broken_by_its_plants("two-people-open-a-window", USUAL, Some("requested")).await;
}

/// Where the configuration trusts them with it. Whoever may not look at a request is told that there is none.
#[tokio::test]
async fn the_vendors_people_approve_only_where_a_policy_was_planted() {
    is_broken_by_its_plants("vendor-never-approves", TRUSTS_THE_VENDOR, Some("not_visible")).await;
}

#[tokio::test]
async fn a_lead_without_a_second_factor_approves_only_where_a_policy_was_planted() {
    is_broken_by_its_plants("second-factor-to-approve", USUAL, Some("policy")).await;
}

#[tokio::test]
async fn the_vendors_people_get_ordinary_credentials_only_where_a_policy_was_planted() {
    is_broken_by_its_plants("vendor-only-breaks-glass", USUAL, Some("policy_denied")).await;
}

#[tokio::test]
async fn the_vendors_people_stop_and_read_things_only_where_policies_were_planted() {
    for (planted, reason) in
        plants("vendor-stops-nothing").iter().zip(["not_visible", "policy_denied", "policy"])
    {
        let world = World::planted(USUAL, planted).await;
        let example = world.example(planted).await;
        assert_eq!(example.principal.issuer.as_str(), "vendor");
        let Met::Allowed(facts) = world.meet(&example).await else { panic!("not allowed: {example:?}") };
        if let Some(facts) = &facts {
            is_it(&example, facts);
        }
        let shipped = World::start_shipped(USUAL).await;
        let Met::Refused(told) = shipped.meet(&example).await else { panic!("allowed: {example:?}") };
        assert_eq!(told, reason, "{example:?}");
    }
}

#[tokio::test]
async fn a_credential_for_production_lives_longer_than_fifteen_minutes_only_where_a_limit_was_raised() {
    is_broken_by_its_plants("production-for-fifteen-minutes", USUAL, None).await;
}

#[tokio::test]
async fn a_credential_lives_longer_than_an_hour_only_where_a_limit_was_lifted() {
    is_broken_by_its_plants("an-hour-at-most", USUAL, None).await;
}

#[tokio::test]
async fn another_organisations_job_gets_a_credential_only_where_a_policy_was_planted() {
    is_broken_by_its_plants("github-by-its-immutable-id", USUAL, Some("policy_denied")).await;
}

#[tokio::test]
async fn people_get_credentials_from_elsewhere_only_where_a_network_was_added() {
    is_broken_by_its_plants("people-from-our-networks", USUAL, Some("policy_denied")).await;
}

/// The other way round: what is planted takes from them what they can do as shipped.
#[tokio::test]
async fn a_lead_cannot_revoke_only_where_a_policy_was_planted() {
    let invariant = named("leads-can-always-stop");
    for planted in plants("leads-can-always-stop") {
        let world = World::planted(USUAL, &planted).await;
        let example = world.example(&planted).await;
        let Met::Refused(reason) = world.meet(&example).await else { panic!("allowed: {example:?}") };
        assert_eq!(reason, "policy");
        let shipped = World::start_shipped(USUAL).await;
        let Met::Allowed(Some(facts)) = shipped.meet(&example).await else { panic!("refused: {example:?}") };
        is_it(&example, &facts);
        assert!(shipped.is_about(&invariant, &facts), "{facts:?}");
    }
}

#[tokio::test]
async fn no_elevation_is_no_credential_whatever_is_planted() {
    let world = is_held_by_the_broker("active-elevation").await;
    let ann = person("vendor", "ann", &["oncall"]);
    let refused = async |grant: &str| {
        world.exchange(&world.signed_in(&ann), grant).await.refused(400, "invalid_target");
        world.newest("credential.refused").await["reason"].clone()
    };
    assert_eq!(refused("prod-admin").await, "no_elevation");
    let half_an_hour = Duration::from_mins(30);
    let id = world.asked_for(&ann, "ledger-repair", half_an_hour, world.clock.now()).await;
    assert_eq!(world.approved_by(2, &id).await["state"], "active");
    world.exchange(&world.signed_in(&ann), "ledger-repair").await.issued();
    world.clock.advance(half_an_hour);
    assert_eq!(refused("ledger-repair").await, "no_elevation", "its window is over");
}

#[tokio::test]
async fn no_program_breaks_glass_whatever_is_planted() {
    let world = is_held_by_the_broker("no-program-breaks-glass").await;
    let token = world.token_with("orders", &json!({ "iss": "https://prod-cluster.example.com" }));
    for grant in ["ledger-repair", "prod-admin"] {
        world.exchange(&token, grant).await.refused(400, "invalid_target");
        let entry = world.newest("credential.refused").await;
        assert_eq!(
            (&entry["reason"], &entry["principal"]["kind"]),
            (&json!("no_elevation"), &json!("workload"))
        );
    }
    world.exchange(&token, "ledger-api").await.issued();
}

#[tokio::test]
async fn nobody_approves_what_they_asked_for_whatever_is_planted() {
    let world = is_held_by_the_broker("no-self-approval").await;
    let lead = person("staff", "lea", &["oncall", "platform-leads"]);
    let id = world.asked_for(&lead, "prod-admin", Duration::from_hours(1), world.clock.now()).await;
    let own = world.act(&world.signed_in(&lead), &id, "approve", json!({})).await;
    own.problem(403, "requester_cannot_decide");
    assert_eq!(world.newest("elevation.refused").await["reason"], "requester_cannot_decide");
}

#[tokio::test]
async fn the_vendors_people_approve_nothing_where_the_configuration_says_so_whatever_is_planted() {
    let world = is_held_by_the_broker("vendor-never-approves").await;
    let ann = person("vendor", "ann", &["oncall"]);
    let id = world.asked_for(&ann, "prod-admin", Duration::from_hours(1), world.clock.now()).await;
    let lee = world.signed_in(&person("vendor", "lee", &["platform-leads"]));
    world.act(&lee, &id, "approve", json!({})).await.problem(403, "issuer_may_not_approve");
    assert_eq!(world.newest("elevation.refused").await["reason"], "issuer_may_not_approve");
}

/// Policies are refuted for a credential that one person approved; the broker asks about the window again at each mint, and
/// two policies would have to be wrong.
#[tokio::test]
async fn a_policy_that_is_content_with_one_approval_alone_issues_nothing() {
    let content = "@id(\"planted\") permit (principal, action == Tidegate::Action::\"issue\", resource) \
                   when { context has elevation && context.elevation.approvals == 1 };";
    let world = World::start_shipped(USUAL).await;
    let folder = Folder::shipped().with("customer", content).with("vendor", content);
    world.follow(&folder).await;
    let mut refuted = world.refuted(content).await;
    let example = refuted.remove("two-people-behind-a-credential").unwrap();
    assert!(refuted.is_empty(), "{refuted:?}");
    let Met::Refused(reason) = world.meet(&example).await else { panic!("allowed: {example:?}") };
    assert_eq!(reason, "no_elevation", "one approval opens no window");

    // One that was opened by other policies is looked at again.
    let both = plants("two-people-behind-a-credential").remove(0);
    let world = World::planted(USUAL, &both).await;
    let ann = person("vendor", "ann", &["oncall"]);
    let id = world.asked_for(&ann, "prod-admin", Duration::from_hours(1), world.clock.now()).await;
    assert_eq!(world.approved_by(1, &id).await["state"], "active");
    world.exchange(&world.signed_in(&ann), "prod-admin").await.issued();
    world.follow(&folder).await;
    world.exchange(&world.signed_in(&ann), "prod-admin").await.refused(400, "invalid_target");
    assert_eq!(world.newest("credential.refused").await["reason"], "quorum_lost");
}

/// The configuration holds it before any policy is asked: such a token is nobody's.
#[tokio::test]
async fn where_the_configuration_pins_the_organisation_no_planted_policy_lets_another_in() {
    let planted = plants("github-by-its-immutable-id").remove(0);
    let world = World::planted(PINS_GITHUB, &planted).await;
    let example = world.example(&planted).await;
    let told = world.exchange_like(&example, None).await.refused(400, "invalid_request");
    assert!(told.contains("claims that are required of its issuer"), "{told}");
    assert!(world.entries_of("credential.refused").await.is_empty(), "nobody was identified");
}
