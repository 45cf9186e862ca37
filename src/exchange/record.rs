//! Step 6 and every other entry of an exchange: what is written down, together with which claims.

use std::sync::atomic::{AtomicBool, Ordering};

use super::elevation::{Stopped, must_stand, use_record};
use super::question::{Asked, Denied};
use super::{Attempt, Caller, Exchange, ExchangeError, Fault, Refusal, TargetRefusal};
use crate::audit::{
    CredentialRecord, DecisionRecord, Effect, Event, GrantRecord, Overtaken, PolicyRecord, PrincipalRecord,
    Receipt, RecordError, Submission, TokenRecord,
};
use crate::federation::VerifiedToken;
use crate::grants::Grant;
use crate::ids::ElevationId;
use crate::issuance::aws::{Plan, PlanError};
use crate::issuance::{Blame, Credential, CredentialFacts, IssueError};
use crate::policy::Permit;
use crate::principal::PrincipalId;
use crate::store::ReplayClaim;

/// Why the steps after identification stopped.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(Refusal),
    Denied(Box<Denied>),
    Failed(Fault),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Replayed => Self::Refused(Refusal::Replayed),
            RecordError::Overtaken(Overtaken::Lock) => {
                let why = "a lock came into force meanwhile".to_owned();
                Self::Refused(Refusal::Target(TargetRefusal::Locked(why)))
            }
            RecordError::Overtaken(Overtaken::Change | Overtaken::Time) => {
                Self::Refused(Refusal::ElevationOver)
            }
            RecordError::Overtaken(Overtaken::Policy) => Self::Failed(Fault::Policy),
            RecordError::Unavailable
            | RecordError::TooLarge
            | RecordError::Overtaken(Overtaken::PersonFull | Overtaken::GrantFull | Overtaken::Keys)
            | RecordError::Answered => Self::Failed(Fault::Audit),
        }
    }
}

impl From<IssueError> for Stop {
    fn from(error: IssueError) -> Self {
        if let IssueError::Plan(PlanError::Narrowing(error)) = error {
            return Self::Refused(Refusal::Narrowing {
                fault: error.fault(),
                told: error.told(),
                cause: error.to_string(),
            });
        }
        match error.blame() {
            Blame::Request => {
                Self::Refused(Refusal::Scoping { told: error.public_text(), cause: error.to_string() })
            }
            Blame::Pace(wait) => Self::Refused(match error {
                IssueError::NoBudget { .. } => Refusal::StsBudget(wait),
                _ => Refusal::Throttled(wait),
            }),
            Blame::Service => Self::Failed(match error {
                IssueError::Unrecorded(_) => Fault::Audit,
                IssueError::Unavailable(cause) => Fault::Sts(cause),
                other => Fault::Signing(other.to_string()),
            }),
        }
    }
}

/// The single-use tokens of one request. They are taken in the same commit as its first entry that leads to a
/// credential, and given back when none came of it: STS throttling must not cost a job its only token.
#[derive(Debug)]
pub(super) struct ReplayClaims {
    claims: Vec<ReplayClaim>,
    taken: AtomicBool,
}

impl ReplayClaims {
    pub(super) fn of(caller: &Caller) -> Self {
        let tokens = std::iter::once(&caller.token).chain(caller.actor.as_ref().map(|actor| &actor.token));
        Self { claims: tokens.filter_map(claim_of).collect(), taken: AtomicBool::new(false) }
    }

    /// Is any of them for single use?
    pub(super) fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }

    /// What an entry that leads to a credential must carry; nothing once they are taken.
    fn to_take(&self) -> Vec<Effect> {
        if self.taken.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.claims.iter().cloned().map(Effect::Claim).collect()
    }

    /// What the entry about a failure must carry.
    fn to_give_back(&self) -> Vec<Effect> {
        if !self.taken.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.claims.iter().cloned().map(Effect::Release).collect()
    }

    fn mark_taken(&self) {
        self.taken.store(true, Ordering::Release);
    }
}

fn claim_of(token: &VerifiedToken) -> Option<ReplayClaim> {
    let replay = token.replay()?;
    Some(ReplayClaim { issuer: token.issuer().clone(), key: replay.key, until: replay.until })
}

impl Exchange {
    /// Step 6: durable, or nobody gets anything.
    pub(super) async fn record(
        &self,
        attempt: Attempt<'_>,
        permit: &Permit,
        credential: &Credential,
        replay: &ReplayClaims,
    ) -> Result<Receipt, Stop> {
        let event = Event::CredentialIssued {
            principal: principal_record(attempt.caller.principal.kind(), attempt.caller.principal.id()),
            actor: actor_record(attempt.caller),
            grant: grant_record(permit.grant()),
            token: token_record(&attempt.caller.token),
            policy: policy_record(permit.digest(), permit.decided_by()),
            facts: Asked::of(permit).facts(attempt),
            credential: credential_record(permit, credential),
            elevation: permit.elevation().map(use_record),
            source_ip: attempt.request.source_ip,
        };
        let elevation = permit.elevation().map(|elevation| elevation.id);
        let unless_locked = self.unless_locked(attempt, elevation);
        let submission = Submission::new(attempt.request.request_id, event).with(demands(permit, replay));
        let submission = submission.only_if(unless_locked);
        let recorded = self.services.audit.record(submission).await;
        Ok(recorded.map_err(|error| self.overtaken(attempt, elevation, error))?)
    }

