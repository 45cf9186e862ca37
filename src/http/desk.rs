//! The exchange as every door in front of it sees it: who failed too often waits, and each outcome is counted and logged
//! once, whatever dialect it is told in.

use std::sync::Arc;
use std::time::Duration;

use super::abuse::AbuseLimit;
use super::edge::Peer;
use crate::exchange::{
    CallerIdentity, Exchange, ExchangeError, ExchangeRequest, Issued, SignatureRefusal, SignedRequest,
};
use crate::telemetry;

/// What a caller is told while its address waits.
pub(super) const TOO_MANY_FAILURES: &str = "too many tokens from this address did not verify";

/// What a caller is told of a fault of ours, whichever it is.
pub(super) const CANNOT_ISSUE: &str = "the broker cannot issue now; nothing was issued; try again";

/// The exchange and the limit on failures, shared by the doors.
#[derive(Clone, Debug)]
pub struct Desk {
    exchange: Arc<Exchange>,
    abuse: Arc<AbuseLimit>,
}

impl Desk {
    /// In front of `exchange`.
    pub fn new(exchange: Arc<Exchange>, abuse: Arc<AbuseLimit>) -> Self {
        Self { exchange, abuse }
    }

    /// `Some(wait)` when the caller's address has used its failures up.
    pub(super) async fn blocked(&self, peer: &Peer) -> Option<Duration> {
        self.abuse.blocked(peer.ip).await
    }

    /// Exchanges. The door only has to say it.
    pub(super) async fn exchange(
        &self,
        request: &ExchangeRequest,
        peer: &Peer,
    ) -> Result<Issued, ExchangeError> {
        let outcome = self.exchange.exchange(request).await;
        if let Err(error) = &outcome {
            self.count(error, peer).await;
        }
        outcome
    }

    /// Whose key signed this? A signature that does not hold is anonymous like a token that does not.
    pub(super) async fn caller_identity(
        &self,
        request: Result<SignedRequest<'_>, SignatureRefusal>,
        peer: &Peer,
    ) -> Result<CallerIdentity, SignatureRefusal> {
        let outcome = match request {
            Ok(request) => self.exchange.caller_identity(&request).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            telemetry::refused(refusal.code());
            self.abuse.failed(peer.ip).await;
        }
        outcome
    }

    /// A token that does not verify is anonymous: the address pays for it. A fault's cause is logged here, once.
    async fn count(&self, error: &ExchangeError, peer: &Peer) {
        let request_id = peer.request_id;
        match error {
            ExchangeError::Refused(refusal) => {
                tracing::info!(request.id = %request_id, refusal.code = refusal.code(), refusal.detail = %refusal.detail(), "exchange refused");
                telemetry::refused(refusal.code());
                if refusal.is_anonymous() {
                    self.abuse.failed(peer.ip).await;
                }
            }
            ExchangeError::Failed(fault) => {
                tracing::error!(request.id = %request_id, fault.code = fault.code(), fault.cause = %fault, "exchange failed");
                telemetry::faulted(fault.code());
            }
        }
    }
}
