//! Teams and ownership through the whole engine: who is let in, and who tries to be.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OWNERS: &str = "@id(\"owners\") permit(principal, action, resource is Tidegate::Grant)
    when { resource has owner && principal in resource.owner };";

fn owned(grant: &str, owner: &str) -> Value {
    let owner = json!({ "type": "Tidegate::Group", "id": owner });
    json!({ "uid": { "type": "Tidegate::Grant", "id": grant }, "attrs": { "owner": owner }, "parents": [] })
}

/// `payments` is a part of `engineering` and owns the grant `a`; `staff/g` leads to it, and `staff|bob` is written down.
fn teams() -> Vec<Value> {
    vec![
        group("engineering", &[]),
        group("payments", &["engineering"]),
        group("staff/g", &["payments"]),
        member("Person", "staff|bob", &["payments"]),
        member("Workload", "prod|w", &["engineering"]),
        owned("a", "payments"),
    ]
}

fn folder(cedar: &str, entities: &[Value]) -> Folder {
    Folder::new(&[("customer/a.cedar", cedar), ("entities.json", &json!(entities).to_string())])
}

fn one_of(issuer: &str, subject: &str, groups: &[&str]) -> Person {
    Person { id: id(issuer, subject), groups: set(groups), ..someone(subject, None) }
}

fn may(engine: &PolicyEngine, person: Person, grant: &str) -> bool {
    Asked::of(Principal::Person(person), grant).answer(engine).0 == "permit"
}

#[test]
fn only_members_of_the_team_that_owns_a_grant_are_let_in() {
    let engine = folder(OWNERS, &teams()).engine();
    assert!(may(&engine, one_of("staff", "ann", &["g"]), "a"), "by a group of the token");
    assert!(may(&engine, one_of("staff", "bob", &[]), "a"), "written down");
    assert!(!may(&engine, one_of("staff", "carl", &["h"]), "a"));
    assert!(!may(&engine, one_of("staff", "ann", &["g"]), "c"), "nobody owns it");
    assert!(Asked::of(Principal::Workload(workload(kubernetes())), "a").answer(&engine).0 != "permit");
}

#[test]
fn whoever_is_only_above_the_owner_is_not_in_it_and_the_owner_is_in_what_is_above() {
    let engineering = "permit(principal, action, resource is Tidegate::Grant) when {
        resource has owner && resource.owner in Tidegate::Group::\"engineering\" &&
        principal in Tidegate::Group::\"engineering\" };";
    let engine = folder(engineering, &teams()).engine();
    assert!(may(&engine, one_of("staff", "ann", &["g"]), "a"));
    assert!(Asked::of(Principal::Workload(workload(kubernetes())), "a").answer(&engine).0 == "permit");
    let backwards = "permit(principal, action, resource is Tidegate::Grant) when {
        resource has owner && Tidegate::Group::\"engineering\" in resource.owner };";
    assert!(!may(&folder(backwards, &teams()).engine(), one_of("staff", "ann", &["g"]), "a"));
    let by_name = "permit(principal, action, resource) when {
        Tidegate::Group::\"staff/g\" in Tidegate::Group::\"engineering\" };";
    assert!(may(&folder(by_name, &teams()).engine(), one_of("other", "x", &[]), "c"), "as Cedar has it");
}

#[test]
fn no_token_can_name_a_team() {
    let engine = folder(OWNERS, &teams()).engine();
    for (issuer, groups) in [
        ("vendor", &["payments", "g", "staff/g", "../staff/g"][..]),
        ("staff", &["payments", "staff/g", "/g", "G"]),
        // An issuer that is called like the team, or like the other issuer with something behind.
        ("payments", &["payments", "g", ""]),
        ("staff-eu", &["g"]),
    ] {
        assert!(!may(&engine, one_of(issuer, "mallory", groups), "a"), "{issuer} {groups:?}");
    }
    assert!(!may(&engine, one_of("vendor", "bob", &[]), "a"), "another issuer's bob");
}

