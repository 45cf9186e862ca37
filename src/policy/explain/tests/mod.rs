//! Requests that are refused, and what is said about them. Every suggestion that can be tried is tried by the test as well.

mod conditions;
mod shipped;

use std::fs;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::*;
use crate::claims::Profile;
use crate::policy::{KnownIssuer, PolicySets};

/// Sets of these files.
fn sets(files: &[(&str, &str)]) -> PolicySets {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    PolicySets::read(folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// The issuers that the shipped policies speak of.
fn world() -> World {
    let issuer = |(name, profile, shared, may_approve): (&str, _, _, _)| KnownIssuer {
        name: name.parse().unwrap(),
        profile,
        shared,
        may_approve,
    };
    let issuers = [
        ("prod-cluster", Profile::Kubernetes, false, false),
        ("github", Profile::Github, true, false),
        ("staff", Profile::Person, false, true),
        ("vendor", Profile::Person, false, false),
    ];
    World { issuers: issuers.map(issuer).to_vec(), grants: Vec::new() }
}

/// A request of the orders API for its ordinary grant, with `changes` made to it.
fn facts(changes: &Json) -> Facts {
    let mut facts = json!({
        "at": "2026-11-22T16:00:00Z",
        "principal": {
            "kind": "workload", "issuer": "prod-cluster", "subject": "system:serviceaccount:orders:api",
            "kubernetes": { "namespace": "orders", "service_account": "api" },
        },
        "grant": { "name": "orders-read", "kind": "jwt", "break_glass": false, "labels": ["red"] },
        "auth": { "issued_at": "2026-11-22T16:00:00Z" },
        "asked": { "action": "issue", "ttl": "20m", "scopes": ["read"] },
    });
    merge(&mut facts, changes);
    serde_json::from_value(facts).unwrap()
}

/// RFC 7396
fn merge(into: &mut Json, changes: &Json) {
    let Some(changes) = changes.as_object() else { return into.clone_from(changes) };
    for (name, change) in changes {
        if change.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else if change.is_object() && into[name].is_object() {
            merge(&mut into[name], change);
        } else {
            into[name] = change.clone();
        }
    }
}

/// What would have to be different, a line each; the last says whether it was tried.
fn nearest_of(sets: &PolicySets, facts: &Facts) -> Vec<String> {
    let explanation = explain(sets, &world(), facts).unwrap();
    assert_eq!(explanation.decision, Verdict::Deny, "{explanation:?}");
    let Some(nearest) = explanation.nearest else { return vec!["none".to_owned()] };
    let tried = if nearest.verified { "verified" } else { "not tried" };
    nearest.changes.into_iter().map(|change| change.say).chain([tried.to_owned()]).collect()
}
