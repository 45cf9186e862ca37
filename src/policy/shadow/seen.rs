//! A decision that was made, taken along to be made again.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Verdict;
use crate::clock::Moment;
use crate::grants::{Grant, Lifetime};
use crate::ids::Scope;
use crate::policy::decision::{Denial, Permit};
use crate::policy::engine::PolicyEngine;
use crate::policy::facts::Facts;
use crate::policy::question::{ElevationUse, IssueQuestion};
use crate::principal::{Authentication, Principal, Workload};

/// What was asked, and what was answered.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Seen {
    pub(super) question: Question,
    pub(in crate::policy) live: Verdict,
}

#[derive(Clone, Debug)]
pub(super) enum Question {
    Issue(Box<Issue>),
    Person(Box<Facts>),
}

/// An [`IssueQuestion`] that owns what it is about: made for each exchange, so as little as can be.
#[derive(Clone, Debug)]
pub(super) struct Issue {
    principal: Principal,
    authentication: Authentication,
    grant: Arc<Grant>,
    ttl: Lifetime,
    scopes: BTreeSet<Scope>,
    source_ip: Option<IpAddr>,
    client_cert: Option<String>,
    actor: Option<Workload>,
    at: Moment,
    elevation: Option<ElevationUse>,
    /// It was refused, and the exchange asks for no shorter lifetime because the live policies look at none.
    is_last: bool,
}

impl Issue {
    pub(super) fn of(question: &IssueQuestion<'_>, is_last: bool) -> Self {
        Self {
            is_last,
            principal: question.principal.clone(),
            authentication: question.authentication.clone(),
            grant: Arc::clone(question.grant),
            ttl: question.ttl,
            scopes: question.scopes.clone(),
            source_ip: question.source_ip,
            client_cert: question.client_cert.map(ToOwned::to_owned),
            actor: question.actor.cloned(),
            at: question.at,
            elevation: question.elevation,
        }
    }

    /// As an exchange would ask. Where the live policies were asked for shorter lifetimes, too, each of them is seen by itself.
    fn put_to(&self, candidate: &PolicyEngine) -> Result<Permit, Denial> {
        let ask = |ttl| candidate.decide_issue(&IssueQuestion { ttl, ..self.question() });
        ask(self.ttl).or_else(|denial| {
            let would_go_on = self.is_last && candidate.reads_ttl(&self.grant);
            self.ttl.shorter().filter(|_| would_go_on).find_map(|ttl| ask(ttl).ok()).ok_or(denial)
        })
    }

    fn question(&self) -> IssueQuestion<'_> {
        IssueQuestion {
            principal: &self.principal,
            authentication: &self.authentication,
            grant: &self.grant,
            ttl: self.ttl,
            scopes: &self.scopes,
            source_ip: self.source_ip,
            client_cert: self.client_cert.as_deref(),
            actor: self.actor.as_ref(),
            at: self.at,
            elevation: self.elevation,
        }
    }
}

impl Seen {
    /// What `candidate` says to it.
    pub(in crate::policy) fn put_to(&self, candidate: &PolicyEngine) -> Verdict {
        match &self.question {
            Question::Issue(issue) => match issue.put_to(candidate) {
                Ok(permit) => Verdict::permitted(permit.digests(), permit.decided_by()),
                Err(denial) => Verdict::denied(&denial),
            },
            Question::Person(facts) => match candidate.sets().decide(facts) {
                Ok(decided) => Verdict::permitted(decided.digests(), decided.decided_by()),
                Err(denial) => Verdict::denied(&denial),
            },
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
