//! The door that every mint of a break-glass grant passes: is a window open, and does everything still hold?

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::commit::{MOST_TRIES, Planned, Under};
use super::judge::{Bench, Requester};
use super::questions::About;
use super::{BreakGlass, WindowError};
use crate::audit::{Overtaken, RecordError};
use crate::breakglass::{Change, ChangeRefusal, Elevation, Judge as _, State, StateName, Tally, Window};
use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::{ElevationId, RequestId, Scope};
use crate::people::Caller;
use crate::policy::ElevationUse;
use crate::principal::{Authentication, Person, PrincipalId};
use crate::store::ElevationQuery;

/// Open ones of one person for one grant are few; the limits say so.
const MOST_OPEN: u32 = 100;

/// Who wants to mint, and under what.
#[derive(Clone, Copy, Debug)]
pub struct WindowAsk<'a> {
    /// Who.
    pub person: &'a Person,
    /// How they signed in.
    pub authentication: &'a Authentication,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// For which grant.
    pub grant: &'a Arc<Grant>,
    /// The elevation that they named.
    pub named: Option<ElevationId>,
    /// When.
    pub at: Moment,
}

/// A window that is open for this mint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    /// What policy and the record are told. Its version is what the commit must still find.
    pub elevation: ElevationUse,
    /// Only these scopes; `None` for AWS.
    pub scope: Option<BTreeSet<Scope>>,
    /// Whose approvals it stands on: the commit must find none of them locked.
    pub approvers: Vec<PrincipalId>,
}

/// Why an approved elevation was not activated.
#[derive(Debug)]
pub(super) enum NotActivated {
    Locked,
    GrantChanged,
    Refused(ChangeRefusal),
    Unwritten(RecordError),
}

impl BreakGlass {
    /// Finds the window and decides everything again: clock, locks, grant, approvals. One that is approved and due is
    /// activated on the spot.
    pub async fn open_window(&self, ask: WindowAsk<'_>) -> Result<OpenWindow, WindowError> {
        self.services
            .high_water
            .check(ask.at)
            .map_err(|rolled_back| WindowError::Unavailable(rolled_back.to_string()))?;
        let found = self.find_window(&ask).await?;
        let about = About::elevation(&found, None);
        if self.is_locked(&about, ask.at) {
            return Err(WindowError::Locked);
        }
        if found.ask.grant_version != ask.grant.version {
            return Err(WindowError::GrantChanged(found.id));
        }
        let requester =
            Requester { person: ask.person, authentication: ask.authentication, source_ip: ask.source_ip };
        let open = match found.state {
            State::Approved { .. } => self.activate_for_mint(&found, requester, ask.at).await?,
            _ => found,
        };
        self.used(&open, requester, &ask)
    }

    fn used(
        &self,
        open: &Elevation,
        requester: Requester<'_>,
        ask: &WindowAsk<'_>,
    ) -> Result<OpenWindow, WindowError> {
        let window = open.window().filter(|window| window.holds(ask.at)).ok_or(WindowError::NoElevation)?;
        let mut bench = Bench::new(self, ask.grant, requester, ask.at);
        let tally = Tally::of(open, &mut bench);
        if tally.count() == 0 || !bench.suffices(open, &tally, open.duration()) {
            return Err(WindowError::QuorumLost(open.id));
        }
        let Window { starts_at, ends_at } = window;
        let elevation =
            ElevationUse { id: open.id, version: open.version, approvals: tally.count(), starts_at, ends_at };
        let approvers = tally.people().iter().cloned().collect();
        Ok(OpenWindow { elevation, scope: open.scope(), approvers })
    }

    /// The caller's own, whether they name it or not: somebody else's looks like none.
    async fn find_window(&self, ask: &WindowAsk<'_>) -> Result<Elevation, WindowError> {
        let mut usable = self.usable(ask).await?;
        if usable.iter().any(|elevation| elevation.is_active(ask.at)) && ask.named.is_none() {
            usable.retain(|elevation| elevation.is_active(ask.at));
        }
        match usable.len() {
            0 => Err(WindowError::NoElevation),
            1 => usable.pop().ok_or(WindowError::NoElevation),
            _ => Err(WindowError::Ambiguous),
        }
    }

    async fn usable(&self, ask: &WindowAsk<'_>) -> Result<Vec<Elevation>, WindowError> {
        let mut all = match ask.named {
            Some(id) => self.services.store.elevation(id).await?.into_iter().collect(),
            None => self.services.store.elevations(own_open(ask)).await?,
        };
        all.retain(|elevation| {
            let is_open = matches!(&elevation.state, State::Approved { window } | State::Active { window, .. }
                if window.holds(ask.at));
            is_open && elevation.is_requester(&ask.person.id) && elevation.ask.grant == ask.grant.name
        });
        Ok(all)
    }

