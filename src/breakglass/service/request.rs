//! An engineer asks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::commit::{Planned, Under};
use super::judge::{Bench, Requester};
use super::questions::{About, Denied};
use super::refuse::{Attempt, Refusal};
use super::{BreakGlass, BreakGlassError, Keyed, NewRequest, Outcome};
use crate::audit::{DecisionRecord, RecordError};
use crate::breakglass::{Ask, AskRefusal, Change, Elevation};
use crate::grants::{Grant, GrantKind};
use crate::ids::{ElevationId, GrantName, IssuerName};
use crate::people::Caller;
use crate::policy::Wish;
use crate::store::AnswerRow;

/// Whoever may have this much of a grant knows that it exists.
const LEAST: Duration = Duration::from_mins(1);

/// A grant that the caller may know of, and what policy says to their request for it.
type Known = (Arc<Grant>, Result<DecisionRecord, Box<Denied>>);

impl BreakGlass {
    /// Asks for an elevation.
    pub async fn request(
        &self,
        caller: &Caller,
        new: NewRequest,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Outcome, BreakGlassError> {
        let grant = Some(new.grant.to_string());
        let attempt = Attempt { caller, what: "request", elevation: None, grant };
        match self.try_request(caller, new, keyed).await {
            Ok(outcome) => Ok(outcome),
            Err(refusal) => Err(self.refuse(&attempt, refusal).await),
        }
    }

    async fn try_request(
        &self,
        caller: &Caller,
        new: NewRequest,
        keyed: Option<Keyed<'_>>,
    ) -> Result<Outcome, Refusal> {
        let answer = keyed.map(|keyed| keyed.row(caller, new.grant.as_str()));
        if let Some(outcome) = self.answered(caller, answer.as_ref()).await? {
            return Ok(outcome);
        }
        self.clock_holds(caller)?;
        let planned = self.plan_request(caller, new)?;
        let next = planned.next.clone();
        let answer = answer.map(|row| AnswerRow { outcome: next.id.to_string(), ..row });
        match self.commit_new(planned, Under::caller(caller, answer.as_ref())).await {
            Ok(elevation) => Ok(Outcome::recorded(elevation)),
            Err(RecordError::Answered) => self.answered_meanwhile(caller, answer.as_ref()).await,
            Err(error) => Err(self.unwritten(error, &next).await),
        }
    }

    /// Another request with the same key was faster.
    pub(super) async fn answered_meanwhile(
        &self,
        caller: &Caller,
        answer: Option<&AnswerRow>,
    ) -> Result<Outcome, Refusal> {
        let gone = || Refusal::unwritten(BreakGlassError::Unavailable("an answer is gone".to_owned()));
        self.answered(caller, answer).await?.ok_or_else(gone)
    }

    fn plan_request(&self, caller: &Caller, new: NewRequest) -> Result<Planned, Refusal> {
        let (grant, decision) = self.known_grant(caller, &new.grant, new.duration)?;
        let ask = self.ask(caller, &grant, new);
        self.services.settings.rules.check(&ask, &grant).map_err(|refusal| of_rules(&refusal))?;
        let decided = decision.map_err(|denial| {
            let told = "the policy does not let you request this";
            Refusal::denied(BreakGlassError::forbidden("policy", told), *denial)
        })?;
        let about =
            About { principals: vec![caller.id().clone()], grant: grant.name.clone(), elevation: None };
        let still_true = self.unlocked(&about, caller)?;
        let needed = self.approvals_needed(caller, &grant, ask.duration)?;
        let id = ElevationId::new(caller.at, self.services.entropy.as_ref())
            .map_err(|error| Refusal::unwritten(BreakGlassError::Unavailable(error.to_string())))?;
        let note = Some(ask.reason.clone());
        let next = Elevation::requested(id, ask, needed, Vec::new());
        Ok(Planned::new(Change::Requested, next, caller.at)
            .permitted(decided)
            .noted(note)
            .only_if(still_true))
    }

    /// The grant, and what policy says to the request. A grant that the caller may know nothing of looks like one that does
    /// not exist.
    fn known_grant(&self, caller: &Caller, name: &GrantName, duration: Duration) -> Result<Known, Refusal> {
        let hidden = || {
            let told = format!("there is no grant `{name}` that you could request");
            BreakGlassError::forbidden("grant_unavailable", told)
        };
        let Some(grant) = self.services.catalog.resolve(name) else {
            return Err(Refusal::told(hidden()).because("unknown_grant"));
        };
        let decision = self.may(caller, Wish::Request { grant, duration });
        if let Err(denial) = &decision
            && !self.lets(caller, Wish::Request { grant, duration: LEAST })
            && !self.lets(caller, Wish::Explain { grant })
        {
            let denial = Denied::clone(denial);
            let error = BreakGlassError::forbidden("policy", "the policy does not let them know of it");
            return Err(Refusal::denied(error, denial).shown_as(hidden()));
        }
        Ok((Arc::clone(grant), decision))
    }

    fn ask(&self, caller: &Caller, grant: &Grant, new: NewRequest) -> Ask {
        let NewRequest { duration, reason, ticket, not_before, scope, .. } = new;
        let scope = scope.or_else(|| match &grant.kind {
            GrantKind::Jwt(jwt) => Some(jwt.scopes.clone()),
            GrantKind::Aws(_) => None,
        });
        Ask {
            grant: grant.name.clone(),
            grant_version: grant.version,
            requester: caller.participant(),
            duration,
            reason,
            ticket,
            not_before,
            scope,
            created_at: caller.at,
            expires_at: self.services.settings.rules.expires_at(caller.at, not_before, duration),
        }
    }

    /// A request that nobody could ever approve is refused with that reason, and not after it has waited for an hour.
    fn approvals_needed(
        &self,
        caller: &Caller,
        grant: &Arc<Grant>,
        duration: Duration,
    ) -> Result<u32, Refusal> {
        let nobody = |told: &str| Err(Refusal::told(BreakGlassError::invalid("no_approver", told)));
        let approving: BTreeSet<IssuerName> = self.services.people.approving_issuers().cloned().collect();
        if approving.is_empty() {
            return nobody(
                "nobody could ever approve this: no issuer of the configuration has `may_approve = true`",
            );
        }
        if !self.services.policy.could_anyone_approve(grant, &approving, caller.id()) {
            return nobody(
                "nobody could ever approve this: no policy lets anybody of an approving issuer do so",
            );
        }
        let requester = Requester {
            person: &caller.person,
            authentication: &caller.authentication,
            source_ip: caller.source_ip,
        };
        Bench::new(self, grant, requester, caller.at)
            .approvals_needed(duration, &BTreeSet::new())
            .map_or_else(
                || nobody("nobody could ever approve this: policy activates it with no number of approvals"),
                Ok,
            )
    }
}

fn of_rules(refusal: &AskRefusal) -> Refusal {
    let code = match refusal {
        AskRefusal::ReasonShort { .. } | AskRefusal::ReasonLong => "reason",
        AskRefusal::TicketMissing | AskRefusal::TicketShape { .. } | AskRefusal::TicketSize => "ticket",
        AskRefusal::NoDuration | AskRefusal::TooLong { .. } => "duration",
        AskRefusal::NotBefore { .. } => "not_before",
        AskRefusal::Scope => "scope",
        AskRefusal::NotBreakGlass => "not_break_glass",
    };
    Refusal::told(BreakGlassError::invalid(code, refusal.to_string()))
}
