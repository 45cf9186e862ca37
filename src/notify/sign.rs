//! Who sent a message, and when: HMAC-SHA256 (RFC 2104) over the moment and the body.

use std::fmt::Write as _;

use ring::hmac;

use crate::clock::Moment;
use crate::secret::SecretText;

/// The value of `Tidegate-Signature`: `t=<unix seconds>,v1=<hex HMAC-SHA256 over "<t>.<body>">`. The moment is signed with
/// the body, so that a receiver can refuse what somebody recorded and sends again later.
pub fn signature(secret: &SecretText, at: Moment, body: &[u8]) -> String {
    let seconds = at.unix_seconds();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    let mut text = format!("t={seconds},v1=");
    for byte in context.sign().as_ref() {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(secret: &str, seconds: i64, body: &str) -> String {
        signature(&SecretText::new(secret.to_owned()), Moment::from_unix_seconds(seconds), body.as_bytes())
    }

    #[test]
    fn another_moment_body_or_secret_has_another_signature() {
        let one = signed("0123456789abcdef0123456789abcdef", 1_795_363_392, "{}");
        for other in [
            signed("0123456789abcdef0123456789abcdeF", 1_795_363_392, "{}"),
            signed("0123456789abcdef0123456789abcdef", 1_795_363_393, "{}"),
            signed("0123456789abcdef0123456789abcdef", 1_795_363_392, "{ }"),
        ] {
            assert_ne!(one.split_once(",v1=").unwrap().1, other.split_once(",v1=").unwrap().1);
        }
    }

    #[test]
    fn the_signature_is_what_openssl_makes_of_it() {
        // printf '1795363392.{"event":"elevation.requested"}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        assert_eq!(
            signed("0123456789abcdef0123456789abcdef", 1_795_363_392, r#"{"event":"elevation.requested"}"#),
            "t=1795363392,v1=393bd4858cc21a350eccd3e92551064eefee8426d611512abf23f81b14a0994d"
        );
    }
}