    async fn activate_for_mint(
        &self,
        found: &Elevation,
        requester: Requester<'_>,
        at: Moment,
    ) -> Result<Elevation, WindowError> {
        match self.activate(found, requester, at, None).await {
            Ok(active) => Ok(active),
            Err(NotActivated::Locked | NotActivated::Unwritten(RecordError::Overtaken(Overtaken::Lock))) => {
                Err(WindowError::Locked)
            }
            Err(NotActivated::GrantChanged) => Err(WindowError::GrantChanged(found.id)),
            Err(NotActivated::Refused(ChangeRefusal::QuorumLost)) => Err(WindowError::QuorumLost(found.id)),
            // Two mints at once, or the sweeper: whoever was faster activated it.
            Err(NotActivated::Unwritten(RecordError::Overtaken(Overtaken::Change))) => {
                let newest = self.services.store.elevation(found.id).await?;
                newest.filter(|newest| newest.is_active(at)).ok_or(WindowError::NoElevation)
            }
            Err(NotActivated::Refused(_) | NotActivated::Unwritten(RecordError::Overtaken(_))) => {
                Err(WindowError::NoElevation)
            }
            Err(NotActivated::Unwritten(error)) => Err(WindowError::Unavailable(error.to_string())),
        }
    }

    /// Opens an approved window: everything is decided again, and once more when the commit meets a lock that was not known
    /// here. It may be on one of those who approved; whether the others suffice is for policy to say.
    pub(super) async fn activate(
        &self,
        approved: &Elevation,
        requester: Requester<'_>,
        at: Moment,
        request_id: Option<RequestId>,
    ) -> Result<Elevation, NotActivated> {
        for _ in 1..MOST_TRIES {
            match self.try_activate(approved, requester, at, request_id).await {
                Err(NotActivated::Unwritten(RecordError::Overtaken(Overtaken::Lock))) => {}
                done => return done,
            }
        }
        self.try_activate(approved, requester, at, request_id).await
    }

    async fn try_activate(
        &self,
        approved: &Elevation,
        requester: Requester<'_>,
        at: Moment,
        request_id: Option<RequestId>,
    ) -> Result<Elevation, NotActivated> {
        let about = About::elevation(approved, None);
        if self.is_locked(&about, at) {
            return Err(NotActivated::Locked);
        }
        let grant = self.grant_of(approved).filter(|grant| grant.version == approved.ask.grant_version);
        let grant = grant.ok_or(NotActivated::GrantChanged)?;
        let mut bench = Bench::new(self, grant, requester, at);
        let next = approved.activate(at, &mut bench).map_err(NotActivated::Refused)?;
        let opened_at = next.window().map_or(at, |window| window.starts_at);
        let still_true = self.lock_guard(&bench.stands_on(&about));
        let mut planned = Planned::new(Change::Activated, next, opened_at).only_if(still_true);
        if let Some(decision) = bench.activated_by.take() {
            planned = planned.permitted(decision);
        }
        let request_id = match request_id {
            Some(id) => id,
            None => self.request_id(at).map_err(NotActivated::Unwritten)?,
        };
        let under = Under::clock(request_id, at);
        self.commit(approved, planned, under).await.map_err(NotActivated::Unwritten)
    }

    /// Right after quorum. What cannot be opened now is opened by the sweeper or by the first mint.
    pub(super) async fn open_if_due(&self, approved: Elevation, caller: &Caller) -> Elevation {
        let is_due = matches!(&approved.state, State::Approved { window } if window.holds(caller.at));
        if !is_due {
            return approved;
        }
        let requester = Requester::as_asked(&approved);
        match self.activate(&approved, requester, caller.at, Some(caller.request_id)).await {
            Ok(active) => active,
            Err(why) => {
                tracing::warn!(elevation.id = %approved.id, ?why, "approved, but not activated yet");
                approved
            }
        }
    }

    /// For what nobody's request caused.
    pub(super) fn request_id(&self, at: Moment) -> Result<RequestId, RecordError> {
        RequestId::new(at, self.services.entropy.as_ref()).map_err(|_| RecordError::Unavailable)
    }
}

fn own_open(ask: &WindowAsk<'_>) -> ElevationQuery {
    ElevationQuery {
        states: BTreeSet::from([StateName::Approved, StateName::Active]),
        grant: Some(ask.grant.name.clone()),
        requester: Some(ask.person.id.clone()),
        before: None,
        limit: MOST_OPEN,
    }
}
