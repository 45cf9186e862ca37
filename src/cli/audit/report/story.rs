//! Which entries belong to an elevation's story, and whether the story holds together. Pure: entries in, in their order.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use crate::breakglass::StateName;
use crate::clock::Moment;
use crate::ids::ElevationId;

/// One entry of the story.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) index: u64,
    pub(super) body: Bytes,
    pub(super) json: Value,
}

/// What was heard so far.
#[derive(Debug)]
pub(super) struct Story {
    id: String,
    pub(super) told: Vec<Told>,
    /// The elevation after its newest change; `null` before the first.
    pub(super) last: Value,
    /// What locks that stop it may name.
    stoppers: BTreeSet<String>,
    /// The `jti` of tokens that were issued under it.
    tokens: BTreeSet<String>,
    /// The access keys that were.
    keys: BTreeSet<String>,
    breaches: Vec<String>,
    terminal: Option<u64>,
}

impl Story {
    pub(super) fn of(elevation: ElevationId) -> Self {
        let id = elevation.to_string();
        let stoppers = BTreeSet::from([format!("elevation:{id}")]);
        Self {
            id,
            told: Vec::new(),
            last: Value::Null,
            stoppers,
            tokens: BTreeSet::new(),
            keys: BTreeSet::new(),
            breaches: Vec::new(),
            terminal: None,
        }
    }

    /// The next entry of the log.
    pub(super) fn hear(&mut self, index: u64, body: &Bytes) {
        // What is no JSON is in the tree all the same, and tells nobody anything.
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return };
        if self.is_about_us(&json) {
            self.judge(index, &json);
            self.told.push(Told { index, body: body.clone(), json });
        }
    }

    fn is_about_us(&self, entry: &Value) -> bool {
        let is_id = |pointer: &str| text(entry, pointer) == Some(&self.id);
        match text(entry, "/type").unwrap_or_default() {
            "elevation.refused" => is_id("/target"),
            change if change.starts_with("elevation.") => is_id("/elevation/id"),
            "credential.issued" => is_id("/elevation/id"),
            "credential.delivered" => {
                text(entry, "/credential/access_key_id").is_some_and(|key| self.keys.contains(key))
            }
            "credential.refused" => is_id("/elevation"),
            "aws.assume_role.requested" => is_id("/source_identity"),
            "lock.set" | "lock.lifted" => self.is_stopped_by(text(entry, "/target").unwrap_or_default()),
            "token.revoked" => text(entry, "/jti").is_some_and(|jti| self.tokens.contains(jti)),
            _ => false,
        }
    }

    /// A lock on the elevation itself always belongs to its story; a wider one while the elevation was not over.
    fn is_stopped_by(&self, target: &str) -> bool {
        let lives = !self.last.is_null() && self.terminal.is_none();
        target == format!("elevation:{}", self.id) || (lives && self.stoppers.contains(target))
    }

    fn judge(&mut self, index: u64, entry: &Value) {
        match text(entry, "/type").unwrap_or_default() {
            "credential.issued" => self.judge_credential(index, entry),
            "credential.delivered" => {
                self.breach(
                    index,
                    "its credential was delivered from memory, without a decision of its own on record",
                );
            }
            change if change.starts_with("elevation.") && change != "elevation.refused" => {
                self.judge_change(index, entry);
            }
            _ => {}
        }
    }

    /// Versions follow one another, and nothing comes after the end but the end of its AWS sessions.
    fn judge_change(&mut self, index: u64, entry: &Value) {
        let Some(now) = entry.get("elevation") else { return };
        let before = self.last.get("version").and_then(Value::as_u64).unwrap_or(0);
        if now.get("version_before").and_then(Value::as_u64) != Some(before) {
            self.breach(index, &format!("it does not follow version {before} of the elevation"));
        }
        let is_over = text(now, "/state").and_then(StateName::parse).is_some_and(is_terminal);
        if let Some(end) = self.terminal
            && text(now, "/state") != text(&self.last, "/state")
        {
            self.breach(index, &format!("the elevation was over since entry {end}"));
        }
        if is_over {
            self.terminal = self.terminal.or(Some(index));
        }
        self.last = now.clone();
        self.note_stoppers();
    }

    /// Every credential was made while it was open, and ends no later than it.
    fn judge_credential(&mut self, index: u64, entry: &Value) {
        if let Some(jti) = text(entry, "/credential/jti") {
            self.tokens.insert(jti.to_owned());
        }
        if let Some(key) = text(entry, "/credential/access_key_id") {
            self.keys.insert(key.to_owned());
        }
        if text(&self.last, "/state") != Some(StateName::Active.as_str()) {
            self.breach(index, "a credential was issued while the elevation was not active");
        }
        let end = moment(&self.last, "/ends_at");
        let at = moment(entry, "/at");
        if end.is_none() || at.is_none() || at >= end {
            self.breach(index, "a credential was issued after the window's end");
        }
        if moment(entry, "/credential/expires_at").is_none_or(|expiry| Some(expiry) > end) {
            self.breach(index, "a credential outlives the window");
        }
    }

    fn note_stoppers(&mut self) {
        let approvals = self.last.get("approvals").and_then(Value::as_array);
        let approvers = approvals.into_iter().flatten().filter_map(|approval| approval.get("by"));
        let people = self.last.get("requester").into_iter().chain(approvers);
        let mut stoppers = vec!["all".to_owned()];
        stoppers.extend(text(&self.last, "/grant").map(|grant| format!("grant:{grant}")));
        for person in people {
            let (Some(issuer), Some(subject)) = (text(person, "/issuer"), text(person, "/subject")) else {
                continue;
            };
            stoppers.push(format!("issuer:{issuer}"));
            stoppers.push(format!("principal:{issuer}|{subject}"));
        }
        self.stoppers.extend(stoppers);
    }

    fn breach(&mut self, index: u64, what: &str) {
        self.breaches.push(format!("entry {index}: {what}"));
    }

    /// What does not hold together.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = self.breaches.clone();
        if self.last.is_null() {
            faults.push("the log has no entry of a request for it".to_owned());
        }
        faults
    }
}

const fn is_terminal(state: StateName) -> bool {
    !matches!(state, StateName::Requested | StateName::Approved | StateName::Active)
}

/// The text at `pointer`.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn moment(value: &Value, pointer: &str) -> Option<Moment> {
    text(value, pointer)?.parse().ok()
}
