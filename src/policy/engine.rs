//! The live policy sets, and the one function that decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use super::decision::{Decided, Denial, Permit, PolicyDigest, PolicyRef};
use super::entities::GrantEntity;
use super::fault::LoadError;
use super::index::Index;
use super::memory::{Inputs, Memory};
use super::reads::Part;
use super::schema::Action;
use super::sets::{PolicySets, Refusal, failed, needs_elevation};
use super::shadow::{Seen, Watcher};
use super::source::{Origin, Sources};
use super::texts::PolicyTexts;
use super::{IssueQuestion, PersonQuestion, Settings};
use crate::grants::{Catalog, Grant};
use crate::ids::GrantName;
use crate::secret::Fingerprint;

/// Decisions take microseconds; who holds a set for longer than this must free it.
const LONGEST_HOLD_MILLIS: u32 = 100;

/// The live policy sets. `decide_issue` is lock-free; `reload` swaps only a valid set.
#[derive(Debug)]
pub struct PolicyEngine {
    settings: Settings,
    catalog: Catalog,
    pub(super) live: ArcSwap<Loaded>,
    /// The digest of what is live, for those who wait for another.
    news: watch::Sender<PolicyDigest>,
    /// Two reloads at once could put the older set over the newer.
    reloading: Mutex<()>,
    /// Who is shown every decision after it was made.
    watcher: OnceLock<Watcher>,
}

/// One valid state of the folder, ready to decide about the grants of a catalog.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) sets: Arc<PolicySets>,
    pub(super) index: Index,
    grants: HashMap<GrantName, (Fingerprint, GrantEntity)>,
    memory: Memory,
}

impl PolicyEngine {
    /// Reads, strictly validates and indexes the folder for the grants in `catalog`.
    pub fn load(settings: &Settings, catalog: &Catalog) -> Result<Self, LoadError> {
        let sources = Sources::gather(settings)?;
        let news = watch::Sender::new(sources.digest());
        let live = ArcSwap::from_pointee(Loaded::of_own(&sources, settings, catalog)?);
        let (settings, catalog) = (settings.clone(), catalog.clone());
        Ok(Self { settings, catalog, live, news, reloading: Mutex::new(()), watcher: OnceLock::new() })
    }

    /// Loads again; swaps and returns the new digest only when it is valid and differs; the old set stays on an error.
    pub fn reload(&self) -> Result<Option<PolicyDigest>, LoadError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = Sources::gather(&self.settings)?;
        let digest = sources.digest();
        if digest == self.digest() {
            return Ok(None);
        }
        self.put_in_force(Loaded::of_own(&sources, &self.settings, &self.catalog)?);
        Ok(Some(digest))
    }

    /// The texts of the folder, whether or not they are in force.
    pub fn folder(&self) -> Result<PolicyTexts, LoadError> {
        PolicyTexts::of(&Sources::gather(&self.settings)?)
    }

    /// Are they valid as this broker's own?
    pub fn check(&self, texts: &PolicyTexts) -> Result<(), LoadError> {
        Loaded::of_own(&texts.sources()?, &self.settings, &self.catalog).map(drop)
    }

    /// Puts texts in force that another replica read, when they are valid for this broker; else the old ones stay.
    pub fn adopt(&self, texts: &PolicyTexts) -> Result<(), LoadError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.digest() != self.digest() {
            self.put_in_force(Loaded::new(&texts.sources()?, &self.catalog)?);
        }
        Ok(())
    }

    /// Returns when other policy sets than these decide.
    pub async fn other_than(&self, digest: PolicyDigest) {
        // The sender lives as long as this.
        let _ = self.news.subscribe().wait_for(|live| *live != digest).await;
    }

    /// How many wait in [`other_than`](Self::other_than).
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.news.receiver_count()
    }

    fn put_in_force(&self, loaded: Loaded) {
        let digest = loaded.digest();
        let old = self.live.swap(Arc::new(loaded));
        self.news.send_replace(digest);
        let_go(&old);
    }

    /// From now on every decision is shown to whoever has what this returns, after it was made. `None` when somebody has it
    /// already.
    pub(super) fn watch(&self) -> Option<mpsc::Receiver<Seen>> {
        let (watcher, seen) = Watcher::new();
        self.watcher.set(watcher).ok().map(|()| seen)
    }

    /// The policy sets that decide now, for questions about any grant.
    pub fn sets(&self) -> Arc<PolicySets> {
        Arc::clone(&self.live.load().sets)
    }

    /// The policy sets that decide now.
    pub fn digest(&self) -> PolicyDigest {
        self.live.load().digest()
    }

    /// Where the policies are.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which policy sets decide now, and what they came in.
    pub fn origin(&self) -> Origin {
        self.live.load().sets.origin().clone()
    }

    /// Does any policy that may decide `issue` on this grant read `context.ttl`?
    pub fn reads_ttl(&self, grant: &Grant) -> bool {
        let live = self.live.load();
        // An unknown grant is denied anyway; the careful answer costs nothing.
        live.index.about_grant(Action::Issue, &grant.name).is_none_or(|found| found.reads.has(Part::Ttl))
    }

    /// May the caller have this credential? Both authors must permit it, nobody forbid it, and no policy fail.
    pub fn decide_issue(&self, question: &IssueQuestion<'_>) -> Result<Permit, Denial> {
        let answer = self.answer_issue(question);
        if let Some(watcher) = self.watcher.get() {
            watcher.issue(question, &answer);
        }
        answer
    }

    fn answer_issue(&self, question: &IssueQuestion<'_>) -> Result<Permit, Denial> {
        let live = self.live.load();
        match live.issue(question) {
            Ok(decided_by) => Ok(Permit {
                principal: question.principal.id().clone(),
                grant: Arc::clone(question.grant),
                ttl: question.ttl,
                scopes: question.scopes.clone(),
                decided_by,
                digests: live.sets.digests(),
                elevation: question.elevation,
            }),
            Err((reason, decided_by)) => {
                Err(Denial { reason, decided_by, digests: Box::new(live.sets.digests()) })
            }
        }
    }
}

