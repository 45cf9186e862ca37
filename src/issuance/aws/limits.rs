//! AWS's limits, checked before STS is called: its own errors cost a call and say less.

use crate::clock::Moment;

/// The shortest session that STS gives. What is meant to end earlier ends by its session policy.
pub(super) const SHORTEST_SESSION_SECONDS: u32 = 900;
/// The longest session that STS gives.
pub(super) const LONGEST_SESSION_SECONDS: u32 = 43_200;
/// The longest session when the broker's own identity is an assumed role (role chaining).
pub(super) const LONGEST_CHAINED_SESSION_SECONDS: u32 = 3600;

const POLICY_CHARACTERS: usize = 2048;
const TOKEN_CHARACTERS: usize = 20_000;
const TAGS: usize = 50;
const TAG_KEY_CHARACTERS: usize = 128;
const TAG_VALUE_CHARACTERS: usize = 256;

/// One of AWS's limits is in the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Inline session policy, plain.
    #[error("the session policy has {0} characters, AWS takes at most {POLICY_CHARACTERS}")]
    PolicyLength(usize),
    /// Inline session policy, plain, and the ARNs of managed ones: AWS counts them together.
    #[error(
        "the session policy and the ARNs of managed ones have {0} characters, AWS takes at most {POLICY_CHARACTERS}"
    )]
    PoliciesLength(usize),
    /// The token that names the session's tags to AWS.
    #[error("the token with the session's tags has {0} characters, AWS takes at most {TOKEN_CHARACTERS}")]
    TokenLength(usize),
    /// Number of session tags.
    #[error("the session has {0} tags, AWS takes at most {TAGS}")]
    TagCount(usize),
    /// A tag's key.
    #[error("the session tag key `{key}` has {length} characters, AWS takes 1 to {TAG_KEY_CHARACTERS}")]
    TagKeyLength {
        /// The key, cut.
        key: String,
        /// Its length.
        length: usize,
    },
    /// A tag's value.
    #[error(
        "the value of the session tag `{key}` has {length} characters, AWS takes at most {TAG_VALUE_CHARACTERS}"
    )]
    TagValueLength {
        /// The key.
        key: String,
        /// The value's length.
        length: usize,
    },
    /// Characters in a tag.
    #[error("the session tag `{0}` has characters other than letters, digits, spaces and `_.:/=+-@`")]
    TagCharacters(String),
    /// AWS keeps these for itself.
    #[error("the session tag `{0}` begins with `aws:`, which AWS keeps for itself")]
    TagReserved(String),
    /// AWS compares tag keys without case.
    #[error("the session tag `{0}` is there twice, AWS does not tell upper from lower case in keys")]
    TagTwice(String),
    /// A transitive tag that is no tag.
    #[error("the transitive tag `{0}` is no session tag of the grant")]
    TransitiveUnknown(String),
    /// Longer than a session can be.
    #[error("a lifetime of {asked} seconds is over the {limit} that STS gives")]
    Duration {
        /// What the permit says.
        asked: u32,
        /// What STS gives to this broker.
        limit: u32,
    },
    /// Nothing is left of the time.
    #[error("the end `{0}` is not in the future")]
    Ended(Moment),
    /// A statement id that ours would collide with.
    #[error(
        "the session policy's statement id `{0}` begins with `Tidegate`, which is kept for the closing statements"
    )]
    ReservedSid(String),
}

/// The inline session policy's plain length.
pub(super) fn policy(text: &str) -> Result<(), LimitError> {
    let length = text.chars().count();
    if length > POLICY_CHARACTERS { Err(LimitError::PolicyLength(length)) } else { Ok(()) }
}

/// The same together with the managed session policies.
pub(super) fn policies(text: &str, arns: &[String]) -> Result<(), LimitError> {
    let length = arns.iter().map(|arn| arn.chars().count()).sum::<usize>() + text.chars().count();
    if length > POLICY_CHARACTERS { Err(LimitError::PoliciesLength(length)) } else { Ok(()) }
}

/// `WebIdentityToken`
pub(super) fn token(text: &str) -> Result<(), LimitError> {
    if text.len() > TOKEN_CHARACTERS { Err(LimitError::TokenLength(text.len())) } else { Ok(()) }
}

/// `DurationSeconds` for a lifetime.
pub(super) fn duration(asked: u32, limit: u32) -> Result<u32, LimitError> {
    if asked > limit {
        Err(LimitError::Duration { asked, limit })
    } else {
        Ok(asked.max(SHORTEST_SESSION_SECONDS))
    }
}

