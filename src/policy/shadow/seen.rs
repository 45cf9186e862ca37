//! A decision that was made, taken along to be made again.

use super::Verdict;
use crate::policy::engine::PolicyEngine;
use crate::policy::facts::Facts;
use crate::policy::question::OwnedIssue;

/// What was asked, and what was answered.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Seen {
    pub(super) question: Question,
    pub(in crate::policy) live: Verdict,
}

#[derive(Clone, Debug)]
pub(super) enum Question {
    Issue(Box<OwnedIssue>),
    Person(Box<Facts>),
}

impl Seen {
    /// What `candidate` says to it.
    pub(in crate::policy) fn put_to(&self, candidate: &PolicyEngine) -> Verdict {
        match &self.question {
            Question::Issue(issue) => Verdict::of_permit(&candidate.decide_issue(&issue.question())),
            Question::Person(facts) => Verdict::of_decided(&candidate.sets().decide(facts)),
        }
    }

    /// As it is recorded.
    pub(in crate::policy) fn facts(&self) -> Facts {
        match &self.question {
            Question::Issue(issue) => Facts::of_issue(&issue.question()),
            Question::Person(facts) => Facts::clone(facts),
        }
    }

    /// The schema's action.
    pub(in crate::policy) fn action(&self) -> &'static str {
        match &self.question {
            Question::Issue(_) => "issue",
            Question::Person(facts) => facts.asked.action().as_str(),
        }
    }

    /// The grant that it is about in the end.
    pub(in crate::policy) fn grant(&self) -> &str {
        match &self.question {
            Question::Issue(issue) => issue.grant.name.as_str(),
            Question::Person(facts) => facts.grant.name.as_str(),
        }
    }
}
