//! Why a token was not accepted: one variant for each reason.
//!
//! The texts go to strangers. They say what is wrong with the token in the caller's hands and nothing about our
//! configuration: a text that named the audience we expect would tell a thief which token to steal.

use crate::ids::IssuerName;

/// Why a token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The caller's side.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// Ours: the issuer's keys are not known or too old. 503, never a guess.
    #[error("the keys of issuer `{0}` are not available")]
    KeysUnavailable(IssuerName),
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $({ $field:ident: $kind:ty })? => $code:literal, $text:literal;)+) => {
        /// A refusal with a stable code for metrics (`code()`) and a text that is safe to show to a stranger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum TokenRefusal {
            $($(#[$doc])* #[error($text)] $name $({
                /// The claim's registered name.
                $field: $kind
            })?,)+
        }

        impl TokenRefusal {
            /// Every code there is, for metrics that want to start at zero.
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// Stable, in snake case, bounded: for metrics and logs.
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$name $({ $field: _ })? => $code,)+
                }
            }
        }
    };
}

refusals! {
    /// More than `MAX_TOKEN_BYTES`.
    TooLarge => "too_large", "the token is larger than 16 KiB";
    /// Not three parts of canonical base64url.
    Malformed => "malformed", "the token is not a JWS in compact serialization";
    /// RFC 7515 §7.2.
    JsonSerialization => "json_serialization", "the token is a JWS in JSON serialization; only compact is accepted";
    /// RFC 7516.
    Encrypted => "encrypted", "the token is encrypted (JWE); only signed tokens are accepted";
    /// The third part is empty.
    Unsigned => "unsigned", "the token has no signature";
    /// The header is no JSON object.
    HeaderInvalid => "header_invalid", "the token's header is not a JSON object";
    /// The payload is no JSON object.
    PayloadInvalid => "payload_invalid", "the token's payload is not a JSON object";
    /// A JSON member occurs twice, at any depth.
    DuplicateMember => "duplicate_member", "a member of the token's JSON occurs twice";
    /// `typ` is neither absent nor a JWT.
    TypeNotAccepted => "type_not_accepted", "the token's `typ` is not `JWT`, `at+jwt` or `JOSE`";
    /// RFC 7515 §4.1.11: what we do not understand we must refuse, and we understand no extension.
    CriticalHeader => "critical_header", "the token's header has `crit`; no extension is understood here";
    /// RFC 7797.
    UnencodedPayload => "unencoded_payload", "the token's header has `b64`; unencoded payloads are not accepted";
    /// `cty`: a token in a token.
    NestedToken => "nested_token", "the token contains another token (`cty`)";
    /// `alg` is absent, null, or no string.
    AlgorithmMissing => "algorithm_missing", "the token's header has no `alg`";
    /// `none`, `HS256`, or anything else that is not asymmetric and known.
    AlgorithmUnsupported => "algorithm_unsupported", "the token's `alg` is not an accepted signature algorithm";
    /// A known algorithm that this issuer may not use.
    AlgorithmNotAllowed => "algorithm_not_allowed", "the token's `alg` is not allowed for its issuer";
    /// `kid` is not 1-256 bytes of text.
    KeyIdInvalid => "key_id_invalid", "the token's `kid` is not a key id";
    /// No `iss` (and no SPIFFE ID instead), or not a string.
    IssuerMissing => "issuer_missing", "the token has no `iss`";
    /// Compared byte by byte.
    UnknownIssuer => "unknown_issuer", "the token's issuer is not trusted here";
    /// The issuer's key set has no such key, or the token names none and more than one would do.
    UnknownKey => "unknown_key", "the token's key is not in its issuer's key set";
    /// Two keys of the set answer to the token's `kid` (or to a token without one).
    AmbiguousKey => "ambiguous_key", "the token does not say which of its issuer's keys signed it";
    /// The key of that `kid` is of another kind than `alg` needs.
    KeyMismatch => "key_mismatch", "the token's `alg` does not fit the key that it names";
    /// The signature does not verify.
    BadSignature => "bad_signature", "the token's signature does not verify";
    /// Not a whole number of seconds between 1970 and 9999.
    TimeInvalid { claim: &'static str } => "time_invalid", "the token's `{claim}` is not a whole number of seconds";
    /// No `exp`.
    ExpiryMissing => "expiry_missing", "the token has no `exp`";
    /// `exp` has passed, by more than the leeway.
    Expired => "expired", "the token has expired (`exp`): get a new one";
    /// `nbf` has not come, by more than the leeway.
    NotYetValid => "not_yet_valid", "the token is not valid yet (`nbf`)";
    /// No `iat`, and the issuer is no SPIFFE trust domain.
    IssuedAtMissing => "issued_at_missing", "the token has no `iat`";
    /// `iat` is ahead of our clock by more than the leeway.
    IssuedInFuture => "issued_in_future", "the token was issued in the future (`iat`)";
    /// `exp` is not after `iat`, or not after `nbf`.
    TimesContradict => "times_contradict", "the token ends before it begins";
    /// Longer than the issuer's `max_token_lifetime`.
    LifetimeTooLong => "lifetime_too_long", "the token's lifetime is longer than what is accepted from its issuer";
    /// Older than the issuer's `max_token_age`.
    TooOld => "too_old", "the token was issued too long ago: get a new one";
    /// No `aud`, or an empty one.
    AudienceMissing => "audience_missing", "the token has no `aud`";
    /// `aud` is neither a string nor a list of strings.
    AudienceInvalid => "audience_invalid", "the token's `aud` is not a string or a list of strings";
    /// None of the configured audiences.
    AudienceMismatch => "audience_mismatch", "the token was not made for this service (`aud`)";
    /// No `sub`.
    SubjectMissing => "subject_missing", "the token has no `sub`";
    /// `sub` is not 1-1024 bytes of text.
    SubjectInvalid => "subject_invalid", "the token's `sub` is not 1-1024 bytes of text";
    /// A claim of the issuer's `require` is absent or has another value.
    RequirementUnmet => "requirement_unmet", "the token does not carry the claims that are required of its issuer";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_fit_a_metric_label() {
        let unique: BTreeSet<_> = TokenRefusal::CODES.iter().collect();
        assert_eq!(unique.len(), TokenRefusal::CODES.len());
        assert!(unique.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
