//! The policy sets as replicas share them. Alone on its store, a broker decides by its own folder. Several decide by what
//! one of them published last: the texts go into the store together with their `policy.loaded`, and the others take them
//! from there. No machine that comes back with an old folder rolls policies back; only an operator's signal does.

pub mod record;
mod shadow;
#[cfg(test)]
mod tests;

pub use shadow::{Candidate, Shadow, ShadowServices};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bundle::BundleIdentity;
use super::{LoadError, PolicyDigest, PolicyEngine, PolicyTexts};
use crate::audit::{AuditLog, Effect, Event, NewPolicySet, Overtaken, RecordError, Submission};
use crate::clock::Clock;
use crate::entropy::{Entropy, EntropyError};
use crate::ids::RequestId;
use crate::store::{Store, StoreError};

/// How often a publication that another replica overtook is tried again.
const MOST_TRIES: usize = 16;

/// What this stands on.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the room of that name")]
pub struct Services {
    pub engine: Arc<PolicyEngine>,
    pub store: Arc<dyn Store>,
    pub audit: AuditLog,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// The policies stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// They are not valid for this broker.
    #[error(transparent)]
    Invalid(#[from] LoadError),
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They were not recorded, so they are not in force.
    #[error("the policies were not recorded: {0}")]
    Record(#[from] RecordError),
    /// Nothing unguessable to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A fault of ours.
    #[error("the policies could not be looked at: the work on them broke off")]
    BrokeOff,
}

/// What a look at the folder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Nothing new.
    Same,
    /// Other policies, which are in force now.
    Loaded(PolicyDigest),
    /// Policies that replicas have gone beyond: those in force stay.
    Superseded(PolicyDigest),
}

/// Whose folder counts, for one broker.
#[derive(Debug)]
pub struct Policies {
    services: Services,
    shared: bool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The folder at the last look.
    folder: Option<PolicyDigest>,
    /// What another replica published and this one cannot put in force, and why.
    refused: Option<(PolicyDigest, LoadError)>,
}

impl Policies {
    /// `shared`: do other brokers decide by the same store?
    pub fn new(services: Services, shared: bool) -> Self {
        Self { services, shared, seen: Mutex::default() }
    }

    /// At the start, with the folder in force: publishes it, or goes over to what replicas decide by. Writes down what
    /// decides here.
    ///
    /// # Errors
    /// Nothing may be issued.
    pub async fn start(&self) -> Result<Folder, PoliciesError> {
        let folder = self.apart(PolicyEngine::folder).await?;
        if folder.digest() != self.services.engine.digest() {
            // Written since it was loaded: what is not whole must not come into force everywhere.
            let checked = folder.clone();
            self.apart(move |engine| engine.check(&checked)).await?;
        }
        let found = if self.shared { self.offer(&folder, false).await? } else { Folder::Same };
        self.seen().folder = Some(folder.digest());
        if !matches!(found, Folder::Loaded(_)) {
            self.record(record::loaded_event(&self.services.engine.origin()), Vec::new()).await?;
        }
        Ok(found)
    }

    /// Looks at the folder. `on_purpose`: somebody says that it counts, whatever was published since it was in force.
    ///
    /// # Errors
    /// What was in force stays in force.
    pub async fn look(&self, on_purpose: bool) -> Result<Folder, PoliciesError> {
        if !self.shared {
            return self.reload_alone().await;
        }
        let folder = self.apart(PolicyEngine::folder).await?;
        if self.seen().folder == Some(folder.digest()) && !on_purpose {
            return Ok(Folder::Same);
        }
        let checked = folder.clone();
        self.apart(move |engine| engine.check(&checked)).await?;
        let found = self.offer(&folder, on_purpose).await?;
        self.seen().folder = Some(folder.digest());
        Ok(found)
    }

