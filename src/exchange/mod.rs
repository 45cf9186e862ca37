//! The use case: a subject token in, a credential out. Verify, map, decide, issue, record, and only then open.
//!
//! Promises 1 and 2 live in the order of the calls in `Exchange::decide_and_issue` and in the types that they hand
//! on: a [`Permit`] comes only from `policy`, a [`Receipt`] only from a durable commit, and only both open a
//! credential. Knows no door, no dialect, no status code.

mod asked;
mod deliver;
mod elevation;
mod fit;
mod gate;
mod ledger;
mod presented;
mod question;
mod rate;
mod record;
mod refusal;
#[cfg(test)]
pub(crate) mod samples;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::TryFutureExt as _;

pub use asked::WantedGrant;
pub use fit::WantedType;
pub use presented::Presented;
pub use rate::{PrincipalRate, RateSettings};
pub use refusal::{ExchangeError, Fault, Refusal, TargetRefusal};

use crate::audit::{AuditLog, Receipt};
use crate::breakglass::service::BreakGlass;
use crate::clock::{Clock, Heard, HighWater, Moment};
use crate::federation::{Federation, UnverifiedToken, VerifiedToken, VerifyError};
use crate::grants::{AskError, Attributes, Catalog, GrantKind, Lifetime};
use crate::ids::{ElevationId, RequestId, Scope};
pub use crate::issuance::OpenCredential;
pub use crate::issuance::aws::{CallerIdentity, NarrowingFault, SignatureRefusal, SignedRequest};
use crate::issuance::aws::{KnownKeys, Plan};
use crate::issuance::{AwsIssuer, AwsOrder, JwtIssuer, JwtOrder, Made, Standing};
use crate::locks::service::LockBook;
use crate::policy::{Permit, PolicyEngine};
use crate::principal::{self, Authentication, Principal, PrincipalId, Workload};
use crate::telemetry::{ExchangeMetrics, Step};

use elevation::{Stopped, Target};
use ledger::Ledger;
use question::Asked;
use record::{ReplayClaims, Stop};

/// How long a request waits for policies that another replica put in force. They are fetched within a fraction of it.
const PATIENCE_WITH_POLICY: Duration = Duration::from_secs(2);

/// One exchange, as a door understood it.
#[derive(Clone, Debug)]
pub struct ExchangeRequest {
    /// Names the request from the door to the audit entry.
    pub request_id: RequestId,
    /// Who asks.
    pub subject_token: UnverifiedToken,
    /// On whose behalf it is used (RFC 8693 §2.1).
    pub actor_token: Option<UnverifiedToken>,
    /// What is asked for.
    pub grant: WantedGrant,
    /// A subset of the grant's scopes; all of them when `None`.
    pub scopes: Option<BTreeSet<Scope>>,
    /// How long; the grant's default when `None`.
    pub lifetime: Option<Lifetime>,
    /// Which type of token.
    pub wanted: WantedType,
    /// Which elevation to use, when the caller names one.
    pub elevation: Option<ElevationId>,
    /// A session policy in IAM's JSON that narrows what the grant allows (STS's own `Policy`); AWS grants only.
    pub narrowing: Option<String>,
    /// Where the request came from.
    pub source_ip: Option<IpAddr>,
    /// `x5t#S256` of the client's certificate (RFC 8705 §3.1), when it showed one.
    pub client_cert: Option<String>,
}

/// A credential that may leave, and the proof of its record.
#[derive(Debug)]
pub struct Issued {
    /// The secret.
    pub credential: OpenCredential,
    /// The entry that it stands on: this request's own or, for a session that is delivered again, the one of its issue.
    pub receipt: Arc<Receipt>,
    /// The scopes that were granted; none for AWS.
    pub scopes: BTreeSet<Scope>,
    /// Until when, seen from the moment of the exchange.
    pub expires_in: Lifetime,
    /// What the subject token said of itself.
    pub presented: Presented,
}

/// A verified caller with everything that later steps ask about it.
#[derive(Debug)]
struct Caller {
    token: VerifiedToken,
    principal: Principal,
    authentication: Authentication,
    actor: Option<Actor>,
}

