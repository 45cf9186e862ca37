//! A strict JSON reader: text in, [`Claims`] out. Refuses whatever two readers could read differently.
//!
//! The attack: a token whose payload names a member twice means one thing to the issuer's proxy that looked at the
//! first and another to the broker that looked at the last. So a name occurs once, at every depth.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use crate::claims::{Claim, Claims};

/// Objects and arrays may nest this deep. Real tokens use four levels; more only burns the stack.
pub(super) const MAX_DEPTH: u8 = 16;

/// The bytes are not a JSON object as we accept them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonFault {
    /// Not JSON, not UTF-8, not an object, nested too deep, or followed by something.
    Invalid,
    /// A member's name occurs twice in one object.
    Duplicate,
}

/// Reads one JSON object that fills `bytes`.
pub(super) fn read_object(bytes: &[u8]) -> Result<Claims, JsonFault> {
    let mut duplicate = false;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Reader { depth: MAX_DEPTH, duplicate: &mut duplicate }.deserialize(&mut reader);
    match (value, duplicate) {
        (_, true) => Err(JsonFault::Duplicate),
        (Ok(Claim::Record(claims)), false) => reader.end().map(|()| claims).map_err(|_| JsonFault::Invalid),
        _ => Err(JsonFault::Invalid),
    }
}

struct Reader<'f> {
    /// How many more levels may open.
    depth: u8,
    /// Set when a name occurred twice: serde's own error can carry no reason of ours.
    duplicate: &'f mut bool,
}

impl Reader<'_> {
    fn inner<E: Error>(&mut self) -> Result<Reader<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Reader { depth, duplicate: self.duplicate })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Claim;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Claim, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Claim;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Claim, E> {
        Ok(Claim::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Claim, E> {
        Ok(Claim::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Claim, E> {
        Ok(Claim::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Claim, E> {
        Ok(i64::try_from(value).map_or(Claim::OtherNumber, Claim::Integer))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Claim, E> {
        Ok(Claim::OtherNumber)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Claim, E> {
        Ok(Claim::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Claim, E> {
        Ok(Claim::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Claim, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.inner()?)? {
            items.push(item);
        }
        Ok(Claim::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Claim, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(self.inner()?)?;
            if members.insert(name, value).is_some() {
                *self.duplicate = true;
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(Claim::Record(Claims::from_members(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Claims, JsonFault> {
        read_object(text.as_bytes())
    }

    #[test]
    fn a_name_that_occurs_twice_is_refused_at_every_depth() {
        for text in [
            r#"{"iss":"a","iss":"b"}"#,
            r#"{"iss":"a","\u0069ss":"a"}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":[{"b":{"c":null,"c":null}}]}"#,
        ] {
            assert_eq!(read(text), Err(JsonFault::Duplicate), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_plain_object_is_refused() {
        for text in [
            "",
            "[]",
            "\"x\"",
            "1",
            "null",
            "{}{}",
            "{} x",
            "{\"a\":1,}",
            "{'a':1}",
            "{\"a\":NaN}",
            "{\"a\":01}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
            "{\"a\":1e999}",
            "{/**/}",
        ] {
            assert_eq!(read(text), Err(JsonFault::Invalid), "{text}");
        }
        assert_eq!(read_object(b"{\"a\":\"\xff\"}"), Err(JsonFault::Invalid));
        assert_eq!(read_object(b"{\"a\":\"\xc0\xaf\"}"), Err(JsonFault::Invalid));
    }

    #[test]
    fn nesting_has_a_floor() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(usize::from(MAX_DEPTH) - 1)).is_ok());
        assert_eq!(read(&nested(usize::from(MAX_DEPTH))), Err(JsonFault::Invalid));
        assert_eq!(read(&nested(5_000)), Err(JsonFault::Invalid));
    }

    #[test]
    fn numbers_are_exact_or_no_number_of_ours() {
        let claims =
            read(r#"{"a":9223372036854775807,"b":9223372036854775808,"c":1.0,"d":1e2,"e":-5}"#).unwrap();
        assert_eq!(claims.get("a"), Some(&Claim::Integer(i64::MAX)));
        assert_eq!(claims.get("b"), Some(&Claim::OtherNumber));
        assert_eq!(claims.get("c"), Some(&Claim::OtherNumber));
        assert_eq!(claims.get("d"), Some(&Claim::OtherNumber));
        assert_eq!(claims.get("e"), Some(&Claim::Integer(-5)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = read_object(&bytes);
        }
    }
}
