//! One issuer's key set, kept fresh. Reading it takes no lock; at most one fetch runs at a time.
//!
//! The attacks: tokens with invented `kid`s that make us fetch for each of them; many callers at once that do the same
//! by accident; an issuer that is down, or is kept from us, while a key it withdrew still opens the gate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::algorithm::Algorithm;
use super::fetch::{FetchError, Fetcher};
use super::jwk::{ParsedSet, Skipped, VerifyingKey};
use super::refusal::TokenRefusal;
use crate::clock::{Clock, Moment};
use crate::entropy::{self, Entropy};
use crate::ids::{IssuerName, Kid};
use crate::secret::Fingerprint;

/// A set older than this is not believed: callers get 503. An issuer that withdraws a stolen key is obeyed within this
/// time even when every fetch fails, because the thief, or whoever cuts our line, would like us to go on with the
/// old set. Longer rides out longer outages of the issuer; while its key endpoint is down for an hour it hardly issues.
pub const MAX_STALENESS: Duration = Duration::from_hours(1);
/// How often a set is fetched in the background (a tenth of it is chance, so that replicas do not march in step).
pub const REFRESH_EVERY: Duration = Duration::from_mins(5);
/// How often a `jwks_file` is read again.
pub const REREAD_EVERY: Duration = Duration::from_secs(15);
/// An unknown `kid` causes at most one fetch in this time, however many tokens carry one.
pub const COOL_DOWN: Duration = Duration::from_secs(30);
/// After a failure the next attempt waits this long.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
/// A `kid` that a fetch did not bring causes no other fetch for this long (the background refresh still finds it).
pub const MISSING_KID_FOR: Duration = Duration::from_mins(5);
/// How long one caller waits for a fetch before it gets 503; the fetch goes on without it.
const WAIT_AT_MOST: Duration = Duration::from_secs(6);
/// Bounds the memory that a stranger's invented `kid`s can take.
const MISSING_KIDS_KEPT: usize = 256;

/// Keys as of one fetch.
#[derive(Debug)]
struct KeySet {
    keys: Vec<VerifyingKey>,
    fetched_at: Moment,
    /// On the monotonic clock: a wall clock that steps back must not make old keys young.
    fetched: Duration,
    /// How long until the background fetches again.
    refresh_after: Duration,
}

/// No usable key set: 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

/// What the flight's lock guards: never held across a wait.
#[derive(Debug, Default)]
struct Flight {
    /// Closed when the running fetch has ended, however it ended.
    running: Option<watch::Receiver<()>>,
    last_attempt: Option<Duration>,
    last_error: Option<FetchError>,
    fetches: u64,
    missing: BTreeMap<Fingerprint, Duration>,
}

/// One issuer's keys.
pub(super) struct KeyCache {
    issuer: IssuerName,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    current: ArcSwapOption<KeySet>,
    flight: Mutex<Flight>,
}

/// How an issuer's keys are doing.
#[derive(Clone, Debug)]
pub(super) struct CacheHealth {
    pub(super) keys: usize,
    pub(super) fetched_at: Option<Moment>,
    pub(super) fresh: bool,
    pub(super) last_error: Option<&'static str>,
    pub(super) fetches: u64,
}

