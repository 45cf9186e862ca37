//! Tokens after they left: is one of ours still good (RFC 7662), and the end of one before its time (RFC 7009). Knows what
//! a token of ours says about itself, and what has happened since; promises that a token counts as active only while nothing
//! has taken it away; refuses to know any other token.
//!
//! Who may ask. Both need a bearer token of a trusted issuer, a workload's or a person's; it may come again, single use is
//! for exchanges. *Introspection* is for everybody who signed in: resource servers are workloads like others, and whoever asks
//! holds the token already, whose claims they can read; they learn only whether it still counts. *Revocation* is for the
//! token's own subject: who found somebody's token could cut them off otherwise. Others set a lock, or revoke the elevation.
//! Locks do not stop either: a frozen workload may still put its tokens out of use.

mod own;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::audit::{AuditLog, Effect, Event, RecordError, Submission};
use crate::breakglass::service::BreakGlass;
use crate::clock::{Heard, HighWater, Moment};
use crate::federation::{Federation, UnverifiedToken, VerifyError};
use crate::ids::RequestId;
use crate::keys::KeyRing;
use crate::locks::Subjects;
use crate::locks::service::LockBook;
use crate::people::{Arrival, SignInError};
use crate::principal::{self, PrincipalId};
use crate::secret::Fingerprint;
use crate::store::{AnswerRow, RevokedToken, Store, StoreError};
use own::OwnToken;

/// How long a revocation is remembered past the token's end: verifiers have clocks of their own.
const REMEMBERED_LONGER: Duration = Duration::from_mins(5);

/// Somebody who showed a token of a trusted issuer. Only [`Tokens::sign_in`] makes one.
#[derive(Clone, Debug)]
pub struct Authenticated {
    id: PrincipalId,
}

/// The answer of RFC 7662 §2.2, ready for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Introspection {
    /// Is it a token of ours that still counts? If not, nothing else is said, not even why.
    pub active: bool,
    /// What it says.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub token: Option<Box<ActiveToken>>,
}

/// What an active token says (RFC 7662 §2.2, RFC 8693 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field is the registered claim of that name")]
pub struct ActiveToken {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    pub client_id: String,
    pub token_type: &'static str,
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    pub sub: String,
    pub aud: String,
    pub iss: String,
    pub jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Value>,
    /// Where it comes from: grant, issuer of the principal, policies, elevation.
    pub tidegate: Value,
}

/// Nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError {
    /// The store cannot be asked; the cause is for the operator.
    #[error("whether the token was revoked cannot be told now: {0}")]
    Unavailable(#[from] StoreError),
}

/// Nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// Another's.
    #[error("the token is another's; only its own subject revokes it")]
    NotYours,
    /// Not known to be revoked; the cause is for the operator. RFC 7009 §2.2.1: the client tries again.
    #[error("the token cannot be revoked now: {0}")]
    Unavailable(String),
}

/// What this needs.
#[derive(Debug)]
pub struct Services {
    /// Our `iss`: `server.issuer`.
    pub issuer: String,
    /// Our keys, the retired ones among them.
    pub ring: Arc<KeyRing>,
    /// Whom we trust.
    pub federation: Arc<Federation>,
    /// What was revoked.
    pub store: Arc<dyn Store>,
    /// Which elevations are live.
    pub break_glass: Arc<BreakGlass>,
    /// The record.
    pub audit: AuditLog,
    /// What is frozen.
    pub locks: Arc<LockBook>,
    /// How late it has been.
    pub high_water: Arc<HighWater>,
    /// Whether what is in memory may be decided on.
    pub heard: Arc<Heard>,
}

/// The use case.
#[derive(Debug)]
pub struct Tokens {
    services: Services,
}

impl Tokens {
    /// Over these services.
    pub fn new(services: Services) -> Self {
        Self { services }
    }

