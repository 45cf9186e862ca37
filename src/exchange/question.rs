//! What is put to policy, and what of it goes into the record.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Attempt;
use crate::audit::FactsRecord;
use crate::grants::{Grant, Lifetime};
use crate::ids::Scope;
use crate::policy::{Denial, ElevationUse, Facts, IssueQuestion, Permit};

/// What of a question changes from one exchange of a caller to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) grant: &'a Arc<Grant>,
    pub(super) elevation: Option<ElevationUse>,
    pub(super) scopes: &'a BTreeSet<Scope>,
    pub(super) ttl: Lifetime,
}

/// A no, and the question that it answers: what was asked with shorter lifetimes afterwards is nobody's answer.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) denial: Denial,
    pub(super) facts: Option<FactsRecord>,
}

impl<'a> Asked<'a> {
    /// What a permit is the answer to.
    pub(super) fn of(permit: &'a Permit) -> Self {
        let elevation = permit.elevation().copied();
        Self { grant: permit.grant(), elevation, scopes: permit.scopes(), ttl: permit.ttl() }
    }

    pub(super) fn question(self, attempt: Attempt<'a>) -> IssueQuestion<'a> {
        IssueQuestion {
            principal: &attempt.caller.principal,
            authentication: &attempt.caller.authentication,
            grant: self.grant,
            ttl: self.ttl,
            scopes: self.scopes,
            source_ip: attempt.request.source_ip,
            client_cert: attempt.request.client_cert.as_deref(),
            actor: attempt.caller.actor.as_ref().map(|actor| &actor.workload),
            at: attempt.at,
            elevation: self.elevation,
        }
    }

    /// Made when it is written down, and not when it is decided: the question is still there.
    pub(super) fn facts(self, attempt: Attempt<'a>) -> Option<FactsRecord> {
        FactsRecord::of(&Facts::of_issue(&self.question(attempt)))
    }

    pub(super) fn denied(self, attempt: Attempt<'a>, denial: Denial) -> Box<Denied> {
        Box::new(Denied { denial, facts: self.facts(attempt) })
    }
}
