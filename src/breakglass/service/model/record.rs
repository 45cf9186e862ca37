//! What the log alone says, read without the model: every promise that an auditor could check years later.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use crate::audit::checkpoint::{Checkpoint, VerifierKey};
use crate::audit::merkle::{Hash, leaf_hash, node_hash};
use crate::audit::{
    AuditLog, CredentialRecord, ElevationUseRecord, Event, GrantRecord, PolicyRecord, PrincipalRecord,
    TokenRecord,
};
use crate::breakglass::service::OpenWindow;
use crate::breakglass::service::tests::world::GRANT;
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::people::Caller;
use crate::secret::Fingerprint;
use crate::span::parse_duration;
use crate::store::Store;

type Checked = Result<(), TestCaseError>;

/// What was read so far.
#[derive(Default)]
pub(super) struct Auditor {
    leaves: Vec<Hash>,
}

/// An elevation as the entries of one history tell it.
#[derive(Default)]
struct Told {
    version: u64,
    state: String,
    expires_or_ends: Option<Moment>,
    terminal: u32,
    activated: u32,
}

/// Locks as the entries tell them: target and end.
type Locks = BTreeMap<String, (String, Option<Moment>)>;

impl Auditor {
    /// Everything since the last time: the end of one history, in which every elevation has ended.
    pub(super) async fn read(&mut self, log: &AuditLog, ids: &[ElevationId], store: &dyn Store) -> Checked {
        let (mut told, mut locks) = (BTreeMap::<String, Told>::new(), Locks::new());
        for (index, bytes) in since(log, self.leaves.len() as u64).await {
            prop_assert_eq!(index, self.leaves.len() as u64, "a gap");
            self.leaves.push(leaf_hash(&bytes));
            let entry: Value = serde_json::from_slice(&bytes).unwrap();
            let kind = text(&entry["type"]);
            let checked = match kind.as_str() {
                "credential.issued" => check_mint(&entry, &told, &locks),
                "lock.set" => {
                    let until = entry.get("until").map(moment);
                    locks.insert(text(&entry["lock"]), (text(&entry["target"]), until));
                    Ok(())
                }
                "lock.lifted" => {
                    locks.remove(&text(&entry["lock"]));
                    Ok(())
                }
                "elevation.refused" => Ok(()),
                _ => match entry.get("elevation") {
                    Some(elevation) => {
                        let life = told.entry(text(&elevation["id"])).or_default();
                        check_change(&kind, &entry, elevation, life)
                    }
                    None => Ok(()),
                },
            };
            checked.map_err(|error| TestCaseError::fail(format!("{error}: {entry:#}")))?;
        }
        prop_assert_eq!(log.size(), self.leaves.len() as u64);
        prop_assert_eq!(told.len(), ids.len());
        for id in ids {
            let life = &told[&id.to_string()];
            let stored = store.elevation(*id).await.unwrap().unwrap();
            prop_assert_eq!(life.terminal, 1);
            prop_assert!(life.activated <= 1);
            prop_assert_eq!(life.version, stored.version);
            prop_assert_eq!(&life.state, stored.state_name().as_str());
            prop_assert_eq!(stored.history.len() as u64, stored.version);
        }
        Ok(())
    }

    /// Who approved since then, in the log's order.
    pub(super) async fn approvals_since(&self, log: &AuditLog, from: u64) -> Vec<String> {
        let entries = since(log, from).await.into_iter();
        let entries = entries.map(|(_, bytes)| serde_json::from_slice::<Value>(&bytes).unwrap());
        let approvals = entries.filter(|entry| entry["type"] == "elevation.approved");
        approvals.map(|entry| person(&entry["by"])).collect()
    }

    /// RFC 6962 §2.1, word by word, against the signed checkpoint.
    pub(super) async fn close(&self, log: &AuditLog, key: &VerifierKey) {
        let checkpoint = Checkpoint::open(&log.checkpoint().await.unwrap(), key).unwrap();
        assert_eq!(checkpoint.size, self.leaves.len() as u64);
        assert_eq!(checkpoint.root, root(&self.leaves));
    }
}

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

fn check_change(kind: &str, entry: &Value, elevation: &Value, life: &mut Told) -> Checked {
    prop_assert_eq!(life.terminal, 0, "something after the end");
    prop_assert_eq!(&elevation["version_before"], &Value::from(life.version));
    prop_assert_eq!(&elevation["version"], &Value::from(life.version + 1));
    let state = text(&elevation["state"]);
    prop_assert!(leads(&life.state, &state, kind), "{} to {state}", life.state);
    check_approvals(elevation)?;
    if matches!(state.as_str(), "approved" | "active") {
        // The least that any policy of these histories wants.
        prop_assert!(elevation["approvals"].as_array().unwrap().len() >= 2);
    }
    if matches!(kind, "elevation.expired" | "elevation.lapsed") {
        let at = entry.get("became_true_at").map_or_else(|| moment(&entry["at"]), moment);
        prop_assert!(life.expires_or_ends.is_none_or(|deadline| deadline == at));
        prop_assert!(at <= moment(&entry["at"]));
    } else if let Some(end) = life.expires_or_ends {
        prop_assert!(moment(&entry["at"]) < end, "decided at or after the end");
    }
    life.activated += u32::from(kind == "elevation.activated");
    life.terminal += u32::from(!matches!(state.as_str(), "requested" | "approved" | "active"));
    life.version += 1;
    life.state = state;
    life.expires_or_ends = elevation.get("ends_at").map(moment);
    Ok(())
}

