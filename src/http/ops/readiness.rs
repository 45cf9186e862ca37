//! Can this process issue? Store writable, signing key present, every kept key at hand, at least one issuer's keys known.

use std::sync::Arc;

use serde::Serialize;

use crate::audit::AuditLog;
use crate::clock::{Heard, Moment};
use crate::federation::Federation;
use crate::keys::KeyRing;

/// Looks at what issuing needs.
#[derive(Clone, Debug)]
pub struct Readiness {
    audit: AuditLog,
    ring: Arc<KeyRing>,
    federation: Arc<Federation>,
    heard: Arc<Heard>,
}

/// The answer of `/readyz`.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own for whoever reads the answer")]
pub(super) struct Report {
    pub(super) ready: bool,
    store_writable: bool,
    /// Does it know what other replicas have changed?
    store_heard: bool,
    signing_key: bool,
    /// Every kept key is at hand: none is sealed under a key-encryption key that this replica lacks.
    keys_current: bool,
    issuers_known: usize,
    issuers: usize,
}

impl Readiness {
    /// Over these services.
    pub fn new(audit: AuditLog, ring: Arc<KeyRing>, federation: Arc<Federation>, heard: Arc<Heard>) -> Self {
        Self { audit, ring, federation, heard }
    }

    pub(super) async fn report(&self, at: Moment) -> Report {
        let health = self.federation.health();
        let store_writable = self.audit.probe().await.is_ok();
        let store_heard = self.heard.is_fresh();
        let signing_key = self.ring.signer(at).is_some();
        let keys_current = self.ring.is_current();
        let issuers_known = health.iter().filter(|issuer| issuer.usable).count();
        let ready = store_writable && store_heard && signing_key && keys_current && issuers_known > 0;
        let issuers = health.len();
        Report { ready, store_writable, store_heard, signing_key, keys_current, issuers_known, issuers }
    }

    /// Sets the gauges that are read and not counted.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; 2^53 entries are far away")]
    pub(super) fn measure(&self, at: Moment) {
        metrics::gauge!("tidegate_audit_log_entries").set(self.audit.size() as f64);
        metrics::gauge!("tidegate_clock_seconds").set(at.unix_millis() as f64 / 1000.0);
        if let Some(age) = self.heard.age() {
            metrics::gauge!("tidegate_replica_heard_seconds").set(age.as_secs_f64());
        }
        if let Some(last) = self.audit.last_at() {
            metrics::gauge!("tidegate_checkpoint_age_seconds").set(at.since(last).as_secs_f64());
        }
        for issuer in self.federation.health() {
            let name = issuer.issuer.to_string();
            metrics::gauge!("tidegate_issuer_keys", "issuer" => name.clone()).set(issuer.keys as f64);
            if let Some(fetched) = issuer.fetched_at {
                metrics::gauge!("tidegate_issuer_keys_age_seconds", "issuer" => name)
                    .set(at.since(fetched).as_secs_f64());
            }
        }
    }
}
