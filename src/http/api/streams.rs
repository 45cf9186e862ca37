//! How many event streams there may be: so many in all and so many for one person, and none once the broker stops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::principal::PrincipalId;

/// Each one holds a connection and looks through the log's new entries.
const MOST: usize = 256;
/// One person's browsers and terminals.
const MOST_PER_PERSON: usize = 8;

/// The open streams.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<PrincipalId, usize>>>,
    stop: Arc<watch::Sender<bool>>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self { open: Arc::default(), stop: Arc::new(watch::channel(false).0) }
    }

    /// A place for one more stream of that person, if there is one.
    pub(super) fn enter(&self, who: &PrincipalId) -> Option<Place> {
        // Counting cannot panic half-way.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= MOST
            || open.get(who).is_some_and(|count| *count >= MOST_PER_PERSON)
        {
            return None;
        }
        *open.entry(who.clone()).or_default() += 1;
        Some(Place { open: Arc::clone(&self.open), who: who.clone() })
    }

    /// Turns true when the broker stops.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Ends every stream.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Arc<Mutex<HashMap<PrincipalId, usize>>>,
    who: PrincipalId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{IssuerName, Subject};

    fn person(name: &str) -> PrincipalId {
        PrincipalId { issuer: IssuerName::new("people").unwrap(), subject: Subject::new(name).unwrap() }
    }

    #[test]
    fn one_person_cannot_take_every_place_and_places_come_back() {
        let streams = Streams::new();
        let mut places: Vec<Place> =
            (0..MOST_PER_PERSON).map(|_| streams.enter(&person("ann")).unwrap()).collect();
        assert!(streams.enter(&person("ann")).is_none());
        assert!(streams.enter(&person("bob")).is_some());
        places.pop();
        assert!(streams.enter(&person("ann")).is_some());
        drop(places);
        assert!(streams.open.lock().unwrap().is_empty());
    }

    #[test]
    fn all_together_have_a_limit() {
        let streams = Streams::new();
        let places: Vec<_> = (0..MOST).map(|n| streams.enter(&person(&n.to_string())).unwrap()).collect();
        assert!(streams.enter(&person("one more")).is_none());
        drop(places);
        assert!(streams.enter(&person("one more")).is_some());
    }
}
