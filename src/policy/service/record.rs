//! What entries of the log say of policies: the one place where a digest of ours becomes a field of theirs.

use crate::audit::{BundleRecord, Event, PolicyLoadedRecord, PolicyRecord};
use crate::policy::bundle::BundleIdentity;
use crate::policy::{Origin, PolicyDigests, PolicyRef};

/// Deciding policies that one entry names. A set may have thousands that all hold: an entry with all of them would be too large
/// for the log, and whoever was permitted would get nothing.
const MOST_NAMES: usize = 100;

/// Which policy sets decided, and which policies of them; of very many the first.
pub fn policy_record<'a>(
    digests: PolicyDigests,
    decided_by: impl IntoIterator<Item = &'a PolicyRef>,
) -> PolicyRecord {
    let PolicyDigests { both, customer, vendor } = digests;
    let mut names = decided_by.into_iter().map(ToString::to_string);
    let mut decided_by: Vec<String> = names.by_ref().take(MOST_NAMES).collect();
    let more = names.count();
    if more > 0 {
        decided_by.push(format!("and {more} more"));
    }
    PolicyRecord { digest: both, customer, vendor, decided_by }
}

/// Which policy sets decide from now on.
pub fn loaded_event(origin: &Origin) -> Event {
    let Origin { digests: PolicyDigests { both, customer, vendor }, entities, bundle } = origin;
    let bundle = bundle.as_ref().map(|BundleIdentity { name, version, key }| BundleRecord {
        name: name.to_string(),
        version: (*version).into(),
        key: key.clone(),
    });
    Event::PolicyLoaded(Box::new(PolicyLoadedRecord {
        digest: *both,
        customer: *customer,
        vendor: *vendor,
        entities: *entities,
        bundle,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Author;
    use crate::secret::Fingerprint;

    /// An entry has at most 65,535 bytes, and without an entry nobody gets anything.
    #[test]
    fn policies_that_all_hold_keep_no_entry_out_of_the_log() {
        let digest = Fingerprint::of(b"policies");
        let digests = PolicyDigests { both: digest, customer: digest, vendor: None };
        let name = |number: usize| PolicyRef::new(Author::Vendor, "all.cedar", &format!("{number:064}"));
        let names: Vec<_> = (0..10_000).map(name).collect();
        let record = policy_record(digests, &names);
        assert_eq!(record.decided_by.len(), MOST_NAMES + 1);
        assert_eq!(record.decided_by.last().unwrap(), "and 9900 more");
        assert!(serde_json::to_vec(&record).unwrap().len() < 16 * 1024);
        assert_eq!(policy_record(digests, names.iter().take(MOST_NAMES)).decided_by.len(), MOST_NAMES);
    }
}
