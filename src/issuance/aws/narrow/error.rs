//! Why a caller's policy was not applied: in the caller's words for the caller, in full for the operator.

use super::document::LONGEST_TEXT;

/// Two patterns have something in common that cannot be written down, or that was too much work to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmet {
    /// They overlap, and what they share is no pattern.
    Overlap,
    /// The comparisons that one request may cost are used up.
    Intricate,
}

/// What kind of fault it is; each door has its own word for it. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NarrowingFault {
    /// No session policy as we take it: AWS's `MalformedPolicyDocument`.
    Malformed,
    /// Over a limit of AWS: its `PackedPolicyTooLarge`.
    TooLarge,
    /// Fine by itself, but what both allow cannot be written as a policy, or is nothing.
    Inexpressible,
    /// The grant makes no AWS credentials.
    NotApplicable,
}

impl NarrowingFault {
    /// For metrics, the record and tests.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "narrowing_malformed",
            Self::TooLarge => "narrowing_too_large",
            Self::Inexpressible => "narrowing_inexpressible",
            Self::NotApplicable => "narrowing_not_applicable",
        }
    }
}

/// A caller's policy that was not applied. `Display` is for the operator; [`told`](Self::told) is for the caller, and names
/// nothing that the caller did not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NarrowError {
    /// It is not what we take. Its own words.
    #[error("the caller's policy is malformed: {0}")]
    Malformed(String),
    /// AWS does not understand the session policy with the caller's part in it.
    #[error("AWS does not understand the caller's policy")]
    Misunderstood,
    /// The text is too long.
    #[error("the caller's policy has {0} characters, at most {LONGEST_TEXT} are taken")]
    Length(usize),
    /// The session policy would be too long.
    #[error(
        "the session policy has {0} characters after the caller's policy narrowed it, AWS takes at most 2048"
    )]
    SessionLength(usize),
    /// Too many statements.
    #[error("the session policy has more than {0} statements after the caller's policy narrowed it")]
    Statements(usize),
    /// AWS packs policies and tags, and has a limit for that too.
    #[error("the narrowed session policy and the session tags are too large for AWS when packed")]
    Packed,
    /// Neither holds the other. The caller's words.
    #[error(
        "`{0}` of the caller's policy overlaps with what the grant allows, and what both allow is no single pattern"
    )]
    Overlap(String),
    /// Both have a condition on one key, and no policy says both. The caller's words.
    #[error(
        "the condition `{operator}` on `{key}` of the caller's policy cannot be joined with the grant's own"
    )]
    Condition {
        /// Operator.
        operator: String,
        /// Condition key.
        key: String,
    },
    /// Too much to compare.
    #[error("the caller's policy has too many patterns or wildcards to be compared with the grant's")]
    Intricate,
    /// No Allow is left.
    #[error("the caller's policy and the grant have nothing in common that both allow")]
    Nothing,
    /// The grant has managed session policies, and AWS adds up what session policies allow.
    #[error("the grant has managed session policies, which a caller's policy cannot narrow")]
    Managed,
    /// A statement of the grant's own policy is not understood well enough.
    #[error("the grant's own session policy cannot be narrowed: {0}")]
    Grant(String),
}

impl NarrowError {
    /// Which kind.
    pub fn fault(&self) -> NarrowingFault {
        match self {
            Self::Malformed(_) | Self::Misunderstood => NarrowingFault::Malformed,
            Self::Length(_) | Self::SessionLength(_) | Self::Statements(_) | Self::Packed => {
                NarrowingFault::TooLarge
            }
            Self::Overlap(_)
            | Self::Condition { .. }
            | Self::Intricate
            | Self::Nothing
            | Self::Managed
            | Self::Grant(_) => NarrowingFault::Inexpressible,
        }
    }

    /// For the caller: what to change, in their own words. The grant's policy may name accounts and resources that are none of
    /// their business.
    pub fn told(&self) -> String {
        match self {
            Self::Managed | Self::Grant(_) => {
                "the grant's own session policy cannot be narrowed by a caller's policy; \
                               leave the policy out or ask the operator"
                    .to_owned()
            }
            Self::Nothing => {
                "the policy and the grant have nothing in common that both allow: the credential \
                              could do nothing"
                    .to_owned()
            }
            other => other.to_string(),
        }
    }
}

/// A caller's words, fit for a log and an answer: cut, and nothing but printable ASCII.
pub(super) fn quoted(words: &str) -> String {
    const MOST: usize = 120;
    let mut shown = String::new();
    for c in words.chars().take(MOST) {
        if matches!(c, ' '..='~') { shown.push(c) } else { shown.extend(c.escape_unicode()) }
    }
    if words.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}
