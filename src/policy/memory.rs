//! Permits that were given before. A decision is a function of its inputs: where policy looks at nothing that changes
//! from request to request (no time, no address, no tags), the same workload that asks for the same grant and lifetime
//! again gets the same answer without Cedar.
//!
//! Lives inside one loaded policy set and goes with it, so a reload forgets everything. Remembers permits only:
//! refusals are rare, and a stranger must not push permits out.

use std::collections::{BTreeSet, HashMap, hash_map::RandomState};
use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};

use super::IssueQuestion;
use super::decision::PolicyRef;
use super::reads::{Part, Reads};
use crate::grants::Lifetime;
use crate::ids::GrantName;
use crate::principal::{Principal, PrincipalId, Workload, WorkloadAttributes};

/// About 2 MiB. A broker that sees more workloads than this decides some of them anew.
const MOST: usize = 4_096;

/// Everything that such a decision depends on, beside the policies, the teams and the grant's own facts, which are loaded
/// together. Who is in which team is told by `id` and `groups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inputs<'a> {
    grant: &'a GrantName,
    ttl: Lifetime,
    id: &'a PrincipalId,
    attributes: &'a WorkloadAttributes,
    groups: &'a BTreeSet<String>,
}

/// The same, kept.
#[derive(Debug)]
struct Kept {
    grant: GrantName,
    ttl: Lifetime,
    id: PrincipalId,
    attributes: WorkloadAttributes,
    groups: BTreeSet<String>,
    decided_by: Vec<PolicyRef>,
}

/// Permits by their inputs.
#[derive(Debug, Default)]
pub(super) struct Memory {
    hasher: RandomState,
    /// By hash, and each compared in full: of two inputs with one hash the later one stays.
    kept: Mutex<HashMap<u64, Kept>>,
}

impl<'a> Inputs<'a> {
    /// `None` when a policy that can decide looks at more than is compared here. People are few and their tags many:
    /// they are always decided anew.
    pub(super) fn of(question: &IssueQuestion<'a>, reads: Reads) -> Option<Self> {
        let Principal::Workload(Workload { id, attributes, groups, tags: _ }) = question.principal else {
            return None;
        };
        let enough = reads.looks_at_nothing_but_the_lifetime() && !reads.has(Part::Tags);
        enough.then_some(Self { grant: &question.grant.name, ttl: question.ttl, id, attributes, groups })
    }
}

impl Kept {
    fn inputs(&self) -> Inputs<'_> {
        let Self { grant, ttl, id, attributes, groups, decided_by: _ } = self;
        Inputs { grant, ttl: *ttl, id, attributes, groups }
    }
}

impl Memory {
    /// The policies that permitted exactly this before.
    pub(super) fn recall(&self, inputs: Inputs<'_>) -> Option<Vec<PolicyRef>> {
        let hash = self.hasher.hash_one(inputs);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&hash).filter(|kept| kept.inputs() == inputs).map(|kept| kept.decided_by.clone())
    }

    /// Keeps a permit. When there is no room all are forgotten: simple, and rarer than it costs.
    pub(super) fn keep(&self, inputs: Inputs<'_>, decided_by: &[PolicyRef]) {
        let hash = self.hasher.hash_one(inputs);
        let fresh = Kept {
            grant: inputs.grant.clone(),
            ttl: inputs.ttl,
            id: inputs.id.clone(),
            attributes: inputs.attributes.clone(),
            groups: inputs.groups.clone(),
            decided_by: decided_by.to_vec(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(hash, fresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{IssuerName, Subject};

    fn id(subject: u64) -> PrincipalId {
        PrincipalId {
            issuer: IssuerName::new("prod").unwrap(),
            subject: Subject::new(&subject.to_string()).unwrap(),
        }
    }

    fn inputs<'a>(grant: &'a GrantName, id: &'a PrincipalId, groups: &'a BTreeSet<String>) -> Inputs<'a> {
        let ttl = Lifetime::from_seconds(60).unwrap();
        Inputs { grant, ttl, id, attributes: &WorkloadAttributes::Generic, groups }
    }

    #[test]
    fn only_exactly_the_same_is_recalled() {
        let (memory, grant, other) =
            (Memory::default(), GrantName::new("a").unwrap(), GrantName::new("b").unwrap());
        let (one, two, none, some) = (id(1), id(2), BTreeSet::new(), BTreeSet::from(["g".to_owned()]));
        let asked = inputs(&grant, &one, &some);
        memory.keep(asked, &[]);
        assert_eq!(memory.recall(asked), Some(Vec::new()));
        let spiffe = WorkloadAttributes::Spiffe(crate::principal::Spiffe {
            trust_domain: "d".into(),
            path: "/".into(),
        });
        for different in [
            inputs(&other, &one, &some),
            inputs(&grant, &two, &some),
            inputs(&grant, &one, &none),
            Inputs { ttl: Lifetime::from_seconds(61).unwrap(), ..asked },
            Inputs { attributes: &spiffe, ..asked },
        ] {
            assert_eq!(memory.recall(different), None, "{different:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (memory, grant, groups) = (Memory::default(), GrantName::new("a").unwrap(), BTreeSet::new());
        for number in 0..=MOST as u64 {
            memory.keep(inputs(&grant, &id(number), &groups), &[]);
        }
        assert!(memory.kept.lock().unwrap().len() <= MOST);
        assert!(memory.recall(inputs(&grant, &id(MOST as u64), &groups)).is_some());
    }
}