impl KeyCache {
    pub(super) fn new(
        issuer: IssuerName,
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, FetchError> {
        let (current, flight) = (ArcSwapOption::empty(), Mutex::default());
        let cache = Self { issuer, fetcher, clock, entropy, current, flight };
        if let Some(first) = cache.fetcher.read_now() {
            cache.store(first?);
        }
        Ok(cache)
    }

    /// Checks a signature with the key that `kid` names, or with the only key that fits when it names none. Fetches
    /// when nothing usable is known or the name is not.
    pub(super) async fn check(
        self: &Arc<Self>,
        algorithm: Algorithm,
        kid: Option<&Kid>,
        input: &[u8],
        signature: &[u8],
    ) -> Result<Result<(), TokenRefusal>, Unavailable> {
        if self.fresh().is_none() {
            self.refresh_and_wait(RETRY_AFTER).await;
        }
        let set = self.fresh().ok_or(Unavailable)?;
        let verdict = set.check(algorithm, kid, input, signature);
        if verdict != Err(TokenRefusal::UnknownKey) || !self.may_seek(kid) {
            return Ok(verdict);
        }
        if !self.refresh_and_wait(COOL_DOWN).await {
            return Ok(verdict);
        }
        let verdict = self.fresh().ok_or(Unavailable)?.check(algorithm, kid, input, signature);
        if verdict == Err(TokenRefusal::UnknownKey) {
            self.remember_missing(kid);
        }
        Ok(verdict)
    }

    /// Fetches if the set's time has come; for the background.
    pub(super) async fn refresh_if_due(self: &Arc<Self>) {
        let now = self.clock.uptime();
        let due = self
            .current
            .load()
            .as_ref()
            .is_none_or(|set| now.saturating_sub(set.fetched) >= set.refresh_after);
        if due {
            self.refresh_and_wait(RETRY_AFTER).await;
        }
    }

    pub(super) fn health(&self) -> CacheHealth {
        let current = self.current.load_full();
        let flight = self.lock();
        CacheHealth {
            keys: current.as_ref().map_or(0, |set| set.keys.len()),
            fetched_at: current.as_ref().map(|set| set.fetched_at),
            fresh: self.fresh().is_some(),
            last_error: flight.last_error.as_ref().map(FetchError::code),
            fetches: flight.fetches,
        }
    }

    /// The set, unless it is too old to be believed.
    fn fresh(&self) -> Option<Arc<KeySet>> {
        let set = self.current.load_full()?;
        (self.clock.uptime().saturating_sub(set.fetched) < MAX_STALENESS).then_some(set)
    }

    /// Joins the running fetch or starts one, unless the last attempt is less than `pause` ago. `true` when one ended
    /// while we waited.
    async fn refresh_and_wait(self: &Arc<Self>, pause: Duration) -> bool {
        let Some(mut running) = self.join_or_start(pause) else { return false };
        // an `Err` is the end of the fetch: its sender is dropped, also when the task panicked or was shut down
        tokio::time::timeout(WAIT_AT_MOST, running.changed()).await.is_ok()
    }

    fn join_or_start(self: &Arc<Self>, pause: Duration) -> Option<watch::Receiver<()>> {
        let now = self.clock.uptime();
        let mut flight = self.lock();
        if let Some(running) = flight.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        if flight.last_attempt.is_some_and(|last| now.saturating_sub(last) < pause) {
            return None;
        }
        let (done, running) = watch::channel(());
        flight.running = Some(running.clone());
        flight.last_attempt = Some(now);
        flight.fetches += 1;
        let cache = Arc::clone(self);
        // its own task: a caller that hangs up must not take the fetch of all the others with it
        tokio::spawn(async move {
            let outcome = cache.fetcher.fetch().await;
            cache.settle(outcome);
            drop(done);
        });
        Some(running)
    }

    fn settle(&self, outcome: Result<ParsedSet, FetchError>) {
        let code = outcome.as_ref().map_or_else(FetchError::code, |_| "ok");
        let issuer = self.issuer.as_str().to_owned();
        metrics::counter!("tidegate_jwks_fetches_total", "issuer" => issuer, "outcome" => code).increment(1);
        match outcome {
            Ok(set) => {
                self.store(set);
                self.lock().last_error = None;
            }
            Err(fault) => {
                tracing::warn!(issuer.name = %self.issuer, error = %fault, "an issuer's key set could not be fetched");
                self.lock().last_error = Some(fault);
            }
        }
    }

    fn store(&self, set: ParsedSet) {
        for reason in set.skipped.iter().filter(|reason| **reason != Skipped::NotForUs) {
            tracing::warn!(issuer.name = %self.issuer, ?reason, "a key of an issuer's key set is not used");
        }
        let refresh_after = match self.fetcher {
            Fetcher::File(_) => REREAD_EVERY,
            Fetcher::Jwks(..) | Fetcher::Discovery { .. } => self.jittered(REFRESH_EVERY),
        };
        let (fetched_at, fetched) = (self.clock.now(), self.clock.uptime());
        self.current.store(Some(Arc::new(KeySet { keys: set.keys, fetched_at, fetched, refresh_after })));
    }

    /// Up to a tenth less. Without entropy, without jitter: nothing depends on it being there.
    fn jittered(&self, span: Duration) -> Duration {
        let [chance] = entropy::bytes::<1>(&*self.entropy).unwrap_or([0]);
        span.saturating_sub(span / 10 * u32::from(chance) / 255)
    }

    /// Whether an unknown `kid` is worth a fetch. A token without one is not: fetching cannot make it less vague.
    fn may_seek(&self, kid: Option<&Kid>) -> bool {
        let now = self.clock.uptime();
        kid.is_some_and(|kid| self.lock().missing.get(&print(kid)).is_none_or(|until| *until <= now))
    }

    fn remember_missing(&self, kid: Option<&Kid>) {
        let Some(kid) = kid else { return };
        let now = self.clock.uptime();
        let mut flight = self.lock();
        if flight.last_error.is_some() {
            return; // the set was not seen, so nothing is known to be missing from it
        }
        flight.missing.retain(|_, until| *until > now);
        if flight.missing.len() < MISSING_KIDS_KEPT {
            flight.missing.insert(print(kid), now + MISSING_KID_FOR);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print(kid: &Kid) -> Fingerprint {
    Fingerprint::of(kid.as_str().as_bytes())
}

impl KeySet {
    fn check(
        &self,
        algorithm: Algorithm,
        kid: Option<&Kid>,
        input: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenRefusal> {
        if self.select(algorithm, kid)?.verifies(algorithm, input, signature) {
            Ok(())
        } else {
            Err(TokenRefusal::BadSignature)
        }
    }

    /// Exactly one key, or none: to try several would let a token be read in several ways.
    fn select(&self, algorithm: Algorithm, kid: Option<&Kid>) -> Result<&VerifyingKey, TokenRefusal> {
        let named = |key: &&VerifyingKey| kid.is_none_or(|kid| key.is_called(kid.as_str()));
        let mut fitting = self.keys.iter().filter(named).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenRefusal::AmbiguousKey),
            (None, _) if kid.is_some() && self.keys.iter().any(|key| named(&key)) => {
                Err(TokenRefusal::KeyMismatch)
            }
            (None, _) => Err(TokenRefusal::UnknownKey),
        }
    }
}