#[derive(Debug)]
struct Actor {
    token: VerifiedToken,
    workload: Workload,
}

/// One request of one caller at one moment.
#[derive(Clone, Copy, Debug)]
struct Attempt<'a> {
    request: &'a ExchangeRequest,
    caller: &'a Caller,
    /// Whose approvals its window stands on; nobody's before one was found.
    approvers: &'a [PrincipalId],
    at: Moment,
}

/// What the exchange needs. Every field is a service or a value that somebody else validated.
#[derive(Debug)]
pub struct Services {
    /// Whom we trust.
    pub federation: Arc<Federation>,
    /// What can be issued.
    pub catalog: Arc<Catalog>,
    /// Who decides.
    pub policy: Arc<PolicyEngine>,
    /// Makes JWTs.
    pub jwt: JwtIssuer,
    /// Makes AWS credentials; absent when no AWS grant is configured.
    pub aws: Option<AwsIssuer>,
    /// The record.
    pub audit: AuditLog,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How often one principal may come.
    pub rate: PrincipalRate,
    /// What is frozen.
    pub locks: Arc<LockBook>,
    /// Whether the clock can be right.
    pub high_water: Arc<HighWater>,
    /// Whether what is in memory may be decided on.
    pub heard: Arc<Heard>,
    /// Which windows are open.
    pub break_glass: Arc<BreakGlass>,
}

/// The use case.
#[derive(Debug)]
pub struct Exchange {
    services: Services,
    metrics: ExchangeMetrics,
    known_keys: KnownKeys,
    ledger: Ledger,
}

impl Exchange {
    /// Over these services.
    pub fn new(services: Services) -> Self {
        let (metrics, known_keys) = (ExchangeMetrics::default(), KnownKeys::default());
        Self { services, metrics, known_keys, ledger: Ledger::default() }
    }

    /// Exchanges a subject token for a credential (RFC 8693 §2).
    ///
    /// # Errors
    /// A [`Refusal`] that is recorded when the caller was identified, or a [`Fault`]. In both cases nothing was
    /// issued.
    pub async fn exchange(&self, request: &ExchangeRequest) -> Result<Issued, ExchangeError> {
        let at = self.services.clock.now();
        let caller = self.timed(Step::Verify, self.identify(request, at)).await?;
        self.services.rate.check(caller.principal.id())?;
        let attempt = Attempt { request, caller: &caller, approvers: &[], at };
        let replay = ReplayClaims::of(&caller);
        match self.decide_and_issue(attempt, &replay).await {
            Ok(issued) => Ok(issued),
            Err(stopped) => Err(self.write_down(attempt, &replay, stopped).await),
        }
    }

    /// Whose key signed this? Only of keys that were issued here since the start; nothing is recorded.
    pub async fn caller_identity(
        &self,
        request: &SignedRequest<'_>,
    ) -> Result<CallerIdentity, SignatureRefusal> {
        self.known_keys.identify(request, self.services.clock.now()).await
    }

    /// Wipes keys that have ended. Call it every now and then.
    pub async fn forget_ended_keys(&self) {
        self.known_keys.forget_ended().await;
    }

    /// Steps 1 and 2: whose token is it? Failures are anonymous: counted, never appended, so that a stranger
    /// cannot grow the log.
    async fn identify(&self, request: &ExchangeRequest, at: Moment) -> Result<Caller, ExchangeError> {
        let token = self.verify(&request.subject_token, at, Refusal::SubjectToken).await?;
        let (principal, authentication) = map_claims(&token)?;
        let actor = match &request.actor_token {
            None => None,
            Some(unverified) => {
                let token = self.verify(unverified, at, Refusal::ActorToken).await?;
                match map_claims(&token)? {
                    (Principal::Workload(workload), _) => Some(Actor { token, workload }),
                    (Principal::Person(_), _) => return Err(Refusal::ActorIsPerson.into()),
                }
            }
        };
        Ok(Caller { token, principal, authentication, actor })
    }

