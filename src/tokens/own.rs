//! Tokens that we signed, recognised. A token has one spelling, and its header does not choose how it is checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ActiveToken;
use crate::clock::Moment;
use crate::federation::MAX_TOKEN_BYTES;
use crate::ids::{ElevationId, GrantName, IssuerName, Subject};
use crate::keys::KeyRing;
use crate::principal::PrincipalId;

/// A token that a published key of ours signed and that has begun and not ended. Whether it was taken away is not known here.
#[derive(Debug)]
pub(super) struct OwnToken {
    claims: Claims,
    subject: PrincipalId,
    actor: Option<PrincipalId>,
    grant: Option<GrantName>,
    elevation: Option<ElevationId>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: String,
    client_id: String,
    scope: Option<String>,
    act: Option<Value>,
    tidegate: Value,
}

impl OwnToken {
    /// `None` for everything that is no such token: there is no need to know why.
    pub(super) fn verify(token: &str, issuer: &str, ring: &KeyRing, at: Moment) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Header = part(header)?;
        let key = ring.verifier(&header.kid, at)?;
        let fits = header.alg == key.algorithm().as_str() && header.typ == "at+jwt";
        if !fits || !key.verifies(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?) {
            return None;
        }
        let claims: Claims = part(payload)?;
        let now = at.unix_seconds();
        let current = claims.nbf <= now && now < claims.exp;
        if claims.iss == issuer && current { Self::read(claims) } else { None }
    }

    /// What a lock or an elevation could be about must be readable: what cannot be read could not be stopped.
    fn read(claims: Claims) -> Option<Self> {
        let text = |name: &str| claims.tidegate.get(name)?.as_str();
        let grant = text("grant").map(GrantName::new).transpose().ok()?;
        let elevation = match claims.tidegate.get("elevation") {
            None => None,
            Some(named) => Some(named.get("id")?.as_str()?.parse().ok()?),
        };
        let actor = match &claims.act {
            None => None,
            Some(act) => Some(principal(act.get("sub")?.as_str()?)?),
        };
        let subject = principal(&claims.sub)?;
        Some(Self { claims, subject, actor, grant, elevation })
    }

    pub(super) fn jti(&self) -> &str {
        &self.claims.jti
    }

    pub(super) fn subject_text(&self) -> &str {
        &self.claims.sub
    }

    pub(super) fn subject(&self) -> &PrincipalId {
        &self.subject
    }

    pub(super) fn actor(&self) -> Option<&PrincipalId> {
        self.actor.as_ref()
    }

    pub(super) fn grant(&self) -> Option<&GrantName> {
        self.grant.as_ref()
    }

    pub(super) fn elevation(&self) -> Option<&ElevationId> {
        self.elevation.as_ref()
    }

    pub(super) fn expires_at(&self) -> Moment {
        Moment::from_unix_seconds(self.claims.exp)
    }

    pub(super) fn into_facts(self) -> ActiveToken {
        let Claims { iss, sub, aud, exp, nbf, iat, jti, client_id, scope, act, tidegate } = self.claims;
        ActiveToken {
            scope,
            client_id,
            token_type: "Bearer",
            exp,
            iat,
            nbf,
            sub,
            aud,
            iss,
            jti,
            act,
            tidegate,
        }
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// `<issuer name>|<sub>`: a name has no `|`.
fn principal(text: &str) -> Option<PrincipalId> {
    let (issuer, subject) = text.split_once('|')?;
    Some(PrincipalId { issuer: IssuerName::new(issuer).ok()?, subject: Subject::new(subject).ok()? })
}
