//! The decision point: (principal, action, grant, context) in, [`Permit`] or [`Denial`] out. Knows Cedar and nothing
//! else that decides; refuses to know how a token was checked or what will be made of a permit.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Moment;
use crate::grants::{Catalog, Grant, Lifetime};
use crate::ids::Scope;
use crate::principal::{Authentication, Principal, PrincipalId, Workload};
use crate::secret::Fingerprint;

/// Where the policies are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Holds `schema.cedarschema` (optional: must equal ours), `customer/*.cedar` and, optionally, `vendor/*.cedar`.
    pub dir: PathBuf,
}

/// The two authors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Author { Customer, Vendor }

/// One request to issue, put to the policy.
#[derive(Clone, Debug)]
pub struct IssueQuestion<'a> {
    pub principal: &'a Principal,
    pub authentication: &'a Authentication,
    pub grant: &'a Arc<Grant>,
    pub ttl: Lifetime,
    pub scopes: &'a BTreeSet<Scope>,
    pub source_ip: Option<IpAddr>,
    /// `x5t#S256` of the client certificate (RFC 8705 §3.1), when there was one.
    pub client_cert: Option<&'a str>,
    pub actor: Option<&'a Workload>,
    pub at: Moment,
    // `elevation` joins with break-glass
}

/// Which policy sets decided: one digest over both authors' texts and the schema.
pub type PolicyDigest = Fingerprint;

/// A policy that took part in a decision, such as `customer/workloads.cedar#orders`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PolicyRef(Arc<str>);

/// Proof that the policy said yes, with no error, in every set. Only this room makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    // private fields
    principal: PrincipalId,
    grant: Arc<Grant>,
    ttl: Lifetime,
    scopes: BTreeSet<Scope>,
    decided_by: Vec<PolicyRef>,
    digest: PolicyDigest,
}

impl Permit {
    pub fn principal(&self) -> &PrincipalId { &self.principal }
    pub fn grant(&self) -> &Arc<Grant> { &self.grant }
    pub fn ttl(&self) -> Lifetime { self.ttl }
    pub fn scopes(&self) -> &BTreeSet<Scope> { &self.scopes }
    pub fn decided_by(&self) -> &[PolicyRef] { &self.decided_by }
    pub fn digest(&self) -> PolicyDigest { self.digest }
}

#[cfg(test)]
impl Permit {
    /// A permit for the tests of other rooms.
    pub(crate) fn for_test(issuer: &str, subject: &str, grant: &Arc<Grant>, ttl: Lifetime, scopes: &[&str]) -> Self {
        let issuer = crate::ids::IssuerName::new(issuer).unwrap();
        let subject = crate::ids::Subject::new(subject).unwrap();
        Self {
            principal: PrincipalId { issuer, subject },
            grant: Arc::clone(grant),
            ttl,
            scopes: scopes.iter().map(|scope| Scope::new(scope).unwrap()).collect(),
            decided_by: Vec::new(),
            digest: Fingerprint::of(b"policies"),
        }
    }
}

/// The policy said no.
#[derive(Clone, Debug)]
pub struct Denial {
    pub reason: DenialReason,
    pub decided_by: Vec<PolicyRef>,
    pub digest: PolicyDigest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// No policy of that author permits it.
    NotPermitted(Author),
    /// A forbid decided.
    Forbidden(Author),
    /// A policy could not be evaluated; the text names the policy, for the operator.
    Error(String),
}

/// Why a policy folder was not loaded: every fault with its file and line.
#[derive(Debug, thiserror::Error)]
#[error("policies were not loaded")]
pub struct LoadError {}

/// The live policy sets. `decide` is lock-free; `reload` swaps only a valid set.
#[derive(Debug)]
pub struct PolicyEngine {}

impl PolicyEngine {
    /// Reads, strictly validates and indexes the folder for the grants in `catalog`.
    pub fn load(settings: &Settings, catalog: &Catalog) -> Result<Self, LoadError> { todo!() }
    /// Loads again; swaps and returns the new digest only when it is valid and differs; the old set stays on an error.
    pub fn reload(&self) -> Result<Option<PolicyDigest>, LoadError> { todo!() }
    pub fn digest(&self) -> PolicyDigest { todo!() }
    /// Does any policy that may decide `issue` on this grant read `context.ttl`?
    pub fn reads_ttl(&self, grant: &Grant) -> bool { todo!() }
    pub fn decide_issue(&self, question: &IssueQuestion<'_>) -> Result<Permit, Denial> { todo!() }
}