    async fn verify(
        &self,
        token: &UnverifiedToken,
        at: Moment,
        refusal: fn(crate::federation::TokenRefusal) -> Refusal,
    ) -> Result<VerifiedToken, ExchangeError> {
        self.services.federation.verify(token, at).await.map_err(|error| match error {
            VerifyError::Refused(reason) => refusal(reason).into(),
            VerifyError::KeysUnavailable(issuer) => Fault::IssuerKeys(issuer).into(),
        })
    }

    /// Steps 3 to 7 for an identified caller.
    async fn decide_and_issue(&self, attempt: Attempt<'_>, replay: &ReplayClaims) -> Result<Issued, Stopped> {
        self.gate(attempt)?;
        let target = self.resolve(attempt).await?;
        self.issue_while_it_stands(attempt, target, replay).await
    }

    /// A warning that is written down meanwhile, or another mint that opens the window first, makes another version of an
    /// elevation that stands as before: worth a second look, not a refusal.
    async fn issue_while_it_stands(
        &self,
        attempt: Attempt<'_>,
        target: Target,
        replay: &ReplayClaims,
    ) -> Result<Issued, Stopped> {
        match self.issue_within(attempt, &target, replay).await {
            Err(Stop::Failed(Fault::Policy)) => {
                // Other policies came into force, here or on another replica. As soon as they are here, they are asked: about
                // the approvers too.
                let news = self.services.policy.other_than(target.policy);
                let _ = tokio::time::timeout(PATIENCE_WITH_POLICY, news).await;
                let again = self.resolve(attempt).await?;
                self.issue_within(attempt, &again, replay).await.map_err(|stop| again.stopped(stop))
            }
            Err(Stop::Refused(Refusal::ElevationOver)) => {
                let over = |_| target.stopped(Refusal::ElevationOver.into());
                let again = self.resolve(attempt).await.map_err(over)?;
                self.issue_within(attempt, &again, replay).await.map_err(|stop| again.stopped(stop))
            }
            outcome => outcome.map_err(|stop| target.stopped(stop)),
        }
    }

    /// Steps 4 to 7, for the grant and within the window that were found.
    async fn issue_within(
        &self,
        attempt: Attempt<'_>,
        target: &Target,
        replay: &ReplayClaims,
    ) -> Result<Issued, Stop> {
        let attempt = Attempt { approvers: target.approvers(), ..attempt };
        let permit = self.timed(Step::Decide, async { self.decide(attempt, target) }).await?;
        let made = self.timed(Step::Issue, self.issue(attempt, &permit, replay)).await?;
        self.open(attempt, &permit, made, replay).await
    }

    /// Steps 6 and 7: an entry of its own, or the count of one more delivery on an entry that stands; then the secret.
    async fn open(
        &self,
        attempt: Attempt<'_>,
        permit: &Permit,
        made: Made,
        replay: &ReplayClaims,
    ) -> Result<Issued, Stop> {
        let Made { credential, standing } = made;
        let (receipt, turn, expires_in) = match standing {
            Standing::Recorded(issue) => {
                let expires_in = self.deliver(attempt, permit, &credential, &issue)?;
                (issue, None, expires_in)
            }
            Standing::Unrecorded(turn) => {
                let recording = self.record(attempt, permit, &credential, replay);
                let receipt = Arc::new(self.timed(Step::Record, recording).await?);
                self.metrics.issued(permit.grant().kind_name());
                (receipt, turn, remaining(credential.expires_at(), attempt.at)?)
            }
        };
        let credential = credential.open(&receipt).map_err(|wrong| Fault::Signing(wrong.to_string()))?;
        if let Some(turn) = turn {
            turn.remember(&receipt);
        }
        self.known_keys.remember(&credential, attempt.at).await;
        let presented = Presented::of(&attempt.caller.token);
        Ok(Issued { credential, receipt, scopes: permit.scopes().clone(), expires_in, presented })
    }

    /// Step 4. A request that does not fit the grant is put to the policy all the same, with what would fit: who
    /// may not have the grant learns nothing about its scopes, type or caps.
    fn decide(&self, attempt: Attempt<'_>, target: &Target) -> Result<Permit, Stop> {
        let fit = fit::fit(attempt, target);
        let permit = self.longest_permitted(attempt, target, &fit)?;
        if !target.is_judged_by(permit.digest()) {
            return Err(Fault::Policy.into());
        }
        fit.misfit.map_or(Ok(permit), |misfit| Err(misfit.into()))
    }

