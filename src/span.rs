//! Durations as people write them: `90s`, `5m`, `1h30m`, `24h`, `7d`.

use std::time::Duration;

/// The forms, for messages.
pub const FORMS: &str = "write a number with a unit, such as \"90s\", \"5m\", \"1h30m\", \"24h\" or \"7d\"";

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a duration of at least one second: numbers with units, the larger unit first, each once, nothing between.
/// A bare number is refused, because half of the readers would take it for minutes.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail.chars().next()?;
        let (_, factor) = units.find(|(known, _)| *known == unit)?;
        seconds = number.parse::<u64>().ok()?.checked_mul(*factor)?.checked_add(seconds)?;
        rest = tail.strip_prefix(unit)?;
    }
    // A year or more is never meant here, except for tokens that Kubernetes makes for a year and a day.
    (1..=400 * 86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// As [`parse_duration`] reads it.
pub fn format_duration(span: Duration) -> String {
    let mut left = span.as_secs();
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if left >= factor {
            text.push_str(&(left / factor).to_string());
            text.push(unit);
            left %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// For serde: as people write them; `0s` and milliseconds (`1500ms`) too, so that every span reads back.
pub mod text {
    use std::borrow::Cow;
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    /// As text.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        if span.subsec_millis() == 0 {
            return serializer.serialize_str(&super::format_duration(*span));
        }
        serializer.collect_str(&format_args!("{}ms", span.as_millis()))
    }

    /// From text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let millis =
            text.strip_suffix("ms").and_then(|number| number.parse().ok()).map(Duration::from_millis);
        let zero = (text == "0s").then_some(Duration::ZERO);
        let span = zero.or(millis).or_else(|| super::parse_duration(&text));
        span.ok_or_else(|| serde::de::Error::custom(super::FORMS))
    }
}

/// For serde: whole seconds as a number.
pub mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    /// As seconds; a fraction is cut off.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(span.as_secs())
    }

    /// From seconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }

    /// The same for a span that may be absent; use with `#[serde(default)]`.
    pub mod optional {
        use std::time::Duration;

        use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

        /// As seconds.
        pub fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
            span.map(|span| span.as_secs()).serialize(serializer)
        }

        /// From seconds.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_secs))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn anything_but_numbers_with_units_is_refused() {
        for bad in [
            "",
            "5",
            "m",
            "5 m",
            " 5m",
            "5m ",
            "1m1h",
            "1h1h",
            "-5m",
            "+5m",
            "1.5h",
            "0s",
            "0h0m",
            "5M",
            "5min",
            "1h5",
            "99999999999999999999s",
            "401d",
            "٥m",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_documented_forms_are_read() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5_400), ("24h", 86_400), ("7d", 604_800)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 1_u64..=34_560_000) {
            let span = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(span)), Some(span));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = parse_duration(&text);
        }
    }
}