#[test]
fn a_person_and_a_workload_of_one_name_are_two() {
    let engine =
        folder(OWNERS, &[group("t", &[]), member("Person", "prod|w", &["t"]), owned("a", "t")]).engine();
    assert!(Asked::of(Principal::Workload(workload(kubernetes())), "a").answer(&engine).0 != "permit");
    assert!(may(&engine, one_of("prod", "w", &[]), "a"));
}

#[test]
fn a_forbid_reaches_whoever_leads_to_its_team() {
    let keep_out =
        format!("{ALLOW} forbid(principal in Tidegate::Group::\"engineering\", action, resource);");
    let engine = folder(&keep_out, &teams()).engine();
    assert!(!may(&engine, one_of("staff", "ann", &["g"]), "a"));
    assert!(!may(&engine, one_of("staff", "bob", &[]), "a"));
    assert!(may(&engine, one_of("staff", "carl", &[]), "a"));
}

#[test]
fn what_is_remembered_is_forgotten_with_the_teams() {
    let files = folder(OWNERS, &[group("t", &[]), member("Workload", "prod|w", &["t"]), owned("a", "t")]);
    let (engine, asked) = (files.engine(), Asked::of(Principal::Workload(workload(kubernetes())), "a"));
    let before = engine.digest();
    for _ in 0..2 {
        assert_eq!(asked.answer(&engine).0, "permit");
    }
    files.write("entities.json", &json!([group("t", &[]), owned("a", "t")]).to_string());
    assert!(engine.reload().unwrap().is_some_and(|digest| digest != before));
    assert_eq!(asked.answer(&engine).0, "no customer policy permits it");
    files.write("entities.json", "[{}]");
    assert!(engine.reload().unwrap_err().to_string().contains("entities.json:1:"));
    std::fs::remove_file(files.path().join("entities.json")).unwrap();
    assert_eq!(engine.reload().unwrap().map(|_| engine.sets().relations().is_empty()), Some(true));
}

#[test]
fn names_that_are_not_configured_are_refused() {
    let files = folder(OWNERS, &[group("t", &[]), owned("ledgr", "t")]);
    let why = files.load().map(drop).unwrap_err().to_string();
    assert!(why.contains("names the grant `ledgr`, which is not configured"), "{why}");
    let files = folder(OWNERS, &[group("team/payments", &[])]);
    let known = |names: &[&str]| {
        let issuers = Some(names.iter().map(|name| IssuerName::new(name).unwrap()).collect());
        PolicyEngine::load(&Settings { issuers, ..files.settings() }, &catalog()).map(drop)
    };
    let why = known(&["staff"]).unwrap_err().to_string();
    assert!(why.contains("names the issuer `team`, which is not configured"), "{why}");
    assert_eq!(known(&["staff", "team"]), Ok(()));
    files.engine();
}

#[test]
fn another_json_file_beside_the_policies_would_not_count_and_is_refused() {
    let files = Folder::new(&[("customer/a.cedar", ALLOW), ("entity.json", "[]")]);
    assert!(files.load().map(drop).unwrap_err().to_string().contains("are in `entities.json`"));
}

#[test]
fn teams_belong_to_the_customers_digest() {
    let vendor = [("customer/a.cedar", ALLOW), ("vendor/a.cedar", ALLOW)];
    let digests = |files: &[(&str, &str)]| Folder::new(files).engine().origin().digests;
    let (without, with) = (digests(&vendor), digests(&[vendor[0], vendor[1], ("entities.json", "[]")]));
    assert_ne!((without.both, without.customer), (with.both, with.customer));
    assert_eq!(without.vendor, with.vendor);
    let other = digests(&[vendor[0], ("vendor/a.cedar", "permit(principal, action, resource);")]);
    assert_eq!((without.customer, without.both == other.both), (other.customer, false));
    assert_ne!(without.vendor, other.vendor);
    assert_eq!(digests(&vendor[..1]).vendor, None);
}

