//! Who is calling the API: a person's bearer token in, a [`Caller`] out. Knows that people and workloads are different;
//! refuses to know what anybody may do.

use std::net::IpAddr;
use std::sync::Arc;

use crate::breakglass::Participant;
use crate::clock::Moment;
use crate::federation::{Federation, TokenRefusal, UnverifiedToken, VerifiedToken, VerifyError};
use crate::ids::{IssuerName, RequestId};
use crate::principal::{self, Authentication, MapError, Person, Principal, PrincipalId};
use crate::secret::Fingerprint;

/// A person who has signed in, and the request they make.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub person: Person,
    /// How they signed in.
    pub authentication: Authentication,
    /// Does the configuration let people of their issuer approve? Policy is asked beside this, never instead.
    pub may_approve: bool,
    /// What they showed, for the record.
    pub token: TokenFacts,
    /// Names the request up to its entry in the log.
    pub request_id: RequestId,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// When: the one moment that everything about this request is decided at.
    pub at: Moment,
}

/// What the record says about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// SHA-256 of the compact JWS.
    pub fingerprint: Fingerprint,
    /// Its `iat`.
    pub issued_at: Moment,
    /// Its `exp`.
    pub expires_at: Moment,
}

/// What a door knows of a request beside its token.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Names the request.
    pub request_id: RequestId,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// When.
    pub at: Moment,
}

/// Nobody has signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The token does not hold.
    #[error("the token was not accepted: {0}")]
    Token(TokenRefusal),
    /// Its claims do not have the shape that its issuer's profile promises.
    #[error("the token was not accepted: {0}")]
    Claims(MapError),
    /// A workload's token: this API is for people.
    #[error("the token is a workload's; this API is for people, whose issuers have profile = \"person\"")]
    Workload,
    /// The issuer's keys are unknown or too old: ours to mend.
    #[error("the keys of issuer `{0}` are unavailable")]
    Keys(IssuerName),
}

/// Tells who is calling.
#[derive(Debug)]
pub struct People {
    federation: Arc<Federation>,
}

impl People {
    /// By the issuers that are trusted.
    pub fn new(federation: Arc<Federation>) -> Self {
        Self { federation }
    }

    /// Verifies the bearer token (RFC 6750). It may come again with the next request: single use is for exchanges.
    pub async fn sign_in(&self, token: &UnverifiedToken, arrival: Arrival) -> Result<Caller, SignInError> {
        let verified = self.federation.verify(token, arrival.at).await.map_err(|error| match error {
            VerifyError::Refused(refusal) => SignInError::Token(refusal),
            VerifyError::KeysUnavailable(issuer) => SignInError::Keys(issuer),
        })?;
        let (principal, authentication) = principal::map(
            verified.issuer(),
            verified.subject(),
            verified.issued_at(),
            verified.profile(),
            verified.claims(),
        )
        .map_err(SignInError::Claims)?;
        let Principal::Person(person) = principal else { return Err(SignInError::Workload) };
        let may_approve = self.may_approve(&person.id.issuer);
        let Arrival { request_id, source_ip, at } = arrival;
        Ok(Caller { person, authentication, may_approve, token: facts(&verified), request_id, source_ip, at })
    }

    /// Does the configuration let people of this issuer approve? Nobody's issuer that is gone from it.
    pub fn may_approve(&self, issuer: &IssuerName) -> bool {
        self.federation.issuer(issuer).is_some_and(|settings| settings.may_approve)
    }

    /// Every issuer whose people may approve.
    pub fn approving_issuers(&self) -> impl Iterator<Item = &IssuerName> {
        self.federation.settings().filter(|settings| settings.may_approve).map(|settings| &settings.name)
    }
}

impl Caller {
    /// Who.
    pub fn id(&self) -> &PrincipalId {
        &self.person.id
    }

    /// What an elevation keeps of them.
    pub fn participant(&self) -> Participant {
        Participant { person: self.person.clone(), authentication: self.authentication.clone() }
    }
}

fn facts(token: &VerifiedToken) -> TokenFacts {
    TokenFacts {
        fingerprint: token.fingerprint(),
        issued_at: token.issued_at(),
        expires_at: token.expires_at(),
    }
}
