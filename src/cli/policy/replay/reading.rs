//! From the bytes of entries to decisions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::audit::verify::Follow;
use crate::cli::Output;
use crate::clock::Moment;
use crate::policy::replay::{Recorded, Replay, Report};
use crate::policy::{Facts, PolicyDigest};

/// Which entries count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// From this index.
    pub(super) from: u64,
    /// To before this one.
    pub(super) to: u64,
    /// Written at or after this.
    pub(super) since: Option<Moment>,
}

/// Takes decisions out of a log as it is verified.
pub(super) struct Reading<'a> {
    replay: Replay<'a>,
    span: Span,
    out: &'a Output,
}

/// What of an entry matters here.
#[derive(Deserialize)]
struct Entry<'a> {
    at: Moment,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    policy: Option<Policy>,
    #[serde(default, borrow)]
    facts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Policy {
    digest: PolicyDigest,
    decided_by: Vec<String>,
}

/// Facts that were not kept.
#[derive(Deserialize)]
struct Omitted {
    omitted: String,
}

impl<'a> Reading<'a> {
    pub(super) const fn new(replay: Replay<'a>, span: Span, out: &'a Output) -> Self {
        Self { replay, span, out }
    }

    pub(super) fn finish(self) -> Report {
        self.replay.finish()
    }

    fn decide(&mut self, index: u64, entry: Entry<'_>) {
        let Entry { at, kind, policy, facts } = entry;
        let Some(policy) = policy else { return };
        if self.span.since.is_some_and(|since| at < since) {
            return;
        }
        match questions(&kind, facts) {
            Ok(questions) => self.replay.take(&Recorded {
                index,
                at,
                allowed: !kind.ends_with(".refused"),
                digest: policy.digest,
                decided_by: policy.decided_by,
                questions,
            }),
            Err(why) => self.replay.not_recorded(&why),
        }
    }
}

impl Follow for Reading<'_> {
    fn progress(&mut self, done: u64, all: u64) {
        let percent = u128::from(done) * 100 / u128::from(all.max(1));
        self.out.progress(format!("deciding again: {done} of {all} entries ({percent} %)"));
    }

    fn entry(&mut self, index: u64, bytes: &[u8]) {
        if !(self.span.from..self.span.to).contains(&index) {
            return;
        }
        match serde_json::from_slice::<Entry<'_>>(bytes) {
            Ok(entry) => self.decide(index, entry),
            Err(_) => self.replay.not_recorded("unreadable_entry"),
        }
    }
}

/// What was asked, or why that is not known.
fn questions(kind: &str, facts: Option<&RawValue>) -> Result<Vec<Facts>, String> {
    let Some(facts) = facts else {
        // Counts what was delivered on an issue, which has facts of its own.
        let why = if kind == "credential.delivered" { "deliveries" } else { "no_facts" };
        return Err(why.to_owned());
    };
    let text = facts.get();
    let read = if text.starts_with('[') {
        serde_json::from_str::<Vec<Facts>>(text)
    } else {
        serde_json::from_str::<Facts>(text).map(|one| vec![one])
    };
    read.map_err(|_| match serde_json::from_str::<Omitted>(text) {
        Ok(Omitted { omitted }) => omitted,
        // Of another version of the program.
        Err(_) => "unreadable_facts".to_owned(),
    })
}
