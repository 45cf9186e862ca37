//! Claims of a verified token as typed values, and the closed list of issuer profiles.
//!
//! `federation` fills [`Claims`] after a signature was checked; `principal` reads them. Numbers stay as the
//! exact integers they were or are refused before they get here, so nobody rounds an id.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// How an issuer's tokens are read, and which safe defaults hold for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Kubernetes projected service account tokens.
    Kubernetes,
    /// GitHub Actions.
    Github,
    /// GitLab CI/CD ID tokens.
    Gitlab,
    /// SPIFFE JWT-SVIDs: trust by trust domain.
    Spiffe,
    /// AWS `GetWebIdentityToken`.
    Aws,
    /// Any other workload issuer.
    Generic,
    /// A person's identity provider.
    Person,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 7] =
        [Self::Kubernetes, Self::Github, Self::Gitlab, Self::Spiffe, Self::Aws, Self::Generic, Self::Person];

    /// As the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Spiffe => "spiffe",
            Self::Aws => "aws",
            Self::Generic => "generic",
            Self::Person => "person",
        }
    }

    /// Can a token name groups? GitHub, GitLab, Kubernetes, SPIFFE and AWS make theirs without such a claim, and nobody
    /// there can add one.
    pub const fn names_groups(self) -> bool {
        match self {
            Self::Generic | Self::Person => true,
            Self::Kubernetes | Self::Github | Self::Gitlab | Self::Spiffe | Self::Aws => false,
        }
    }

    /// Does a credential end no later than the subject token that it was exchanged for?
    ///
    /// Where the platform keeps renewing the token for as long as the workload lives, the token's end is the
    /// platform's own bound on a workload that is gone, so we keep it. A CI job's token and a person's token only
    /// prove a moment (GitHub's live five minutes): there the grant, the policy and the elevation bound the life.
    pub const fn credential_ends_with_token(self) -> bool {
        match self {
            Self::Kubernetes | Self::Spiffe | Self::Aws | Self::Generic => true,
            Self::Github | Self::Gitlab | Self::Person => false,
        }
    }
}

/// One claim's value. Floats and integers outside `i64` do not exist here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number that is no `i64`: kept only so that a profile can refuse it by name.
    OtherNumber,
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Claim>),
    /// An object.
    Record(Claims),
}

/// The members of a JSON object, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(BTreeMap<String, Claim>);

impl Claims {
    /// From members; a later one does not replace an earlier one: the caller refused duplicates already.
    pub fn from_members(members: BTreeMap<String, Claim>) -> Self {
        Self(members)
    }

    /// The claim of that name.
    pub fn get(&self, name: &str) -> Option<&Claim> {
        self.0.get(name)
    }

    /// The claim of that name, when it is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Claim::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The claim of that name, when it is an object.
    pub fn record(&self, name: &str) -> Option<&Claims> {
        match self.0.get(name) {
            Some(Claim::Record(record)) => Some(record),
            _ => None,
        }
    }

    /// The claim of that name as a set of strings: a string counts as one; anything else is `None`.
    pub fn texts(&self, name: &str) -> Option<BTreeSet<&str>> {
        self.0.get(name)?.texts()
    }

    /// Every member, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Claim)> {
        self.0.iter().map(|(name, claim)| (name.as_str(), claim))
    }
}

impl Claim {
    /// A string, or a list of strings, as a set; `None` for everything else, also for a mixed list.
    pub fn texts(&self) -> Option<BTreeSet<&str>> {
        match self {
            Self::Text(text) => Some(BTreeSet::from([text.as_str()])),
            Self::List(items) => items
                .iter()
                .map(|item| match item {
                    Self::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_list_is_no_set_of_strings() {
        let mixed = Claim::List(vec![Claim::Text("a".into()), Claim::Integer(1)]);
        assert_eq!(mixed.texts(), None);
        assert_eq!(Claim::List(vec![]).texts(), Some(BTreeSet::new()));
    }
}
