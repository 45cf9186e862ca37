//! Names and identifiers that several rooms share. Each type holds only what its place allows.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Moment;
use crate::entropy::{Entropy, EntropyError, bytes};

/// Text that does not fit the type it was meant for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct NameError {
    text: String,
    what: &'static str,
}

impl NameError {
    fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.chars().take(80).flat_map(char::escape_default).collect(), what }
    }
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and keeps `text`.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(Arc::from(text))) } else { Err(NameError::new(text, $what)) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}

fn is_claim_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}

text_type! {
    /// What the configuration calls a trusted issuer: 1-64 of `a-z 0-9 - _ .`. It may stand in metric labels.
    IssuerName, "an issuer's name (1-64 of a-z 0-9 - _ ., first a letter or digit)", is_name
}
text_type! {
    /// What the configuration and callers call a grant: 1-64 of `a-z 0-9 - _ .`.
    GrantName, "a grant's name (1-64 of a-z 0-9 - _ ., first a letter or digit)", is_name
}
text_type! {
    /// The `sub` of a verified token: 1-1024 bytes without control characters. Compared byte by byte.
    Subject, "a subject (1-1024 bytes, no control characters)", |text| is_claim_text(text, 1024)
}
text_type! {
    /// The `iss` of a trusted issuer, compared byte by byte (OIDC Core §2): no normalisation, ever.
    IssuerUrl, "an issuer (1-512 bytes, no control characters or spaces)",
    |text| is_claim_text(text, 512) && !text.contains(' ')
}
text_type! {
    /// One `aud` value: 1-512 bytes without control characters.
    Audience, "an audience (1-512 bytes, no control characters)", |text| is_claim_text(text, 512)
}
text_type! {
    /// One scope token (RFC 6749 §3.3): 1-128 of printable ASCII without space, `"` and `\`.
    Scope, "a scope (1-128 printable ASCII characters, no space, quote or backslash)",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
text_type! {
    /// A key id. Ours are RFC 7638 thumbprints; others' are 1-256 bytes without control characters.
    Kid, "a key id (1-256 bytes, no control characters)", |text| is_claim_text(text, 256)
}

/// Names one request from the door to the audit entry. UUID version 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestId(Uuid);

/// Names one thing that was made: an audit entry, a token's `jti`. UUID version 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UniqueId(Uuid);

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one.
            pub fn new(at: Moment, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
                uuid_v7(at, entropy).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            /// Only the form that `Display` writes: one thing has one name.
            fn from_str(text: &str) -> Result<Self, NameError> {
                let id = text.strip_prefix($prefix).and_then(|id| Uuid::try_parse(id).ok()).map(Self);
                id.filter(|id| id.to_string() == text).ok_or_else(|| NameError::new(text, $what))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

prefixed_id! {
    /// Names one elevation: `elv-` and a UUID version 7. It is also the `SourceIdentity` of its AWS sessions, whose
    /// alphabet (`[\w+=,.@-]{2,64}`) it keeps to.
    ElevationId, "elv-", "an elevation's id"
}
prefixed_id! {
    /// Names one lock: `lck-` and a UUID version 7.
    LockId, "lck-", "a lock's id"
}

fn uuid_v7(at: Moment, entropy: &dyn Entropy) -> Result<Uuid, EntropyError> {
    let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &bytes::<10>(entropy)?).into_uuid())
}

impl RequestId {
    /// A new one.
    pub fn new(at: Moment, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        uuid_v7(at, entropy).map(Self)
    }
}

impl UniqueId {
    /// A new one.
    pub fn new(at: Moment, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        uuid_v7(at, entropy).map(Self)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_could_confuse_a_reader_or_a_label() {
        for bad in ["", "Prod", "a b", "a/b", "-a", "a\u{202e}b", &"x".repeat(65)] {
            assert!(GrantName::new(bad).is_err(), "{bad:?}");
        }
        assert!(GrantName::new("orders-read.v2").is_ok());
    }

    #[test]
    fn a_refused_name_is_quoted_escaped_and_cut() {
        let refusal = GrantName::new(&format!("\n{}", "x".repeat(500))).unwrap_err().to_string();
        assert!(refusal.starts_with("`\\nxxx"));
        assert!(refusal.len() < 200);
    }

    #[test]
    fn an_elevation_has_one_spelling_and_fits_a_source_identity() {
        let id = ElevationId::new(Moment::EPOCH, &crate::entropy::SystemEntropy::new()).unwrap();
        let text = id.to_string();
        assert_eq!(text.parse::<ElevationId>().unwrap(), id);
        assert!(text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        for bad in [
            text.to_uppercase(),
            text.replace("elv-", ""),
            text.replace("elv-", "lck-"),
            text.replace('-', ""),
        ] {
            assert!(bad.parse::<ElevationId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn subjects_are_compared_byte_by_byte() {
        assert_ne!(Subject::new("Ann").unwrap(), Subject::new("ann").unwrap());
        assert!(Subject::new("a\u{0}b").is_err());
    }
}
