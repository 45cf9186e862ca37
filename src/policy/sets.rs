//! Valid policy sets and the rule by which they decide, for any grant that somebody describes. The live engine decides by
//! one of these; tools that have no catalog ask it directly.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityUid, Request};

use super::context;
use super::decision::{Author, Decided, Denial, DenialReason, PolicyDigest, PolicyDigests, PolicyRef};
use super::entities::{self, GrantEntity};
use super::facts::{Asked, ElevationSeen, Facts, FactsError};
use super::fault::LoadError;
use super::index::{Candidates, Shelf};
use super::load::{LoadedPolicy, load};
use super::question::{Approvals, ElevationFacts, ElevationUse, IssueQuestion, PersonQuestion, Wish};
use super::reads::Part;
use super::relations::Relations;
use super::schema::{Action, Vocabulary, schema};
use super::source::{Origin, Sources};
use super::texts::PolicyTexts;
use super::values::ValueError;
use super::{Settings, World};
use crate::grants::Grant;
use crate::ids::GrantName;

/// No, before the digest is added.
pub(super) type Refusal = (DenialReason, Vec<PolicyRef>);

/// Valid policy sets of both authors.
#[derive(Debug)]
pub struct PolicySets {
    origin: Origin,
    authors: Vec<Author>,
    relations: Relations,
    pub(super) words: Vocabulary,
    actions: HashMap<Action, EntityUid>,
    policies: Vec<LoadedPolicy>,
    pub(super) shelf: Shelf,
    authorizer: Authorizer,
    /// What was found for grants that no catalog was asked about.
    found: Mutex<HashMap<Place, Arc<Candidates>>>,
}

/// What tells which policies can decide.
type Place = (Action, GrantName, BTreeSet<String>);