    /// Before a real STS call: whatever `CloudTrail` shows joins an entry here, and the token is taken.
    pub(super) async fn record_intent(
        &self,
        attempt: Attempt<'_>,
        permit: &Permit,
        event: Event,
        replay: &ReplayClaims,
    ) -> Result<(), RecordError> {
        let elevation = permit.elevation().map(|elevation| elevation.id);
        let unless_locked = self.unless_locked(attempt, elevation);
        let submission = Submission::new(attempt.request.request_id, event).with(demands(permit, replay));
        let submission = submission.only_if(unless_locked);
        let recorded = self.services.audit.record(submission).await;
        recorded.map_err(|error| self.overtaken(attempt, elevation, error))?;
        replay.mark_taken();
        Ok(())
    }

    /// Writes the refusal or the failure of an identified caller down and says what the caller is told. A refusal
    /// that cannot be recorded is no answer either: the broker is unavailable.
    pub(super) async fn write_down(
        &self,
        attempt: Attempt<'_>,
        replay: &ReplayClaims,
        stopped: Stopped,
    ) -> ExchangeError {
        let (error, decision) = match stopped.why {
            Stop::Failed(Fault::Audit) => return Fault::Audit.into(),
            Stop::Failed(fault) => (ExchangeError::Failed(fault), None),
            Stop::Refused(refusal) => (ExchangeError::Refused(refusal), None),
            Stop::Denied(denied) => {
                let Denied { denial, facts } = *denied;
                let policy = policy_record(denial.digest, &denial.decided_by);
                let refusal = Refusal::Target(TargetRefusal::Denied(denial.reason.to_string()));
                (refusal.into(), Some(DecisionRecord { policy, facts }))
            }
        };
        let elevation = stopped.elevation.or(attempt.request.elevation);
        let event = self.refusal_event(attempt, &error, decision, elevation);
        let submission = Submission::new(attempt.request.request_id, event).with(replay.to_give_back());
        match self.services.audit.record(submission).await {
            Ok(_) => error,
            Err(_) => Fault::Audit.into(),
        }
    }

    fn refusal_event(
        &self,
        attempt: Attempt<'_>,
        error: &ExchangeError,
        decision: Option<DecisionRecord>,
        elevation: Option<ElevationId>,
    ) -> Event {
        let (policy, facts) = decision.map(|decision| (decision.policy, decision.facts)).unzip();
        let (reason, detail) = match error {
            ExchangeError::Refused(refusal) => (refusal.code(), refusal.detail()),
            ExchangeError::Failed(fault) => (fault.code(), fault.to_string()),
        };
        let asked = &attempt.request.grant;
        Event::CredentialRefused {
            principal: principal_record(attempt.caller.principal.kind(), attempt.caller.principal.id()),
            actor: actor_record(attempt.caller),
            grant: asked.find(&self.services.catalog).map_or_else(
                || GrantRecord { name: asked.to_string(), kind: None, version: None },
                |grant| grant_record(grant),
            ),
            token: token_record(&attempt.caller.token),
            policy,
            facts: facts.flatten(),
            reason,
            detail,
            elevation: elevation.map(|id| id.to_string()),
            source_ip: attempt.request.source_ip,
        }
    }
}

/// What must come true together with an entry that leads to a credential.
fn demands(permit: &Permit, replay: &ReplayClaims) -> Vec<Effect> {
    let mut effects = replay.to_take();
    effects.extend(must_stand(permit));
    effects.push(Effect::RequirePolicy(permit.digest()));
    effects
}

pub(super) fn intent_event(attempt: Attempt<'_>, grant: &Grant, plan: &Plan) -> Event {
    Event::AwsAssumeRoleRequested {
        principal: principal_record(attempt.caller.principal.kind(), attempt.caller.principal.id()),
        grant: grant_record(grant),
        role_arn: plan.role_arn().to_owned(),
        session_name: plan.session_name().to_owned(),
        source_identity: plan.source_identity().to_owned(),
        mode: plan.mode().as_str(),
        region: plan.sts().region.as_str().to_owned(),
        policy_arns: plan.policy_arns().to_vec(),
        ends_at: plan.ends_at(),
    }
}

pub(super) fn principal_record(kind: &'static str, id: &PrincipalId) -> PrincipalRecord {
    PrincipalRecord { kind, issuer: id.issuer.to_string(), subject: id.subject.to_string() }
}

fn actor_record(caller: &Caller) -> Option<PrincipalRecord> {
    caller.actor.as_ref().map(|actor| principal_record("workload", &actor.workload.id))
}

pub(super) fn grant_record(grant: &Grant) -> GrantRecord {
    GrantRecord { name: grant.name.to_string(), kind: Some(grant.kind_name()), version: Some(grant.version) }
}

fn token_record(token: &VerifiedToken) -> TokenRecord {
    TokenRecord { sha256: token.fingerprint(), issued_at: token.issued_at(), expires_at: token.expires_at() }
}

fn policy_record(
    digest: crate::policy::PolicyDigest,
    decided_by: &[crate::policy::PolicyRef],
) -> PolicyRecord {
    PolicyRecord { digest, decided_by: decided_by.iter().map(ToString::to_string).collect() }
}

fn credential_record(permit: &Permit, credential: &Credential) -> CredentialRecord {
    let expires_at = credential.expires_at();
    match credential.facts().clone() {
        CredentialFacts::Jwt { jti, kid, fingerprint } => {
            let scopes: Vec<&str> = permit.scopes().iter().map(crate::ids::Scope::as_str).collect();
            CredentialRecord::Jwt { jti, kid, sha256: fingerprint, scope: scopes.join(" "), expires_at }
        }
        CredentialFacts::Aws {
            access_key_id,
            role_arn,
            session_name,
            source_identity,
            fingerprint,
            cached,
            packed_policy_percent,
            narrowed_by,
        } => CredentialRecord::Aws {
            access_key_id,
            role_arn,
            session_name,
            source_identity,
            sha256: fingerprint,
            expires_at,
            cached,
            packed_policy_percent,
            narrowed_by,
        },
    }
}
