//! The live policy sets, and the one function that decides.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use cedar_policy::{AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityUid, Request};
use tokio::sync::watch;

use super::decision::{Author, Decided, Denial, DenialReason, Permit, PolicyDigest, PolicyRef};
use super::entities::{self, GrantFacts};
use super::fault::LoadError;
use super::index::{Candidates, Index};
use super::load::load;
use super::memory::{Inputs, Memory};
use super::reads::Part;
use super::schema::{Action, Vocabulary, schema};
use super::source::Sources;
use super::texts::PolicyTexts;
use super::values::ValueError;
use super::{IssueQuestion, PersonQuestion, Settings, context};
use crate::grants::{Catalog, Grant};
use crate::ids::GrantName;
use crate::secret::Fingerprint;

/// The live policy sets. `decide_issue` is lock-free; `reload` swaps only a valid set.
#[derive(Debug)]
pub struct PolicyEngine {
    dir: PathBuf,
    catalog: Catalog,
    pub(super) live: ArcSwap<Loaded>,
    /// The digest of what is live, for those who wait for another.
    news: watch::Sender<PolicyDigest>,
    /// Two reloads at once could put the older set over the newer.
    reloading: Mutex<()>,
}

/// One valid state of the folder, ready to decide.
#[derive(Debug)]
pub(super) struct Loaded {
    digest: PolicyDigest,
    pub(super) authors: Vec<Author>,
    pub(super) words: Vocabulary,
    actions: HashMap<Action, EntityUid>,
    pub(super) index: Index,
    grants: HashMap<GrantName, (Fingerprint, GrantFacts)>,
    authorizer: Authorizer,
    memory: Memory,
}

/// No, before the digest is added.
pub(super) type Refusal = (DenialReason, Vec<PolicyRef>);

impl PolicyEngine {
    /// Reads, strictly validates and indexes the folder for the grants in `catalog`.
    pub fn load(settings: &Settings, catalog: &Catalog) -> Result<Self, LoadError> {
        let sources = Sources::read(&settings.dir)?;
        let news = watch::Sender::new(sources.digest());
        let live = ArcSwap::from_pointee(Loaded::new(&sources, catalog)?);
        let (dir, catalog) = (settings.dir.clone(), catalog.clone());
        Ok(Self { dir, catalog, live, news, reloading: Mutex::new(()) })
    }

    /// Loads again; swaps and returns the new digest only when it is valid and differs; the old set stays on an error.
    pub fn reload(&self) -> Result<Option<PolicyDigest>, LoadError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = Sources::read(&self.dir)?;
        let digest = sources.digest();
        if digest == self.digest() {
            return Ok(None);
        }
        self.put_in_force(Loaded::new(&sources, &self.catalog)?);
        Ok(Some(digest))
    }

    /// The texts of the folder, whether or not they are in force.
    pub fn folder(&self) -> Result<PolicyTexts, LoadError> {
        PolicyTexts::of(&Sources::read(&self.dir)?)
    }

    /// Are they valid for this broker?
    pub fn check(&self, texts: &PolicyTexts) -> Result<(), LoadError> {
        Loaded::new(&texts.sources()?, &self.catalog).map(drop)
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
        let digest = loaded.digest;
        self.live.store(Arc::new(loaded));
        self.news.send_replace(digest);
    }

    /// The policy sets that decide now.
    pub fn digest(&self) -> PolicyDigest {
        self.live.load().digest
    }

    /// Does any policy that may decide `issue` on this grant read `context.ttl`?
    pub fn reads_ttl(&self, grant: &Grant) -> bool {
        let live = self.live.load();
        // An unknown grant is denied anyway; the careful answer costs nothing.
        live.index.about_grant(Action::Issue, &grant.name).is_none_or(|found| found.reads.has(Part::Ttl))
    }

    /// May the caller have this credential? Both authors must permit it, nobody forbid it, and no policy fail.
    pub fn decide_issue(&self, question: &IssueQuestion<'_>) -> Result<Permit, Denial> {
        let live = self.live.load();
        match live.issue(question) {
            Ok(decided_by) => Ok(Permit {
                principal: question.principal.id().clone(),
                grant: Arc::clone(question.grant),
                ttl: question.ttl,
                scopes: question.scopes.clone(),
                decided_by,
                digest: live.digest,
                elevation: question.elevation,
            }),
            Err((reason, decided_by)) => Err(Denial { reason, decided_by, digest: live.digest }),
        }
    }
}