#[test]
fn teams_are_handed_on_with_the_texts() {
    let files = folder(OWNERS, &teams());
    let texts = files.engine().folder().unwrap();
    let read = PolicyTexts::read(texts.digest(), texts.text().to_owned()).unwrap();
    assert_eq!(PolicySets::of(&read).unwrap().relations().groups().len(), 3);
    assert!(PolicyTexts::read(texts.digest(), texts.text().replace("staff|bob", "staff|eve")).is_err());
}

/// How many must approve for `b`, with these approvers so far.
fn needed(cedar: &str, entities: &[Value], people: &[&str], groups: &[&str]) -> Option<u32> {
    let asked = Asked::of(person(None), "b");
    let people = people.iter().map(|subject| id("staff", subject)).collect();
    let groups =
        groups.iter().map(|group| (IssuerName::new("staff").unwrap(), (*group).to_owned())).collect();
    folder(cedar, entities).engine().approvals_needed(&ActivateProbe {
        person: &someone("ann", None),
        authentication: &asked.authentication,
        source_ip: None,
        at: asked.at,
        grant: &asked.grant,
        duration: Duration::from_hours(1),
        people: &people,
        groups: &groups,
    })
}

#[test]
fn approvers_bring_their_teams() {
    let team = "permit(principal, action == Tidegate::Action::\"activate\", resource)
        when { context.approvals.groups.contains(Tidegate::Group::\"engineering\") };";
    let asks_for_it =
        |entities: &[Value], people: &[&str], groups: &[&str]| needed(team, entities, people, groups);
    // By a token's group that leads to it, or by name.
    assert_eq!(
        asks_for_it(&[group("engineering", &[]), group("staff/g", &["engineering"])], &[], &[]),
        Some(1)
    );
    let bob = member("Person", "staff|bob", &["engineering"]);
    assert_eq!(asks_for_it(&[group("engineering", &[]), bob.clone()], &[], &[]), Some(1));
    // Nobody leads to it, or the requester alone, who never approves.
    assert_eq!(asks_for_it(&[group("engineering", &[])], &[], &["engineering"]), None);
    let ann = member("Person", "staff|ann", &["engineering"]);
    assert_eq!(asks_for_it(&[group("engineering", &[]), ann], &[], &[]), None);
    // Approvers so far bring theirs also where no policy names the group.
    let any = "permit(principal, action == Tidegate::Action::\"activate\", resource)
        when { !context.approvals.groups.isEmpty() };";
    assert_eq!(needed(any, &[group("engineering", &[]), bob.clone()], &[], &[]), None);
    assert_eq!(needed(any, &[group("engineering", &[]), bob], &["bob"], &[]), Some(1));
}

#[test]
fn the_owners_of_a_grant_may_come_with_the_next_approver() {
    let owners = "permit(principal, action == Tidegate::Action::\"activate\", resource)
        when { resource has owner && context.approvals.groups.contains(resource.owner) };";
    let owned_by = |more: Value| vec![group("t", &[]), owned("b", "t"), more];
    assert_eq!(needed(owners, &owned_by(group("staff/g", &["t"])), &[], &[]), Some(1));
    assert_eq!(needed(owners, &owned_by(group("staff/g", &[])), &[], &[]), None);
    assert_eq!(needed(owners, &owned_by(member("Person", "staff|bob", &["t"])), &[], &[]), Some(1));
}

fn anyone(cedar: &str, entities: &[Value], approving: &[&str]) -> bool {
    let issuers = approving.iter().map(|name| IssuerName::new(name).unwrap()).collect();
    let grant = Asked::of(person(None), "b").grant;
    folder(cedar, entities).engine().could_anyone_approve(&grant, &issuers, &id("staff", "ann"))
}

#[test]
fn a_team_that_no_approver_leads_to_approves_nothing() {
    let team =
        "permit(principal in Tidegate::Group::\"leads\", action == Tidegate::Action::\"approve\", resource);";
    let leads = || group("leads", &[]);
    assert!(!anyone(team, &[leads()], &["staff", "vendor"]));
    assert!(anyone(team, &[leads(), group("staff/g", &["leads"])], &["staff"]));
    assert!(
        !anyone(team, &[leads(), group("staff/g", &["leads"])], &["vendor"]),
        "a barred issuer's people only"
    );
    assert!(!anyone(team, &[leads(), group("staff-eu/g", &["leads"])], &["staff"]));
    let written = |who: &str| [leads(), member("Person", who, &["leads"])];
    assert!(anyone(team, &written("staff|bob"), &["staff"]));
    assert!(!anyone(team, &written("vendor|bob"), &["staff"]));
    assert!(!anyone(team, &written("staff|ann"), &["staff"]), "the requester alone");
    let workload = [leads(), member("Workload", "staff|bob", &["leads"])];
    assert!(!anyone(team, &workload, &["staff"]));
}

#[test]
fn a_forbid_for_a_team_leaves_whoever_is_not_certainly_in_it() {
    let out = "forbid(principal in Tidegate::Group::\"out\", action, resource);";
    let bob = "permit(principal == Tidegate::Person::\"staff|bob\", action, resource);";
    let out_is = |who: &str| [group("out", &[]), member("Person", who, &["out"])];
    assert!(!anyone(&format!("{bob}{out}"), &out_is("staff|bob"), &["staff"]));
    assert!(anyone(&format!("{bob}{out}"), &out_is("staff|carl"), &["staff"]));
    assert!(anyone(&format!("{ALLOW}{out}"), &out_is("staff|bob"), &["staff"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A chain of groups with people at every level: the engine lets in exactly whom Cedar finds in the whole graph.
    #[test]
    fn the_engine_finds_whom_cedar_finds_in_the_whole_graph(
        edges in proptest::collection::vec(any::<u8>(), 6),
        of_token in proptest::collection::vec(any::<bool>(), 6),
        direct in any::<u8>(),
    ) {
        let name = |number: usize| if of_token[number] { format!("staff/g{number}") } else { format!("g{number}") };
        let chosen = |bits: u8, from: usize| (from..6).filter(move |number| bits >> number & 1 == 1);
        let parents = |bits, from| chosen(bits, from).map(name).collect::<Vec<_>>();
        let entity = |kind: &str, id: &str, parents: Vec<String>| {
            member(kind, id, &parents.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let mut entities: Vec<Value> =
            (0..6).map(|number| entity("Group", &name(number), parents(edges[number], number + 1))).collect();
        entities.push(entity("Person", "staff|p", parents(direct, 3)));
        let policies: String = (0..6)
            .map(|number| {
                let group = name(number);
                format!("@id(\"g{number}\") permit(principal in Tidegate::Group::\"{group}\", action, resource);\n")
            })
            .collect::<Vec<_>>()
            .concat();
        let token: Vec<usize> = chosen(direct, 0).filter(|number| *number < 3 && of_token[*number]).collect();
        let groups: Vec<String> = token.iter().map(|number| format!("g{number}")).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let asked = Asked::of(Principal::Person(one_of("staff", "p", &groups)), "a");
        let (_, decided_by) = asked.answer(&folder(&policies, &entities).engine());

        // The whole graph: the person is in what is written down and in what the token names.
        let mut all = parents(direct, 3);
        all.extend(token.iter().map(|number| name(*number)));
        entities.pop();
        entities.push(entity("Person", "staff|p", all));
        let graph = cedar_policy::Entities::from_json_str(&json!(entities).to_string(), None).unwrap();
        let who = "Tidegate::Person::\"staff|p\"".parse().unwrap();
        let expected: Vec<String> = (0..6)
            .filter(|number| graph.is_ancestor_of(&format!("Tidegate::Group::\"{}\"", name(*number)).parse().unwrap(), &who))
            .map(|number| format!("customer/a.cedar#g{number}"))
            .collect();
        prop_assert_eq!(decided_by, expected);
    }
}
