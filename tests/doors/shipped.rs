//! A broker with the shipped policies, among the issuers and grants that they are about, and what becomes at its doors of a
//! request that a solver imagined.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::clock::Moment;
use tidegate::policy::Facts;
use tidegate::policy::facts::{Asked, AuthFacts, PrincipalFacts};
use tidegate::span::format_duration;

use crate::place::Folder;
use crate::world::{Answer, World};

/// What the configuration says of two issuers beside what is always said.
#[derive(Clone, Copy)]
pub struct Trust {
    pub vendor: &'static str,
    pub github: &'static str,
}

/// As the configuration reference has it, but for GitHub, which is an enterprise's own.
pub const USUAL: Trust = Trust { vendor: "may_approve = false", github: "" };

/// What a broker made of an example.
#[derive(Debug)]
pub enum Met {
    /// Allowed, on these facts; a yes that leaves no entry has none.
    Allowed(Option<Box<Facts>>),
    /// Refused, with the reason that the log has.
    Refused(String),
}

impl World {
    pub async fn start_shipped(trust: Trust) -> Self {
        let files = files(&Folder::shipped());
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Self::of(|sts| configuration(sts, trust), &files).await
    }

    /// The broker goes over to the policies of `folder`.
    pub async fn follow(&self, folder: &Folder) {
        for (name, text) in files(folder) {
            self.write(&name, &text);
        }
        self.reload().await;
    }

    /// Makes the example's request at its moment, after what has to happen before it: others ask, approve and are given
    /// access by requests of their own.
    pub async fn meet(&self, example: &Facts) -> Met {
        let grant = example.grant.name.as_str();
        let at = example.at;
        match &example.asked {
            Asked::Issue { elevation: None, .. } => {
                self.clock.set(at);
                let answer = self.exchange_like(example, None).await;
                self.met_with(&answer, "credential.issued", "credential.refused").await
            }
            Asked::Issue { elevation: Some(open), .. } => {
                let length = open.ends_at.since(open.starts_at);
                let asking = on_call(&example.principal);
                let id = self.asked_for(&asking, grant, length, open.starts_at).await;
                self.approved_by(open.approvals, &id).await;
                self.clock.set(at);
                let example = Facts { principal: asking, ..example.clone() };
                let answer = self.exchange_like(&example, Some(&id)).await;
                self.met_with(&answer, "credential.issued", "credential.refused").await
            }
            Asked::Activate { duration, approvals } => {
                let id = self.asked_for(&on_call(&example.principal), grant, *duration, at).await;
                match self.approved_by(approvals.count, &id).await["state"].as_str().unwrap() {
                    "active" => Met::Allowed(self.facts_of("elevation.activated").await),
                    state => Met::Refused(state.to_owned()),
                }
            }
            Asked::Approve { elevation, duration } => {
                let requester = on_call(&elevation.requester);
                let id = self.asked_for(&requester, grant, elevation.duration, at).await;
                let body = json!({ "duration": format_duration(*duration) });
                let path = format!("/v1/elevations/{id}/approve");
                let answer = self.api_like(example, "POST", &path, body).await;
                self.met_with(&answer, "elevation.approved", "elevation.refused").await
            }
            Asked::Revoke { elevation } => {
                let requester = on_call(&elevation.requester);
                let id = self.asked_for(&requester, grant, elevation.duration, at).await;
                self.approved_by(2, &id).await;
                let body = json!({ "reason": "this must not go on" });
                let path = format!("/v1/elevations/{id}/revoke");
                let answer = self.api_like(example, "POST", &path, body).await;
                self.met_with(&answer, "elevation.revoked", "elevation.refused").await
            }
            Asked::Lock => {
                self.clock.set(at);
                let body = json!({ "target": { "grant": grant }, "reason": "nobody may have it now" });
                let answer = self.api_like(example, "POST", "/v1/locks", body).await;
                self.met_with(&answer, "lock.set", "elevation.refused").await
            }
            Asked::Audit => {
                self.clock.set(at);
                let answer = self.api_like(example, "GET", "/v1/audit/entries", Value::Null).await;
                match answer.status {
                    200 => Met::Allowed(None),
                    _ => self.met_with(&answer, "", "elevation.refused").await,
                }
            }
            other => panic!("no shipped invariant is about this: {other:?}"),
        }
    }

    /// Somebody's request for a window of that length, at that moment; its id.
    pub async fn asked_for(
        &self,
        requester: &PrincipalFacts,
        grant: &str,
        length: Duration,
        at: Moment,
    ) -> String {
        self.clock.set(at);
        let body =
            json!({ "grant": grant, "duration": format_duration(length), "reason": "to see what is wrong" });
        let token = self.token_of(requester, &signed_in(at));
        let asked = self.api(&token, "POST", "/v1/elevations", body).await.done();
        asked["id"].as_str().unwrap().to_owned()
    }

