//! What the pure machine asks about approvals, answered by today's policies, today's configuration and today's locks.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::BreakGlass;
use super::questions::{About, decide, facts};
use crate::audit::DecisionRecord;
use crate::breakglass::{Approval, Elevation, Judge, Tally};
use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::IssuerName;
use crate::policy::{ActivateProbe, Approvals, ElevationFacts, PersonQuestion, Wish};
use crate::principal::{Authentication, Person, PrincipalId};

/// The requester as policy is to see them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requester<'a> {
    pub(super) person: &'a Person,
    pub(super) authentication: &'a Authentication,
    pub(super) source_ip: Option<IpAddr>,
}

impl<'a> Requester<'a> {
    /// As their token showed them when they asked.
    pub(super) fn as_asked(elevation: &'a Elevation) -> Self {
        let requester = &elevation.ask.requester;
        Self { person: &requester.person, authentication: &requester.authentication, source_ip: None }
    }
}

/// Decides at one moment, about one grant.
pub(super) struct Bench<'a> {
    service: &'a BreakGlass,
    grant: &'a Arc<Grant>,
    requester: Requester<'a>,
    at: Moment,
    /// Whose approvals counted. What is decided stands on them: none of them may be locked when it becomes durable.
    counted: BTreeSet<PrincipalId>,
    /// The policies that said that the approvals suffice.
    pub(super) activated_by: Option<DecisionRecord>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        service: &'a BreakGlass,
        grant: &'a Arc<Grant>,
        requester: Requester<'a>,
        at: Moment,
    ) -> Self {
        Self { service, grant, requester, at, counted: BTreeSet::new(), activated_by: None }
    }

    /// For the commit: who and what `about` says, and everybody whose approval counted.
    pub(super) fn stands_on(&self, about: &About) -> About {
        let mut all = about.clone();
        all.principals.extend(self.counted.iter().cloned());
        all
    }

    /// How many approvals policy wants, from people of these groups.
    pub(super) fn approvals_needed(
        &self,
        duration: Duration,
        groups: &BTreeSet<(IssuerName, String)>,
    ) -> Option<u32> {
        self.service.services.policy.approvals_needed(&ActivateProbe {
            person: self.requester.person,
            authentication: self.requester.authentication,
            source_ip: self.requester.source_ip,
            at: self.at,
            grant: self.grant,
            duration,
            groups,
        })
    }

    /// `approve` again, with the facts of then and the policies of now. The duration is the one that would be given.
    fn would_still_be_let(
        &self,
        elevation: &Elevation,
        about: ElevationFacts<'_>,
        approval: &Approval,
    ) -> bool {
        let question = PersonQuestion {
            person: &approval.by.person,
            authentication: &approval.by.authentication,
            source_ip: approval.source_ip,
            at: approval.at,
            wish: Wish::Approve { elevation: about, duration: elevation.duration() },
        };
        self.service.services.policy.decide(&question).is_ok()
    }
}

impl Judge for Bench<'_> {
    fn is_eligible(&mut self, elevation: &Elevation, approval: &Approval) -> bool {
        let approver = approval.by.id();
        let about = About {
            principals: vec![approver.clone()],
            grant: elevation.ask.grant.clone(),
            elevation: Some(elevation.id),
        };
        let id = elevation.id.to_string();
        let counts = self.service.services.people.may_approve(&approver.issuer)
            && !self.service.is_locked(&about, self.at)
            && self.would_still_be_let(elevation, facts(elevation, &id, self.grant), approval);
        if counts {
            self.counted.insert(approver.clone());
        }
        counts
    }

    fn suffices(&mut self, _elevation: &Elevation, tally: &Tally, duration: Duration) -> bool {
        let approvals = Approvals { count: tally.count(), groups: tally.groups() };
        let question = PersonQuestion {
            person: self.requester.person,
            authentication: self.requester.authentication,
            source_ip: self.requester.source_ip,
            at: self.at,
            wish: Wish::Activate { grant: self.grant, duration, approvals },
        };
        self.activated_by = decide(&self.service.services.policy, &question).ok();
        self.activated_by.is_some()
    }
}