impl PolicySets {
    /// Reads and strictly validates a policy folder.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn read(dir: &Path) -> Result<Self, LoadError> {
        Self::new(&Sources::read(dir)?)
    }

    /// The same of a folder and, when one is pinned, the vendor's bundle.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn gather(settings: &Settings) -> Result<Self, LoadError> {
        Self::new(&Sources::gather(settings)?)
    }

    /// The same for tools that judge policies, and never for what decides: of a folder in which nothing is the customer's,
    /// the vendor's half by itself.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn gather_or_half(settings: &Settings) -> Result<Self, LoadError> {
        Self::new(&Sources::gather_or_half(settings)?)
    }

    /// The same of texts that are at hand.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn of(texts: &PolicyTexts) -> Result<Self, LoadError> {
        Self::new(&texts.sources()?)
    }

    pub(super) fn new(sources: &Sources) -> Result<Self, LoadError> {
        let words = Vocabulary::new()?;
        let (policies, relations) = both(load(sources, &schema()?), sources.read_relations(&words))?;
        Self::of_policies(policies, sources.authors.clone(), sources.origin(), &relations)
    }

    /// What one author says, as if there were no other; `None` when they say nothing. Under the digest of both.
    ///
    /// # Errors
    /// None that these sets would not have had.
    pub fn only(&self, author: Author) -> Result<Option<Self>, LoadError> {
        if !self.authors.contains(&author) {
            return Ok(None);
        }
        let own = self.policies.iter().filter(|policy| policy.name.author() == author).cloned().collect();
        Self::of_policies(own, vec![author], self.origin.clone(), &self.relations).map(Some)
    }

    pub(super) fn of_policies(
        policies: Vec<LoadedPolicy>,
        authors: Vec<Author>,
        origin: Origin,
        relations: &Relations,
    ) -> Result<Self, LoadError> {
        let words = Vocabulary::new()?;
        let relations = relations.asked_about_by(&policies, &words);
        Ok(Self {
            origin,
            relations,
            authors,
            actions: Action::ALL.into_iter().map(|action| (action, words.action(action))).collect(),
            shelf: Shelf::new(&policies, &words),
            policies,
            authorizer: Authorizer::new(),
            found: Mutex::default(),
            words,
        })
    }

    /// Over both authors' texts.
    pub const fn digest(&self) -> PolicyDigest {
        self.origin.digests.both
    }

    /// Over each author's texts.
    pub const fn digests(&self) -> PolicyDigests {
        self.origin.digests
    }

    /// Which policy sets these are, and what they came in.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Teams and ownership, as the customer wrote them down.
    pub const fn relations(&self) -> &Relations {
        &self.relations
    }

    /// Does `world` have every issuer and grant that the customer's `entities.json` names?
    ///
    /// # Errors
    /// It has not.
    pub fn check_against(&self, world: &World) -> Result<(), LoadError> {
        let issuers = world.issuers.iter().map(|issuer| issuer.name.clone()).collect();
        self.relations.check_known(Some(&issuers), |grant| world.grant(grant.as_str()).is_some())
    }

    /// Is the customer's half missing? Then what is permitted here is permitted nowhere yet.
    pub fn is_half(&self) -> bool {
        !self.authors.contains(&Author::Customer)
    }

    /// Whose permit is needed.
    pub fn authors(&self) -> &[Author] {
        &self.authors
    }

    /// Every policy, in the order of authors, files and places.
    pub fn policies(&self) -> &[LoadedPolicy] {
        &self.policies
    }

    /// Decides about facts, by the same rule as the live engine.
    ///
    /// # Errors
    /// The denial. Facts that no request can have are denied, as whatever cannot be evaluated is.
    pub fn decide(&self, facts: &Facts) -> Result<Decided, Denial> {
        self.told(self.ask(facts, true))
    }

    /// The same without the broker's own rule that break-glass needs an elevation: would the policies say so themselves?
    ///
    /// # Errors
    /// The denial.
    pub fn decide_by_policies_alone(&self, facts: &Facts) -> Result<Decided, Denial> {
        self.told(self.ask(facts, false))
    }

    fn told(&self, answer: Result<Result<Vec<PolicyRef>, Refusal>, FactsError>) -> Result<Decided, Denial> {
        let outcome = answer.unwrap_or_else(|error| Err(failed(error.to_string())));
        match outcome {
            Ok(decided_by) => Ok(Decided { decided_by, digests: self.digests() }),
            Err((reason, decided_by)) => {
                Err(Denial { reason, decided_by, digests: Box::new(self.digests()) })
            }
        }
    }

    fn ask(
        &self,
        facts: &Facts,
        by_our_rule_too: bool,
    ) -> Result<Result<Vec<PolicyRef>, Refusal>, FactsError> {
        let grant = facts.grant.to_grant()?;
        let entity = GrantEntity::new(&grant, &self.words, &self.relations).map_err(FactsError::of)?;
        let candidates = self.candidates(facts.asked.action(), &grant)?;
        if let Asked::Issue { .. } = facts.asked {
            return with_issue_question(facts, &grant, |question| {
                needs_elevation(question)
                    .filter(|_| by_our_rule_too)
                    .map_or_else(|| self.issue(question, &entity, &candidates), Err)
            });
        }
        with_person_question(facts, &grant, |question| self.person(question, &entity, &candidates))
    }

    /// The policies that can decide `action` on a grant, which no catalog need know.
    pub(super) fn candidates(&self, action: Action, grant: &Grant) -> Result<Arc<Candidates>, FactsError> {
        let place = (action, grant.name.clone(), grant.sets.clone());
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.get(&place) {
            return Ok(Arc::clone(known));
        }
        let positions = self.shelf.positions(action, grant);
        let candidates = self.shelf.candidates(&self.policies, positions).map_err(FactsError::of)?;
        found.insert(place, Arc::clone(&candidates));
        Ok(candidates)
    }

    /// Decides about a credential, by `candidates`.
    pub(super) fn issue(
        &self,
        question: &IssueQuestion<'_>,
        grant: &GrantEntity,
        candidates: &Candidates,
    ) -> Result<Vec<PolicyRef>, Refusal> {
        let context = self.issue_context(question, candidates).map_err(unbuilt)?;
        let (request, entities) = self.issue_request(question, grant, candidates, context)?;
        self.decide_by(candidates, &request, &entities)
    }

    pub(super) fn issue_request(
        &self,
        question: &IssueQuestion<'_>,
        grant: &GrantEntity,
        candidates: &Candidates,
        context: Context,
    ) -> Result<(Request, Entities), Refusal> {
        let reads = candidates.reads;
        let caller =
            entities::principal(question.principal, &self.words, &self.relations, reads).map_err(unbuilt)?;
        let actor = question.actor.filter(|actor| {
            // The same workload may act for itself: an entity stands in the store once.
            reads.has(Part::Actor) && question.principal.id() != &actor.id
        });
        let actor = actor
            .map(|actor| entities::workload(actor, &self.words, &self.relations, reads))
            .transpose()
            .map_err(unbuilt)?;
        let principal = entities::principal_uid(question.principal, &self.words);
        let request = self.request(principal, Action::Issue, grant.uid.clone(), context)?;
        Ok((request, with_entities(&grant.entities, [caller].into_iter().chain(actor))?))
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

    /// Decides about a person's wish, by `candidates`.
    pub(super) fn person(
        &self,
        question: &PersonQuestion<'_>,
        grant: &GrantEntity,
        candidates: &Candidates,
    ) -> Result<Vec<PolicyRef>, Refusal> {
        let (request, entities) = self.person_request(question, grant, candidates)?;
        self.decide_by(candidates, &request, &entities)
    }

    pub(super) fn person_request(
        &self,
        question: &PersonQuestion<'_>,
        grant: &GrantEntity,
        candidates: &Candidates,
    ) -> Result<(Request, Entities), Refusal> {
        let (wish, words, reads) = (&question.wish, &self.words, candidates.reads);
        let relations = &self.relations;
        let mut more = vec![entities::person(question.person, words, relations, reads).map_err(unbuilt)?];
        let mut resource = grant.uid.clone();
        if let Some(facts) = wish.elevation() {
            resource = entities::elevation_uid(facts, words);
            more.push(entities::elevation(facts, words).map_err(unbuilt)?);
            if facts.requester.id != question.person.id {
                more.push(entities::person(facts.requester, words, relations, reads).map_err(unbuilt)?);
            }
        }
        let context = context::person(question, words, relations, reads).map_err(unbuilt)?;
        let person = entities::person_uid(question.person, words);
        let request = self.request(person, wish.action(), resource, context)?;
        Ok((request, with_entities(&grant.entities, more.into_iter())?))
    }

    fn request(
        &self,
        principal: EntityUid,
        action: Action,
        resource: EntityUid,
        context: Context,
    ) -> Result<Request, Refusal> {
        let action = self.actions.get(&action).cloned().unwrap_or_else(|| self.words.action(action));
        Request::new(principal, action, resource, context, None).map_err(unbuilt)
    }

    /// One evaluation over both authors' candidates. It equals two, one per author: a forbid of either denies, an error
    /// in either denies, and each author needs a permit of its own.
    fn decide_by(
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
            (Decision::Deny, None) => {
                let first = self.authors.first().copied().unwrap_or(Author::Customer);
                Err((DenialReason::NotPermitted(first), Vec::new()))
            }
        }
    }
}

