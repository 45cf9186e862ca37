//! Who, as data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::FactsError;
use crate::ids::{IssuerName, Subject};
use crate::principal::{
    AwsIdentity, Github, Gitlab, Kubernetes, Person, Principal, PrincipalId, Spiffe, Workload,
    WorkloadAttributes,
};

/// A program or a human being.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the two kinds of principals")]
pub enum PrincipalKind {
    Workload,
    Person,
}

/// A caller with everything that policy can see of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalFacts {
    /// Program or human being.
    pub kind: PrincipalKind,
    /// The issuer's name in the configuration.
    pub issuer: IssuerName,
    /// The token's `sub`.
    pub subject: Subject,
    /// The groups that the token names, without the issuer's name in front.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// What the profile `kubernetes` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// What the profile `github` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<Box<Github>>,
    /// What the profile `gitlab` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitlab: Option<Box<Gitlab>>,
    /// What the profile `spiffe` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
    /// What the profile `aws` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsIdentity>,
    /// A person's, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A person's, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Every other string or string-list claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, BTreeSet<String>>,
}

impl PrincipalFacts {
    /// Of a caller.
    pub fn of(caller: &Principal) -> Self {
        match caller {
            Principal::Workload(workload) => Self::of_workload(workload),
            Principal::Person(person) => Self::of_person(person),
        }
    }

    /// Of a program.
    pub fn of_workload(caller: &Workload) -> Self {
        let (groups, tags) = (caller.groups.clone(), caller.tags.clone());
        let facts = Self { groups, tags, ..Self::bare(PrincipalKind::Workload, caller.id.clone()) };
        match caller.attributes.clone() {
            WorkloadAttributes::Kubernetes(it) => Self { kubernetes: Some(it), ..facts },
            WorkloadAttributes::Github(it) => Self { github: Some(Box::new(it)), ..facts },
            WorkloadAttributes::Gitlab(it) => Self { gitlab: Some(Box::new(it)), ..facts },
            WorkloadAttributes::Spiffe(it) => Self { spiffe: Some(it), ..facts },
            WorkloadAttributes::Aws(it) => Self { aws: Some(it), ..facts },
            WorkloadAttributes::Generic => facts,
        }
    }

    /// Of a human being.
    pub fn of_person(caller: &Person) -> Self {
        let Person { id, email, name, groups, tags } = caller.clone();
        Self { email, name, groups, tags, ..Self::bare(PrincipalKind::Person, id) }
    }

    /// Of somebody of whom nothing else is known.
    pub fn bare(kind: PrincipalKind, id: PrincipalId) -> Self {
        Self {
            kind,
            issuer: id.issuer,
            subject: id.subject,
            groups: BTreeSet::new(),
            kubernetes: None,
            github: None,
            gitlab: None,
            spiffe: None,
            aws: None,
            email: None,
            name: None,
            tags: BTreeMap::new(),
        }
    }

    /// Who.
    pub fn id(&self) -> PrincipalId {
        PrincipalId { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }

    /// The caller.
    ///
    /// # Errors
    /// No caller is like that.
    pub fn to_principal(&self) -> Result<Principal, FactsError> {
        match self.kind {
            PrincipalKind::Workload => self.to_workload().map(Principal::Workload),
            PrincipalKind::Person => self.to_person().map(Principal::Person),
        }
    }

    /// The program.
    ///
    /// # Errors
    /// It is none, or none is like that.
    pub fn to_workload(&self) -> Result<Workload, FactsError> {
        if self.kind != PrincipalKind::Workload || self.email.is_some() || self.name.is_some() {
            return Err(FactsError(format!("`{}` is no workload", self.id())));
        }
        let mut records = self.records();
        let attributes = records.next().unwrap_or(WorkloadAttributes::Generic);
        if records.next().is_some() {
            return Err(FactsError(format!("`{}` has records of two profiles", self.id())));
        }
        let (groups, tags) = (self.groups.clone(), self.tags.clone());
        Ok(Workload { id: self.id(), attributes, groups, tags })
    }

    /// The human being.
    ///
    /// # Errors
    /// It is none, or has a workload's attributes.
    pub fn to_person(&self) -> Result<Person, FactsError> {
        if self.kind != PrincipalKind::Person || self.records().next().is_some() {
            return Err(FactsError(format!("`{}` is no person", self.id())));
        }
        let Self { email, name, groups, tags, .. } = self.clone();
        Ok(Person { id: self.id(), email, name, groups, tags })
    }

    fn records(&self) -> impl Iterator<Item = WorkloadAttributes> {
        let github = self.github.as_deref().cloned().map(WorkloadAttributes::Github);
        let gitlab = self.gitlab.as_deref().cloned().map(WorkloadAttributes::Gitlab);
        let records = [
            self.kubernetes.clone().map(WorkloadAttributes::Kubernetes),
            github,
            gitlab,
            self.spiffe.clone().map(WorkloadAttributes::Spiffe),
            self.aws.clone().map(WorkloadAttributes::Aws),
        ];
        records.into_iter().flatten()
    }
}
