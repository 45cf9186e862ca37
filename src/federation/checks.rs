//! What a token's claims must say, judged by our clock. Pure: claims, settings and a moment in, times out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::refusal::TokenRefusal;
use super::settings::IssuerSettings;
use crate::claims::{Claim, Claims, Profile};
use crate::clock::Moment;
use crate::ids::Audience;

/// How far an issuer's clock may be from ours, for `exp`, `nbf` and `iat` alike.
///
/// The attack it stops by being small: a token whose end has passed is one that its issuer believes dead, so it is
/// found in logs, core dumps and the volumes of deleted pods; every second of leeway is a second in which such a find
/// still opens the gate. Zero would refuse honest tokens from hosts whose clocks are a little ahead. Replay claims are
/// kept until `exp` and this leeway (`ReplayKey::until`): were it larger here than there, a single-use token could be
/// used again at its end.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// 9999-12-31T23:59:59Z: the last second that RFC 3339 can write down. Larger numbers are mistakes (milliseconds) or
/// attempts to overflow somebody's arithmetic.
const LAST_SECOND: i64 = 253_402_300_799;

/// A token's times, of the right type and not contradicting each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    issued_at: Option<Moment>,
    expires_at: Moment,
}

impl Times {
    /// Reads the times and judges what depends on nothing but the clock: this may run before the signature is checked,
    /// so that a flood of old tokens costs neither a signature nor a fetch, and tells nothing that is ours.
    pub(super) fn read(claims: &Claims, at: Moment) -> Result<Self, TokenRefusal> {
        let expires_at = date(claims, "exp")?.ok_or(TokenRefusal::ExpiryMissing)?;
        let not_before = date(claims, "nbf")?;
        let issued_at = date(claims, "iat")?;
        if at >= expires_at.plus(LEEWAY) {
            return Err(TokenRefusal::Expired);
        }
        if not_before.is_some_and(|start| start > at.plus(LEEWAY)) {
            return Err(TokenRefusal::NotYetValid);
        }
        if issued_at.is_some_and(|start| start > at.plus(LEEWAY)) {
            return Err(TokenRefusal::IssuedInFuture);
        }
        if issued_at.is_some_and(|start| start >= expires_at)
            || not_before.is_some_and(|start| start >= expires_at)
        {
            return Err(TokenRefusal::TimesContradict);
        }
        Ok(Self { issued_at, expires_at })
    }

    pub(super) fn expires_at(self) -> Moment {
        self.expires_at
    }

    /// When the token was issued, if that fits the issuer's caps.
    ///
    /// A JWT-SVID has no `iat` (JWT-SVID §3). Its remaining life is bounded instead, and it counts as issued as long
    /// ago as its lifetime cap allows: policy may take a token for older than it is, never for younger.
    pub(super) fn issued_at(self, issuer: &IssuerSettings, at: Moment) -> Result<Moment, TokenRefusal> {
        match self.issued_at {
            Some(issued_at) => self.within_caps(issued_at, issuer, at),
            None if issuer.profile == Profile::Spiffe => self.without_issue(issuer, at),
            None => Err(TokenRefusal::IssuedAtMissing),
        }
    }

    fn within_caps(
        self,
        issued_at: Moment,
        issuer: &IssuerSettings,
        at: Moment,
    ) -> Result<Moment, TokenRefusal> {
        if self.expires_at.since(issued_at) > issuer.max_token_lifetime {
            return Err(TokenRefusal::LifetimeTooLong);
        }
        if at.since(issued_at) > issuer.max_token_age {
            return Err(TokenRefusal::TooOld);
        }
        Ok(issued_at)
    }

    fn without_issue(self, issuer: &IssuerSettings, at: Moment) -> Result<Moment, TokenRefusal> {
        if self.expires_at.since(at) > issuer.max_token_lifetime {
            return Err(TokenRefusal::LifetimeTooLong);
        }
        Ok(self.expires_at.minus(issuer.max_token_lifetime))
    }
}

/// One of the configured audiences is among the token's. A string and a list of one are the same set: a broker that
/// checked only lists once accepted every token with a string (CVE-2024-5798).
pub(super) fn audience(claims: &Claims, accepted: &BTreeSet<Audience>) -> Result<(), TokenRefusal> {
    let named = match claims.get("aud") {
        None | Some(Claim::Null) => return Err(TokenRefusal::AudienceMissing),
        Some(claim) => claim.texts().ok_or(TokenRefusal::AudienceInvalid)?,
    };
    if named.is_empty() {
        return Err(TokenRefusal::AudienceMissing);
    }
    if accepted.iter().any(|audience| named.contains(audience.as_str())) {
        Ok(())
    } else {
        Err(TokenRefusal::AudienceMismatch)
    }
}

/// Every claim that the issuer's `require` lists is there, with one of the listed values.
pub(super) fn requirements(claims: &Claims, issuer: &IssuerSettings) -> Result<(), TokenRefusal> {
    let met = issuer
        .require
        .iter()
        .all(|(name, values)| find(claims, name).is_some_and(|claim| has_one_of(claim, values)));
    if met { Ok(()) } else { Err(TokenRefusal::RequirementUnmet) }
}

/// A claim by its name, or, when the name starts with `/`, by its JSON pointer (RFC 6901): AWS keeps the account under
/// `/https:~1~1sts.amazonaws.com~1/aws_account`.
fn find<'c>(claims: &'c Claims, name: &str) -> Option<&'c Claim> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let (path, last) = pointer.rsplit_once('/').map_or((None, pointer), |(path, last)| (Some(path), last));
    let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
    let record = path
        .into_iter()
        .flat_map(|path| path.split('/'))
        .try_fold(claims, |record, step| record.record(&unescape(step)))?;
    record.get(&unescape(last))
}

/// A list meets the requirement when one of its strings does.
fn has_one_of(claim: &Claim, values: &BTreeSet<String>) -> bool {
    match claim {
        Claim::Text(text) => values.contains(text),
        Claim::Integer(number) => values.contains(&number.to_string()),
        Claim::Bool(truth) => values.contains(if *truth { "true" } else { "false" }),
        Claim::List(items) => {
            items.iter().any(|item| matches!(item, Claim::Text(text) if values.contains(text)))
        }
        Claim::Null | Claim::OtherNumber | Claim::Record(_) => false,
    }
}

/// A `NumericDate` (RFC 7519 §2) as a whole, positive number of seconds. A time of another type is refused by name:
/// libraries that counted it as absent accepted tokens that never end (CVE-2026-25537).
fn date(claims: &Claims, name: &'static str) -> Result<Option<Moment>, TokenRefusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Claim::Integer(seconds)) if (0..=LAST_SECOND).contains(seconds) => {
            Ok(Some(Moment::from_unix_seconds(*seconds)))
        }
        Some(_) => Err(TokenRefusal::TimeInvalid { claim: name }),
    }
}
