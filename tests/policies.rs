//! The shipped policies answer the shipped cases, through the real engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tidegate::clock::Moment;
use tidegate::grants::{
    AwsGrant, BreakGlass, Catalog, Grant, GrantKind, JwtGrant, Lifetime, LifetimeCaps, RoleArn,
};
use tidegate::ids::{Audience, GrantName, IssuerName, Scope, Subject};
use tidegate::policy::{
    ActivateProbe, Approvals, Denial, ElevationFacts, ElevationUse, IssueQuestion, PersonQuestion,
    PolicyEngine, PolicyRef, Settings, Wish,
};
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
    /// What a person wishes to do; `issue` when it is not there.
    #[serde(rename = "do")]
    wish: Option<String>,
    grant: String,
    /// Of a credential.
    ttl: Option<String>,
    /// Of access.
    duration: Option<String>,
    /// How many approved, for `activate`.
    #[serde(default)]
    approvals: u32,
    /// Who asked for the elevation; Ann of the vendor when it is not there.
    requester: Option<Caller>,
    /// `amr`, short.
    #[serde(default)]
    amr: BTreeSet<String>,
    /// An open one.
    elevation: Option<Elevation>,
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
struct Elevation {
    approvals: u32,
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
    let grant = |name, kind, default, max, break_glass: Option<BreakGlass>| {
        let caps = LifetimeCaps::new(minutes(default), minutes(max)).unwrap();
        let sets = break_glass.map(|_| "break-glass".to_owned()).into_iter().collect();
        Grant::new(GrantName::new(name).unwrap(), kind, caps, break_glass, BTreeSet::new(), sets)
    };
    let aws = |role| {
        let role = RoleArn::new(&format!("arn:aws:iam::123456789012:role/{role}")).unwrap();
        GrantKind::Aws(Arc::new(AwsGrant::new(role, None)))
    };
    let ledger = |scopes: &[&str]| {
        GrantKind::Jwt(JwtGrant {
            audience: Audience::new("https://ledger.internal").unwrap(),
            scopes: scopes.iter().map(|scope| Scope::new(scope).unwrap()).collect(),
        })
    };
    let admin = BreakGlass { max_duration: std::time::Duration::from_hours(4) };
    Catalog::new(vec![
        grant("ledger-api", ledger(&["ledger.read", "ledger.write"]), 5, 15, None),
        grant("ledger-repair", ledger(&["ledger.admin"]), 15, 60, Some(admin)),
        grant("orders-read", aws("orders-read"), 10, 60, None),
        grant("prod-admin", aws("vendor-break-glass"), 15, 60, Some(admin)),
    ])
    .unwrap()
}

impl Caller {
    fn person(&self) -> Person {
        let id = PrincipalId { issuer: self.issuer.clone(), subject: self.subject.clone() };
        Person { id, email: None, name: None, groups: self.groups.clone(), tags: BTreeMap::new() }
    }

    fn principal(&self) -> Principal {
        let id = PrincipalId { issuer: self.issuer.clone(), subject: self.subject.clone() };
        if self.person {
            return Principal::Person(self.person());
        }
        let groups = self.groups.clone();
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

fn now() -> Moment {
    "2026-11-22T16:00:00Z".parse().unwrap()
}

fn minutes(text: Option<&String>) -> u64 {
    let text = text.expect("a span");
    let minutes = text.strip_suffix('m').map(|count| count.parse::<u64>().unwrap());
    minutes
        .or_else(|| text.strip_suffix('h').map(|count| count.parse::<u64>().unwrap() * 60))
        .expect("m or h")
}

/// What the engine said, in the words of the cases.
fn answer(engine: &PolicyEngine, catalog: &Catalog, case: &Case) -> (String, Vec<String>) {
    let decided = match &case.wish {
        None => issue(engine, catalog, case),
        Some(wish) => person(engine, catalog, case, wish),
    };
    let names = |policies: &[PolicyRef]| policies.iter().map(ToString::to_string).collect();
    match decided {
        Ok(decided_by) => ("permit".to_owned(), names(&decided_by)),
        Err(denial) => (denial.reason.to_string(), names(&denial.decided_by)),
    }
}

impl Case {
    fn authentication(&self) -> Authentication {
        let amr = self.auth.amr.union(&self.amr).cloned().collect();
        Authentication { issued_at: now(), acr: None, amr, auth_time: None }
    }

    fn grant<'a>(&self, catalog: &'a Catalog) -> &'a Arc<Grant> {
        catalog.resolve(&GrantName::new(&self.grant).unwrap()).expect("a grant of the catalog")
    }
}

