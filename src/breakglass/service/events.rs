//! The stream of what happens to elevations, read from the log: its index is the place where a reader goes on.

use std::collections::HashMap;

use serde::Deserialize;

use super::{BreakGlass, BreakGlassError};
use crate::audit::ReadError;
use crate::breakglass::Elevation;
use crate::clock::Moment;
use crate::ids::ElevationId;
use crate::people::Caller;

/// Entries of the log that one call reads, at most: most of them are about credentials.
const MOST_READ: u32 = 1_000;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct ElevationNews {
    /// The entry's place in the log.
    pub index: u64,
    /// The entry's `type`.
    pub event: String,
    /// When it was written.
    pub at: Moment,
    /// As it stands now, which may be later than the event.
    pub elevation: Elevation,
}

/// What one call found.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// In the order of the log.
    pub events: Vec<ElevationNews>,
    /// Where to go on. Equal to the log's size when there is no more yet.
    pub next: u64,
}

/// What the stream needs of an entry. Other fields are the record's own business.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    at: Moment,
    elevation: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: ElevationId,
}

impl BreakGlass {
    /// At most `most` events that the caller may see, from index `from` of the log.
    pub async fn events(&self, caller: &Caller, from: u64, most: u32) -> Result<EventPage, BreakGlassError> {
        let mut page = EventPage { events: Vec::new(), next: from.min(self.services.audit.size()) };
        let mut seen: HashMap<ElevationId, Option<Elevation>> = HashMap::new();
        let entries = self.services.audit.entries(page.next, MOST_READ).await.map_err(unread)?;
        for (index, bytes) in entries {
            if page.events.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
                break;
            }
            page.next = index.saturating_add(1);
            let Some((id, event, at)) = about_an_elevation(&bytes) else { continue };
            let known = if let Some(known) = seen.get(&id) {
                known.clone()
            } else {
                let found = self.services.store.elevation(id).await?;
                let found = found.filter(|elevation| self.sees(caller, elevation));
                seen.insert(id, found.clone());
                found
            };
            page.events.extend(known.map(|elevation| ElevationNews { index, event, at, elevation }));
        }
        Ok(page)
    }
}

/// `credential.issued` names an elevation too, but is no change of it.
fn about_an_elevation(bytes: &[u8]) -> Option<(ElevationId, String, Moment)> {
    let kind: Kind<'_> = serde_json::from_slice(bytes).ok()?;
    if !kind.kind.starts_with("elevation.") {
        return None;
    }
    let line: Line = serde_json::from_slice(bytes).ok()?;
    Some((line.elevation?.id, line.kind, line.at))
}

/// Most entries are read no further than this.
#[derive(Debug, Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

fn unread(error: ReadError) -> BreakGlassError {
    BreakGlassError::Unavailable(error.to_string())
}
