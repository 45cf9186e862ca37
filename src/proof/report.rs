//! What was found out, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::formula::Whose;
use super::shape::Shape;
use crate::policy::{Author, Facts, PolicyDigest, PolicyRef, Promise};

/// What became of every invariant.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of which sets.
    pub digest: PolicyDigest,
    /// Whose sets they are: of a vendor's half nothing is said about what a customer permits.
    pub authors: Vec<Author>,
    /// By which solver.
    pub solver: String,
    /// In the order in which they stand.
    pub verdicts: Vec<Verdict>,
}

/// What became of one promise.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Its name.
    pub id: String,
    /// The promise, in words.
    pub doc: String,
    /// Never or always.
    pub promise: Promise,
    /// Does it hold?
    #[serde(flatten)]
    pub answer: Answer,
}

/// Does a promise hold?
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// For every request that could be made.
    Proved {
        /// By whom.
        held_by: HeldBy,
        /// No request that a broker of this configuration could get is of the kind that it speaks of.
        about_nothing: bool,
    },
    /// Not for this one.
    Refuted(Box<Refutation>),
    /// Nobody knows.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// What makes a promise hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldBy {
    /// The policies, even if the broker held nothing beside them.
    Policies,
    /// The broker and its configuration: policies alone would permit it.
    Broker,
}

/// A request for which a promise does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Refutation {
    /// Its shape.
    pub shape: Shape,
    /// The request, as `policy explain --facts` takes it.
    pub example: Facts,
    /// What is decided about it.
    pub decision: String,
    /// By which policies.
    pub decided_by: Vec<PolicyRef>,
}

/// How two versions of policy sets differ.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The digest of the older.
    pub old: PolicyDigest,
    /// The digest of the newer.
    pub new: PolicyDigest,
    /// By which solver.
    pub solver: String,
    /// Proved: no request is decided otherwise.
    pub equal: bool,
    /// Kinds of requests that are decided otherwise, each with an example.
    pub changes: Vec<Change>,
    /// What could not be found out.
    pub unknown: Vec<Open>,
}

/// Which way it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Was denied, is permitted.
    Allowed,
    /// Was permitted, is denied.
    Denied,
}

/// One kind of request that is decided otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// By whose policies.
    pub whose: Whose,
    /// Which way.
    pub direction: Direction,
    /// What is asked for, and by whom.
    #[serde(flatten)]
    pub shape: Shape,
    /// About which grant, in the end.
    pub grant: String,
    /// One of those requests.
    pub example: Facts,
    /// What the older sets decide.
    pub before: String,
    /// What the newer sets decide.
    pub after: String,
}

/// What could not be found out.
#[derive(Clone, Debug, Serialize)]
pub struct Open {
    /// By whose policies.
    pub whose: Whose,
    /// Which way.
    pub direction: Direction,
    /// What is asked for, and by whom.
    #[serde(flatten)]
    pub shape: Shape,
    /// About which grant, when it is about one.
    pub grant: Option<String>,
    /// Why.
    pub why: String,
}

impl Report {
    /// Is every promise proved?
    pub fn is_proved(&self) -> bool {
        self.verdicts.iter().all(|verdict| matches!(verdict.answer, Answer::Proved { .. }))
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "newly allowed",
            Self::Denied => "newly denied",
        })
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policies => "the policies",
            Self::Broker => "the broker and its configuration alone",
        })
    }
}

/// Facts as lines of `path = value`, for people.
pub fn told(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    tell("", &serde_json::to_value(facts).unwrap_or_default(), &mut lines);
    lines
}

fn tell(path: &str, value: &serde_json::Value, lines: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                // A digest that policy does not see.
                if !(path == "grant" && name == "version") {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    tell(&path, member, lines);
                }
            }
        }
        serde_json::Value::String(text) => lines.push(format!("{path} = {}", text.escape_debug())),
        other => lines.push(format!("{path} = {other}")),
    }
}
