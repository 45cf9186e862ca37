//! What people may do with grants and elevations.

use std::time::Duration;

use cedar_policy::{Entities, Request};

use super::*;
use crate::policy::entities::{self, GrantEntity};
use crate::policy::reads::Reads;
use crate::policy::schema::{Vocabulary, schema};
use crate::policy::{DenialReason, context};

const HOUR: Duration = Duration::from_hours(1);

struct Scene {
    grant: Arc<Grant>,
    ann: Person,
    bob: Person,
    authentication: Authentication,
    approvers: BTreeSet<PrincipalId>,
    groups: BTreeSet<(IssuerName, String)>,
}

impl Scene {
    fn new() -> Self {
        let asked = Asked::of(person(None), "b");
        Self {
            grant: asked.grant,
            ann: someone("ann", Some("Ann")),
            bob: someone("bob", None),
            authentication: asked.authentication,
            approvers: BTreeSet::from([id("staff", "bob")]),
            groups: BTreeSet::from([(IssuerName::new("staff").unwrap(), "g".to_owned())]),
        }
    }

    /// An elevation that Ann asked for.
    fn elevation(&self) -> ElevationFacts<'_> {
        ElevationFacts {
            id: "e-1",
            grant: &self.grant,
            requester: &self.ann,
            duration: HOUR,
            reason: "INC-1",
            ticket: Some("INC-1"),
        }
    }

    fn wishes(&self) -> Vec<Wish<'_>> {
        let (grant, elevation) = (&self.grant, self.elevation());
        vec![
            Wish::Request { grant, duration: HOUR },
            Wish::Approve { elevation, duration: HOUR },
            self.activate(2),
            Wish::Revoke { elevation },
            Wish::View { elevation },
            Wish::Lock { grant },
            Wish::Audit { grant },
            Wish::Explain { grant },
        ]
    }

    fn activate(&self, count: u32) -> Wish<'_> {
        let approvals = Approvals { count, people: &self.approvers, groups: &self.groups };
        Wish::Activate { grant: &self.grant, duration: HOUR, approvals }
    }

    fn question<'a>(&'a self, person: &'a Person, wish: Wish<'a>) -> PersonQuestion<'a> {
        let at = self.authentication.issued_at;
        PersonQuestion { person, authentication: &self.authentication, source_ip: None, at, wish }
    }

    fn decide(&self, text: &str, person: &Person, wish: Wish<'_>) -> Result<(), DenialReason> {
        let engine = Folder::new(&[("customer/a.cedar", text)]).engine();
        let wish_of = PersonQuestion { wish, ..self.question(person, Wish::Lock { grant: &self.grant }) };
        engine.decide(&wish_of).map(|_| ()).map_err(|denial| denial.reason)
    }
}

