//! Step 6 for a session whose issue is on record: no entry of its own, and nothing else is spared. The caller was verified,
//! mapped, rated, gated and decided on like everybody.

use std::sync::Arc;

use futures_util::future::join_all;

use super::ledger::{Delivery, Told};
use super::record::{ReplayClaims, Stop};
use super::{Attempt, Exchange, Fault, remaining};
use crate::audit::{Receipt, RecordError};
use crate::grants::Lifetime;
use crate::issuance::{Credential, CredentialFacts, Footing};
use crate::policy::Permit;
use crate::telemetry;

/// Entries in flight at once: enough to share commits, and far from filling the log's queue.
const AT_ONCE: usize = 64;

impl Exchange {
    /// Whether the caller may stand on the entry of somebody before. Not where the entry does something (takes a token), or
    /// tells of somebody else (an actor); and not while nobody knows whether an entry could be written at all, or what other
    /// replicas have locked: then they try, and the commit shows.
    pub(super) fn footing(&self, attempt: Attempt<'_>, replay: &ReplayClaims) -> Footing {
        if attempt.caller.actor.is_some() {
            return Footing::Alone;
        }
        let is_known = self.services.audit.is_healthy() && self.services.heard.is_fresh();
        let shares = !replay.has_claims() && is_known && self.ledger.has_room();
        if shares { Footing::Shared } else { Footing::Own }
    }

    /// The last look before a delivery, as the writer has it for an entry, and the count. There is no await between this and
    /// the opening. Says how long the credential lives.
    pub(super) fn deliver(
        &self,
        attempt: Attempt<'_>,
        permit: &Permit,
        credential: &Credential,
        issue: &Arc<Receipt>,
    ) -> Result<Lifetime, Stop> {
        let at = attempt.at.max(self.services.clock.now());
        self.gate(Attempt { at, ..attempt })?;
        if !self.services.audit.is_healthy() {
            return Err(Fault::Audit.into());
        }
        // No commit shows what others have locked or forbidden: what was heard last must be young enough.
        if !self.services.heard.is_fresh() {
            return Err(Fault::Stale.into());
        }
        if permit.digest() != self.services.policy.digest() {
            return Err(Fault::Policy.into());
        }
        let CredentialFacts::Aws { access_key_id, fingerprint, .. } = credential.facts() else {
            return Err(Fault::Signing("only AWS sessions are delivered again".to_owned()).into());
        };
        let expires_in = remaining(credential.expires_at(), at)?;
        let delivery = Delivery {
            principal: &attempt.caller.principal,
            permit,
            access_key_id,
            fingerprint: *fingerprint,
            expires_at: credential.expires_at(),
            source_ip: attempt.request.source_ip,
            at,
        };
        self.ledger.count(issue, &delivery);
        self.metrics.delivered();
        Ok(expires_in)
    }

    /// Writes down what was delivered of credentials that are over, or long ago. What cannot be written stays for the next
    /// pass.
    pub async fn record_deliveries(&self) {
        self.ledger.tell_due(self.services.clock.now());
        self.write_deliveries().await;
        telemetry::deliveries_unrecorded(self.ledger.unrecorded());
    }

    /// Writes down all that was delivered: nothing is issued any more. What cannot be written is lost with the process, and
    /// said.
    pub async fn record_all_deliveries(&self) {
        self.ledger.tell_all(self.services.clock.now());
        self.write_deliveries().await;
        let lost = self.ledger.unrecorded();
        telemetry::deliveries_unrecorded(lost);
        if lost > 0 {
            tracing::error!(
                deliveries = lost,
                "the log cannot be written: deliveries of credentials are not counted in it"
            );
        }
    }

    /// Stops at the first sign that the log is sick.
    async fn write_deliveries(&self) {
        for group in self.ledger.waiting().chunks(AT_ONCE) {
            let written = join_all(group.iter().map(|told| self.write_told(told))).await;
            if !written.into_iter().all(|done| done) {
                tracing::warn!("deliveries cannot be written down now; it is tried again");
                return;
            }
        }
    }

    /// `false` when it is not known to be durable. That a try before was is as good.
    async fn write_told(&self, told: &Told) -> bool {
        match self.services.audit.record(told.submission.clone()).await {
            Ok(_) | Err(RecordError::Answered) => {
                self.ledger.written(told);
                true
            }
            Err(_) => false,
        }
    }
}
