//! AWS credentials: a plan made of the permit, one STS call per plan, and an end that holds even with the broker dead.
//!
//! `plan`, `names`, `limits`, `narrow` and `session_policy` are pure; `client` and `ask` talk to STS, with the broker's own
//! AWS identity or with a token of `web_identity`; `cache` and `slot` make one call serve many, and one entry stand for many
//! deliveries; `budget` bounds the calls; `end_sessions` talks to IAM when sessions must end before their time; `known_keys`
//! and `signature` tell who holds a key of ours.

mod ask;
mod budget;
mod cache;
mod client;
mod end_sessions;
mod known_keys;
mod limits;
mod names;
mod narrow;
mod plan;
mod sdk;
mod session_policy;
mod signature;
mod slot;
mod web_identity;

use std::fmt::Display;
use std::num::NonZeroU32;
use std::sync::Arc;

pub use client::{Identity, Settings, StsClients};
pub use end_sessions::{EndError, EndOrder, EndSettings, SessionEnder};
pub use known_keys::{CallerIdentity, KnownKeys, SignatureRefusal};
pub use limits::LimitError;
pub use narrow::{NarrowError, NarrowingFault};
pub use plan::{AwsOrder, Footing, Mode, Plan, PlanError};
pub use sdk::ConnectError;
pub use session_policy::session_policy;
pub use signature::SignedRequest;
pub use slot::Turn;
pub use web_identity::WebIdentity;

use self::budget::{Budget, throttled};
use self::cache::{Answer, Ask, Session, SessionCache};
use super::{Credential, CredentialFacts, IssueError, Made, OpenCredential, Standing};
use crate::clock::Clock;
use crate::ids::RequestId;
use crate::secret::Fingerprint;

/// Makes AWS credentials.
pub struct AwsIssuer {
    clients: StsClients,
    cache: SessionCache,
    budget: Budget,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for AwsIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AwsIssuer")
    }
}

impl AwsIssuer {
    /// Calls STS through `clients`, as often as it likes.
    pub fn new(clients: StsClients, clock: Arc<dyn Clock>) -> Self {
        let cache = SessionCache::new(clients.deadline());
        Self { clients, cache, budget: Budget::new(None, Arc::clone(&clock)), clock }
    }

    /// At most `per_second` calls in a second, for all grants together; `None` is no limit.
    #[must_use]
    pub fn with_sts_rate(self, per_second: Option<NonZeroU32>) -> Self {
        Self { budget: Budget::new(per_second, Arc::clone(&self.clock)), ..self }
    }

    /// Serves a session from memory, or assumes the role. Before STS is called `record_intent` must have recorded that it
    /// will be, so that CloudTrail always joins with our log; when that fails, STS is not called. It is not called for
    /// a session from memory, nor when the budget allows no call.
    pub async fn issue<F, R, E>(&self, order: AwsOrder<'_>, record_intent: F) -> Result<Made, IssueError>
    where
        F: FnOnce(&Plan) -> R,
        R: Future<Output = Result<(), E>>,
        E: Display,
    {
        let plan = &plan::plan(&order, self.clients.mode(), self.clients.longest_session())?;
        let call = |ask: Ask| async move {
            self.budget.take(order.permit.grant(), ask.purpose)?;
            let call = self.clients.prepare(plan, self.clock.now())?;
            record_intent(plan).await.map_err(|error| IssueError::Unrecorded(error.to_string()))?;
            let outcome = ask.within(call.make()).await;
            if let Err(IssueError::SlowDown { .. }) = &outcome {
                throttled("sts");
            }
            outcome
        };
        match self.cache.session(plan, order.permit.digest(), &*self.clock, call).await {
            Ok(answer) => Ok(made(&order, plan, answer)),
            Err(error) if order.narrowing.is_some() => Err(narrow::blame(error)),
            Err(error) => Err(error),
        }
    }
}

/// Sealed for the caller's own request, unless the caller may stand on the entry of the session's issue and there is one
/// under the policies that permit it now.
fn made(order: &AwsOrder<'_>, plan: &Plan, answer: Answer) -> Made {
    let digest = order.permit.digest();
    let shared = order.footing == Footing::Shared;
    if let Some(issue) = answer.kept.issue_under(digest).filter(|_| shared) {
        let credential = seal(issue.receipt.request_id(), order, plan, &answer);
        return Made { credential, standing: Standing::Recorded(Arc::clone(&issue.receipt)) };
    }
    let credential = seal(order.request_id, order, plan, &answer);
    let stands_for_others = match order.footing {
        Footing::Alone => false,
        Footing::Own => !answer.kept.is_on_record(),
        Footing::Shared => true,
    };
    let turn = answer.into_turn(order.request_id, digest).filter(|_| stands_for_others);
    Made { credential, standing: Standing::Unrecorded(turn) }
}

fn seal(request_id: RequestId, order: &AwsOrder<'_>, plan: &Plan, answer: &Answer) -> Credential {
    let session: &Session = &answer.kept.session;
    let facts = CredentialFacts::Aws {
        access_key_id: session.access_key_id.clone(),
        role_arn: plan.role_arn().to_owned(),
        session_name: plan.session_name().to_owned(),
        source_identity: plan.source_identity().to_owned(),
        fingerprint: session.session_token.fingerprint(),
        cached: answer.cached,
        packed_policy_percent: session.packed_policy_percent,
        narrowed_by: order.narrowing.map(|text| Fingerprint::of(text.as_bytes())),
    };
    let secret = OpenCredential::Aws {
        access_key_id: session.access_key_id.clone(),
        secret_access_key: session.secret_access_key.clone(),
        session_token: session.session_token.clone(),
        role_arn: plan.role_arn().to_owned(),
        session_name: plan.session_name().to_owned(),
        source_identity: plan.source_identity().to_owned(),
        assumed_role_id: session.assumed_role_id.clone(),
        packed_policy_percent: session.packed_policy_percent,
        expires_at: session.ends_at,
    };
    Credential::seal(request_id, facts, secret)
}

#[cfg(test)]
pub(crate) mod end_sessions_tests;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
