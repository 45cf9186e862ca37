//! The use case: who may ask is asked of policy first, and a refusal is written down; then the question is put.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{DescribeError, Described, world};
use crate::breakglass::service::{BreakGlass, BreakGlassError};
use crate::federation::{Federation, UnverifiedToken, VerifyError};
use crate::grants::Catalog;
use crate::people::Caller;
use crate::policy::explain::{Explanation, explain_about};
use crate::policy::facts::{AuthFacts, PrincipalFacts};
use crate::policy::{PolicyEngine, World};
use crate::principal;

/// A search takes a few hundred decisions: more of them at once would be felt by those who wait for credentials.
const AT_ONCE: usize = 2;

/// Explains decisions to those who may ask.
#[derive(Debug)]
pub struct Explainer {
    breakglass: Arc<BreakGlass>,
    policy: Arc<PolicyEngine>,
    federation: Arc<Federation>,
    world: Arc<World>,
    slots: Semaphore,
}

/// There is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Who asks may not; or it could not be found out or written down whether they may.
    #[error(transparent)]
    Asking(#[from] BreakGlassError),
    /// The question makes no sense as it is.
    #[error("{0}")]
    Question(String),
    /// The token does not hold.
    #[error("the token was not accepted: {0}")]
    Token(String),
    /// Ours to mend. The text is for the operator.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl Explainer {
    /// By the policies that decide, in the surroundings of the configuration.
    pub fn new(
        breakglass: Arc<BreakGlass>,
        policy: Arc<PolicyEngine>,
        federation: Arc<Federation>,
        catalog: &Catalog,
    ) -> Self {
        let world = Arc::new(world(federation.settings(), catalog));
        Self { breakglass, policy, federation, world, slots: Semaphore::new(AT_ONCE) }
    }

    /// Why would the request that `described` tells of be permitted, or not?
    ///
    /// # Errors
    /// Whoever may not ask about the grant is told what they would be told if there were none.
    pub async fn explain(&self, caller: &Caller, described: Described) -> Result<Explanation, ExplainError> {
        let grant = self.breakglass.may_explain(caller, &described.grant).await?;
        let (principal, auth) = self.asked_by(caller, &described).await?;
        let facts = described.facts(&grant, principal, auth, caller.at).map_err(ExplainError::of)?;
        let unavailable = |error: &dyn std::fmt::Display| ExplainError::Unavailable(error.to_string());
        let _slot = self.slots.acquire().await.map_err(|error| unavailable(&error))?;
        let (sets, world) = (self.policy.sets(), Arc::clone(&self.world));
        let explained = tokio::task::spawn_blocking(move || explain_about(&sets, &world, &facts)).await;
        explained
            .map_err(|error| unavailable(&error))?
            .map_err(|error| ExplainError::Question(error.to_string()))
    }

    /// The one who is described, or whose token it is. Nothing claims the token: its owner may still exchange it.
    async fn asked_by(
        &self,
        caller: &Caller,
        described: &Described,
    ) -> Result<(PrincipalFacts, Option<AuthFacts>), ExplainError> {
        match (&described.principal, &described.token) {
            (Some(principal), None) => Ok((principal.clone(), None)),
            (None, Some(_)) if described.auth.is_some() => {
                Err(ExplainError::Question("`auth` is in the token; leave it out".to_owned()))
            }
            (None, Some(token)) => self.of_token(token.expose().to_owned(), caller).await,
            _ => Err(ExplainError::Question("say who asks: either `principal` or `token`".to_owned())),
        }
    }

    async fn of_token(
        &self,
        token: String,
        caller: &Caller,
    ) -> Result<(PrincipalFacts, Option<AuthFacts>), ExplainError> {
        let token = UnverifiedToken::new(token);
        let verified = self.federation.verify(&token, caller.at).await.map_err(|error| match error {
            VerifyError::Refused(refusal) => ExplainError::Token(refusal.to_string()),
            VerifyError::KeysUnavailable(issuer) => {
                ExplainError::Unavailable(format!("the keys of issuer {issuer} are unknown or too old"))
            }
        })?;
        let (principal, authentication) = principal::map(
            verified.issuer(),
            verified.subject(),
            verified.issued_at(),
            verified.profile(),
            verified.claims(),
        )
        .map_err(|error| ExplainError::Token(error.to_string()))?;
        Ok((PrincipalFacts::of(&principal), Some(AuthFacts::of(&authentication))))
    }
}

impl ExplainError {
    fn of(error: DescribeError) -> Self {
        Self::Question(error.0)
    }
}
