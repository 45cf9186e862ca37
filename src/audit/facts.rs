//! What a decision of policy depended on, as JSON that the deciding room made; or why it is not there.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::PolicyRecord;
use crate::secret::Fingerprint;

/// No longer facts are kept: they would be half of the largest entry, and somebody with a fat token would make the log
/// grow by them at each exchange.
const MOST_FACTS_BYTES: usize = 32 * 1024;

/// The facts of a decision. The log keeps them so that it can be decided again, by other policies.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum FactsRecord {
    /// All of them: an object; an array when several questions had to be answered with yes.
    Kept(Box<RawValue>),
    /// Not kept. Nobody is refused for it: the decision stands with what else the entry says.
    Omitted {
        /// `too_large`, or `not_kept` where the configuration says so.
        omitted: &'static str,
        /// How large they are.
        bytes: usize,
        /// SHA-256 of them: whoever has them can show that they are the ones.
        sha256: Fingerprint,
    },
}

impl FactsRecord {
    /// `None` only when `facts` cannot be JSON.
    pub fn of(facts: &impl Serialize) -> Option<Self> {
        let kept = Self::Kept(to_raw_value(facts).ok()?);
        Some(if kept.bytes() > MOST_FACTS_BYTES { kept.omit("too_large") } else { kept })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Kept(json) => json.get().len(),
            Self::Omitted { bytes, .. } => *bytes,
        }
    }

    /// The same without the facts themselves.
    pub(super) fn omit(self, why: &'static str) -> Self {
        match self {
            Self::Kept(json) => Self::Omitted {
                omitted: why,
                bytes: json.get().len(),
                sha256: Fingerprint::of(json.get().as_bytes()),
            },
            omitted @ Self::Omitted { .. } => omitted,
        }
    }
}

/// Who decided, and on what.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// Who.
    pub policy: PolicyRecord,
    /// On what.
    pub facts: Option<FactsRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(facts: &FactsRecord) -> String {
        serde_json::to_string(facts).unwrap()
    }

    #[test]
    fn facts_that_are_too_large_leave_their_fingerprint() {
        let groups = vec!["a-group-of-a-large-company"; 2_000];
        let facts = json!({ "groups": groups });
        let bytes = serde_json::to_vec(&facts).unwrap();
        let omitted =
            json!({"omitted": "too_large", "bytes": bytes.len(), "sha256": Fingerprint::of(&bytes)});
        let told: serde_json::Value = serde_json::from_str(&text(&FactsRecord::of(&facts).unwrap())).unwrap();
        assert_eq!(told, omitted);
    }

    #[test]
    fn facts_stand_in_an_entry_as_they_were_made() {
        let kept = FactsRecord::of(&json!({"at": "x", "groups": ["a"]})).unwrap();
        assert_eq!(text(&kept), r#"{"at":"x","groups":["a"]}"#);
        assert!(text(&kept.omit("not_kept")).starts_with(r#"{"omitted":"not_kept","bytes":25,"sha256":""#));
    }
}
