//! The shipped policies answer the shipped cases, through the real engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tidegate::clock::Moment;
use tidegate::grants::{
    AwsGrant, BreakGlass, Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps, RoleArn,
};
use tidegate::ids::{Audience, GrantName, IssuerName, Scope, Subject};
use tidegate::policy::{IssueQuestion, PolicyEngine, PolicyRef, Settings};
use tidegate::principal::{
    Authentication, Github, Kubernetes, Person, Principal, PrincipalId, Workload, WorkloadAttributes,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    grant: String,
    ttl: String,
    #[serde(default)]
    scopes: BTreeSet<Scope>,
    source_ip: Option<IpAddr>,
    #[serde(default)]
    auth: Auth,
    principal: Caller,
    expect: String,
    #[serde(default)]
    decided_by: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Auth {
    #[serde(default)]
    amr: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    issuer: IssuerName,
    subject: Subject,
    #[serde(default)]
    person: bool,
    #[serde(default)]
    groups: BTreeSet<String>,
    kubernetes: Option<BTreeMap<String, String>>,
    github: Option<BTreeMap<String, String>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// The grants of the configuration reference.
fn catalog() -> Catalog {
    let minutes = |count: i64| Lifetime::from_seconds(count * 60).unwrap();
    let grant = |name, kind, default, max, break_glass| {
        let caps = LifetimeCaps::new(minutes(default), minutes(max)).unwrap();
        Grant::new(GrantName::new(name).unwrap(), kind, caps, break_glass, BTreeSet::new(), BTreeSet::new())
    };
    let aws = |role| {
        let role = RoleArn::new(&format!("arn:aws:iam::123456789012:role/{role}")).unwrap();
        GrantKind::Aws(Arc::new(AwsGrant::new(role, None)))
    };
    let ledger = GrantKind::Jwt(JwtGrant {
        audience: Audience::new("https://ledger.internal").unwrap(),
        scopes: ["ledger.read", "ledger.write"].map(|scope| Scope::new(scope).unwrap()).into(),
    });
    let admin = BreakGlass { max_duration: std::time::Duration::from_hours(4) };
    Catalog::new(vec![
        grant("ledger-api", ledger, 5, 15, None),
        grant("orders-read", aws("orders-read"), 10, 60, None),
        grant("prod-admin", aws("vendor-break-glass"), 15, 60, Some(admin)),
    ])
    .unwrap()
}

impl Caller {
    fn principal(&self) -> Principal {
        let id = PrincipalId { issuer: self.issuer.clone(), subject: self.subject.clone() };
        let groups = self.groups.clone();
        if self.person {
            return Principal::Person(Person { id, email: None, name: None, groups, tags: BTreeMap::new() });
        }
        let attributes = match (&self.kubernetes, &self.github) {
            (Some(facts), None) => WorkloadAttributes::Kubernetes(kubernetes(facts)),
            (None, Some(facts)) => WorkloadAttributes::Github(github(facts)),
            _ => WorkloadAttributes::Generic,
        };
        Principal::Workload(Workload { id, attributes, groups, tags: BTreeMap::new() })
    }
}

fn kubernetes(facts: &BTreeMap<String, String>) -> Kubernetes {
    Kubernetes {
        namespace: facts["namespace"].clone(),
        service_account: facts["service_account"].clone(),
        pod: facts.get("pod").cloned(),
        node: facts.get("node").cloned(),
    }
}

fn github(facts: &BTreeMap<String, String>) -> Github {
    Github {
        repository: facts["repository"].clone(),
        repository_id: facts["repository_id"].clone(),
        repository_owner: facts["repository_owner"].clone(),
        repository_owner_id: facts["repository_owner_id"].clone(),
        git_ref: facts["ref"].clone(),
        ref_type: facts.get("ref_type").cloned(),
        environment: facts.get("environment").cloned(),
        workflow_ref: facts.get("workflow_ref").cloned(),
        event_name: facts.get("event_name").cloned(),
        actor_id: facts.get("actor_id").cloned(),
    }
}

/// What the engine said, in the words of the cases.
fn answer(engine: &PolicyEngine, catalog: &Catalog, case: &Case) -> (String, Vec<String>) {
    let now: Moment = "2026-11-22T16:00:00Z".parse().unwrap();
    let authentication =
        Authentication { issued_at: now, acr: None, amr: case.auth.amr.clone(), auth_time: None };
    let ttl: i64 = case.ttl.strip_suffix('m').expect("minutes").parse().unwrap();
    let decided = engine.decide_issue(&IssueQuestion {
        principal: &case.principal.principal(),
        authentication: &authentication,
        grant: catalog.resolve(&GrantName::new(&case.grant).unwrap()).expect("a grant of the catalog"),
        ttl: Lifetime::from_seconds(ttl * 60).unwrap(),
        scopes: &case.scopes,
        source_ip: case.source_ip,
        client_cert: None,
        actor: None,
        at: now,
        elevation: None,
    });
    let names = |policies: &[PolicyRef]| policies.iter().map(ToString::to_string).collect();
    match decided {
        Ok(permit) => ("permit".to_owned(), names(permit.decided_by())),
        Err(denial) => (denial.reason.to_string(), names(&denial.decided_by)),
    }
}

#[test]
fn every_shipped_case_is_answered_as_it_says() {
    let catalog = catalog();
    let engine = PolicyEngine::load(&Settings { dir: folder() }, &catalog).unwrap_or_else(|e| panic!("{e}"));
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder().join("tests")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in toml::from_str::<Cases>(&text).unwrap().case {
            count += 1;
            let answered = answer(&engine, &catalog, &case);
            if answered != (case.expect.clone(), case.decided_by.clone()) {
                wrong.push(format!("{}: {answered:?}", case.name));
            }
        }
    }
    assert!(count >= 15, "only {count} cases were found");
    assert_eq!(wrong, Vec::<String>::new());
}