/// A break-glass grant is never issued without an active elevation, whatever policy says.
pub(super) fn needs_elevation(question: &IssueQuestion<'_>) -> Option<Refusal> {
    let needed = question.grant.break_glass.is_some() && question.elevation.is_none();
    needed.then(|| failed(format!("grant `{}` needs an active elevation", question.grant.name)))
}

/// Hands facts about a credential on as the question that they were.
pub(super) fn with_issue_question<T>(
    facts: &Facts,
    grant: &Arc<Grant>,
    ask: impl FnOnce(&IssueQuestion<'_>) -> T,
) -> Result<T, FactsError> {
    let Asked::Issue { ttl, scopes, client_cert, actor, elevation } = &facts.asked else {
        return Err(FactsError("not about a credential".to_owned()));
    };
    let (principal, authentication) = (facts.caller()?, facts.auth.to_authentication());
    let actor = actor.as_deref().map(super::facts::PrincipalFacts::to_workload).transpose()?;
    Ok(ask(&IssueQuestion {
        principal: &principal,
        authentication: &authentication,
        grant,
        ttl: super::facts::lifetime(*ttl)?,
        scopes,
        source_ip: facts.source_ip,
        client_cert: client_cert.as_deref(),
        actor: actor.as_ref(),
        at: facts.at,
        elevation: elevation.map(ElevationUse::from),
    }))
}

/// Hands facts about a person's wish on as the question that they were.
pub(super) fn with_person_question<T>(
    facts: &Facts,
    grant: &Arc<Grant>,
    ask: impl FnOnce(&PersonQuestion<'_>) -> T,
) -> Result<T, FactsError> {
    let (person, authentication) = (facts.principal.to_person()?, facts.auth.to_authentication());
    let put = |wish: Wish<'_>| {
        ask(&PersonQuestion {
            person: &person,
            authentication: &authentication,
            source_ip: facts.source_ip,
            at: facts.at,
            wish,
        })
    };
    Ok(match &facts.asked {
        Asked::Issue { .. } => return Err(FactsError("about a credential, not a wish".to_owned())),
        Asked::Request { duration } => put(Wish::Request { grant, duration: *duration }),
        Asked::Activate { duration, approvals } => {
            let (people, groups) = (approvals.approvers()?, approvals.taken_apart()?);
            let approvals = Approvals { count: approvals.count, people: &people, groups: &groups };
            put(Wish::Activate { grant, duration: *duration, approvals })
        }
        Asked::Approve { elevation, duration } => {
            let requester = elevation.requester.to_person()?;
            put(Wish::Approve { elevation: seen(elevation, grant, &requester), duration: *duration })
        }
        Asked::Revoke { elevation } => {
            let requester = elevation.requester.to_person()?;
            put(Wish::Revoke { elevation: seen(elevation, grant, &requester) })
        }
        Asked::View { elevation } => {
            let requester = elevation.requester.to_person()?;
            put(Wish::View { elevation: seen(elevation, grant, &requester) })
        }
        Asked::Lock => put(Wish::Lock { grant }),
        Asked::Audit => put(Wish::Audit { grant }),
        Asked::Explain => put(Wish::Explain { grant }),
    })
}

fn seen<'a>(
    elevation: &'a ElevationSeen,
    grant: &'a Arc<Grant>,
    requester: &'a crate::principal::Person,
) -> ElevationFacts<'a> {
    ElevationFacts {
        id: &elevation.id,
        grant,
        requester,
        duration: elevation.duration,
        reason: &elevation.reason,
        ticket: elevation.ticket.as_deref(),
    }
}

/// Faults of one do not hide those of the other.
fn both<T, U>(one: Result<T, LoadError>, other: Result<U, LoadError>) -> Result<(T, U), LoadError> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) => Err(one.and(other)),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}

fn has_author(named: &[PolicyRef], author: Author) -> bool {
    named.iter().any(|policy| policy.author() == author)
}

fn with_entities(base: &Entities, more: impl Iterator<Item = Entity>) -> Result<Entities, Refusal> {
    base.clone().add_entities(more, None).map_err(unbuilt)
}

pub(super) fn failed(text: String) -> Refusal {
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
