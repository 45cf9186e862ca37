//! Which policies can decide about which grant. Cost must not grow with policies about other grants.
//!
//! The index may name a policy that does not apply (Cedar then finds it unsatisfied); it must never leave one out that
//! does. So it looks only at what a scope excludes for certain: another action, another grant, another grant set.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cedar_policy::{ActionConstraint, Context, EntityUid, PolicyId, PolicySet, ResourceConstraint};

use super::decision::PolicyRef;
use super::fault::{Fault, LoadError};
use super::load::LoadedPolicy;
use super::reads::Reads;
use super::schema::{Action, Vocabulary};
use crate::grants::{Catalog, Grant, Lifetime};
use crate::ids::GrantName;

/// The policies that can decide a question, of both authors, and what they can look at.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) set: PolicySet,
    pub(super) names: HashMap<PolicyId, PolicyRef>,
    pub(super) reads: Reads,
    /// The last context that held nothing but a lifetime: every request of that lifetime has the same one.
    pub(super) lifetime_context: ArcSwapOption<(Lifetime, Context)>,
}

/// Candidates by question.
#[derive(Debug)]
pub(super) struct Index {
    grants: HashMap<Action, HashMap<GrantName, Arc<Candidates>>>,
    elevations: HashMap<Action, Arc<Candidates>>,
}

/// Positions in the list of loaded policies, ascending.
type Positions = BTreeSet<usize>;

/// What one action's policies are about.
#[derive(Debug, Default)]
struct Buckets {
    by_grant: HashMap<String, Positions>,
    by_set: HashMap<String, Positions>,
    every_grant: Positions,
    elevations: Positions,
}

/// What a resource scope does not exclude.
#[derive(Debug, PartialEq, Eq)]
enum Reach {
    Everything,
    EveryGrant,
    Grant(String),
    Set(String),
    Elevations,
    Nothing,
}

impl Index {
    /// Indexes `policies` for the grants of `catalog`.
    pub(super) fn new(
        policies: &[LoadedPolicy],
        words: &Vocabulary,
        catalog: &Catalog,
    ) -> Result<Self, LoadError> {
        let buckets = buckets(policies, words);
        let mut builder = Builder { policies, shared: HashMap::new() };
        let mut index = Self { grants: HashMap::new(), elevations: HashMap::new() };
        for action in Action::ALL {
            let empty = Buckets::default();
            let bucket = buckets.get(&action).unwrap_or(&empty);
            if action.is_about_elevation() {
                index.elevations.insert(action, builder.candidates(bucket.elevations.clone())?);
                continue;
            }
            let by_grant = catalog
                .iter()
                .map(|grant| Ok((grant.name.clone(), builder.candidates(bucket.about(grant))?)))
                .collect::<Result<_, LoadError>>()?;
            index.grants.insert(action, by_grant);
        }
        Ok(index)
    }

    /// Who can decide `action` on the grant of that name; `None` when the catalog has none.
    pub(super) fn about_grant(&self, action: Action, grant: &GrantName) -> Option<&Arc<Candidates>> {
        self.grants.get(&action)?.get(grant)
    }

    /// Who can decide `action` on elevations.
    pub(super) fn about_elevations(&self, action: Action) -> Option<&Arc<Candidates>> {
        self.elevations.get(&action)
    }
}

impl Buckets {
    fn add(&mut self, reach: Reach, position: usize) {
        match reach {
            Reach::Everything => {
                self.every_grant.insert(position);
                self.elevations.insert(position);
            }
            Reach::EveryGrant => {
                self.every_grant.insert(position);
            }
            Reach::Grant(name) => {
                self.by_grant.entry(name).or_default().insert(position);
            }
            Reach::Set(name) => {
                self.by_set.entry(name).or_default().insert(position);
            }
            Reach::Elevations => {
                self.elevations.insert(position);
            }
            Reach::Nothing => {}
        }
    }

    fn about(&self, grant: &Grant) -> Positions {
        let own = self.by_grant.get(grant.name.as_str());
        let sets = grant.sets.iter().filter_map(|set| self.by_set.get(set));
        self.every_grant.iter().chain(own.into_iter().chain(sets).flatten()).copied().collect()
    }
}

fn buckets(policies: &[LoadedPolicy], words: &Vocabulary) -> HashMap<Action, Buckets> {
    let mut buckets: HashMap<Action, Buckets> = HashMap::new();
    for (position, loaded) in policies.iter().enumerate() {
        for action in actions(&loaded.policy.action_constraint(), words) {
            let reach = reach(&loaded.policy.resource_constraint(), words);
            buckets.entry(action).or_default().add(reach, position);
        }
    }
    buckets
}

fn actions(constraint: &ActionConstraint, words: &Vocabulary) -> BTreeSet<Action> {
    match constraint {
        ActionConstraint::Any => Action::ALL.into_iter().collect(),
        ActionConstraint::Eq(uid) => words.action_of(uid).into_iter().collect(),
        // The schema has no groups of actions, so an action is in itself only.
        ActionConstraint::In(uids) => uids.iter().filter_map(|uid| words.action_of(uid)).collect(),
    }
}

fn reach(constraint: &ResourceConstraint, words: &Vocabulary) -> Reach {
    match constraint {
        ResourceConstraint::Any => Reach::Everything,
        ResourceConstraint::Is(kind) if *kind == words.grant => Reach::EveryGrant,
        ResourceConstraint::Is(kind) if *kind == words.elevation => Reach::Elevations,
        ResourceConstraint::Is(_) => Reach::Nothing,
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            reach_of(uid, words)
        }
    }
}

fn reach_of(uid: &EntityUid, words: &Vocabulary) -> Reach {
    let id = || uid.id().unescaped().to_owned();
    match uid.type_name() {
        kind if *kind == words.grant => Reach::Grant(id()),
        kind if *kind == words.grant_set => Reach::Set(id()),
        kind if *kind == words.elevation => Reach::Elevations,
        _ => Reach::Nothing,
    }
}

/// Builds each distinct list of candidates once: most grants share theirs.
struct Builder<'a> {
    policies: &'a [LoadedPolicy],
    shared: HashMap<Positions, Arc<Candidates>>,
}

impl Builder<'_> {
    fn candidates(&mut self, positions: Positions) -> Result<Arc<Candidates>, LoadError> {
        if let Some(built) = self.shared.get(&positions) {
            return Ok(Arc::clone(built));
        }
        let chosen = || positions.iter().filter_map(|position| self.policies.get(*position));
        let built = Arc::new(Candidates::new(chosen())?);
        self.shared.insert(positions, Arc::clone(&built));
        Ok(built)
    }
}

impl Candidates {
    pub(super) fn new<'a>(policies: impl Iterator<Item = &'a LoadedPolicy>) -> Result<Self, LoadError> {
        let mut built = Self {
            set: PolicySet::new(),
            names: HashMap::new(),
            reads: Reads::default(),
            lifetime_context: ArcSwapOption::empty(),
        };
        for loaded in policies {
            let added = built.set.add(loaded.policy.clone());
            added.map_err(|error| Fault::of_file(loaded.name.to_string(), error.to_string()))?;
            built.names.insert(loaded.policy.id().clone(), loaded.name.clone());
            built.reads = built.reads.and(loaded.reads);
        }
        Ok(built)
    }
}
