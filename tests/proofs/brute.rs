//! Every request of a small world that a broker could get: what solvers say is compared with all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tidegate::clock::Moment;
use tidegate::grants::{Grant, GrantKind};
use tidegate::ids::Scope;
use tidegate::policy::facts::{
    ApprovalFacts, Asked, AuthFacts, ElevationSeen, ElevationWindow, GrantFacts, PrincipalFacts,
    PrincipalKind,
};
use tidegate::policy::{Facts, World};
use tidegate::principal::{Github, Kubernetes, PrincipalId};

use crate::place::now;

const SOME: &str = "elv-01a203ff-4cee-7102-8304-05060708090a";

fn bare(kind: PrincipalKind, issuer: &str, subject: &str, groups: &[&str]) -> PrincipalFacts {
    let id = PrincipalId { issuer: issuer.parse().unwrap(), subject: subject.parse().unwrap() };
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    PrincipalFacts { groups, ..PrincipalFacts::bare(kind, id) }
}

fn person(issuer: &str, subject: &str, groups: &[&str]) -> PrincipalFacts {
    bare(PrincipalKind::Person, issuer, subject, groups)
}

fn people() -> Vec<PrincipalFacts> {
    vec![
        person("staff", "lea", &["platform-leads"]),
        person("staff", "pat", &["platform", "oncall"]),
        person("staff", "zoe", &[]),
        person("vendor", "ann", &["oncall"]),
        person("vendor", "lee", &["platform-leads", "platform"]),
    ]
}

fn account(namespace: &str, name: &str) -> PrincipalFacts {
    let subject = format!("system:serviceaccount:{namespace}:{name}");
    let kubernetes = Kubernetes {
        namespace: namespace.to_owned(),
        service_account: name.to_owned(),
        pod: None,
        node: None,
    };
    PrincipalFacts {
        kubernetes: Some(kubernetes),
        ..bare(PrincipalKind::Workload, "prod-cluster", &subject, &[])
    }
}

fn job(owner_id: &str, environment: Option<&str>, event: Option<&str>) -> PrincipalFacts {
    let github = Github {
        repository: "acme/orders".to_owned(),
        repository_id: "512044873".to_owned(),
        repository_owner: "acme".to_owned(),
        repository_owner_id: owner_id.to_owned(),
        git_ref: "refs/heads/main".to_owned(),
        ref_type: None,
        environment: environment.map(str::to_owned),
        workflow_ref: None,
        event_name: event.map(str::to_owned),
        actor_id: None,
    };
    PrincipalFacts {
        github: Some(Box::new(github)),
        ..bare(PrincipalKind::Workload, "github", "repo:acme/orders", &[])
    }
}

fn workloads() -> Vec<PrincipalFacts> {
    let tagged = BTreeMap::from([("team".to_owned(), BTreeSet::from(["payments".to_owned()]))]);
    vec![
        account("orders", "api"),
        account("orders", "worker"),
        account("shop", "api"),
        PrincipalFacts { tags: tagged, ..account("shop", "worker") },
        job("8102394", Some("production"), Some("push")),
        job("8102394", None, Some("pull_request")),
        job("9999999", Some("production"), None),
    ]
}

/// How and when and from where.
#[derive(Clone)]
struct Circumstances {
    at: Moment,
    source_ip: Option<IpAddr>,
    amr: &'static [&'static str],
}

fn circumstances() -> Vec<Circumstances> {
    let later: Moment = "2027-03-01T10:00:00Z".parse().unwrap();
    let from = |text: &str| Some(text.parse().unwrap());
    vec![
        Circumstances { at: now(), source_ip: None, amr: &[] },
        Circumstances { at: now(), source_ip: from("10.1.2.3"), amr: &["mfa"] },
        Circumstances { at: now(), source_ip: from("10.200.0.1"), amr: &["pwd", "mfa"] },
        Circumstances { at: later, source_ip: from("203.0.113.9"), amr: &["mfa"] },
        Circumstances { at: later, source_ip: from("10.1.2.3"), amr: &["pwd"] },
    ]
}

impl Circumstances {
    fn facts(&self, principal: &PrincipalFacts, grant: &Grant, asked: Asked) -> Facts {
        let amr = self.amr.iter().map(|method| (*method).to_owned()).collect();
        let auth =
            AuthFacts { issued_at: self.at.minus(Duration::from_mins(1)), acr: None, amr, auth_time: None };
        let (at, source_ip, grant) = (self.at, self.source_ip, GrantFacts::of(grant));
        Facts { at, principal: principal.clone(), grant, source_ip, auth, asked }
    }
}

