//! Proof that a request to the ops listener comes from whoever holds the key-encryption key.
//!
//! Loopback alone is no proof: a browser or another program on the host reaches it too. The key never travels; a
//! MAC over the path and the minute does.

use std::sync::Arc;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::clock::Moment;
use crate::http::routes::Route;
use crate::keys::{Kek, KekId, KekRing, KeyError};

/// A signature older than this is refused, so a recorded one is soon worth nothing.
const FRESH_SECONDS: i64 = 60;
const TIME_HEADER: &str = "tidegate-operator-time";
/// Nothing else is derived for it, and it is derived for nothing else.
const PURPOSE: &str = "tidegate operator v1";
const MAC_HEADER: &str = "tidegate-operator-mac";

/// Signs and checks operators' requests.
pub struct OperatorKey(hmac::Key);

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorKey")
    }
}

impl OperatorKey {
    /// Derived from the key-encryption key for this purpose alone.
    pub fn of(kek: &Kek) -> Result<Self, KeyError> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &kek.derive(PURPOSE)?)))
    }

    /// The two headers that sign a request.
    pub fn sign(&self, method: &str, path: &str, at: Moment) -> [(&'static str, String); 2] {
        let seconds = at.unix_seconds();
        let tag = hmac::sign(&self.0, message(method, path, seconds).as_bytes());
        [(TIME_HEADER, seconds.to_string()), (MAC_HEADER, URL_SAFE_NO_PAD.encode(tag))]
    }

    /// Is the request signed, for this path, within the last minute?
    fn check(&self, headers: &HeaderMap, route: Route, at: Moment) -> Option<()> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let seconds: i64 = text(TIME_HEADER)?.parse().ok()?;
        if at.unix_seconds().abs_diff(seconds) > FRESH_SECONDS.unsigned_abs() {
            return None;
        }
        let tag = URL_SAFE_NO_PAD.decode(text(MAC_HEADER)?).ok()?;
        hmac::verify(&self.0, message(route.method, route.path, seconds).as_bytes(), &tag).ok()
    }
}

/// Checks operators' requests: whoever holds any key-encryption key of this broker is an operator. There are two of them
/// while one is being changed for another.
#[derive(Clone, Debug)]
pub struct Operators(Arc<KekRing>);

impl Operators {
    /// Whoever holds one of these.
    pub fn new(keks: Arc<KekRing>) -> Self {
        Self(keks)
    }

    /// Which key-encryption key signed the request; `None` when none did.
    pub(super) fn signed_with(&self, headers: &HeaderMap, route: Route, at: Moment) -> Option<KekId> {
        let signed =
            |kek: &Arc<Kek>| OperatorKey::of(kek).is_ok_and(|key| key.check(headers, route, at).is_some());
        self.0.all().iter().find(|kek| signed(kek)).map(|kek| kek.id())
    }
}

fn message(method: &str, path: &str, seconds: i64) -> String {
    format!("tidegate operator v1\n{method} {path}\n{seconds}\n")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::http::routes::{KEYS, ROTATE};

    const AT: Moment = Moment::from_unix_seconds(1_795_363_392);

    fn headers(key: &OperatorKey, route: Route) -> HeaderMap {
        let pair = |(name, value): (&'static str, String)| {
            (HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap())
        };
        key.sign(route.method, route.path, AT).into_iter().map(pair).collect()
    }

    fn kek(byte: u8) -> Arc<Kek> {
        Arc::new(Kek::from_bytes(&[byte; 32]).unwrap())
    }

    #[test]
    fn an_unsigned_foreign_old_or_moved_request_is_refused() {
        let (own, operators) = (kek(1), Operators::new(Arc::new(KekRing::new([kek(1)]))));
        assert_eq!(operators.signed_with(&HeaderMap::new(), ROTATE, AT), None);
        let foreign = headers(&OperatorKey::of(&kek(2)).unwrap(), ROTATE);
        assert_eq!(operators.signed_with(&foreign, ROTATE, AT), None);
        let signed = headers(&OperatorKey::of(&own).unwrap(), ROTATE);
        assert_eq!(operators.signed_with(&signed, KEYS, AT), None);
        assert_eq!(operators.signed_with(&signed, ROTATE, AT.plus(std::time::Duration::from_secs(61))), None);
        assert_eq!(operators.signed_with(&signed, ROTATE, AT), Some(own.id()));
    }

    #[test]
    fn while_the_key_is_changed_both_sign_and_each_is_told_apart() {
        let operators = Operators::new(Arc::new(KekRing::new([kek(1), kek(2)])));
        for kek in [kek(1), kek(2)] {
            let signed = headers(&OperatorKey::of(&kek).unwrap(), ROTATE);
            assert_eq!(operators.signed_with(&signed, ROTATE, AT), Some(kek.id()));
        }
    }

    #[test]
    fn a_key_that_was_replaced_proves_nothing_any_more() {
        let ring = Arc::new(KekRing::new([kek(1), kek(2)]));
        let operators = Operators::new(Arc::clone(&ring));
        ring.retire(kek(1).id());
        let signed = headers(&OperatorKey::of(&kek(1)).unwrap(), ROTATE);
        assert_eq!(operators.signed_with(&signed, ROTATE, AT), None);
    }
}
