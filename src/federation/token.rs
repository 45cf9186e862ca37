//! A token before and after it was checked, as two types: only `verify` turns one into the other.

use crate::claims::{Claims, Profile};
use crate::clock::Moment;
use crate::ids::{IssuerName, Subject};
use crate::secret::{Fingerprint, SecretText};

/// What a caller presented: nobody has checked anything. `Debug` prints no character of it.
#[derive(Clone)]
pub struct UnverifiedToken(SecretText);

impl UnverifiedToken {
    /// Takes the text over, unread.
    pub fn new(text: String) -> Self {
        Self(SecretText::new(text))
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }
}

impl std::fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnverifiedToken")
    }
}

/// A token whose issuer, signature, audience and times hold. Only this room makes one.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    pub(super) issuer: IssuerName,
    pub(super) profile: Profile,
    pub(super) subject: Subject,
    pub(super) claims: Claims,
    pub(super) issued_at: Moment,
    pub(super) expires_at: Moment,
    pub(super) fingerprint: Fingerprint,
    pub(super) replay: Option<ReplayKey>,
}

/// What a token says of its bearer, whether or not anybody checked it. Nothing can be issued for it: only
/// [`VerifiedToken`] goes that way.
#[derive(Clone, Debug)]
pub struct Told {
    /// What the configuration calls the issuer.
    pub issuer: IssuerName,
    /// How the issuer's tokens are read.
    pub profile: Profile,
    /// `sub`
    pub subject: Subject,
    /// The whole payload.
    pub claims: Claims,
    /// `iat`
    pub issued_at: Moment,
}

/// What must be claimed before a single-use token counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayKey {
    /// Over the issuer and `jti`, or the signing input where there is no `jti` (never the signature: ECDSA is malleable).
    pub key: Fingerprint,
    /// When the claim may be forgotten: the token's end and the leeway.
    pub until: Moment,
}

impl VerifiedToken {
    /// What it says, without what makes it worth something.
    pub fn as_told(&self) -> Told {
        Told {
            issuer: self.issuer.clone(),
            profile: self.profile,
            subject: self.subject.clone(),
            claims: self.claims.clone(),
            issued_at: self.issued_at,
        }
    }

    /// What the configuration calls the issuer.
    pub fn issuer(&self) -> &IssuerName {
        &self.issuer
    }

    /// How the issuer's tokens are read.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// `sub`
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The whole payload.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// `iat`; for a JWT-SVID without one, the earliest moment that its issuer's lifetime cap allows.
    pub fn issued_at(&self) -> Moment {
        self.issued_at
    }

    /// `exp`, without leeway: nothing that is made from the token may outlive this.
    pub fn expires_at(&self) -> Moment {
        self.expires_at
    }

    /// SHA-256 of the whole token: what the record names it by.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// `None` when the issuer's tokens may be presented again.
    pub fn replay(&self) -> Option<&ReplayKey> {
        self.replay.as_ref()
    }
}