    /// Who is calling: a workload or a person with a bearer token of a trusted issuer.
    pub async fn sign_in(
        &self,
        token: &UnverifiedToken,
        arrival: Arrival,
    ) -> Result<Authenticated, SignInError> {
        let verified =
            self.services.federation.verify(token, arrival.at).await.map_err(|error| match error {
                VerifyError::Refused(refusal) => SignInError::Token(refusal),
                VerifyError::KeysUnavailable(issuer) => SignInError::Keys(issuer),
            })?;
        let (issuer, subject) = (verified.issuer(), verified.subject());
        let (caller, _) =
            principal::map(issuer, subject, verified.issued_at(), verified.profile(), verified.claims())
                .map_err(SignInError::Claims)?;
        Ok(Authenticated { id: caller.id().clone() })
    }

    /// Is this a token of ours that still counts (RFC 7662 §2)? Everything else is inactive, whatever it is.
    ///
    /// # Errors
    /// Nobody knows now: neither yes nor no.
    pub async fn introspect(
        &self,
        _caller: &Authenticated,
        token: &str,
        arrival: Arrival,
    ) -> Result<Introspection, IntrospectError> {
        let inactive = Introspection { active: false, token: None };
        let at = self.judged_at(arrival.at);
        if !self.services.heard.is_fresh() {
            // Keys and locks are asked in memory.
            let why = "this replica has not heard from it lately".to_owned();
            return Err(StoreError::Unavailable(why).into());
        }
        let Some(token) = self.own(token, at) else { return Ok(inactive) };
        if self.is_locked(&token, at) || !self.is_elevation_live(&token, at).await? {
            return Ok(inactive);
        }
        if self.services.store.is_revoked(token.jti().to_owned()).await? {
            return Ok(inactive);
        }
        Ok(Introspection { active: true, token: Some(Box::new(token.into_facts())) })
    }

    /// Puts a token of the caller's out of use (RFC 7009 §2). What is no live token of ours is out of use already: nothing
    /// happens, and that is no error (§2.2).
    pub async fn revoke(
        &self,
        caller: &Authenticated,
        token: &str,
        arrival: Arrival,
    ) -> Result<(), RevokeError> {
        // One that does not know every key takes a live token for a foreign one, and must not say that it is out of use.
        if !self.services.heard.is_fresh() || !self.services.ring.is_current() {
            return Err(RevokeError::Unavailable("this replica does not know every key now".to_owned()));
        }
        let Some(token) = self.own(token, self.judged_at(arrival.at)) else { return Ok(()) };
        if *token.subject() != caller.id {
            return Err(RevokeError::NotYours);
        }
        match self.services.audit.record(revocation(&token, arrival.request_id)).await {
            Ok(_) | Err(RecordError::Answered) => Ok(()),
            Err(error) => Err(RevokeError::Unavailable(error.to_string())),
        }
    }

    fn own(&self, token: &str, at: Moment) -> Option<OwnToken> {
        OwnToken::verify(token, &self.services.issuer, &self.services.ring, at)
    }

    /// What has ended stays ended when the clock steps back.
    fn judged_at(&self, at: Moment) -> Moment {
        at.max(self.services.high_water.highest())
    }

    fn is_locked(&self, token: &OwnToken, at: Moment) -> bool {
        let principals: Vec<&PrincipalId> = std::iter::once(token.subject()).chain(token.actor()).collect();
        let (grant, elevation) = (token.grant(), token.elevation());
        self.services.locks.blocking(&Subjects { principals: &principals, grant, elevation }, at).is_some()
    }

    async fn is_elevation_live(&self, token: &OwnToken, at: Moment) -> Result<bool, StoreError> {
        match token.elevation() {
            None => Ok(true),
            Some(id) => self.services.break_glass.is_live(*id, at).await,
        }
    }
}

/// Of two that come at once, or of one that comes again, one entry stands.
fn revocation(token: &OwnToken, request_id: RequestId) -> Submission {
    let (jti, expires_at) = (token.jti().to_owned(), token.expires_at());
    let until = expires_at.plus(REMEMBERED_LONGER);
    let key = Fingerprint::of_fields(&[b"token.revoked", jti.as_bytes()]);
    let effects = vec![
        Effect::KeepAnswer(AnswerRow { key, request: key, outcome: jti.clone(), until }),
        Effect::RevokeToken(RevokedToken { jti: jti.clone(), until }),
    ];
    let subject = token.subject_text().to_owned();
    Submission::new(request_id, Event::TokenRevoked { jti, subject, expires_at }).with(effects)
}
