//! Shadow mode: a candidate set is asked what the live one was asked. Differences are counted, a few of them recorded, and
//! no request ever waits for it: what comes too fast is dropped, what fails is counted.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc;

use super::super::facts::PrincipalKind;
use super::super::shadow::{DifferenceKind, Sampler, Seen, ShadowSettings, Verdict};
use super::super::{Facts, LoadError, PolicyDigest, PolicyEngine, Settings};
use crate::audit::{
    AuditLog, Event, FactsRecord, PolicyRecord, PrincipalRecord, ShadowEntry, Submission, VerdictRecord,
};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::grants::Catalog;
use crate::ids::RequestId;

/// Decided in one go. Between two of them whoever serves requests comes first.
const AT_ONCE: usize = 64;

/// What this stands on.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the room of that name")]
pub struct ShadowServices {
    pub catalog: Arc<Catalog>,
    pub audit: AuditLog,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// What a look at the candidate's folder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Nothing new, or the same fault as before.
    Same,
    /// Other policies, which are tried out now.
    Loaded(PolicyDigest),
    /// They are not valid. Those before, if there were any, are still tried out.
    Faulty(LoadError),
}

/// A candidate set beside the live one.
#[derive(Debug)]
pub struct Shadow {
    settings: ShadowSettings,
    services: ShadowServices,
    candidate: ArcSwapOption<PolicyEngine>,
    /// The last fault: said once.
    fault: Mutex<Option<LoadError>>,
    sampler: Mutex<Sampler>,
    /// Taken by whoever runs it.
    seen: Mutex<Option<mpsc::Receiver<Seen>>>,
}

impl Shadow {
    /// From now on `live` hands over what it decides. Nothing is tried out before the first [`look`](Self::look).
    pub fn beside(live: &PolicyEngine, settings: ShadowSettings, services: ShadowServices) -> Self {
        let sampler = Mutex::new(Sampler::new(settings.log_per_hour));
        let seen = Mutex::new(live.watch());
        let (candidate, fault) = (ArcSwapOption::empty(), Mutex::default());
        Self { settings, services, candidate, fault, sampler, seen }
    }

    /// Looks at the candidate's folder, on a thread that serves nobody.
    pub async fn look(&self) -> Candidate {
        let (dir, catalog) = (self.settings.dir.clone(), Arc::clone(&self.services.catalog));
        let candidate = self.candidate.load_full();
        let read = move || {
            if let Some(candidate) = candidate {
                return candidate.reload().map(|digest| (digest, None));
            }
            let loaded = PolicyEngine::load(&Settings { dir }, &catalog)?;
            Ok((Some(loaded.digest()), Some(Arc::new(loaded))))
        };
        let Ok(found) = tokio::task::spawn_blocking(read).await else { return Candidate::Same };
        let mut fault = lock(&self.fault);
        let found = match found {
            Ok((digest, first)) => {
                *fault = None;
                if first.is_some() {
                    self.candidate.store(first);
                }
                digest.map_or(Candidate::Same, Candidate::Loaded)
            }
            Err(error) if fault.as_ref() == Some(&error) => Candidate::Same,
            Err(error) => {
                *fault = Some(error.clone());
                Candidate::Faulty(error)
            }
        };
        say(&found);
        found
    }

    /// Makes decisions again as they come, until the engine is gone. One call runs; others end at once.
    pub async fn run(&self) {
        let Some(mut seen) = lock(&self.seen).take() else { return };
        let mut batch = Vec::with_capacity(AT_ONCE);
        while seen.recv_many(&mut batch, AT_ONCE).await > 0 {
            self.compare(std::mem::take(&mut batch)).await;
            tokio::task::yield_now().await;
        }
    }

    async fn compare(&self, batch: Vec<Seen>) {
        let Some(candidate) = self.candidate.load_full() else { return };
        let count = batch.len() as u64;
        let ask = move || {
            let answers = batch.into_iter().map(|seen| (seen.put_to(&candidate), seen));
            answers.collect::<Vec<_>>()
        };
        // A panic of the candidate's ends here.
        let Ok(answers) = tokio::task::spawn_blocking(ask).await else {
            metrics::counter!("tidegate_policy_shadow_failures_total").increment(count);
            tracing::error!("the policies on trial could not be asked: the work on them broke off");
            return;
        };
        for (shadow, seen) in answers {
            metrics::counter!("tidegate_policy_shadow_evaluations_total", "action" => seen.action())
                .increment(1);
            if let Some(kind) = seen.live.differs(&shadow) {
                self.tell(kind, &seen, shadow).await;
            }
        }
    }

    async fn tell(&self, kind: DifferenceKind, seen: &Seen, shadow: Verdict) {
        let (action, name) = (seen.action(), kind.as_str());
        metrics::counter!("tidegate_policy_shadow_differences_total", "action" => action, "kind" => name)
            .increment(1);
        if kind == DifferenceKind::OtherPolicies {
            return;
        }
        let at = self.services.clock.now();
        let passed_over = lock(&self.sampler).take(seen.grant(), kind, at);
        let Some(passed_over) = passed_over else { return };
        let facts = seen.facts();
        let entry = ShadowEntry {
            kind: name,
            action,
            principal: principal_record(&facts),
            grant: facts.grant.name.to_string(),
            live: verdict_record(seen.live.clone()),
            shadow: verdict_record(shadow),
            facts: FactsRecord::of(&facts),
            passed_over,
        };
        let Ok(request_id) = RequestId::new(at, self.services.entropy.as_ref()) else { return };
        let event = Event::PolicyShadowDifference(Box::new(entry));
        if let Err(cause) = self.services.audit.record(Submission::new(request_id, event)).await {
            tracing::warn!(%cause, "a difference of the policies on trial was not recorded");
        }
    }
}

fn say(found: &Candidate) {
    let outcome = match found {
        Candidate::Same => return,
        Candidate::Loaded(digest) => {
            tracing::info!(policy.digest = %digest, "policies on trial loaded");
            "loaded"
        }
        Candidate::Faulty(faults) => {
            tracing::error!(%faults, "the policies on trial are not valid; nothing else is touched by that");
            "refused"
        }
    };
    metrics::counter!("tidegate_policy_shadow_reloads_total", "outcome" => outcome).increment(1);
}

fn principal_record(facts: &Facts) -> PrincipalRecord {
    let principal = &facts.principal;
    PrincipalRecord {
        kind: match principal.kind {
            PrincipalKind::Workload => "workload",
            PrincipalKind::Person => "person",
        },
        issuer: principal.issuer.to_string(),
        subject: principal.subject.to_string(),
    }
}

fn verdict_record(verdict: Verdict) -> VerdictRecord {
    let Verdict { allowed, digest, decided_by, reason } = verdict;
    let decided_by = decided_by.iter().map(ToString::to_string).collect();
    VerdictRecord { allowed, reason, policy: PolicyRecord { digest, decided_by } }
}

/// A panic within leaves a count or a fault that was said: at worst one is said twice.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
