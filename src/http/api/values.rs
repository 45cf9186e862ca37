//! Values in JSON that are more than text: they are read once, here.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use crate::clock::Moment;
use crate::ids::Scope;
use crate::span;

/// A duration such as `30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = span::parse_duration(&text).map(Self);
        span.ok_or_else(|| D::Error::custom(format_args!("`{text}` is no duration; {}", span::FORMS)))
    }
}

/// A moment in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Moment);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            D::Error::custom(format_args!(
                "`{text}` is no time; write RFC 3339 such as `2026-11-22T14:00:00Z`"
            ))
        })
    }
}

/// Scopes with spaces between, as OAuth writes them (RFC 6749 §3.3); at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scopes(pub(super) BTreeSet<Scope>);

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let scopes = text.split(' ').filter(|part| !part.is_empty()).map(Scope::new);
        let scopes = scopes.collect::<Result<BTreeSet<_>, _>>().map_err(D::Error::custom)?;
        if scopes.is_empty() {
            return Err(D::Error::custom("`scope` names none; leave it out to mean all"));
        }
        Ok(Self(scopes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in ["30", "\"30\"", "\"0s\"", "\"1m1h\"", "null", "\"\""] {
            assert!(serde_json::from_str::<Span>(bad).is_err(), "{bad}");
        }
        for bad in ["1795363392", "\"tomorrow\"", "\"2026-11-22T14:00:00\"", "\"2026-11-22\"", "\"\""] {
            assert!(serde_json::from_str::<Time>(bad).is_err(), "{bad}");
        }
        for bad in ["\"\"", "\" \"", "\"a\\\"b\"", "\"a\\tb\"", "1"] {
            assert!(serde_json::from_str::<Scopes>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_documented_forms_are_read() {
        assert_eq!(serde_json::from_str::<Span>("\"1h30m\"").unwrap().0, Duration::from_mins(90));
        let time = serde_json::from_str::<Time>("\"2026-11-22T15:00:00+01:00\"").unwrap();
        assert_eq!(time.0.to_string(), "2026-11-22T14:00:00Z");
        assert_eq!(serde_json::from_str::<Scopes>("\"b a  b\"").unwrap().0.len(), 2);
    }
}
