//! Proof that a request to the ops listener comes from whoever holds the key-encryption key.
//!
//! Loopback alone is no proof: a browser or another program on the host reaches it too. The key never travels; a
//! MAC over the path and the minute does.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::clock::Moment;
use crate::http::routes::Route;

/// A signature older than this is refused, so a recorded one is soon worth nothing.
const FRESH_SECONDS: i64 = 60;
const TIME_HEADER: &str = "tidegate-operator-time";
const MAC_HEADER: &str = "tidegate-operator-mac";

/// Signs and checks operators' requests.
pub struct OperatorKey(hmac::Key);

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorKey")
    }
}

impl OperatorKey {
    /// From 32 bytes that were derived from the key-encryption key for this purpose alone.
    pub fn new(derived: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived))
    }

    /// The two headers that sign a request.
    pub fn sign(&self, method: &str, path: &str, at: Moment) -> [(&'static str, String); 2] {
        let seconds = at.unix_seconds();
        let tag = hmac::sign(&self.0, message(method, path, seconds).as_bytes());
        [(TIME_HEADER, seconds.to_string()), (MAC_HEADER, URL_SAFE_NO_PAD.encode(tag))]
    }

    /// Is the request signed, for this path, within the last minute?
    pub(super) fn accepts(&self, headers: &HeaderMap, route: Route, at: Moment) -> bool {
        self.check(headers, route, at).is_some()
    }

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

    #[test]
    fn an_unsigned_foreign_old_or_moved_request_is_refused() {
        let key = OperatorKey::new(&[1; 32]);
        assert!(!key.accepts(&HeaderMap::new(), ROTATE, AT));
        assert!(!key.accepts(&headers(&OperatorKey::new(&[2; 32]), ROTATE), ROTATE, AT));
        let signed = headers(&key, ROTATE);
        assert!(!key.accepts(&signed, KEYS, AT));
        assert!(!key.accepts(&signed, ROTATE, AT.plus(std::time::Duration::from_secs(61))));
        assert!(key.accepts(&signed, ROTATE, AT));
    }
}