#[test]
fn every_wish_reads_back_from_its_facts_and_is_decided_the_same() {
    let scene = Scene::new();
    let two = "permit(principal, action == Tidegate::Action::\"activate\", resource) when { context.approvals.count >= 2 && context.approvals.groups.contains(Tidegate::Group::\"staff/g\") };
        permit(principal, action == Tidegate::Action::\"approve\", resource) when { resource.requester != principal && resource.reason == \"INC-1\" && resource has ticket && context.duration <= duration(\"1h\") };
        permit(principal, action in [Tidegate::Action::\"view\", Tidegate::Action::\"request\"], resource);";
    let engine = Folder::new(&[("customer/a.cedar", two)]).engine();
    let mut permitted = 0;
    for person in [&scene.ann, &scene.bob] {
        for wish in scene.wishes() {
            let question = PersonQuestion {
                person,
                authentication: &scene.authentication,
                source_ip: None,
                at: "2026-11-22T16:00:00Z".parse().unwrap(),
                wish,
            };
            let facts: Facts =
                serde_json::from_str(&serde_json::to_string(&Facts::of_person(&question)).unwrap()).unwrap();
            let (live, read) = (engine.decide(&question), engine.sets().decide(&facts));
            permitted += usize::from(live.is_ok());
            assert_eq!(live.is_ok(), read.is_ok(), "{facts:?}");
            assert_eq!(facts.asked.action(), question.wish.action());
        }
    }
    assert_eq!(permitted, 7);
}

#[test]
fn a_requester_is_kept_from_approving_by_policy() {
    let scene = Scene::new();
    let text = "permit(principal, action == Tidegate::Action::\"approve\", resource);
        forbid(principal, action == Tidegate::Action::\"approve\", resource) when { resource.requester == principal };";
    let approve = || Wish::Approve { elevation: scene.elevation(), duration: HOUR };
    assert_eq!(scene.decide(text, &scene.ann, approve()), Err(DenialReason::Forbidden(Author::Customer)));
    assert_eq!(scene.decide(text, &scene.bob, approve()), Ok(()));
}

#[test]
fn activation_counts_approvals_and_knows_the_approvers_groups() {
    let scene = Scene::new();
    let text =
        "permit(principal, action == Tidegate::Action::\"activate\", resource == Tidegate::Grant::\"b\")
        when { context.approvals.count >= 2 && context.approvals.groups.contains(Tidegate::Group::\"staff/g\")
            && context.duration <= duration(\"1h\") };";
    let nobody = Err(DenialReason::NotPermitted(Author::Customer));
    assert_eq!(scene.decide(text, &scene.ann, scene.activate(1)), nobody);
    assert_eq!(scene.decide(text, &scene.ann, scene.activate(2)), Ok(()));
}

#[test]
fn one_action_permitted_is_no_other_action_permitted() {
    let scene = Scene::new();
    for (n, wish) in scene.wishes().into_iter().enumerate() {
        let action = wish.action().as_str();
        let text = format!("permit(principal, action == Tidegate::Action::\"{action}\", resource);");
        let engine = Folder::new(&[("customer/a.cedar", &text)]).engine();
        for (m, other) in scene.wishes().into_iter().enumerate() {
            let permitted = engine.decide(&scene.question(&scene.bob, other)).is_ok();
            assert_eq!(permitted, n == m, "{action} and wish {m}");
        }
    }
}

#[test]
fn an_elevation_shows_its_grant_and_its_requester_to_policy() {
    let scene = Scene::new();
    let text = "permit(principal, action == Tidegate::Action::\"view\", resource) when {
        resource.grant.break_glass && resource.grant in Tidegate::GrantSet::\"s\" && resource has ticket &&
        resource.requester has email && resource.requester.email == \"Ann@example.com\" &&
        resource.requester in Tidegate::Group::\"staff/g\" && resource.duration == duration(\"1h\") };";
    assert_eq!(scene.decide(text, &scene.bob, Wish::View { elevation: scene.elevation() }), Ok(()));
}

#[test]
fn what_we_build_has_the_schemas_shape_for_every_action() {
    let (scene, words, schema) = (Scene::new(), Vocabulary::new().unwrap(), schema().unwrap());
    let facts = GrantEntity::new(&scene.grant, &words, &Relations::default()).unwrap();
    for wish in scene.wishes() {
        let question = scene.question(&scene.bob, wish);
        let people = [&scene.ann, &scene.bob]
            .map(|one| entities::person(one, &words, &Relations::default(), Reads::ALL).unwrap());
        let elevation = scene.elevation();
        let built = entities::elevation(&elevation, &words).unwrap();
        let all = facts.entities.iter().cloned().chain(people).chain([built]);
        Entities::from_entities(all, Some(&schema)).unwrap();
        let resource = match question.wish.elevation() {
            Some(facts) => entities::elevation_uid(facts, &words),
            None => facts.uid.clone(),
        };
        let action = words.action(question.wish.action());
        let context = context::person(&question, &words, &Relations::default(), Reads::ALL).unwrap();
        Request::new(entities::person_uid(&scene.bob, &words), action, resource, context, Some(&schema))
            .unwrap();
    }
}
