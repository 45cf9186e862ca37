//! Step 3 for break-glass: only the requester, only inside the window, only what was approved.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Attempt, Exchange, Fault, Refusal, Stop, TargetRefusal};
use crate::audit::{Effect, ElevationUseRecord};
use crate::breakglass::service::{OpenWindow, WindowAsk, WindowError};
use crate::clock::Moment;
use crate::grants::{Grant, GrantKind};
use crate::ids::{ElevationId, Scope};
use crate::policy::{ElevationUse, Permit, PolicyDigest};
use crate::principal::{Principal, PrincipalId};
use crate::store::ElevationGuard;

/// What a request is about: a grant and, when it is for break-glass, the window that is open for the caller.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) grant: Arc<Grant>,
    pub(super) window: Option<OpenWindow>,
    /// Which policies were in force before its approvals were looked at.
    pub(super) policy: PolicyDigest,
}

/// Why it stopped, and under which elevation: for the record.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) why: Stop,
    pub(super) elevation: Option<ElevationId>,
}

impl<S: Into<Stop>> From<S> for Stopped {
    fn from(why: S) -> Self {
        Self { why: why.into(), elevation: None }
    }
}

impl Exchange {
    /// The grant, and nothing without an elevation where one is needed, whatever policy says.
    pub(super) async fn resolve(&self, attempt: Attempt<'_>) -> Result<Target, Stopped> {
        let policy = self.services.policy.digest();
        let found = attempt.request.grant.find(&self.services.catalog);
        let grant = found.ok_or(Refusal::Target(TargetRefusal::Unknown))?;
        let window = match grant.break_glass {
            None => None,
            // Boxed: every exchange would carry its room, and few are for break-glass.
            Some(_) => Some(Box::pin(self.open_window(attempt, grant)).await?),
        };
        Ok(Target { grant: Arc::clone(grant), window, policy })
    }

    async fn open_window(&self, attempt: Attempt<'_>, grant: &Arc<Grant>) -> Result<OpenWindow, Stopped> {
        let Principal::Person(person) = &attempt.caller.principal else {
            return Err(Refusal::Target(TargetRefusal::NoElevation).into());
        };
        let ask = WindowAsk {
            person,
            authentication: &attempt.caller.authentication,
            source_ip: attempt.request.source_ip,
            grant,
            named: attempt.request.elevation,
            at: attempt.at,
        };
        Ok(self.services.break_glass.open_window(ask).await?)
    }
}

impl From<WindowError> for Stopped {
    /// What the caller is told is the same as for a grant that does not exist, except where it is about several of their own.
    fn from(error: WindowError) -> Self {
        let target = |refusal| Stop::Refused(Refusal::Target(refusal));
        let (why, elevation) = match error {
            WindowError::NoElevation => (target(TargetRefusal::NoElevation), None),
            WindowError::Ambiguous => (Stop::Refused(Refusal::ElevationAmbiguous), None),
            WindowError::GrantChanged(id) => (target(TargetRefusal::GrantChanged), Some(id)),
            WindowError::QuorumLost(id) => (target(TargetRefusal::QuorumLost), Some(id)),
            WindowError::Locked => (target(TargetRefusal::Locked("a lock is in force".to_owned())), None),
            WindowError::Unavailable(cause) => (Stop::Failed(Fault::Elevations(cause)), None),
        };
        Self { why, elevation }
    }
}

impl Target {
    /// Was the window judged by these policies? Those that took a right from its approvers must be asked about them.
    pub(super) fn is_judged_by(&self, policy: PolicyDigest) -> bool {
        self.window.is_none() || self.policy == policy
    }

    pub(super) fn elevation(&self) -> Option<ElevationUse> {
        self.window.as_ref().map(|window| window.elevation)
    }

    /// Whose approvals it stands on.
    pub(super) fn approvers(&self) -> &[PrincipalId] {
        self.window.as_ref().map_or(&[][..], |window| &window.approvers)
    }

    /// With the elevation that it was under.
    pub(super) fn stopped(&self, why: Stop) -> Stopped {
        Stopped { why, elevation: self.elevation().map(|used| used.id) }
    }

    /// What of the window is left at `at`.
    pub(super) fn left(&self, at: Moment) -> Option<Duration> {
        self.elevation().map(|used| used.ends_at.since(at.floor_second()))
    }

    /// Every scope that may be asked for: of the grant's, those that were approved.
    pub(super) fn scopes(&self) -> Cow<'_, BTreeSet<Scope>> {
        let GrantKind::Jwt(jwt) = &self.grant.kind else { return Cow::Owned(BTreeSet::new()) };
        match self.window.as_ref().and_then(|window| window.scope.as_ref()) {
            Some(approved) => Cow::Owned(jwt.scopes.intersection(approved).cloned().collect()),
            None => Cow::Borrowed(&jwt.scopes),
        }
    }

    /// An elevation was named for a grant that needs none: whoever does that believes in limits that would not hold.
    pub(super) fn misfit(&self, named: Option<ElevationId>) -> Option<Refusal> {
        (named.is_some() && self.window.is_none()).then_some(Refusal::ElevationNotApplicable)
    }
}

/// What every entry that leads to a credential under an elevation demands of its commit: that it was neither revoked,
/// given back nor changed since policy was asked, and that its window is still open.
pub(super) fn must_stand(permit: &Permit) -> Option<Effect> {
    permit.elevation().map(|used| {
        let ElevationUse { id, version, ends_at, .. } = *used;
        Effect::RequireElevation(ElevationGuard { id, version, before: ends_at })
    })
}

pub(super) fn use_record(used: &ElevationUse) -> ElevationUseRecord {
    ElevationUseRecord {
        id: used.id.to_string(),
        version: used.version,
        approvals: used.approvals,
        ends_at: used.ends_at,
    }
}
