//! What policy sees of a grant.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FactsError;
use crate::grants::{Description, Grant};
use crate::ids::GrantName;
use crate::secret::Fingerprint;

/// A grant as policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantFacts {
    /// Its name.
    pub name: GrantName,
    /// Digest of its configuration; absent when it was described and not configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Fingerprint>,
    /// `jwt` or `aws`.
    pub kind: String,
    /// Is it for break-glass?
    pub break_glass: bool,
    /// Of an AWS grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// The sets that hold it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sets: BTreeSet<String>,
}

impl GrantFacts {
    /// Of a grant.
    pub fn of(grant: &Grant) -> Self {
        Self {
            name: grant.name.clone(),
            version: Some(grant.version),
            kind: grant.kind_name().to_owned(),
            break_glass: grant.break_glass.is_some(),
            account: grant.account().map(str::to_owned),
            labels: grant.labels.clone(),
            sets: grant.sets.clone(),
        }
    }

    /// A grant that policy cannot tell from this one, and that nothing can be issued for.
    ///
    /// # Errors
    /// No grant is like that.
    pub fn to_grant(&self) -> Result<Arc<Grant>, FactsError> {
        let described = Grant::described(Description {
            name: &self.name,
            kind: &self.kind,
            account: self.account.as_deref(),
            break_glass: self.break_glass,
            labels: &self.labels,
            sets: &self.sets,
        });
        Ok(Arc::new(described.map_err(FactsError::of)?))
    }
}