impl PolicyEngine {
    /// May the person do this? By the same rule as for credentials.
    pub fn decide(&self, question: &PersonQuestion<'_>) -> Result<Decided, Denial> {
        let live = self.live.load();
        match live.person(question) {
            Ok(decided_by) => Ok(Decided { decided_by, digest: live.digest }),
            Err((reason, decided_by)) => Err(Denial { reason, decided_by, digest: live.digest }),
        }
    }
}

impl Loaded {
    fn new(sources: &Sources, catalog: &Catalog) -> Result<Self, LoadError> {
        let words = Vocabulary::new()?;
        let policies = load(sources, &schema()?)?;
        let facts = |grant: &Arc<Grant>| {
            GrantFacts::new(grant, &words).map(|facts| (grant.name.clone(), (grant.version, facts)))
        };
        Ok(Self {
            digest: sources.digest(),
            authors: sources.authors.clone(),
            actions: Action::ALL.into_iter().map(|action| (action, words.action(action))).collect(),
            index: Index::new(&policies, &words, catalog)?,
            grants: catalog.iter().map(facts).collect::<Result<_, _>>()?,
            authorizer: Authorizer::new(),
            memory: Memory::default(),
            words,
        })
    }

    /// Where no policy looks at anything but the lifetime, the context of the last request serves the next one with the
    /// same lifetime: building it costs a third of a decision.
    fn issue_context(
        &self,
        question: &IssueQuestion<'_>,
        candidates: &Candidates,
    ) -> Result<Context, ValueError> {
        if !candidates.reads.looks_at_nothing_but_the_lifetime() {
            return context::issue(question, &self.words, candidates.reads);
        }
        if let Some(last) = &*candidates.lifetime_context.load()
            && last.0 == question.ttl
        {
            return Ok(last.1.clone());
        }
        let fresh = context::issue(question, &self.words, candidates.reads)?;
        candidates.lifetime_context.store(Some(Arc::new((question.ttl, fresh.clone()))));
        Ok(fresh)
    }

    fn issue(&self, question: &IssueQuestion<'_>) -> Result<Vec<PolicyRef>, Refusal> {
        if question.grant.break_glass.is_some() && question.elevation.is_none() {
            return Err(failed(format!("grant `{}` needs an active elevation", question.grant.name)));
        }
        let grant = self.grant_facts(question.grant)?;
        let candidates = self.index.about_grant(Action::Issue, &question.grant.name);
        let candidates = candidates.ok_or_else(|| unknown(question.grant))?;
        let Some(inputs) = Inputs::of(question, candidates.reads) else {
            return self.evaluate_issue(question, grant, candidates);
        };
        if let Some(decided_by) = self.memory.recall(inputs) {
            return Ok(decided_by);
        }
        let decided_by = self.evaluate_issue(question, grant, candidates)?;
        self.memory.keep(inputs, &decided_by);
        Ok(decided_by)
    }

    fn evaluate_issue(
        &self,
        question: &IssueQuestion<'_>,
        grant: &GrantFacts,
        candidates: &Candidates,
    ) -> Result<Vec<PolicyRef>, Refusal> {
        let reads = candidates.reads;
        let context = self.issue_context(question, candidates).map_err(unbuilt)?;
        let caller = entities::principal(question.principal, &self.words, reads).map_err(unbuilt)?;
        let actor = question.actor.filter(|actor| {
            // The same workload may act for itself: an entity stands in the store once.
            reads.has(Part::Actor) && question.principal.id() != &actor.id
        });
        let actor =
            actor.map(|actor| entities::workload(actor, &self.words, reads)).transpose().map_err(unbuilt)?;
        let principal = entities::principal_uid(question.principal, &self.words);
        let request = self.request(principal, Action::Issue, grant.uid.clone(), context)?;
        let entities = with_entities(&grant.entities, [caller].into_iter().chain(actor))?;
        self.decide(candidates, &request, &entities)
    }