    /// Goes over to what replicas decide by.
    ///
    /// # Errors
    /// It cannot be read, or is not valid for this broker. Commits refuse whatever the old policies permit.
    pub async fn catch_up(&self, in_force: Option<PolicyDigest>) -> Result<(), PoliciesError> {
        let Some(digest) = in_force.filter(|digest| *digest != self.services.engine.digest()) else {
            return Ok(());
        };
        if let Some((_, why)) = self.seen().refused.as_ref().filter(|(refused, _)| *refused == digest) {
            return Err(why.clone().into());
        }
        let text = self.services.store.policy_set(digest).await?;
        let text = text.ok_or_else(|| StoreError::Corrupt(format!("the policies {digest} are missing")))?;
        let adopted = self
            .apart(move |engine| PolicyTexts::read(digest, text).and_then(|texts| engine.adopt(&texts)))
            .await;
        match &adopted {
            Ok(()) => {
                metrics::counter!("tidegate_policy_reloads_total", "outcome" => "followed").increment(1);
                tracing::info!(policy.digest = %digest, "policies of another replica are in force");
            }
            Err(PoliciesError::Invalid(faults)) => {
                metrics::counter!("tidegate_policy_reloads_total", "outcome" => "refused").increment(1);
                tracing::error!(policy.digest = %digest, %faults, "the policies that replicas decide by are not valid for this one: it issues nothing");
                self.seen().refused = Some((digest, faults.clone()));
            }
            Err(_) => {}
        }
        adopted
    }

    async fn reload_alone(&self) -> Result<Folder, PoliciesError> {
        let Some(digest) = self.apart(PolicyEngine::reload).await? else { return Ok(Folder::Same) };
        let event = record::loaded_event(&self.services.engine.origin());
        if let Err(cause) = self.record(event, Vec::new()).await {
            tracing::error!(%cause, "the policy change was not recorded");
        }
        Ok(Folder::Loaded(digest))
    }

    /// Publishes the folder unless it is in force, or was before.
    async fn offer(&self, folder: &PolicyTexts, on_purpose: bool) -> Result<Folder, PoliciesError> {
        for _ in 0..MOST_TRIES {
            let in_force = self.services.store.pulse().await?.marks.policy;
            if in_force == Some(folder.digest()) {
                self.catch_up(in_force).await?;
                return Ok(Folder::Same);
            }
            let known = self.services.store.policy_set(folder.digest()).await?.is_some();
            if !on_purpose && (known || self.has_older_bundle(folder, in_force).await?) {
                self.catch_up(in_force).await?;
                return Ok(Folder::Superseded(folder.digest()));
            }
            match self.publish(folder, in_force).await {
                Err(PoliciesError::Record(RecordError::Overtaken(Overtaken::Policy))) => {}
                done => return done.map(|()| Folder::Loaded(folder.digest())),
            }
        }
        Err(RecordError::Overtaken(Overtaken::Policy).into())
    }

    /// Is its bundle an older version of the one that decides? Then it does not count, although nobody decided by this folder
    /// yet: the customer's part may be new on a machine that came back with an old pin.
    async fn has_older_bundle(
        &self,
        folder: &PolicyTexts,
        in_force: Option<PolicyDigest>,
    ) -> Result<bool, PoliciesError> {
        let (Some(BundleIdentity { name, version, .. }), Some(digest)) = (folder.origin()?.bundle, in_force)
        else {
            return Ok(false);
        };
        let Some(text) = self.services.store.policy_set(digest).await? else { return Ok(false) };
        let origin = self.apart(move |_| PolicyTexts::read(digest, text)?.origin()).await;
        // What cannot be read here keeps nobody from publishing what can.
        let bundle = origin.ok().and_then(|origin| origin.bundle);
        Ok(bundle.is_some_and(|theirs| theirs.name == name && theirs.version > version))
    }

    async fn publish(&self, folder: &PolicyTexts, from: Option<PolicyDigest>) -> Result<(), PoliciesError> {
        let set = NewPolicySet { from, digest: folder.digest(), text: folder.text().to_owned() };
        let event = record::loaded_event(&folder.origin()?);
        self.record(event, vec![Effect::PublishPolicy(Box::new(set))]).await?;
        let folder = folder.clone();
        self.apart(move |engine| engine.adopt(&folder)).await
    }

    /// Ten thousand policies are read and indexed in a second: not by a thread that answers requests.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PolicyEngine) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, PoliciesError> {
        let engine = Arc::clone(&self.services.engine);
        let done = tokio::task::spawn_blocking(move || work(&engine)).await;
        Ok(done.map_err(|_| PoliciesError::BrokeOff)??)
    }

    async fn record(&self, event: Event, effects: Vec<Effect>) -> Result<(), PoliciesError> {
        let request_id = RequestId::new(self.services.clock.now(), self.services.entropy.as_ref())?;
        self.services.audit.record(Submission::new(request_id, event).with(effects)).await?;
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A panic within leaves digests of an earlier look: at worst the next one looks again.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
