//! The sweeper: writes down what the clock has made true, opens windows that are due, says what ends soon. It decides
//! nothing that a request would not decide too, and one failure never keeps it from the next elevation.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::BreakGlass;
use super::commit::{Planned, Under};
use super::judge::Requester;
use super::window::NotActivated;
use crate::audit::RecordError;
use crate::breakglass::{Change, Elevation, State, StateName};
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::store::{ElevationQuery, StoreError};

/// Due elevations that are fetched at once.
const PAGE: u32 = 100;
/// Due ones that wait for policy, for locks or for AWS stay due. So many are looked past.
const MOST_STUCK: u32 = 10_000;

impl BreakGlass {
    /// One pass. Call it every second.
    pub async fn sweep(&self) {
        let now = self.services.clock.now();
        // A clock that stepped back has been later before: what had ended then has ended.
        let rolled_back = self.services.high_water.check(now).is_err();
        let at = now.max(self.services.high_water.highest());
        self.record_what_was_stopped(at).await;
        if let Err(error) = self.sweep_due(at, rolled_back).await {
            tracing::warn!(%error, "due elevations cannot be read; tried again");
        }
        self.count_open(at);
    }

    async fn sweep_due(&self, at: Moment, rolled_back: bool) -> Result<(), StoreError> {
        let mut seen = BTreeSet::new();
        let mut limit = PAGE;
        loop {
            let page = self.services.store.due_elevations(at, limit).await?;
            let is_full = u32::try_from(page.len()).unwrap_or(u32::MAX) >= limit;
            for elevation in page {
                if seen.insert((elevation.id, elevation.version)) {
                    self.settle_due(elevation, at, rolled_back).await;
                }
            }
            if !is_full || limit >= MOST_STUCK {
                return Ok(());
            }
            // Those that stay due come first again: ask for more than them.
            limit = limit.saturating_add(PAGE);
        }
    }

    /// One elevation. What is no more as it was read was changed by somebody who knew better.
    async fn settle_due(&self, elevation: Elevation, at: Moment, rolled_back: bool) {
        self.keep_in_mind(&elevation);
        let outcome = match &elevation.state {
            _ if elevation.passed(at).is_some() => self.write_passed(&elevation, at).await,
            State::Approved { .. } if !rolled_back => self.open_due(&elevation, at).await,
            State::Active { .. } => self.warn(&elevation, at).await,
            _ => Ok(()),
        };
        match outcome {
            Ok(()) | Err(RecordError::Overtaken(_)) => {}
            Err(error) => {
                tracing::warn!(elevation.id = %elevation.id, %error, "not written down yet; tried again");
            }
        }
    }

    async fn write_passed(&self, elevation: &Elevation, at: Moment) -> Result<(), RecordError> {
        let (Some(next), Some(deadline)) = (elevation.passed(at), elevation.deadline()) else {
            return Ok(());
        };
        let change = match next.state_name() {
            StateName::Expired => Change::Expired,
            _ => Change::Lapsed,
        };
        let note = match &next.state {
            State::Lapsed { window: None, .. } => Some("not enough approvals in time".to_owned()),
            State::Lapsed { .. } => Some("the window passed without being opened".to_owned()),
            _ => None,
        };
        let planned = Planned::new(change, next, deadline).noted(note);
        self.commit(elevation, planned, Under::clock(self.request_id(at)?, at)).await.map(|_| ())
    }

    /// Policy or a lock may say no now and yes in a minute; until its window ends it is tried again.
    async fn open_due(&self, elevation: &Elevation, at: Moment) -> Result<(), RecordError> {
        match self.activate(elevation, Requester::as_asked(elevation), at, None).await {
            Ok(_) => Ok(()),
            Err(NotActivated::Unwritten(error)) => Err(error),
            Err(why) => {
                self.say_stuck_once(elevation.id, &why);
                Ok(())
            }
        }
    }

    fn say_stuck_once(&self, id: ElevationId, why: &NotActivated) {
        if self.is_first_time_stuck(id) {
            tracing::warn!(elevation.id = %id, ?why, "its window is open, but it cannot be activated");
        }
    }

    async fn warn(&self, elevation: &Elevation, at: Moment) -> Result<(), RecordError> {
        let Some((next, _)) = elevation.warn(at) else { return Ok(()) };
        let left = elevation.window().map(|window| window.ends_at.since(at)).unwrap_or_default();
        let note = Some(format!("ends in {}", crate::span::format_duration(left)));
        let planned = Planned::new(Change::Warned, next, at).noted(note);
        self.commit(elevation, planned, Under::clock(self.request_id(at)?, at)).await.map(|_| ())
    }

    /// Puts everything that is open in mind: a broker that was just started must be able to stop it while the store is
    /// sick. Call it once, at the start.
    pub async fn remember_open(&self) -> Result<(), StoreError> {
        self.read_open().await.map(drop)
    }

    /// Which they are.
    async fn read_open(&self) -> Result<BTreeSet<ElevationId>, StoreError> {
        let mut all = BTreeSet::new();
        let states = BTreeSet::from([StateName::Requested, StateName::Approved, StateName::Active]);
        let mut before = None;
        loop {
            let query =
                ElevationQuery { states: states.clone(), before, limit: PAGE, ..ElevationQuery::default() };
            let page = self.services.store.elevations(query).await?;
            for elevation in &page {
                self.keep_in_mind(elevation);
                all.insert(elevation.id);
            }
            before = page.last().map(|elevation| elevation.id);
            if u32::try_from(page.len()).unwrap_or(u32::MAX) < PAGE {
                return Ok(all);
            }
        }
    }

    /// Has in mind what the store had when its mark was `mark`, or newer: what other replicas opened can be stopped here
    /// while the store is sick.
    pub async fn catch_up(&self, mark: u64) -> Result<(), StoreError> {
        if self.mark.load(Ordering::Acquire) >= mark {
            return Ok(());
        }
        let before = self.open_in_mind();
        let open = self.read_open().await?;
        // The others are over by now.
        for known in before.into_iter().filter(|known| !open.contains(&known.id)) {
            if let Some(newest) = self.services.store.elevation(known.id).await? {
                self.keep_in_mind(&newest);
            }
        }
        self.mark.store(mark, Ordering::Release);
        Ok(())
    }

    fn count_open(&self, at: Moment) {
        let open = self.open_in_mind();
        let active = open.iter().filter(|elevation| elevation.is_active(at)).count();
        metrics::gauge!("tidegate_elevations_open").set(as_metric(open.len()));
        metrics::gauge!("tidegate_elevations_active").set(as_metric(active));
    }
}

fn as_metric(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