impl PolicyEngine {
    /// May the person do this? By the same rule as for credentials.
    pub fn decide(&self, question: &PersonQuestion<'_>) -> Result<Decided, Denial> {
        let answer = self.answer_person(question);
        if let Some(watcher) = self.watcher.get() {
            watcher.person(question, &answer);
        }
        answer
    }

    fn answer_person(&self, question: &PersonQuestion<'_>) -> Result<Decided, Denial> {
        let live = self.live.load();
        match live.person(question) {
            Ok(decided_by) => Ok(Decided { decided_by, digests: live.sets.digests() }),
            Err((reason, decided_by)) => {
                Err(Denial { reason, decided_by, digests: Box::new(live.sets.digests()) })
            }
        }
    }
}

/// Whoever lets go of it last frees every policy of it, which takes a while for ten thousand: no request should be the one.
fn let_go(old: &Arc<Loaded>) {
    for _ in 0..LONGEST_HOLD_MILLIS {
        if Arc::strong_count(old) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Loaded {
    /// Of this broker's own folder, which must not name what this broker does not know. A replica that is about to learn of
    /// an issuer or a grant must go on deciding meanwhile: what others published is not held to that.
    fn of_own(sources: &Sources, settings: &Settings, catalog: &Catalog) -> Result<Self, LoadError> {
        let loaded = Self::new(sources, catalog)?;
        let relations = loaded.sets.relations();
        relations.check_known(settings.issuers.as_ref(), |grant| catalog.resolve(grant).is_some())?;
        Ok(loaded)
    }

    fn new(sources: &Sources, catalog: &Catalog) -> Result<Self, LoadError> {
        let sets = Arc::new(PolicySets::new(sources)?);
        let entity = |grant: &Arc<Grant>| {
            GrantEntity::new(grant, &sets.words, sets.relations())
                .map(|entity| (grant.name.clone(), (grant.version, entity)))
        };
        Ok(Self {
            index: Index::new(&sets.shelf, sets.policies(), catalog)?,
            grants: catalog.iter().map(entity).collect::<Result<_, _>>()?,
            memory: Memory::default(),
            sets,
        })
    }

    pub(super) fn digest(&self) -> PolicyDigest {
        self.sets.digest()
    }

    fn issue(&self, question: &IssueQuestion<'_>) -> Result<Vec<PolicyRef>, Refusal> {
        if let Some(refusal) = needs_elevation(question) {
            return Err(refusal);
        }
        let grant = self.grant_entity(question.grant)?;
        let candidates = self.index.about_grant(Action::Issue, &question.grant.name);
        let candidates = candidates.ok_or_else(|| unknown(question.grant))?;
        let Some(inputs) = Inputs::of(question, candidates.reads) else {
            return self.sets.issue(question, grant, candidates);
        };
        if let Some(decided_by) = self.memory.recall(inputs) {
            return Ok(decided_by);
        }
        let decided_by = self.sets.issue(question, grant, candidates)?;
        self.memory.keep(inputs, &decided_by);
        Ok(decided_by)
    }

    pub(super) fn person(&self, question: &PersonQuestion<'_>) -> Result<Vec<PolicyRef>, Refusal> {
        let wish = &question.wish;
        let grant = self.grant_entity(wish.grant())?;
        let candidates = match wish.elevation() {
            Some(_) => self.index.about_elevations(wish.action()),
            None => self.index.about_grant(wish.action(), &wish.grant().name),
        };
        self.sets.person(question, grant, candidates.ok_or_else(|| unknown(wish.grant()))?)
    }

    /// A grant that is not exactly the one that was indexed has other labels or sets, perhaps; nothing is guessed.
    pub(super) fn grant_entity(&self, grant: &Grant) -> Result<&GrantEntity, Refusal> {
        match self.grants.get(&grant.name) {
            Some((version, entity)) if *version == grant.version => Ok(entity),
            _ => Err(unknown(grant)),
        }
    }
}

fn unknown(grant: &Grant) -> Refusal {
    failed(format!("grant `{}` is not of the catalog that the policies were loaded for", grant.name))
}