    /// lifetime = min(asked, grant, token, *policy*): a policy that caps `context.ttl` is asked again with shorter
    /// lifetimes. The first denial is the one that is reported.
    fn longest_permitted(
        &self,
        attempt: Attempt<'_>,
        target: &Target,
        fit: &fit::Fit,
    ) -> Result<Permit, Stop> {
        let policy = &self.services.policy;
        let asked =
            Asked { grant: &target.grant, elevation: target.elevation(), scopes: &fit.scopes, ttl: fit.ttl };
        let ask = |ttl| policy.decide_issue(&Asked { ttl, ..asked }.question(attempt));
        ask(fit.ttl).or_else(|denial| {
            let capped = policy.reads_ttl(&target.grant);
            let permit = fit.ttl.shorter().filter(|_| capped).find_map(|ttl| ask(ttl).ok());
            permit.ok_or_else(|| Stop::Denied(Box::new(asked.denied(attempt, denial))))
        })
    }

    /// Step 5: the credential exists, and nobody can read it yet.
    async fn issue(
        &self,
        attempt: Attempt<'_>,
        permit: &Permit,
        replay: &ReplayClaims,
    ) -> Result<Made, Stop> {
        match &permit.grant().kind {
            GrantKind::Jwt(_) => {
                let actor = attempt.caller.actor.as_ref().map(|actor| actor.workload.id.to_string());
                let request_id = attempt.request.request_id;
                let order = JwtOrder { request_id, permit, actor: actor.as_deref(), at: attempt.at };
                Ok(self.services.jwt.issue(order)?.into())
            }
            GrantKind::Aws(_) => self.issue_aws(attempt, permit, replay).await,
        }
    }

    async fn issue_aws(
        &self,
        attempt: Attempt<'_>,
        permit: &Permit,
        replay: &ReplayClaims,
    ) -> Result<Made, Stop> {
        let issuer = self.services.aws.as_ref().ok_or_else(|| Fault::Sts("not configured".to_owned()))?;
        let attributes = PrincipalAttributes(&attempt.caller.principal);
        let order = AwsOrder {
            request_id: attempt.request.request_id,
            permit,
            attributes: &attributes,
            narrowing: attempt.request.narrowing.as_deref(),
            at: attempt.at,
            exact_end: fit::end_of_token(attempt)
                .filter(|end| *end <= attempt.at.plus(permit.ttl().duration())),
            footing: self.footing(attempt, replay),
        };
        let unrecorded = OnceLock::new();
        let intent = |plan: &Plan| {
            let event = record::intent_event(attempt, permit.grant(), plan);
            let recorded = self.record_intent(attempt, permit, event, replay);
            recorded.inspect_err(|error| _ = unrecorded.set(*error))
        };
        let outcome = issuer.issue(order, intent).await;
        outcome.map_err(|error| unrecorded.into_inner().map_or_else(|| error.into(), Stop::from))
    }

    async fn timed<T>(&self, step: Step, work: impl Future<Output = T>) -> T {
        let started = self.services.clock.uptime();
        let result = work.await;
        self.metrics.step(step, self.services.clock.uptime().saturating_sub(started));
        result
    }
}

fn map_claims(token: &VerifiedToken) -> Result<(Principal, Authentication), Refusal> {
    principal::map(token.issuer(), token.subject(), token.issued_at(), token.profile(), token.claims())
        .map_err(Refusal::Claims)
}

fn remaining(expires_at: Moment, at: Moment) -> Result<Lifetime, Refusal> {
    let seconds = expires_at.since(at.floor_second()).as_secs();
    Ok(Lifetime::from_seconds(i64::try_from(seconds).unwrap_or(0)).map_err(|_| AskError::NothingLeft)?)
}

/// What templates in a grant may read of the caller.
struct PrincipalAttributes<'a>(&'a Principal);

impl Attributes for PrincipalAttributes<'_> {
    fn attribute(&self, path: &str) -> Option<String> {
        self.0.attribute(path.strip_prefix("principal.")?)
    }
}

#[cfg(test)]
mod tests;
