//! The room as a whole: folders in, decisions out.

mod approvals;
mod elevations;
mod equivalence;
mod facts;
mod folders;
mod halves;
mod people;
mod teams;
mod vendor;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::question::OwnedIssue as Asked;
use super::*;
use crate::clock::Moment;
use crate::grants::{BreakGlass, Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps};
use crate::ids::{Audience, GrantName, IssuerName, Scope, Subject};
use crate::principal::{
    Authentication, AwsIdentity, Github, Gitlab, Kubernetes, Person, Principal, PrincipalId, Spiffe,
    Workload, WorkloadAttributes,
};

/// A policy folder that goes away with its test.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(TempDir::new().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    fn settings(&self) -> Settings {
        Settings::of_folder(self.0.path().to_owned())
    }

    fn load(&self) -> Result<PolicyEngine, LoadError> {
        PolicyEngine::load(&self.settings(), &catalog())
    }

    fn engine(&self) -> PolicyEngine {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// A group, as `entities.json` writes it.
pub(super) fn group(id: &str, parents: &[&str]) -> Value {
    member("Group", id, parents)
}

/// A group, person or workload, as `entities.json` writes it.
pub(super) fn member(kind: &str, id: &str, parents: &[&str]) -> Value {
    let parents: Vec<_> = parents.iter().map(|id| json!({ "type": "Tidegate::Group", "id": id })).collect();
    json!({ "uid": { "type": format!("Tidegate::{kind}"), "id": id }, "attrs": {}, "parents": parents })
}

pub(super) fn grant(name: &str, sets: &[&str], labels: &[&str], break_glass: bool) -> Grant {
    let minute = Lifetime::from_seconds(60).unwrap();
    Grant::new(
        GrantName::new(name).unwrap(),
        GrantKind::Jwt(JwtGrant { audience: Audience::new("https://x").unwrap(), scopes: BTreeSet::new() }),
        LifetimeCaps::new(minute, Lifetime::LONGEST).unwrap(),
        break_glass.then_some(BreakGlass { max_duration: std::time::Duration::from_mins(1) }),
        set(labels),
        set(sets),
    )
}

/// Three grants: `a` in the sets s and t, `b` in s, `c` in none.
fn catalog() -> Catalog {
    Catalog::new(vec![
        grant("a", &["s", "t"], &["red"], false),
        grant("b", &["s"], &[], true),
        grant("c", &[], &["blue"], false),
    ])
    .unwrap()
}

fn id(issuer: &str, subject: &str) -> PrincipalId {
    PrincipalId { issuer: IssuerName::new(issuer).unwrap(), subject: Subject::new(subject).unwrap() }
}

fn workload(attributes: WorkloadAttributes) -> Workload {
    Workload {
        id: id("prod", "w"),
        attributes,
        groups: set(&["g"]),
        tags: BTreeMap::from([("team".to_owned(), set(&["red", "blue"])), ("empty".to_owned(), set(&[]))]),
    }
}

fn kubernetes() -> WorkloadAttributes {
    WorkloadAttributes::Kubernetes(Kubernetes {
        namespace: "orders".into(),
        service_account: "api".into(),
        pod: Some("api-1".into()),
        node: None,
    })
}

fn someone(subject: &str, name: Option<&str>) -> Person {
    Person {
        id: id("staff", subject),
        email: name.map(|name| format!("{name}@example.com")),
        name: name.map(ToOwned::to_owned),
        groups: set(&["g", "h"]),
        tags: BTreeMap::from([("team".to_owned(), set(&["red"]))]),
    }
}

fn person(name: Option<&str>) -> Principal {
    Principal::Person(someone("ann", name))
}

/// One principal of every profile, with and without what is optional.
fn principals() -> Vec<Principal> {
    let github = |environment: Option<&str>| {
        WorkloadAttributes::Github(Github {
            repository: "acme/orders".into(),
            repository_id: "74".into(),
            repository_owner: "acme".into(),
            repository_owner_id: "1234".into(),
            git_ref: "refs/heads/main".into(),
            ref_type: environment.map(|_| "branch".into()),
            environment: environment.map(ToOwned::to_owned),
            workflow_ref: environment.map(|_| "w".into()),
            event_name: environment.map(|_| "push".into()),
            actor_id: environment.map(|_| "5".into()),
        })
    };
    let gitlab = WorkloadAttributes::Gitlab(Gitlab {
        project_path: "acme/orders".into(),
        project_id: "9".into(),
        namespace_id: "7".into(),
        git_ref: "main".into(),
        ref_type: "branch".into(),
        ref_protected: true,
        environment: Some("prod".into()),
    });
    let spiffe = Spiffe { trust_domain: "prod.example".into(), path: "/ns/orders".into() };
    let aws = AwsIdentity { account: "123456789012".into(), role_arn: Some("r".into()), org_id: None };
    let attributes = [
        kubernetes(),
        github(Some("prod")),
        github(None),
        gitlab,
        WorkloadAttributes::Spiffe(spiffe),
        WorkloadAttributes::Aws(aws),
        WorkloadAttributes::Generic,
    ];
    let workloads = attributes.into_iter().map(|one| Principal::Workload(workload(one)));
    workloads.chain([person(Some("Ann")), person(None)]).collect()
}

impl Asked {
    fn of(principal: Principal, grant: &str) -> Self {
        let at: Moment = "2026-11-22T16:00:00.25Z".parse().unwrap();
        Self {
            principal,
            authentication: Authentication {
                issued_at: at.floor_second(),
                acr: Some("1".into()),
                amr: set(&["mfa"]),
                auth_time: Some(at),
            },
            grant: Arc::clone(catalog().resolve(&GrantName::new(grant).unwrap()).unwrap()),
            ttl: Lifetime::from_seconds(300).unwrap(),
            scopes: BTreeSet::from([Scope::new("read").unwrap()]),
            source_ip: Some("::ffff:10.1.2.3".parse().unwrap()),
            client_cert: Some("thumb".into()),
            actor: Some(Workload { id: id("prod", "actor"), ..workload(kubernetes()) }),
            at,
            elevation: None,
        }
    }

    /// With an elevation that so many people approved, and whose window began a moment ago.
    fn under(self, approvals: u32) -> Self {
        let id = "elv-01a203ff-4cee-7102-8304-05060708090a".parse().unwrap();
        let ends_at = self.at.plus(std::time::Duration::from_hours(1));
        let elevation = ElevationUse { id, version: 4, approvals, starts_at: self.at, ends_at };
        Self { elevation: Some(elevation), ..self }
    }

    /// `permit` or the reason, and who decided.
    fn answer(&self, engine: &PolicyEngine) -> (String, Vec<String>) {
        let names = |policies: &[PolicyRef]| policies.iter().map(ToString::to_string).collect();
        match engine.decide_issue(&self.question()) {
            Ok(permit) => ("permit".into(), names(permit.decided_by())),
            Err(denial) => (denial.reason.to_string(), names(&denial.decided_by)),
        }
    }
}

fn says(files: &[(&str, &str)], asked: &Asked) -> (String, Vec<String>) {
    asked.answer(&Folder::new(files).engine())
}

pub(super) const ALLOW: &str = "@id(\"all\") permit(principal, action, resource);";

fn orders() -> Asked {
    Asked::of(Principal::Workload(workload(kubernetes())), "a")
}

#[test]
fn a_forbid_that_fails_denies_although_cedar_would_allow() {
    let cap = "@id(\"cap\") forbid(principal, action == Tidegate::Action::\"issue\", resource)
        when { context.ttl.toSeconds() * 9223372036854775807 > 3600 };";
    let (reason, names) = says(&[("customer/a.cedar", ALLOW), ("customer/b.cedar", cap)], &orders());
    assert!(reason.starts_with("the policy could not be evaluated: `customer/b.cedar#cap`: "), "{reason}");
    assert_eq!(names, ["customer/b.cedar#cap"]);
}

#[test]
fn a_failing_vendor_policy_denies_too() {
    let cap = "forbid(principal, action == Tidegate::Action::\"issue\", resource)
        when { context.ttl.toSeconds() * 9223372036854775807 > 3600 };";
    let files = [("customer/a.cedar", ALLOW), ("vendor/a.cedar", ALLOW), ("vendor/b.cedar", cap)];
    assert_eq!(says(&files, &orders()).1, ["vendor/b.cedar#1"]);
}

#[test]
fn without_the_vendors_permit_nothing_is_issued() {
    let none = "permit(principal, action, resource == Tidegate::Grant::\"b\");";
    let files = [("customer/a.cedar", ALLOW), ("vendor/a.cedar", none)];
    assert_eq!(says(&files, &orders()), ("no vendor policy permits it".into(), vec![]));
}

#[test]
fn without_the_customers_permit_nothing_is_issued() {
    let none = "permit(principal, action, resource == Tidegate::Grant::\"b\");";
    let files = [("customer/a.cedar", none), ("vendor/a.cedar", ALLOW)];
    assert_eq!(says(&files, &orders()), ("no customer policy permits it".into(), vec![]));
}

#[test]
fn a_forbid_of_either_author_denies_whatever_both_permit() {
    let forbid = "@id(\"no\") forbid(principal, action, resource in Tidegate::GrantSet::\"t\");";
    for author in ["customer", "vendor"] {
        let path = format!("{author}/no.cedar");
        let files = [("customer/a.cedar", ALLOW), ("vendor/a.cedar", ALLOW), (path.as_str(), forbid)];
        let expected = (format!("a {author} policy forbids it"), vec![format!("{author}/no.cedar#no")]);
        assert_eq!(says(&files, &orders()), expected);
    }
}

#[test]
fn a_permit_names_the_policies_of_both_authors_and_the_digest_of_the_sets() {
    let folder = Folder::new(&[("customer/a.cedar", ALLOW), ("vendor/a.cedar", ALLOW)]);
    let engine = folder.engine();
    let permit = engine.decide_issue(&orders().question()).unwrap();
    assert_eq!(permit.digest(), engine.digest());
    assert_eq!(
        permit.decided_by().iter().map(PolicyRef::as_str).collect::<Vec<_>>(),
        ["customer/a.cedar#all", "vendor/a.cedar#all"]
    );
    assert_eq!(permit.grant().name.as_str(), "a");
}

#[test]
fn without_a_vendor_folder_the_customers_set_alone_decides() {
    assert_eq!(says(&[("customer/a.cedar", ALLOW)], &orders()).0, "permit");
}

#[test]
fn a_grant_that_the_engine_was_not_loaded_for_is_denied() {
    let engine = Folder::new(&[("customer/a.cedar", ALLOW)]).engine();
    let mut asked = orders();
    asked.grant = Arc::new(grant("a", &[], &["other"], false));
    assert!(asked.answer(&engine).0.contains("not of the catalog"));
    asked.grant = Arc::new(grant("d", &[], &[], false));
    assert!(asked.answer(&engine).0.contains("not of the catalog"));
    assert!(engine.reads_ttl(&asked.grant));
}

#[test]
fn a_moment_that_cedar_cannot_hold_is_denied_and_not_left_out() {
    let timed = "permit(principal, action, resource) when { context.now > datetime(\"2000-01-01\") };";
    let mut asked = orders();
    asked.at = Moment::from_unix_millis(i64::MAX);
    assert!(says(&[("customer/a.cedar", timed)], &asked).0.contains("could not be evaluated"));
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_its_ipv4_address() {
    let near = "permit(principal, action == Tidegate::Action::\"issue\", resource)
        when { context has source_ip && context.source_ip.isInRange(ip(\"10.0.0.0/8\")) };";
    assert_eq!(says(&[("customer/a.cedar", near)], &orders()).0, "permit");
}

#[test]
fn an_issuer_cannot_name_another_issuers_group() {
    let group = "permit(principal in Tidegate::Group::\"staff/g\", action, resource);";
    let files = [("customer/a.cedar", group)];
    assert_eq!(says(&files, &Asked::of(person(None), "a")).0, "permit");
    assert_eq!(says(&files, &orders()).0, "no customer policy permits it");
}

#[test]
fn only_policies_that_may_decide_make_a_grant_read_the_ttl() {
    let cap = "forbid(principal, action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"a\")
        when { context.ttl > duration(\"1h\") };
        forbid(principal, action == Tidegate::Action::\"issue\", resource in Tidegate::GrantSet::\"s\")
        when { context.scopes.contains(\"ttl\") };";
    let engine = Folder::new(&[("customer/a.cedar", ALLOW), ("customer/b.cedar", cap)]).engine();
    let reads: Vec<_> = catalog().iter().map(|grant| engine.reads_ttl(grant)).collect();
    assert_eq!(reads, [true, false, false]);
}