/// All of them.
pub fn universe(world: &World) -> Vec<Facts> {
    let mut all = Vec::new();
    for grant in &world.grants {
        for around in circumstances() {
            for who in people() {
                all.extend(issues(grant, &around, &who).map(|asked| around.facts(&who, grant, asked)));
                all.extend(wishes(grant, &who).into_iter().map(|asked| around.facts(&who, grant, asked)));
            }
            for who in workloads().into_iter().filter(|_| grant.break_glass.is_none()) {
                all.extend(issues(grant, &around, &who).map(|asked| around.facts(&who, grant, asked)));
            }
        }
    }
    all
}

fn issues(grant: &Grant, around: &Circumstances, _who: &PrincipalFacts) -> impl Iterator<Item = Asked> {
    let (starts_at, ends_at) =
        (around.at.minus(Duration::from_mins(5)), around.at.plus(Duration::from_mins(55)));
    let window =
        |approvals| ElevationWindow { id: SOME.parse().unwrap(), version: 3, approvals, starts_at, ends_at };
    let elevations: Vec<_> = match grant.break_glass {
        Some(_) => [1, 2, 3].map(|approvals| Some(window(approvals))).into(),
        None => vec![None],
    };
    let scopes = scope_sets(grant);
    let lifetimes = [60, 600, 900, 901, 3_600, 3_601, 14_400];
    lifetimes.into_iter().flat_map(move |seconds| {
        let elevations = elevations.clone();
        scopes.clone().into_iter().flat_map(move |scopes| {
            elevations.clone().into_iter().map(move |elevation| Asked::Issue {
                ttl: Duration::from_secs(seconds),
                scopes: scopes.clone(),
                client_cert: None,
                actor: None,
                elevation,
            })
        })
    })
}

fn scope_sets(grant: &Grant) -> Vec<BTreeSet<Scope>> {
    let GrantKind::Jwt(jwt) = &grant.kind else { return vec![BTreeSet::new()] };
    let single = jwt.scopes.iter().map(|scope| BTreeSet::from([scope.clone()]));
    single.chain([BTreeSet::new(), jwt.scopes.clone()]).collect()
}

fn wishes(grant: &Grant, who: &PrincipalFacts) -> Vec<Asked> {
    let mut wishes = vec![Asked::Lock, Asked::Audit, Asked::Explain];
    if grant.break_glass.is_none() {
        return wishes;
    }
    let hours = Duration::from_hours;
    let spans = [Duration::from_mins(1), hours(1), hours(4)];
    wishes.extend(spans.map(|duration| Asked::Request { duration }));
    let groups = [&[][..], &["staff/platform-leads"][..], &["staff/platform", "staff/platform-leads"][..]];
    for count in 1..=3 {
        for groups in groups {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            wishes.extend(spans.map(|duration| {
                let approvals =
                    ApprovalFacts { count, groups: BTreeSet::clone(&groups), people: BTreeSet::new() };
                Asked::Activate { duration, approvals }
            }));
        }
    }
    // Somebody who may be in a team that no token names.
    for approver in
        ["staff|zoe", "staff|lea"].into_iter().filter(|approver| *approver != who.id().to_string())
    {
        let people = BTreeSet::from([approver.to_owned()]);
        let approvals = ApprovalFacts { count: 1, groups: BTreeSet::new(), people };
        wishes.push(Asked::Activate { duration: hours(1), approvals });
    }
    for requester in people() {
        for duration in [hours(1), hours(4)] {
            let reason = "the ledger stands still".to_owned();
            let seen = ElevationSeen {
                id: SOME.to_owned(),
                requester: requester.clone(),
                duration,
                reason,
                ticket: None,
            };
            let seen = Box::new(seen);
            wishes.push(Asked::Revoke { elevation: seen.clone() });
            wishes.push(Asked::View { elevation: seen.clone() });
            // Whoever may not approve at all is not asked about by the broker either.
            if who.id() != requester.id() && who.issuer.as_str() == "staff" {
                wishes.push(Asked::Approve { elevation: seen.clone(), duration });
                wishes.push(Asked::Approve { elevation: seen, duration: Duration::from_mins(5) });
            }
        }
    }
    wishes
}