fn leads(from: &str, to: &str, kind: &str) -> bool {
    matches!(
        (from, to, kind.strip_prefix("elevation.").unwrap_or_default()),
        ("", "requested", "requested")
            | ("requested", "requested" | "approved", "approved")
            | ("requested", "denied", "denied")
            | ("requested" | "approved", "withdrawn", "withdrawn")
            | ("requested" | "approved", "lapsed", "lapsed")
            | ("approved", "active", "activated")
            | ("active", "active", "ending")
            | ("active", "expired", "expired")
            | ("active", "ended", "ended")
            | ("approved" | "active", "revoked", "revoked")
    )
}

/// Distinct people of an issuer that may approve, none of whom asked; and nothing is wider than any of them let it be.
fn check_approvals(elevation: &Value) -> Checked {
    let (requester, mut people) = (person(&elevation["requester"]), BTreeSet::new());
    let (kept, asked) = (span(&elevation["duration"]), span(&elevation["requested_duration"]));
    let left = words(&elevation["scope"]);
    prop_assert!(kept <= asked);
    for approval in elevation["approvals"].as_array().unwrap() {
        let by = person(&approval["by"]);
        prop_assert!(by.starts_with("customer|") && by != requester, "{by} counts");
        prop_assert!(people.insert(by), "somebody approved twice");
        prop_assert!(approval.get("duration").is_none_or(|cut| kept <= span(cut)));
        prop_assert!(approval.get("scope").is_none_or(|cut| left.is_subset(&words(cut))));
    }
    if let (Some(starts), Some(ends)) = (elevation.get("starts_at"), elevation.get("ends_at")) {
        prop_assert!(moment(ends).since(moment(starts)) <= kept);
    }
    Ok(())
}

/// Inside an open window, under the version that was decided on, and under no lock.
fn check_mint(entry: &Value, told: &BTreeMap<String, Told>, locks: &Locks) -> Checked {
    let (used, at) = (&entry["elevation"], moment(&entry["at"]));
    let life = &told[&text(&used["id"])];
    prop_assert_eq!(&life.state, "active");
    prop_assert_eq!(&used["version"], &Value::from(life.version));
    prop_assert!(at < moment(&used["ends_at"]), "a credential after the end");
    let who = person(&entry["principal"]);
    let issuer = who.split_once('|').unwrap().0;
    for (target, until) in locks.values() {
        let stops = *target == "all"
            || *target == format!("principal:{who}")
            || *target == format!("issuer:{issuer}")
            || *target == format!("grant:{GRANT}")
            || *target == format!("elevation:{}", text(&used["id"]));
        prop_assert!(!stops || until.is_some_and(|until| until <= at), "a credential under a lock");
    }
    Ok(())
}

/// As the token endpoint writes it.
pub(super) fn mint_entry(by: &Caller, open: &OpenWindow) -> Event {
    let (person, used) = (&by.person.id, &open.elevation);
    Event::CredentialIssued {
        principal: PrincipalRecord {
            kind: "person",
            issuer: person.issuer.to_string(),
            subject: person.subject.to_string(),
        },
        actor: None,
        grant: GrantRecord { name: GRANT.to_owned(), kind: Some("jwt"), version: None },
        token: TokenRecord {
            sha256: by.token.fingerprint,
            issued_at: by.token.issued_at,
            expires_at: by.token.expires_at,
        },
        policy: PolicyRecord { digest: Fingerprint::of(b"policies"), decided_by: Vec::new() },
        facts: None,
        credential: CredentialRecord::Jwt {
            jti: by.request_id.to_string(),
            kid: "kid".to_owned(),
            sha256: Fingerprint::of(b"token"),
            scope: String::new(),
            expires_at: used.ends_at,
        },
        elevation: Some(ElevationUseRecord {
            id: used.id.to_string(),
            version: used.version,
            approvals: used.approvals,
            ends_at: used.ends_at,
        }),
        source_ip: None,
    }
}

async fn since(log: &AuditLog, from: u64) -> Vec<(u64, bytes::Bytes)> {
    let mut all = Vec::new();
    loop {
        let next = from + all.len() as u64;
        if next >= log.size() {
            return all;
        }
        all.extend(log.entries(next, 1_000).await.unwrap());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn moment(value: &Value) -> Moment {
    value.as_str().unwrap().parse().unwrap()
}

fn span(value: &Value) -> std::time::Duration {
    parse_duration(value.as_str().unwrap()).unwrap()
}

fn words(value: &Value) -> BTreeSet<String> {
    value.as_str().unwrap().split(' ').map(str::to_owned).collect()
}

fn person(value: &Value) -> String {
    format!("{}|{}", value["issuer"].as_str().unwrap(), value["subject"].as_str().unwrap())
}
