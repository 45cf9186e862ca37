//! While the store is sick: what was stopped stays stopped. The command is in force at once by a lock in memory, and is
//! written down as soon as the store recovers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use super::commit::{Planned, Under};
use super::{BreakGlass, Outcome};
use crate::audit::{Overtaken, RecordError};
use crate::breakglass::Elevation;
use crate::clock::Moment;
use crate::ids::{ElevationId, LockId};
use crate::locks::{Lock, LockTarget};
use crate::people::Caller;
use crate::store::AnswerRow;

/// How many open elevations are kept in mind. Far more than the limits per person and grant let anybody have.
const MOST_KNOWN: usize = 10_000;

/// What outlives no restart and needs to outlive none: the truth is in the store.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The open ones as they were last seen, so that one can be stopped while nothing can be read.
    known: BTreeMap<ElevationId, Elevation>,
    unrecorded: BTreeMap<ElevationId, Unrecorded>,
    /// Those of which it was said that they cannot be activated.
    stuck: BTreeSet<ElevationId>,
}

/// A command that is in force and not durable.
#[derive(Clone, Debug)]
struct Unrecorded {
    caller: Caller,
    planned: Planned,
    answer: Option<AnswerRow>,
    lock: LockId,
}

impl BreakGlass {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic elsewhere leaves a copy that compare-and-swap checks anyway.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the newest version of an open elevation in mind.
    pub(super) fn keep_in_mind(&self, elevation: &Elevation) {
        let mut memory = self.memory();
        let memory = &mut *memory;
        let known = &mut memory.known;
        if !elevation.is_open() {
            known.remove(&elevation.id);
            memory.stuck.remove(&elevation.id);
        } else if known.get(&elevation.id).is_none_or(|kept| kept.version < elevation.version)
            && (known.len() < MOST_KNOWN || known.contains_key(&elevation.id))
        {
            known.insert(elevation.id, elevation.clone());
        }
    }

    pub(super) fn recall(&self, id: ElevationId) -> Option<Elevation> {
        self.memory().known.get(&id).cloned()
    }

    pub(super) fn open_in_mind(&self) -> Vec<Elevation> {
        self.memory().known.values().cloned().collect()
    }

    pub(super) fn is_first_time_stuck(&self, id: ElevationId) -> bool {
        self.memory().stuck.insert(id)
    }

    /// In force at once, written down later. `None` when there is no randomness for a lock's name.
    pub(super) fn stop_now(
        &self,
        current: &Elevation,
        planned: &Planned,
        caller: &Caller,
        answer: Option<&AnswerRow>,
    ) -> Option<Outcome> {
        let mut memory = self.memory();
        if let Entry::Vacant(free) = memory.unrecorded.entry(current.id) {
            let lock = LockId::new(caller.at, self.services.entropy.as_ref()).ok()?;
            self.services.locks.freeze(Lock {
                id: lock,
                target: LockTarget::Elevation(current.id),
                reason: planned.note.clone().unwrap_or_else(|| "given back by the requester".to_owned()),
                by: caller.id().clone(),
                at: caller.at,
                // What the clock has ended needs no lock.
                until: current.deadline(),
            });
            let unrecorded = Unrecorded {
                caller: caller.clone(),
                planned: planned.clone(),
                answer: answer.cloned(),
                lock,
            };
            free.insert(unrecorded);
            tracing::error!(
                elevation.id = %current.id,
                change = ?planned.change,
                "the store is sick: stopped in memory, to be written down when it recovers"
            );
        }
        Some(Outcome { elevation: planned.next.clone(), recorded: false })
    }

    /// Writes down what was stopped while the store was sick.
    pub(super) async fn record_what_was_stopped(&self, at: Moment) {
        let waiting: Vec<(ElevationId, Unrecorded)> =
            self.memory().unrecorded.iter().map(|(id, command)| (*id, command.clone())).collect();
        for (id, command) in waiting {
            if self.is_settled(id, &command, at).await {
                self.services.locks.thaw(&command.lock);
                self.memory().unrecorded.remove(&id);
            }
        }
    }

    /// Durable, or without an object by now.
    async fn is_settled(&self, id: ElevationId, command: &Unrecorded, at: Moment) -> bool {
        let Ok(Some(current)) = self.services.store.elevation(id).await else { return false };
        let Some(planned) = self.replay(&current, command) else {
            // Its own commit may have been durable after all, or the clock ended it.
            tracing::warn!(elevation.id = %id, state = %current.state_name(), "nothing is left to stop");
            return true;
        };
        let under = Under { at, ..Under::caller(&command.caller, command.answer.as_ref()) };
        match self.commit(&current, planned, under).await {
            Ok(_) | Err(RecordError::Overtaken(Overtaken::Time) | RecordError::Answered) => true,
            Err(_) => false,
        }
    }

    /// The same command on what the elevation is now: at the moment of the command, with its decision.
    fn replay(&self, current: &Elevation, command: &Unrecorded) -> Option<Planned> {
        let Unrecorded { caller, planned, .. } = command;
        let mut next = self.leave(planned.change, current, caller, planned.note.as_deref()).ok()?;
        next.decided_policies.clone_from(&planned.next.decided_policies);
        Some(Planned { next, ..planned.clone() })
    }
}
