//! Who counts as an approver. Pure: policy is asked through [`Judge`].

use std::collections::BTreeSet;
use std::time::Duration;

use super::elevation::{Approval, Elevation};
use crate::ids::IssuerName;
use crate::principal::PrincipalId;

/// What policy says, asked by the machine and answered by whoever runs it.
pub trait Judge {
    /// May this approver still approve, with the facts of their approval and the policies of now?
    fn is_eligible(&mut self, elevation: &Elevation, approval: &Approval) -> bool;
    /// Do these approvals open access of that length?
    fn suffices(&mut self, elevation: &Elevation, tally: &Tally, duration: Duration) -> bool;
}

/// The approvals that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    people: BTreeSet<PrincipalId>,
    groups: BTreeSet<(IssuerName, String)>,
}

impl Tally {
    /// Counts people, never approvals, never the requester, and only who may approve now.
    pub fn of(elevation: &Elevation, judge: &mut dyn Judge) -> Self {
        let mut tally = Self::default();
        for approval in &elevation.approvals {
            let id = approval.by.id();
            if elevation.is_requester(id) || !judge.is_eligible(elevation, approval) {
                continue;
            }
            tally.people.insert(id.clone());
            let groups = approval.by.person.groups.iter();
            tally.groups.extend(groups.map(|group| (id.issuer.clone(), group.clone())));
        }
        tally
    }

    /// By how many people.
    pub fn count(&self) -> u32 {
        u32::try_from(self.people.len()).unwrap_or(u32::MAX)
    }

    /// Who they are.
    pub fn people(&self) -> &BTreeSet<PrincipalId> {
        &self.people
    }

    /// Every group of every one of them, with the issuer that named it.
    pub fn groups(&self) -> &BTreeSet<(IssuerName, String)> {
        &self.groups
    }
}
