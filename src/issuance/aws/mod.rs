//! AWS credentials: a plan made of the permit, one STS call per plan, and an end that holds even with the broker dead.
//!
//! `plan`, `names`, `limits`, `narrow` and `session_policy` are pure; `client` and `ask` talk to STS, with the broker's own
//! AWS identity or with a token of `web_identity`; `cache` makes one call serve many; `end_sessions` talks to IAM when
//! sessions must end before their time; `known_keys` and `signature` tell who holds a key of ours.

mod ask;
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
mod web_identity;

use std::fmt::Display;
use std::sync::Arc;

pub use client::{Identity, Settings, StsClients};
pub use end_sessions::{EndError, EndOrder, EndSettings, SessionEnder};
pub use known_keys::{CallerIdentity, KnownKeys, SignatureRefusal};
pub use limits::LimitError;
pub use narrow::{NarrowError, NarrowingFault};
pub use plan::{AwsOrder, Mode, Plan, PlanError};
pub use sdk::ConnectError;
pub use session_policy::session_policy;
pub use signature::SignedRequest;
pub use web_identity::WebIdentity;

use self::cache::{Answer, Session, SessionCache};
use super::{Credential, CredentialFacts, IssueError, OpenCredential};
use crate::clock::Clock;
use crate::secret::Fingerprint;

/// Makes AWS credentials.
pub struct AwsIssuer {
    clients: StsClients,
    cache: SessionCache,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for AwsIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AwsIssuer")
    }
}

impl AwsIssuer {
    /// Calls STS through `clients`.
    pub fn new(clients: StsClients, clock: Arc<dyn Clock>) -> Self {
        let cache = SessionCache::new(clients.deadline());
        Self { clients, cache, clock }
    }

    /// Serves a cached session, or assumes the role. Before STS is called `record_intent` must have recorded that it
    /// will be, so that CloudTrail always joins with our log; when that fails, STS is not called. It is not called for
    /// a session from memory.
    pub async fn issue<F, R, E>(
        &self,
        order: AwsOrder<'_>,
        record_intent: F,
    ) -> Result<Credential, IssueError>
    where
        F: FnOnce(&Plan) -> R,
        R: Future<Output = Result<(), E>>,
        E: Display,
    {
        let plan = plan::plan(&order, self.clients.mode(), self.clients.longest_session())?;
        let call = async {
            let call = self.clients.prepare(&plan, self.clock.now())?;
            record_intent(&plan).await.map_err(|error| IssueError::Unrecorded(error.to_string()))?;
            call.make().await
        };
        let answer = if plan.is_shared() {
            self.cache.session(&plan, &*self.clock, call).await
        } else {
            call.await.map(|session| Answer { session: Arc::new(session), cached: false })
        };
        let answer =
            answer.map_err(|error| if order.narrowing.is_some() { narrow::blame(error) } else { error })?;
        Ok(seal(&order, &plan, &answer))
    }
}

fn seal(order: &AwsOrder<'_>, plan: &Plan, answer: &Answer) -> Credential {
    let session: &Session = &answer.session;
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
    Credential::seal(order.request_id, facts, secret)
}

#[cfg(test)]
pub(crate) mod end_sessions_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
