//! What an explanation says. Texts are for people; names and digests for whoever compares.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::ids::GrantName;
use crate::policy::{Author, PolicyDigest};

/// Why a request is permitted or not, and what would have to be different.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// `permit` or `deny`
    pub decision: Verdict,
    /// Why not, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The permits that decided, or the forbids, or the policies that failed.
    pub decided_by: Vec<String>,
    /// Of the policy sets.
    pub digest: PolicyDigest,
    /// Who asked: `<issuer>|<subject>`.
    pub principal: String,
    /// What for.
    pub action: String,
    /// Of which grant.
    pub grant: GrantName,
    /// When.
    pub at: Moment,
    /// Rules of the broker that stand in the way, whatever policies say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What each author's set said.
    pub authors: Vec<AuthorSaid>,
    /// The way to a permit that asks for the fewest changes; none when it is permitted, or when none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestMiss>,
    /// How many approvals an elevation of this grant needs; for break-glass only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_needed: Option<ApprovalsNeeded>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the two answers")]
pub enum Verdict {
    Permit,
    Deny,
}

/// What one author's set said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorSaid {
    /// Whose.
    pub author: Author,
    /// The permits that hold.
    pub permits: Vec<String>,
    /// The forbids that hold, with what made them.
    pub forbids: Vec<PolicySaid>,
    /// The policies that could not be evaluated: each denies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<PolicySaid>,
    /// The permits that do not hold, the nearest first, with the parts that are in the way. Told where the author has no
    /// permit that holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<PolicySaid>,
    /// How many more of those there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed_more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One policy, and the parts of it that matter here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicySaid {
    /// Which.
    pub policy: String,
    /// Its file in the folder, and its first line.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Is its scope in the way, and not its condition alone?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_scope: bool,
    /// Of a permit the parts that are not as they would have to be; of a forbid those that hold.
    pub parts: Vec<Part>,
}

/// A part of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// As the policy writes it, on one line.
    pub source: String,
    /// Where it stands in the file.
    pub line: usize,
    /// Would it have to hold, or not to?
    pub hold: bool,
    /// What it looked at.
    pub found: Vec<Found>,
}

/// A part's text as it would have to be: `not (a && b)` where it must not hold.
pub fn as_wanted(source: &str, hold: bool) -> String {
    let several = source.contains(" && ") || source.contains(" || ");
    match (hold, several) {
        (true, _) => source.to_owned(),
        (false, true) => format!("not ({source})"),
        (false, false) => format!("not {source}"),
    }
}

/// What a part looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// As a policy writes it: `context.ttl`.
    pub place: String,
    /// For people; absent when nothing was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The way to a permit that asks for the fewest changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NearestMiss {
    /// All of them together.
    pub changes: Vec<Suggested>,
    /// Was it tried: would the request with these changes be permitted?
    pub verified: bool,
}

/// One thing that would have to be different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggested {
    /// In words.
    pub say: String,
    /// Whose condition asks for it; none for a rule of the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// How many would have to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalsNeeded {
    /// So many could suffice, by people of the right groups.
    AtLeast(u32),
    /// No number does.
    NoNumber,
}
