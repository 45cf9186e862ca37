//! What the caller's own token says of itself, for dialects that repeat it. They hold the token: it tells them nothing new.

use crate::federation::VerifiedToken;
use crate::ids::Subject;

/// Of the subject token that was exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// `sub`
    pub subject: Subject,
    /// `iss`; JWT-SVIDs may have none.
    pub issuer: Option<String>,
    /// `aud`, where it is a single one.
    pub audience: Option<String>,
}

impl Presented {
    pub(super) fn of(token: &VerifiedToken) -> Self {
        let claims = token.claims();
        let audiences = claims.texts("aud").unwrap_or_default();
        let mut audiences = audiences.into_iter();
        let (first, second) = (audiences.next(), audiences.next());
        Self {
            subject: token.subject().clone(),
            issuer: claims.text("iss").map(ToOwned::to_owned),
            audience: first.filter(|_| second.is_none()).map(ToOwned::to_owned),
        }
    }
}
