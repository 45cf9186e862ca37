//! Cutting off AWS sessions that outlived their elevation: asked, tried until AWS confirms, lifted when no session can be
//! left. A pass of its own, because AWS may take its time and nobody's expiry waits for it.

use std::time::Duration;

use super::BreakGlass;
use super::commit::{Planned, Under};
use crate::audit::RecordError;
use crate::breakglass::{Change, CloudStep, Elevation};
use crate::clock::Moment;
use crate::ids::UniqueId;
use crate::issuance::aws::EndOrder;
use crate::store::{Lease, StoreError};

/// Steps that one pass takes, at most.
const MOST_STEPS: u32 = 10_000;
/// Roles are changed at the same time, so that one that hangs holds up few others.
const AT_ONCE: usize = 8;
/// One replica changes roles. Another goes on when it has not been heard of for so long: longer than one change takes.
const LEASE: Duration = Duration::from_secs(30);

impl BreakGlass {
    /// One pass over what is due at AWS. Call it every second, beside [`sweep`](Self::sweep).
    pub async fn end_sessions(&self) {
        use futures_util::StreamExt as _;

        if self.services.sessions.is_none() {
            return;
        }
        let at = self.services.clock.now().max(self.services.high_water.highest());
        if !self.has_the_lease().await {
            return;
        }
        match self.due_at_aws(at).await {
            Ok(due) => {
                futures_util::stream::iter(due)
                    .for_each_concurrent(AT_ONCE, |elevation| self.take_step(elevation, at))
                    .await;
            }
            Err(error) => tracing::warn!(%error, "sessions to be ended cannot be read; tried again"),
        }
    }

    /// Two replicas that change one role at once would both be right and would both be told of an error by AWS.
    async fn has_the_lease(&self) -> bool {
        let at = self.services.clock.now();
        let Ok(fresh) = UniqueId::new(at, self.services.entropy.as_ref()) else { return false };
        let holder = *self.holder.get_or_init(|| fresh);
        let lease = Lease { name: "end sessions at AWS", holder, at, span: LEASE };
        let taken = self.services.store.lease(lease).await;
        taken
            .inspect_err(|error| tracing::warn!(%error, "who ends AWS sessions cannot be told; tried again"))
            .unwrap_or(false)
    }

    async fn due_at_aws(&self, at: Moment) -> Result<Vec<Elevation>, StoreError> {
        let mut due = self.services.store.due_elevations(at, MOST_STEPS).await?;
        due.retain(|elevation| elevation.cloud.step(at).is_some());
        Ok(due)
    }

    async fn take_step(&self, elevation: Elevation, at: Moment) {
        let id = elevation.id;
        if let Err(error) = self.try_step(elevation, at).await
            && !matches!(error, RecordError::Overtaken(_))
        {
            tracing::warn!(elevation.id = %id, %error, "ending its AWS sessions is not written down yet");
        }
    }

    /// The intention is durable before AWS is called: a Deny in a role always finds its cause in the log.
    async fn try_step(&self, elevation: Elevation, at: Moment) -> Result<(), RecordError> {
        let elevation = match elevation.sessions_end_asked(at) {
            Some(next) => self.note(&elevation, next, Change::SessionsEndAsked, None, at).await?,
            None => elevation,
        };
        let Some(step) = elevation.cloud.step(at) else { return Ok(()) };
        // The steps before this one may have taken long.
        if !self.has_the_lease().await {
            return Ok(());
        }
        match self.do_step(&elevation, step).await {
            Ok(()) => {
                let (next, change) = elevation.cloud_done(step, at);
                self.note(&elevation, next, change, None, at).await?;
            }
            Err(error) => {
                metrics::counter!("tidegate_sessions_end_failures_total").increment(1);
                tracing::error!(elevation.id = %elevation.id, ?step, error, "AWS did not take it; tried again");
                let next = elevation.cloud_failed(at);
                self.note(&elevation, next, Change::SessionsEndFailed, Some(error), at).await?;
            }
        }
        Ok(())
    }

    async fn do_step(&self, elevation: &Elevation, step: CloudStep) -> Result<(), String> {
        let sessions = self.services.sessions.as_ref().ok_or("`aws.end_sessions` is not set")?;
        let grant = self.grant_of(elevation).ok_or("the grant is not configured any more")?;
        let (CloudStep::Deny { since, until } | CloudStep::Lift { since, until }) = step;
        let order = EndOrder { grant, elevation: elevation.id, since, until };
        let outcome = match step {
            CloudStep::Deny { .. } => sessions.deny(&order).await,
            CloudStep::Lift { .. } => sessions.lift(&order).await,
        };
        outcome.map_err(|error| error.to_string())
    }

    async fn note(
        &self,
        current: &Elevation,
        next: Elevation,
        change: Change,
        note: Option<String>,
        at: Moment,
    ) -> Result<Elevation, RecordError> {
        let planned = Planned::new(change, next, at).noted(note);
        self.commit(current, planned, Under::clock(self.request_id(at)?, at)).await
    }
}
