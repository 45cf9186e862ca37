//! Access tokens that we sign (RFC 9068).

use std::sync::Arc;

use serde::Serialize;

use super::{Credential, CredentialFacts, IssueError, OpenCredential, jws};
use crate::clock::Moment;
use crate::entropy::Entropy;
use crate::grants::{GrantKind, JwtGrant};
use crate::ids::{ElevationId, RequestId, UniqueId};
use crate::keys::KeyRing;
use crate::policy::Permit;
use crate::secret::SecretText;

/// RFC 9068 §2.1: so that an ID token is never taken for an access token, nor the other way round.
const TYPE: &str = "at+jwt";

/// Signs access tokens with the live key.
pub struct JwtIssuer {
    issuer: Arc<str>,
    ring: Arc<KeyRing>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for JwtIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// One token to be made.
#[derive(Clone, Copy, Debug)]
pub struct JwtOrder<'a> {
    /// The request that it is for.
    pub request_id: RequestId,
    /// Who gets what, and for how long.
    pub permit: &'a Permit,
    /// The actor's full id (`<issuer name>|<sub>`), when there is one.
    pub actor: Option<&'a str>,
    /// Now.
    pub at: Moment,
}

impl JwtIssuer {
    /// `issuer` is the `iss` of every token: `server.issuer`.
    pub fn new(issuer: &str, ring: Arc<KeyRing>, entropy: Arc<dyn Entropy>) -> Self {
        Self { issuer: Arc::from(issuer), ring, entropy }
    }

    /// Makes and seals a token.
    pub fn issue(&self, order: JwtOrder<'_>) -> Result<Credential, IssueError> {
        let GrantKind::Jwt(grant) = &order.permit.grant().kind else { return Err(IssueError::WrongKind) };
        // Policy and exchange have refused this already. One forgotten line there must not open what breaks glass.
        if order.permit.grant().break_glass.is_some() && order.permit.elevation().is_none() {
            return Err(IssueError::NoElevation);
        }
        let key = self.ring.signer(order.at).ok_or(IssueError::NoSigningKey)?;
        let jti = UniqueId::new(order.at, &*self.entropy)?.to_string();
        let subject = order.permit.principal().to_string();
        let claims = Claims::new(&self.issuer, &subject, &jti, grant, order);
        if claims.exp <= claims.iat {
            return Err(IssueError::Ended);
        }
        let token = SecretText::new(jws::compact(&key, TYPE, &claims)?);
        let facts = CredentialFacts::Jwt {
            jti: jti.clone(),
            kid: key.kid().to_string(),
            fingerprint: token.fingerprint(),
        };
        let expires_at = Moment::from_unix_seconds(claims.exp);
        Ok(Credential::seal(order.request_id, facts, OpenCredential::Jwt { token, expires_at }))
    }
}

/// RFC 9068 §2.2.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    /// `<issuer name>|<sub>` as policy names the principal: two issuers may well use the same `sub`.
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: &'a str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    /// RFC 8693 §4.1
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Actor<'a>>,
    tidegate: Origin<'a>,
}

#[derive(Serialize)]
struct Actor<'a> {
    sub: &'a str,
}

/// Where the token comes from.
#[derive(Serialize)]
struct Origin<'a> {
    grant: &'a str,
    principal_issuer: &'a str,
    policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    elevation: Option<Elevation>,
}

/// Who uses the token uses it because people said so: which decision it was, and of how many.
#[derive(Serialize)]
struct Elevation {
    id: ElevationId,
    approvals: u32,
}

impl<'a> Claims<'a> {
    fn new(
        issuer: &'a str,
        subject: &'a str,
        jti: &'a str,
        grant: &'a JwtGrant,
        order: JwtOrder<'a>,
    ) -> Self {
        let permit = order.permit;
        // Rounded down first: the token never outlives its lifetime by the fraction of a second.
        let iat = order.at.unix_seconds();
        Self {
            iss: issuer,
            sub: subject,
            aud: grant.audience.as_str(),
            exp: end(permit, iat),
            nbf: iat,
            iat,
            jti,
            client_id: subject,
            scope: scope_text(permit),
            act: order.actor.map(|sub| Actor { sub }),
            tidegate: Origin {
                grant: permit.grant().name.as_str(),
                principal_issuer: permit.principal().issuer.as_str(),
                policy: permit.digest().to_string(),
                elevation: permit
                    .elevation()
                    .map(|used| Elevation { id: used.id, approvals: used.approvals }),
            },
        }
    }
}

/// Whole seconds, rounded down: a window that ends within a second ends for the token before it.
fn end(permit: &Permit, iat: i64) -> i64 {
    let by_lifetime = iat.saturating_add(i64::from(permit.ttl().seconds()));
    permit.elevation().map_or(by_lifetime, |used| by_lifetime.min(used.ends_at.unix_seconds()))
}

fn scope_text(permit: &Permit) -> String {
    let mut text = String::new();
    for scope in permit.scopes() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope.as_str());
    }
    text
}

#[cfg(test)]
mod tests;
