//! Approvers decide. Who they are comes from their token, when from the request's own moment, never from its body.

use std::time::Duration;

use super::commit::{MOST_TRIES, Planned, Under};
use super::judge::{Bench, Requester};
use super::questions::{About, Deed};
use super::refuse::{Attempt, Refusal};
use super::{Approve, BreakGlass, BreakGlassError, Keyed, Outcome, most_text_bytes};
use crate::audit::{Overtaken, RecordError};
use crate::breakglass::{Approval, Change, ChangeRefusal, Elevation, Tally};
use crate::ids::ElevationId;
use crate::people::Caller;
use crate::store::AnswerRow;

/// The shortest access that can be approved.
const LEAST: Duration = Duration::from_secs(1);

impl BreakGlass {
    /// One more yes. With enough of them the window is fixed, and opens at once unless it begins later.
    pub async fn approve(
        &self,
        caller: &Caller,
        id: ElevationId,
        approve: Approve,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Outcome, BreakGlassError> {
        let answer = keyed.map(|keyed| keyed.row(caller, &id.to_string()));
        match self.try_approve(caller, id, &approve, answer.as_ref()).await {
            Ok(outcome) => Ok(outcome),
            Err(refusal) => Err(self.refuse(&Attempt::on(caller, "approve", id), refusal).await),
        }
    }

    async fn try_approve(
        &self,
        caller: &Caller,
        id: ElevationId,
        approve: &Approve,
        answer: Option<&AnswerRow>,
    ) -> Result<Outcome, Refusal> {
        if let Some(outcome) = self.answered(caller, answer).await? {
            return Ok(outcome);
        }
        let mut current = self.visible(caller, id).await?;
        self.clock_holds(caller)?;
        check_text("comment", approve.comment.as_deref().unwrap_or_default())?;
        let mut tries = 1;
        loop {
            let planned = match self.plan_approval(caller, &current, approve) {
                // Our own request, sent twice, met itself.
                Err(_) if tries > 1 && is_same_approval(&current, caller, approve) => {
                    return Ok(Outcome::recorded(current));
                }
                planned => planned?,
            };
            match self.commit(&current, planned, Under::caller(caller, answer)).await {
                Ok(approved) => return Ok(Outcome::recorded(self.open_if_due(approved, caller).await)),
                Err(RecordError::Answered) => return self.answered_meanwhile(caller, answer).await,
                // The lock may be on one of those who approved before: then this approval counts without theirs.
                Err(RecordError::Overtaken(Overtaken::Change | Overtaken::Lock)) if tries < MOST_TRIES => {
                    tries += 1;
                    current = self.visible(caller, id).await?;
                }
                Err(error) => return Err(self.unwritten(error, &current).await),
            }
        }
    }

    fn plan_approval(
        &self,
        caller: &Caller,
        current: &Elevation,
        approve: &Approve,
    ) -> Result<Planned, Refusal> {
        let refuse = |refusal: ChangeRefusal| {
            Refusal::told(BreakGlassError::of_change(&refusal, current)).at_version(current.version)
        };
        must_be_an_approver(caller, current)?;
        let about = About::elevation(current, Some(caller.id()));
        self.unlocked(&about, caller).map_err(|refusal| refusal.at_version(current.version))?;
        let duration =
            approve.narrowing.duration.map_or(current.duration(), |cut| cut.min(current.duration()));
        let decided = self.may_with(caller, current, Deed::Approve(duration))?;
        let grant = self.unchanged_grant(current)?;
        let approval = Approval {
            by: caller.participant(),
            at: caller.at,
            source_ip: caller.source_ip,
            comment: approve.comment.clone(),
            narrowing: approve.narrowing.clone(),
        };
        let mut bench = Bench::new(self, grant, Requester::as_asked(current), caller.at);
        let mut next = current.approve(approval, &mut bench).map_err(refuse)?;
        let groups = Tally::of(&next, &mut bench).groups().clone();
        if let Some(needed) = bench.approvals_needed(next.duration(), &groups) {
            next.approvals_needed = needed;
        }
        let still_true = self.lock_guard(&bench.stands_on(&about));
        let planned = Planned::new(Change::Approved, next, caller.at);
        Ok(planned.permitted(decided).noted(approve.comment.clone()).only_if(still_true))
    }

    /// What was approved is what is issued; what changed meanwhile is not worth an approval.
    pub(super) fn unchanged_grant(
        &self,
        current: &Elevation,
    ) -> Result<&std::sync::Arc<crate::grants::Grant>, Refusal> {
        self.grant_of(current).filter(|grant| grant.version == current.ask.grant_version).ok_or_else(|| {
            let told = "the grant was changed after this was requested; it must be requested again";
            Refusal::told(BreakGlassError::conflict("grant_changed", told, current))
        })
    }

    /// An approver says no. Whoever could approve no more than a shorter version of it can deny it too: a no is not worth
    /// less than the smallest yes.
    pub async fn deny(
        &self,
        caller: &Caller,
        id: ElevationId,
        reason: String,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Outcome, BreakGlassError> {
        let decide = |current: &Elevation| {
            must_be_an_approver(caller, current)?;
            let all = self.may_with(caller, current, Deed::Approve(current.duration()));
            all.or_else(|refusal| self.may_with(caller, current, Deed::Approve(LEAST)).map_err(|_| refusal))
                .map(Some)
        };
        self.stop(caller, id, Change::Denied, Some(reason), keyed, &decide).await
    }
}

/// Text of a caller, bounded and not a blank.
pub(super) fn check_text(field: &'static str, text: &str) -> Result<(), Refusal> {
    if text.len() > most_text_bytes() {
        let told = format!("`{field}` must have at most {} bytes", most_text_bytes());
        return Err(Refusal::told(BreakGlassError::invalid(field, told)));
    }
    Ok(())
}

/// Of an issuer that may approve, and not the one who asked. Policy is asked beside this, never instead.
fn must_be_an_approver(caller: &Caller, current: &Elevation) -> Result<(), Refusal> {
    let refuse = |error| Err(Refusal::told(error).at_version(current.version));
    if current.is_requester(caller.id()) {
        return refuse(BreakGlassError::of_change(&ChangeRefusal::Requester, current));
    }
    if !caller.may_approve {
        let told = "people of your issuer cannot approve here: its `may_approve` is not set";
        return refuse(BreakGlassError::forbidden("issuer_may_not_approve", told));
    }
    Ok(())
}

fn is_same_approval(current: &Elevation, caller: &Caller, approve: &Approve) -> bool {
    current.approvals.iter().any(|given| {
        given.by.id() == caller.id()
            && given.narrowing == approve.narrowing
            && given.comment == approve.comment
    })
}