/// Every session tag, and which of them are transitive.
pub(super) fn tags(tags: &[(String, String)], transitive: &[String]) -> Result<(), LimitError> {
    if tags.len() > TAGS {
        return Err(LimitError::TagCount(tags.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (key, value) in tags {
        tag(key, value)?;
        if !seen.insert(key.to_lowercase()) {
            return Err(LimitError::TagTwice(key.clone()));
        }
    }
    match transitive.iter().find(|name| !tags.iter().any(|(key, _)| key == *name)) {
        Some(unknown) => Err(LimitError::TransitiveUnknown(unknown.clone())),
        None => Ok(()),
    }
}

fn tag(key: &str, value: &str) -> Result<(), LimitError> {
    let (key_length, value_length) = (key.chars().count(), value.chars().count());
    if !(1..=TAG_KEY_CHARACTERS).contains(&key_length) {
        let cut = key.chars().take(TAG_KEY_CHARACTERS).collect();
        return Err(LimitError::TagKeyLength { key: cut, length: key_length });
    }
    if value_length > TAG_VALUE_CHARACTERS {
        return Err(LimitError::TagValueLength { key: key.to_owned(), length: value_length });
    }
    if !key.chars().chain(value.chars()).all(is_tag_character) {
        return Err(LimitError::TagCharacters(key.chars().flat_map(char::escape_default).collect()));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(LimitError::TagReserved(key.to_owned()));
    }
    Ok(())
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`, of the spaces only the plain one: the others look alike in a policy.
fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_policy_over_2048_characters_is_refused_with_both_numbers() {
        assert_eq!(policy(&"é".repeat(2048)), Ok(()));
        let refusal = policy(&"x".repeat(2049)).unwrap_err().to_string();
        assert!(refusal.contains("2049") && refusal.contains("2048"), "{refusal}");
    }

    #[test]
    fn managed_policies_count_with_the_inline_one() {
        let arns = ["a".repeat(40), "b".repeat(8)];
        assert_eq!(policies(&"x".repeat(2000), &arns), Ok(()));
        assert_eq!(policies(&"x".repeat(2001), &arns), Err(LimitError::PoliciesLength(2049)));
    }

    #[test]
    fn the_51st_tag_is_refused() {
        let many: Vec<_> = (0..51).map(|n| pair(&format!("t{n}"), "v")).collect();
        assert_eq!(tags(&many, &[]), Err(LimitError::TagCount(51)));
        assert_eq!(tags(&many[..50], &[]), Ok(()));
    }

    #[test]
    fn tag_keys_and_values_over_their_length_are_refused() {
        assert!(matches!(tags(&[pair("", "v")], &[]), Err(LimitError::TagKeyLength { length: 0, .. })));
        let long = "k".repeat(129);
        assert!(matches!(tags(&[pair(&long, "v")], &[]), Err(LimitError::TagKeyLength { length: 129, .. })));
        let long = "v".repeat(257);
        assert!(matches!(
            tags(&[pair("k", &long)], &[]),
            Err(LimitError::TagValueLength { length: 257, .. })
        ));
        assert_eq!(tags(&[pair(&"k".repeat(128), &"v".repeat(256)), pair("empty", "")], &[]), Ok(()));
    }

    #[test]
    fn tags_that_aws_would_misread_are_refused() {
        for value in ["a*", "a?", "a,b", "${x}", "a\nb", "a\u{2003}b", "a|b"] {
            assert!(matches!(tags(&[pair("k", value)], &[]), Err(LimitError::TagCharacters(_))), "{value:?}");
        }
        assert!(matches!(tags(&[pair("AWS:x", "v")], &[]), Err(LimitError::TagReserved(_))));
        assert!(matches!(tags(&[pair("team", "a"), pair("Team", "b")], &[]), Err(LimitError::TagTwice(_))));
        let transitive = ["team".to_owned()];
        assert!(matches!(tags(&[pair("Team", "b")], &transitive), Err(LimitError::TransitiveUnknown(_))));
    }

    #[test]
    fn a_lifetime_over_the_longest_session_is_refused_and_a_short_one_is_asked_as_900() {
        assert_eq!(
            duration(43_201, LONGEST_SESSION_SECONDS),
            Err(LimitError::Duration { asked: 43_201, limit: 43_200 })
        );
        assert_eq!(
            duration(3601, LONGEST_CHAINED_SESSION_SECONDS),
            Err(LimitError::Duration { asked: 3601, limit: 3600 })
        );
        assert_eq!(duration(1, LONGEST_SESSION_SECONDS), Ok(900));
        assert_eq!(duration(901, LONGEST_SESSION_SECONDS), Ok(901));
    }
}
