//! Which policies can decide about which grant. Cost must not grow with policies about other grants.
//!
//! The index may name a policy that does not apply (Cedar then finds it unsatisfied); it must never leave one out that
//! does. So it looks only at what a scope excludes for certain: another action, another grant, another grant set.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Candidates by question, for the grants of a catalog.
#[derive(Debug)]
pub(super) struct Index {
    grants: HashMap<Action, HashMap<GrantName, Arc<Candidates>>>,
    elevations: HashMap<Action, Arc<Candidates>>,
}

/// Which policies are about what, and every list of candidates that was built. Each is built once: most grants share theirs.
#[derive(Debug)]
pub(super) struct Shelf {
    buckets: HashMap<Action, Buckets>,
    built: Mutex<HashMap<Positions, Arc<Candidates>>>,
}

/// Positions in the list of loaded policies, ascending.
pub(super) type Positions = BTreeSet<usize>;

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

impl Shelf {
    pub(super) fn new(policies: &[LoadedPolicy], words: &Vocabulary) -> Self {
        Self { buckets: buckets(policies, words), built: Mutex::default() }
    }

    /// The policies that can decide `action`, which is about `grant` in the end.
    pub(super) fn positions(&self, action: Action, grant: &Grant) -> Positions {
        match self.buckets.get(&action) {
            Some(bucket) if action.is_about_elevation() => bucket.elevations.clone(),
            Some(bucket) => bucket.about(grant),
            None => Positions::new(),
        }
    }

    pub(super) fn candidates(
        &self,
        policies: &[LoadedPolicy],
        positions: Positions,
    ) -> Result<Arc<Candidates>, LoadError> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = built.get(&positions) {
            return Ok(Arc::clone(known));
        }
        let chosen = positions.iter().filter_map(|position| policies.get(*position));
        let candidates = Arc::new(Candidates::new(chosen)?);
        built.insert(positions, Arc::clone(&candidates));
        Ok(candidates)
    }
}

impl Index {
    /// Indexes `policies` for the grants of `catalog`.
    pub(super) fn new(
        shelf: &Shelf,
        policies: &[LoadedPolicy],
        catalog: &Catalog,
    ) -> Result<Self, LoadError> {
        let mut index = Self { grants: HashMap::new(), elevations: HashMap::new() };
        for action in Action::ALL {
            if action.is_about_elevation() {
                let about = shelf.buckets.get(&action).map(|bucket| bucket.elevations.clone());
                index.elevations.insert(action, shelf.candidates(policies, about.unwrap_or_default())?);
                continue;
            }
            let of = |grant: &Arc<Grant>| {
                let candidates = shelf.candidates(policies, shelf.positions(action, grant))?;
                Ok((grant.name.clone(), candidates))
            };
            index.grants.insert(action, catalog.iter().map(of).collect::<Result<_, LoadError>>()?);
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