    /// So many leads say yes. The elevation as it stands then.
    pub async fn approved_by(&self, count: u32, id: &str) -> Value {
        let mut stands = Value::Null;
        for lead in 0..count {
            let lead = person("staff", &format!("lead-{lead}"), &["platform-leads"]);
            stands = self.act(&self.signed_in(&lead), id, "approve", json!({})).await.done();
        }
        stands
    }

    /// Their token, made now after a second factor.
    pub fn signed_in(&self, caller: &PrincipalFacts) -> String {
        self.token_of(caller, &signed_in(Moment::from_unix_seconds(self.seconds())))
    }

    async fn met_with(&self, answer: &Answer, allowed: &str, refused: &str) -> Met {
        match answer.status {
            200 | 201 => Met::Allowed(self.facts_of(allowed).await),
            400..500 => Met::Refused(self.newest(refused).await["reason"].as_str().unwrap().to_owned()),
            _ => panic!("{} {}", answer.status, answer.body),
        }
    }

    async fn facts_of(&self, kind: &str) -> Option<Box<Facts>> {
        Some(serde_json::from_value(self.newest(kind).await["facts"].clone()).unwrap())
    }

    pub async fn newest(&self, kind: &str) -> Value {
        self.entries_of(kind).await.pop().unwrap_or_else(|| panic!("no entry `{kind}`"))
    }
}

pub fn person(issuer: &str, subject: &str, groups: &[&str]) -> PrincipalFacts {
    let who = json!({ "kind": "person", "issuer": issuer, "subject": subject, "groups": groups });
    serde_json::from_value(who).unwrap()
}

fn signed_in(at: Moment) -> AuthFacts {
    AuthFacts { issued_at: at, acr: None, amr: ["pwd", "mfa"].map(str::to_owned).into(), auth_time: None }
}

/// Only those ask for break-glass access: an example of what comes later need not say so.
fn on_call(caller: &PrincipalFacts) -> PrincipalFacts {
    let mut caller = caller.clone();
    caller.groups.insert("oncall".to_owned());
    caller
}

/// Every file of it, by its name beside the configuration.
fn files(folder: &Folder) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for author in ["customer", "vendor"] {
        for entry in std::fs::read_dir(folder.path().join(author)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            found.push((format!("policies/{author}/{name}"), std::fs::read_to_string(path).unwrap()));
        }
    }
    let entities = std::fs::read_to_string(folder.path().join("entities.json")).unwrap();
    found.push(("policies/entities.json".to_owned(), entities));
    found
}

fn configuration(sts: &str, trust: Trust) -> String {
    let issuer = |name: &str, profile: &str, keys: &str, algorithm: &str, more: &str| {
        format!(
            "[[issuers]]\nname = \"{name}\"\nurl = \"https://{name}.example.com\"\nprofile = \"{profile}\"\n\
             audiences = [\"tidegate\"]\nalgorithms = [\"{algorithm}\"]\njwks_file = \"{keys}.json\"\n{more}\n"
        )
    };
    let issuers = [
        issuer("prod-cluster", "kubernetes", "cluster", "ES256", ""),
        issuer("github", "github", "cluster", "ES256", trust.github),
        issuer("staff", "person", "staff", "ES256", ""),
        issuer("vendor", "person", "people", "EdDSA", trust.vendor),
    ];
    let grant = |name: &str, kind: &str, more: &str| {
        let times = "default_ttl = \"10m\"\nmax_ttl = \"4h\"";
        format!("[[grants]]\nname = \"{name}\"\nkind = \"{kind}\"\n{times}\n{more}\n")
    };
    let glass = "break_glass = true\nmax_duration = \"4h\"\nsets = [\"break-glass\"]";
    let jwt = |scopes: &str| format!("audience = \"https://ledger\"\nscopes = {scopes}\n");
    let role = |name: &str| format!("role_arn = \"arn:aws:iam::123456789012:role/{name}\"\n");
    let grants = [
        grant("ledger-api", "jwt", &jwt("[\"ledger.read\", \"ledger.write\"]")),
        grant("ledger-repair", "jwt", &(jwt("[\"ledger.admin\"]") + glass)),
        grant("orders-read", "aws", &role("orders-read")),
        grant("prod-admin", "aws", &(role("prod-admin") + glass)),
    ];
    let (issuers, grants) = (issuers.concat(), grants.concat());
    format!(
        "[server]\nissuer = \"https://broker.example.com\"\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n\
         trusted_proxies = [\"127.0.0.1\"]\n[store]\nurl = \"sqlite:tidegate.db\"\n[keys]\nkek_file = \"kek\"\n\
         [policy]\ndir = \"policies\"\n[aws]\nregion = \"eu-central-1\"\nsts_endpoint = \"{sts}\"\n{issuers}{grants}"
    )
}