fn issue(engine: &PolicyEngine, catalog: &Catalog, case: &Case) -> Result<Vec<PolicyRef>, Denial> {
    let elevation = case.elevation.as_ref().map(|open| ElevationUse {
        id: "elv-01a203ff-4cee-7102-8304-05060708090a".parse().unwrap(),
        version: 3,
        approvals: open.approvals,
        starts_at: now(),
        ends_at: now().plus(Duration::from_hours(1)),
    });
    let decided = engine.decide_issue(&IssueQuestion {
        principal: &case.principal.principal(),
        authentication: &case.authentication(),
        grant: case.grant(catalog),
        ttl: Lifetime::from_seconds(i64::try_from(minutes(case.ttl.as_ref()) * 60).unwrap()).unwrap(),
        scopes: &case.scopes,
        source_ip: case.source_ip,
        client_cert: None,
        actor: None,
        at: now(),
        elevation,
    });
    decided.map(|permit| permit.decided_by().to_vec())
}

fn person(
    engine: &PolicyEngine,
    catalog: &Catalog,
    case: &Case,
    wish: &str,
) -> Result<Vec<PolicyRef>, Denial> {
    let grant = case.grant(catalog);
    let duration = || Duration::from_secs(minutes(case.duration.as_ref()) * 60);
    let (who, groups, people) = (case.principal.person(), BTreeSet::new(), BTreeSet::new());
    let requester = case.requester.as_ref().map_or_else(ann, Caller::person);
    let elevation = ElevationFacts {
        id: "elv-01a203ff-4cee-7102-8304-05060708090a",
        grant,
        requester: &requester,
        duration: Duration::from_hours(1),
        reason: "the ledger stands still",
        ticket: None,
    };
    let wish = match wish {
        "request" => Wish::Request { grant, duration: duration() },
        "approve" => Wish::Approve { elevation, duration: duration() },
        "activate" => {
            let approvals = Approvals { count: case.approvals, people: &people, groups: &groups };
            Wish::Activate { grant, duration: duration(), approvals }
        }
        "revoke" => Wish::Revoke { elevation },
        "view" => Wish::View { elevation },
        "lock" => Wish::Lock { grant },
        "audit" => Wish::Audit { grant },
        "explain" => Wish::Explain { grant },
        other => panic!("nobody does `{other}`"),
    };
    let authentication = case.authentication();
    let source_ip = case.source_ip;
    let question =
        PersonQuestion { person: &who, authentication: &authentication, source_ip, at: now(), wish };
    engine.decide(&question).map(|decided| decided.decided_by().to_vec())
}

fn ann() -> Person {
    let id = PrincipalId { issuer: "vendor".parse().unwrap(), subject: "ann".parse().unwrap() };
    Person {
        id,
        email: None,
        name: None,
        groups: BTreeSet::from(["oncall".to_owned()]),
        tags: BTreeMap::new(),
    }
}

#[test]
fn every_shipped_case_is_answered_as_it_says() {
    let catalog = catalog();
    let engine =
        PolicyEngine::load(&Settings::of_folder(folder()), &catalog).unwrap_or_else(|e| panic!("{e}"));
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
    assert!(count >= 50, "only {count} cases were found");
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whoever starts from the shipped policies has a break-glass that can be opened, and by the customer's people only.
#[test]
fn the_shipped_policies_let_two_of_the_customers_people_open_every_break_glass_grant() {
    let catalog = catalog();
    let engine = PolicyEngine::load(&Settings::of_folder(folder()), &catalog).unwrap();
    let (ann, groups) = (ann(), BTreeSet::new());
    let authentication =
        Authentication { issued_at: now(), acr: None, amr: BTreeSet::new(), auth_time: None };
    let issuers = |name: &str| BTreeSet::from([IssuerName::new(name).unwrap()]);
    for grant in catalog.iter().filter(|grant| grant.break_glass.is_some()) {
        let needed = engine.approvals_needed(&ActivateProbe {
            person: &ann,
            authentication: &authentication,
            source_ip: None,
            at: now(),
            grant,
            duration: Duration::from_hours(1),
            people: &BTreeSet::new(),
            groups: &groups,
        });
        assert_eq!(needed, Some(2), "{}", grant.name);
        assert!(engine.could_anyone_approve(grant, &issuers("staff"), &ann.id), "{}", grant.name);
        assert!(!engine.could_anyone_approve(grant, &issuers("vendor"), &ann.id), "{}", grant.name);
    }
}
