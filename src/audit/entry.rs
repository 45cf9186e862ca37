//! From an event to the bytes in the log.

use bytes::Bytes;
use serde::Serialize;

use super::Event;
use crate::clock::Moment;
use crate::ids::{RequestId, UniqueId};

/// An entry bundle gives each entry 16 bits of length.
pub(super) const MOST_ENTRY_BYTES: usize = 65_535;

/// Version of the entry's format: the `v` in it.
const VERSION: u8 = 1;

/// One entry: UTF-8 JSON on one line. Its index is not in it: the tree says where it is.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    v: u8,
    id: UniqueId,
    at: Moment,
    request_id: RequestId,
    #[serde(flatten)]
    event: Event,
}

impl Entry {
    pub(super) const fn new(id: UniqueId, at: Moment, request_id: RequestId, event: Event) -> Self {
        Self { v: VERSION, id, at, request_id, event }
    }

    /// `None` when it would be too large for the log. Facts are left out before that: they are there for a second look,
    /// and nobody is refused for the many groups that they are in.
    pub(super) fn encode(mut self) -> Option<Bytes> {
        let text = serde_json::to_vec(&self).ok()?;
        if text.len() <= MOST_ENTRY_BYTES {
            return Some(text.into());
        }
        self.omit_facts("too_large").then_some(())?;
        let text = serde_json::to_vec(&self).ok()?;
        (text.len() <= MOST_ENTRY_BYTES).then(|| text.into())
    }

    /// Were there any?
    pub(super) fn omit_facts(&mut self, why: &'static str) -> bool {
        let Some(facts) = self.event.facts_mut() else { return false };
        *facts = facts.take().map(|facts| facts.omit(why));
        facts.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::{FactsRecord, GrantRecord, PrincipalRecord, TokenRecord};
    use crate::entropy::SystemEntropy;
    use crate::secret::Fingerprint;

    fn refused(detail: usize, facts: usize) -> Option<Value> {
        let (at, entropy) = (Moment::EPOCH, SystemEntropy::new());
        let event = Event::CredentialRefused {
            principal: PrincipalRecord { kind: "person", issuer: "i".into(), subject: "s".into() },
            actor: None,
            grant: GrantRecord { name: "g".into(), kind: None, version: None },
            token: TokenRecord { sha256: Fingerprint::of(b"t"), issued_at: at, expires_at: at },
            policy: None,
            facts: FactsRecord::of(&json!({ "groups": "g".repeat(facts) })),
            reason: "policy_denied",
            detail: "d".repeat(detail),
            elevation: None,
            source_ip: None,
        };
        let id = UniqueId::new(at, &entropy).unwrap();
        let entry = Entry::new(id, at, RequestId::new(at, &entropy).unwrap(), event).encode()?;
        assert!(entry.len() <= MOST_ENTRY_BYTES);
        Some(serde_json::from_slice(&entry).unwrap())
    }

    /// Refusing somebody because of the many groups that they are in would be an outage that no policy asked for.
    #[test]
    fn facts_are_left_out_before_an_entry_is_too_large() {
        assert_eq!(refused(1_000, 30_000).unwrap()["facts"]["groups"].as_str().unwrap().len(), 30_000);
        assert_eq!(refused(40_000, 30_000).unwrap()["facts"]["omitted"], "too_large");
        assert_eq!(refused(1_000, 40_000).unwrap()["facts"]["omitted"], "too_large");
        assert_eq!(refused(70_000, 10), None);
    }
}
