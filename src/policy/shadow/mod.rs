//! Policies that are tried out: asked what was asked, told what was answered, and heard by nobody who waits. Knows what a
//! difference is and how many of them are worth an entry; refuses to change any answer.
//!
//! The engine hands over what it has decided already, into a queue that is full rather than long.

mod difference;
mod sampling;
mod seen;

use std::path::PathBuf;

use tokio::sync::mpsc;

pub use difference::{DifferenceKind, Verdict};
pub(super) use sampling::Sampler;
pub(super) use seen::Seen;

use super::decision::{Decided, Denial, Permit};
use super::facts::Facts;
use super::question::{IssueQuestion, PersonQuestion};
use seen::Question;

/// Decisions that may wait to be made again. More means that the processors have something better to do.
const QUEUE: usize = 1_024;

/// What is tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowSettings {
    /// A folder of the shape of [`Settings::dir`](super::Settings::dir).
    pub dir: PathBuf,
    /// Entries in an hour, for each grant and kind of difference.
    pub log_per_hour: u32,
}

/// Where the engine hands its decisions over. Nobody waits here, and one that finds no room is only counted.
#[derive(Debug)]
pub(super) struct Watcher(mpsc::Sender<Seen>);

impl Watcher {
    pub(super) fn new() -> (Self, mpsc::Receiver<Seen>) {
        let (queue, seen) = mpsc::channel(QUEUE);
        (Self(queue), seen)
    }

    pub(super) fn issue(&self, question: &IssueQuestion<'_>, answer: &Result<Permit, Denial>) {
        self.see(|| Seen {
            question: Question::Issue(Box::new(question.into())),
            live: Verdict::of_permit(answer),
        });
    }

    pub(super) fn person(&self, question: &PersonQuestion<'_>, answer: &Result<Decided, Denial>) {
        self.see(|| Seen {
            question: Question::Person(Box::new(Facts::of_person(question))),
            live: Verdict::of_decided(answer),
        });
    }

    /// Nothing is copied where there is no room for it.
    fn see(&self, seen: impl FnOnce() -> Seen) {
        match self.0.try_reserve() {
            Ok(place) => place.send(seen()),
            Err(_) => metrics::counter!("tidegate_policy_shadow_dropped_total").increment(1),
        }
    }
}
