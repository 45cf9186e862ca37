//! What comes in and what goes out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::breakglass::{Elevation, Narrowing, StateName};
use crate::clock::Moment;
use crate::grants::Grant;
use crate::ids::{ElevationId, GrantName, Scope};

/// A comment or a reason that is longer is a document.
const MOST_TEXT_BYTES: usize = 2_000;

/// How long a comment or a reason may be.
pub const fn most_text_bytes() -> usize {
    MOST_TEXT_BYTES
}

/// What an engineer asks for.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Which grant.
    pub grant: GrantName,
    /// How long access should last.
    pub duration: Duration,
    /// Why.
    pub reason: String,
    /// Where the work is tracked.
    pub ticket: Option<String>,
    /// Not earlier than this.
    pub not_before: Option<Moment>,
    /// Only these scopes; all of a `jwt` grant's when `None`.
    pub scope: Option<BTreeSet<Scope>>,
}

/// An approver's yes.
#[derive(Clone, Debug, Default)]
pub struct Approve {
    /// In their words.
    pub comment: Option<String>,
    /// What they cut off.
    pub narrowing: Narrowing,
}

/// It happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// As it stands now.
    pub elevation: Elevation,
    /// Is it durable? `false` only when something was stopped while the store is sick: it is in force, and is written down
    /// as soon as the store recovers.
    pub recorded: bool,
}

impl Outcome {
    pub(super) const fn recorded(elevation: Elevation) -> Self {
        Self { elevation, recorded: true }
    }
}

/// Which elevations to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// In one of these states, with the time in them; any when empty.
    pub states: BTreeSet<StateName>,
    /// For this grant.
    pub grant: Option<GrantName>,
    /// At most so many.
    pub limit: u32,
    /// Where the last page ended.
    pub before: Option<ElevationId>,
}

/// One page. It may be short, even empty, and still not be the last: what the caller may not see is skipped.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub elevations: Vec<Elevation>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ElevationId>,
}

/// A grant that the caller can come by.
#[derive(Clone, Debug)]
pub struct GrantOffer {
    /// Which.
    pub grant: Arc<Grant>,
    /// By a request for an elevation; otherwise at the token endpoint, at once.
    pub may_request: bool,
    /// How many would have to approve; `None` when no number suffices, or none is needed.
    pub approvals_needed: Option<u32>,
}
