//! What may be seen, and by whom. Who may not see an elevation cannot tell it from one that does not exist.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::judge::{Bench, Requester};
use super::refuse::{Attempt, Refusal};
use super::{BreakGlass, BreakGlassError, GrantOffer, List, Page};
use crate::breakglass::{Elevation, StateName, Tally};
use crate::clock::Moment;
use crate::grants::{Grant, GrantKind, Lifetime};
use crate::ids::ElevationId;
use crate::people::Caller;
use crate::policy::{IssueQuestion, Wish};
use crate::principal::Principal;
use crate::store::{ElevationQuery, StoreError};

/// Elevations that one page looks at, at most: who may see few of many gets short pages, not long waits.
const MOST_LOOKED_AT: u32 = 1_000;
/// The longest page.
const MOST_ON_A_PAGE: u32 = 200;

impl BreakGlass {
    /// One elevation.
    pub async fn show(&self, caller: &Caller, id: ElevationId) -> Result<Elevation, BreakGlassError> {
        match self.try_show(caller, id).await {
            Ok(elevation) => Ok(elevation),
            Err(refusal) => Err(self.refuse(&Attempt::on(caller, "view", id), refusal).await),
        }
    }

    pub(super) async fn try_show(&self, caller: &Caller, id: ElevationId) -> Result<Elevation, Refusal> {
        let found = self.services.store.elevation(id).await?;
        self.if_seen(caller, found)
    }

    /// For commands: the store's, or the one in mind while the store cannot be read. Compare-and-swap checks it in any case.
    pub(super) async fn visible(&self, caller: &Caller, id: ElevationId) -> Result<Elevation, Refusal> {
        let found = match self.services.store.elevation(id).await {
            Ok(found) => found,
            Err(error) => Some(self.recall(id).ok_or(error)?),
        };
        if let Some(found) = &found {
            self.keep_in_mind(found);
        }
        self.if_seen(caller, found)
    }

    /// What does not exist is written down like what may not be seen: an answer that waits for no entry would come sooner.
    /// Whoever guesses ids has signed in, and comes no oftener than their rate lets them.
    fn if_seen(&self, caller: &Caller, found: Option<Elevation>) -> Result<Elevation, Refusal> {
        let unknown = || Refusal::told(BreakGlassError::NotFound).because("unknown_elevation");
        let found = found.ok_or_else(unknown)?;
        if self.sees(caller, &found) {
            return Ok(found);
        }
        Err(Refusal::told(BreakGlassError::NotFound).because("not_visible").at_version(found.version))
    }

    /// Those that the caller may see, newest first.
    pub async fn list(&self, caller: &Caller, list: List) -> Result<Page, BreakGlassError> {
        let most = usize::try_from(list.limit.clamp(1, MOST_ON_A_PAGE)).unwrap_or(1);
        let mut page = Page { next: list.before, ..Page::default() };
        let mut looked_at = 0;
        while looked_at < MOST_LOOKED_AT {
            let rows = self.rows(&list, page.next).await?;
            let (count, asked) = (u32::try_from(rows.len()).unwrap_or(u32::MAX), MOST_ON_A_PAGE);
            looked_at += asked;
            for elevation in rows {
                page.next = Some(elevation.id);
                if list.names(elevation.state_at(caller.at)) && self.sees(caller, &elevation) {
                    page.elevations.push(elevation);
                    if page.elevations.len() == most {
                        return Ok(page);
                    }
                }
            }
            if count < asked {
                page.next = None;
                break;
            }
        }
        Ok(page)
    }

    async fn rows(&self, list: &List, before: Option<ElevationId>) -> Result<Vec<Elevation>, StoreError> {
        let query = ElevationQuery {
            states: list.stored_states(),
            grant: list.grant.clone(),
            requester: None,
            before,
            limit: MOST_ON_A_PAGE,
        };
        self.services.store.elevations(query).await
    }

    /// What the caller could come by: grants that they may request, and those that the token endpoint gives them at once.
    pub fn grants(&self, caller: &Caller) -> Vec<GrantOffer> {
        self.services.catalog.iter().filter_map(|grant| self.offer(caller, grant)).collect()
    }

    fn offer(&self, caller: &Caller, grant: &Arc<Grant>) -> Option<GrantOffer> {
        let Some(caps) = grant.break_glass else {
            return self.may_have_now(caller, grant).then(|| GrantOffer {
                grant: Arc::clone(grant),
                may_request: false,
                approvals_needed: None,
            });
        };
        // A policy may let the caller have less than the grant's longest.
        let spans = [caps.max_duration, Duration::from_hours(1), Duration::from_mins(1)];
        let mut fitting = spans.into_iter().filter(|span| *span <= caps.max_duration);
        let duration =
            fitting.find(|duration| self.lets(caller, Wish::Request { grant, duration: *duration }))?;
        let requester = Requester {
            person: &caller.person,
            authentication: &caller.authentication,
            source_ip: caller.source_ip,
        };
        let bench = Bench::new(self, grant, requester, caller.at);
        let approvals_needed = bench.approvals_needed(duration, &Tally::default());
        Some(GrantOffer { grant: Arc::clone(grant), may_request: true, approvals_needed })
    }

    fn may_have_now(&self, caller: &Caller, grant: &Arc<Grant>) -> bool {
        let scopes = match &grant.kind {
            GrantKind::Jwt(jwt) => jwt.scopes.clone(),
            GrantKind::Aws(_) => BTreeSet::new(),
        };
        let ttl: Lifetime = grant.caps.default;
        let question = IssueQuestion {
            principal: &Principal::Person(caller.person.clone()),
            authentication: &caller.authentication,
            grant,
            ttl,
            scopes: &scopes,
            source_ip: caller.source_ip,
            client_cert: None,
            actor: None,
            at: caller.at,
            elevation: None,
        };
        self.services.policy.decide_issue(&question).is_ok()
    }

    /// May the caller read the whole log?
    pub async fn may_audit(&self, caller: &Caller) -> Result<(), BreakGlassError> {
        let attempt = Attempt { caller, what: "audit", elevation: None, grant: None };
        match self.decide_audit(caller) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(self.refuse(&attempt, refusal).await),
        }
    }

    /// Could a credential that was issued under it still be good at `at`?
    pub async fn is_live(&self, id: ElevationId, at: Moment) -> Result<bool, StoreError> {
        Ok(self.services.store.elevation(id).await?.is_some_and(|elevation| elevation.is_active(at)))
    }
}

impl List {
    fn names(&self, state: StateName) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// What is kept may be older than what is true: an ended one may still be kept as active.
    fn stored_states(&self) -> BTreeSet<StateName> {
        let mut states = self.states.clone();
        if states.contains(&StateName::Expired) {
            states.insert(StateName::Active);
        }
        if states.contains(&StateName::Lapsed) {
            states.extend([StateName::Requested, StateName::Approved]);
        }
        states
    }
}
