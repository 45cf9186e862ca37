//! The same request twice is one request: a phone that lost the answer, a proxy that sent it again.

use std::time::Duration;

use super::refuse::Refusal;
use super::{BreakGlass, BreakGlassError, Outcome};
use crate::people::Caller;
use crate::secret::Fingerprint;
use crate::store::{AnswerRow, StoreError};

/// How long an answer is kept. Nobody repeats a request of yesterday by accident.
const KEPT: Duration = Duration::from_hours(24);
/// The longest key.
const MOST_KEY_BYTES: usize = 255;

/// A caller's `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// No key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`Idempotency-Key` must have 1 to {MOST_KEY_BYTES} visible ASCII characters")]
pub struct KeyError;

impl IdempotencyKey {
    /// 1 to 255 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let fits = (1..=MOST_KEY_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(KeyError) }
    }
}

/// A request with a key.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'a> {
    /// The caller's key.
    pub key: &'a IdempotencyKey,
    /// The route, such as `approve`.
    pub route: &'static str,
    /// Digest of the body.
    pub body: Fingerprint,
}

impl Keyed<'_> {
    /// A key belongs to one person and one route; it binds the body and what the route is about, which is also the outcome
    /// unless something new comes of it.
    pub fn row(&self, caller: &Caller, target: &str) -> AnswerRow {
        let id = caller.id();
        let (issuer, subject) = (id.issuer.as_str().as_bytes(), id.subject.as_str().as_bytes());
        AnswerRow {
            key: Fingerprint::of_fields(&[
                b"tidegate answer v1",
                issuer,
                subject,
                self.route.as_bytes(),
                self.key.0.as_bytes(),
            ]),
            request: Fingerprint::of_fields(&[self.body.as_bytes(), target.as_bytes()]),
            outcome: target.to_owned(),
            until: caller.at.plus(KEPT),
        }
    }
}

impl BreakGlass {
    /// The answer to a request that came before, which is how the elevation stands now.
    pub(super) async fn answered(
        &self,
        caller: &Caller,
        asked: Option<&AnswerRow>,
    ) -> Result<Option<Outcome>, Refusal> {
        let Some(asked) = asked else { return Ok(None) };
        let Some(kept) = self.services.store.answer(asked.key).await? else { return Ok(None) };
        if kept.request != asked.request {
            return Err(Refusal::told(BreakGlassError::KeyReused));
        }
        let id = kept.outcome.parse().map_err(|_| {
            StoreError::Corrupt("an answer that is kept for an elevation names none".to_owned())
        })?;
        self.visible(caller, id).await.map(|current| Some(Outcome::recorded(current)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_not_endless() {
        for bad in ["", "a b", "a\n", "ä", "\u{7f}", &"x".repeat(256)] {
            assert_eq!(IdempotencyKey::new(bad), Err(KeyError), "{bad:?}");
        }
        assert!(IdempotencyKey::new(&"x".repeat(255)).is_ok());
    }
}
