//! What a decision is: a [`Permit`] or a [`Denial`], and the policies that made it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::question::ElevationUse;
use crate::grants::{Grant, Lifetime};
use crate::ids::Scope;
use crate::principal::PrincipalId;
use crate::secret::Fingerprint;

/// The two authors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// Who runs the broker: ceilings, approvers, forbids.
    Customer,
    /// Who says what it needs.
    Vendor,
}

impl Author {
    /// The name of the author's folder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Vendor => "vendor",
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which policy sets decided: one digest over both authors' texts.
pub type PolicyDigest = Fingerprint;

/// Which policy sets decided, author by author. Small and copied: every decision carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyDigests {
    /// Over everything.
    pub both: PolicyDigest,
    /// Over what the customer wrote, `entities.json` included.
    pub customer: PolicyDigest,
    /// Over what the vendor wrote, and the bundle that it came in; `None` when the customer's set alone decides.
    pub vendor: Option<PolicyDigest>,
}

/// A policy that took part in a decision, such as `customer/workloads.cedar#orders`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PolicyRef {
    text: Arc<str>,
    #[serde(skip)]
    author: Author,
}

impl PolicyRef {
    pub(super) fn new(author: Author, file: &str, name: &str) -> Self {
        Self { text: format!("{author}/{file}#{name}").into(), author }
    }

    /// `<author>/<file>#<@id, or which policy of the file it is>`
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whose policy.
    pub fn author(&self) -> Author {
        self.author
    }
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Proof that the policy said yes, with no error, in every set. Only this room makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) principal: PrincipalId,
    pub(super) grant: Arc<Grant>,
    pub(super) ttl: Lifetime,
    pub(super) scopes: BTreeSet<Scope>,
    pub(super) decided_by: Vec<PolicyRef>,
    pub(super) digests: PolicyDigests,
    pub(super) elevation: Option<ElevationUse>,
}

impl Permit {
    /// Under which elevation; always there for a break-glass grant.
    pub fn elevation(&self) -> Option<&ElevationUse> {
        self.elevation.as_ref()
    }

    /// Who may have the credential.
    pub fn principal(&self) -> &PrincipalId {
        &self.principal
    }

    /// What may be issued.
    pub fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// The lifetime that was decided on. A shorter one needs no new decision unless a policy reads `context.ttl`.
    pub fn ttl(&self) -> Lifetime {
        self.ttl
    }

    /// The scopes that were decided on.
    pub fn scopes(&self) -> &BTreeSet<Scope> {
        &self.scopes
    }

    /// The permits that held, of every author, in the order of their names.
    pub fn decided_by(&self) -> &[PolicyRef] {
        &self.decided_by
    }

    /// The policy sets that decided.
    pub fn digest(&self) -> PolicyDigest {
        self.digests.both
    }

    /// The same, author by author.
    pub fn digests(&self) -> PolicyDigests {
        self.digests
    }
}

/// The policy said yes to something other than a credential.
#[derive(Clone, Debug)]
pub struct Decided {
    pub(super) decided_by: Vec<PolicyRef>,
    pub(super) digests: PolicyDigests,
}

impl Decided {
    /// The permits that held, of every author, in the order of their names.
    pub fn decided_by(&self) -> &[PolicyRef] {
        &self.decided_by
    }

    /// The policy sets that decided.
    pub fn digest(&self) -> PolicyDigest {
        self.digests.both
    }

    /// The same, author by author.
    pub fn digests(&self) -> PolicyDigests {
        self.digests
    }
}

/// The policy said no.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// The forbids that held, or the policies that failed, in the order of their names.
    pub decided_by: Vec<PolicyRef>,
    /// The policy sets that decided, author by author. In a box: an error that is larger than what it is returned beside
    /// would cost those who are permitted.
    pub digests: Box<PolicyDigests>,
}

/// Why the policy said no. All of it is for the operator and the record; a stranger learns nothing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// No policy of that author permits it.
    NotPermitted(Author),
    /// A forbid decided.
    Forbidden(Author),
    /// A policy could not be evaluated; the text names the policy, for the operator.
    Error(String),
}

impl fmt::Display for DenialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted(author) => write!(f, "no {author} policy permits it"),
            Self::Forbidden(author) => write!(f, "a {author} policy forbids it"),
            Self::Error(text) => write!(f, "the policy could not be evaluated: {text}"),
        }
    }
}
