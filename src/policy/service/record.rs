//! What entries of the log say of policies: the one place where a digest of ours becomes a field of theirs.

use crate::audit::{BundleRecord, Event, PolicyLoadedRecord, PolicyRecord};
use crate::policy::bundle::BundleIdentity;
use crate::policy::{Origin, PolicyDigests, PolicyRef};

/// Which policy sets decided, and which policies of them.
pub fn policy_record<'a>(
    digests: PolicyDigests,
    decided_by: impl IntoIterator<Item = &'a PolicyRef>,
) -> PolicyRecord {
    let PolicyDigests { both, customer, vendor } = digests;
    let decided_by = decided_by.into_iter().map(ToString::to_string).collect();
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
