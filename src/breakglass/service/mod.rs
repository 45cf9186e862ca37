//! Break-glass as a use case: who asks, who decides, what is written down. Knows people, policy, locks, the clock and the
//! record; promises that nothing changes without an entry, and that every change is decided by the pure machine; refuses to
//! know how anybody signed in or how a door speaks.

mod api;
mod cloud;
mod commit;
mod decide;
mod error;
mod events;
mod idempotency;
mod judge;
mod leave;
#[cfg(test)]
mod model;
mod questions;
mod read;
mod record;
mod refuse;
mod request;
mod sick;
mod sweep;
#[cfg(test)]
mod tests;
mod why;
mod window;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

pub use api::{Approve, GrantOffer, List, NewRequest, Outcome, Page, most_text_bytes};
pub use error::{BreakGlassError, WindowError};
pub use events::{ElevationNews, EventPage};
pub use idempotency::{IdempotencyKey, KeyError, Keyed};
pub use why::Examined;
pub use window::{OpenWindow, WindowAsk};

use super::Settings;
use crate::audit::AuditLog;
use crate::clock::{Clock, HighWater};
use crate::entropy::Entropy;
use crate::grants::Catalog;
use crate::ids::UniqueId;
use crate::issuance::aws::SessionEnder;
use crate::locks::service::LockBook;
use crate::notify::HookId;
use crate::people::People;
use crate::policy::PolicyEngine;
use crate::store::Store;

/// What the service stands on.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the room of that name")]
pub struct Services {
    pub store: Arc<dyn Store>,
    pub audit: AuditLog,
    pub policy: Arc<PolicyEngine>,
    pub catalog: Arc<Catalog>,
    pub people: Arc<People>,
    pub locks: Arc<LockBook>,
    pub high_water: Arc<HighWater>,
    pub entropy: Arc<dyn Entropy>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    /// Who is told of every change.
    pub hooks: Vec<HookId>,
    /// Cuts off AWS sessions; `None` where the configuration does not let us.
    pub sessions: Option<SessionEnder>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The use case. One for a broker.
#[derive(Debug)]
pub struct BreakGlass {
    services: Services,
    memory: Mutex<sick::Memory>,
    /// The store's mark when open elevations were last read.
    mark: AtomicU64,
    /// Under which this process takes leases.
    holder: OnceLock<UniqueId>,
}

impl BreakGlass {
    /// Reads nothing yet: what is open is in the store, and a restart loses nothing.
    pub fn new(services: Services) -> Self {
        let (memory, mark, holder) = (Mutex::default(), AtomicU64::new(0), OnceLock::new());
        Self { services, memory, mark, holder }
    }
}
