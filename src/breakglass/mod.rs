//! Break-glass: one elevation from its request to its end. Knows who may change what in which state and when; refuses to
//! know how it is kept, recorded or asked for.
//!
//! `state` and `quorum` are the pure machine: values in, a new value or a refusal out, the moment an argument. `service` is
//! the use case around it: people, policy, locks, the clock, the record.

mod ask;
mod cloud;
mod elevation;
mod quorum;
pub mod service;
mod settings;
mod state;
#[cfg(test)]
mod tests;

pub use ask::{Ask, AskRefusal, AskRules, TicketPattern};
pub use cloud::{CloudEnd, CloudStep};
pub use elevation::{
    Approval, Change, Elevation, Happening, Narrowing, Participant, PersonRef, Warning, Window,
};
pub use quorum::{Judge, Tally};
pub use settings::Settings;
pub use state::{Act, ChangeRefusal, State, StateName};