    pub(super) fn person(&self, question: &PersonQuestion<'_>) -> Result<Vec<PolicyRef>, Refusal> {
        let (wish, words) = (&question.wish, &self.words);
        let action = wish.action();
        let grant = self.grant_facts(wish.grant())?;
        let (resource, candidates) = match wish.elevation() {
            Some(facts) => (entities::elevation_uid(facts, words), self.index.about_elevations(action)),
            None => (grant.uid.clone(), self.index.about_grant(action, &wish.grant().name)),
        };
        let candidates = candidates.ok_or_else(|| unknown(wish.grant()))?;
        let reads = candidates.reads;
        let mut more = vec![entities::person(question.person, words, reads).map_err(unbuilt)?];
        if let Some(facts) = wish.elevation() {
            more.push(entities::elevation(facts, words).map_err(unbuilt)?);
            if facts.requester.id != question.person.id {
                more.push(entities::person(facts.requester, words, reads).map_err(unbuilt)?);
            }
        }
        let context = context::person(question, words, reads).map_err(unbuilt)?;
        let person = entities::person_uid(question.person, words);
        let request = self.request(person, action, resource, context)?;
        self.decide(candidates, &request, &with_entities(&grant.entities, more.into_iter())?)
    }

    /// A grant that is not exactly the one that was indexed has other labels or sets, perhaps; nothing is guessed.
    pub(super) fn grant_facts(&self, grant: &Grant) -> Result<&GrantFacts, Refusal> {
        match self.grants.get(&grant.name) {
            Some((version, facts)) if *version == grant.version => Ok(facts),
            _ => Err(unknown(grant)),
        }
    }

    fn request(
        &self,
        principal: EntityUid,
        action: Action,
        resource: EntityUid,
        context: cedar_policy::Context,
    ) -> Result<Request, Refusal> {
        let action = self.actions.get(&action).cloned().unwrap_or_else(|| self.words.action(action));
        Request::new(principal, action, resource, context, None).map_err(unbuilt)
    }

    /// One evaluation over both authors' candidates. It equals two, one per author: a forbid of either denies, an error
    /// in either denies, and each author needs a permit of its own.
    fn decide(
        &self,
        candidates: &Candidates,
        request: &Request,
        entities: &Entities,
    ) -> Result<Vec<PolicyRef>, Refusal> {
        let response = self.authorizer.is_authorized(request, &candidates.set, entities);
        let diagnostics = response.diagnostics();
        // Cedar skips a policy that fails, so a failing forbid would let everybody in.
        let mut errors = diagnostics.errors().peekable();
        if errors.peek().is_some() {
            return Err(errors_of(errors, candidates));
        }
        let mut named: Vec<PolicyRef> =
            diagnostics.reason().filter_map(|id| candidates.names.get(id)).cloned().collect();
        named.sort();
        match (response.decision(), named.first()) {
            (Decision::Allow, _) => match self.authors.iter().find(|author| !has_author(&named, **author)) {
                Some(silent) => Err((DenialReason::NotPermitted(*silent), Vec::new())),
                None => Ok(named),
            },
            (Decision::Deny, Some(forbid)) => Err((DenialReason::Forbidden(forbid.author()), named)),
            (Decision::Deny, None) => Err((DenialReason::NotPermitted(Author::Customer), Vec::new())),
        }
    }
}

fn has_author(named: &[PolicyRef], author: Author) -> bool {
    named.iter().any(|policy| policy.author() == author)
}

fn with_entities(base: &Entities, more: impl Iterator<Item = Entity>) -> Result<Entities, Refusal> {
    base.clone().add_entities(more, None).map_err(unbuilt)
}

fn unknown(grant: &Grant) -> Refusal {
    failed(format!("grant `{}` is not of the catalog that the policies were loaded for", grant.name))
}

fn failed(text: String) -> Refusal {
    (DenialReason::Error(text), Vec::new())
}

fn unbuilt(error: impl std::fmt::Display) -> Refusal {
    failed(ValueError::of(error).to_string())
}

/// The first failure in words, and the names of all. Cut: an error may quote a value of the caller's.
fn errors_of<'a>(errors: impl Iterator<Item = &'a AuthorizationError>, candidates: &Candidates) -> Refusal {
    let mut texts = Vec::new();
    let mut names = HashSet::new();
    for AuthorizationError::PolicyEvaluationError(error) in errors {
        let name = candidates.names.get(error.policy_id());
        let words: String =
            error.inner().to_string().chars().take(200).flat_map(char::escape_default).collect();
        texts.push(format!("`{}`: {words}", name.map_or("?", PolicyRef::as_str)));
        names.extend(name.cloned());
    }
    texts.sort();
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort();
    (DenialReason::Error(texts.into_iter().next().unwrap_or_default()), names)
}
