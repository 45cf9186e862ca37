//! Recorded decisions, made again by other policies. Knows what was recorded and what would be said today; refuses to know
//! where the records come from, and whether they are to be believed.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::decision::{Decided, Denial, PolicyDigest};
use super::facts::{Asked, Facts, lifetime};
use super::reads::Part;
use super::schema::Action;
use super::sets::PolicySets;
use super::shadow::DifferenceKind;
use crate::clock::Moment;

/// A decision as it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its entry's place in the log.
    pub index: u64,
    /// When it was written down.
    pub at: Moment,
    /// What was said.
    pub allowed: bool,
    /// By which sets.
    pub digest: PolicyDigest,
    /// By which of their policies, in the order of their names.
    pub decided_by: Vec<String>,
    /// What was asked. Of several questions each must have been answered with yes.
    pub questions: Vec<Facts>,
}

/// A decision that would be another one today.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its entry's place in the log.
    pub index: u64,
    /// When it was written down.
    pub at: Moment,
    /// How it would differ.
    pub kind: DifferenceKind,
    /// The schema's action.
    pub action: &'static str,
    /// About which grant; `*` when about several at once.
    pub grant: String,
    /// `<issuer name>|<subject>`
    pub principal: String,
    /// Who decided.
    pub before: Vec<String>,
    /// Who would decide.
    pub after: Vec<String>,
    /// Why not, where that is so today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How many decisions, and how many of them would be others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each counts the kind of that name")]
pub struct Tally {
    pub decisions: u64,
    pub newly_allowed: u64,
    pub newly_denied: u64,
    pub other_policies: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// All decisions.
    pub total: Tally,
    /// By grant.
    pub by_grant: BTreeMap<String, Tally>,
    /// By principal.
    pub by_principal: BTreeMap<String, Tally>,
    /// Every decision that would be the opposite, in the order of the log.
    pub changes: Vec<Change>,
    /// Decisions of these very sets that they would not make again: the record or the program is wrong.
    pub inconsistent: Vec<Change>,
    /// Decisions that cannot be made again, by the reason.
    pub not_recorded: BTreeMap<String, u64>,
}

/// Makes decisions again, one after the other.
#[derive(Debug)]
pub struct Replay<'a> {
    sets: &'a PolicySets,
    digest: PolicyDigest,
    report: Report,
}

/// An answer of today.
struct Today {
    allowed: bool,
    decided_by: Vec<String>,
    reason: Option<String>,
}

impl<'a> Replay<'a> {
    /// By these sets.
    pub fn new(sets: &'a PolicySets) -> Self {
        Self { sets, digest: sets.digest(), report: Report::default() }
    }

    /// One more decision.
    pub fn take(&mut self, recorded: &Recorded) {
        let Some(first) = recorded.questions.first() else { return self.not_recorded("no_facts") };
        let today = self.ask(&recorded.questions);
        let shorter =
            if recorded.allowed || today.allowed { None } else { self.ask_shorter(&recorded.questions) };
        let today = shorter.unwrap_or(today);
        let same = are_the_same(&recorded.decided_by, &today.decided_by);
        let kind = DifferenceKind::between(recorded.allowed, today.allowed, same);
        let grant = match recorded.questions.as_slice() {
            [_] => first.grant.name.to_string(),
            _ => "*".to_owned(),
        };
        let principal = first.principal.id().to_string();
        self.count(&grant, &principal, kind);
        let Some(kind) = kind else { return };
        let change = Change {
            index: recorded.index,
            at: recorded.at,
            kind,
            action: first.asked.action().as_str(),
            grant,
            principal,
            before: recorded.decided_by.clone(),
            after: today.decided_by,
            reason: today.reason,
        };
        if recorded.digest == self.digest {
            self.report.inconsistent.push(change.clone());
        }
        if kind != DifferenceKind::OtherPolicies {
            self.report.changes.push(change);
        }
    }

    /// One more that cannot be made again.
    pub fn not_recorded(&mut self, why: &str) {
        match self.report.not_recorded.get_mut(why) {
            Some(count) => *count += 1,
            None => _ = self.report.not_recorded.insert(why.to_owned(), 1),
        }
    }

    /// What came of it.
    pub fn finish(self) -> Report {
        self.report
    }

    fn ask(&self, questions: &[Facts]) -> Today {
        let mut names = BTreeSet::new();
        for question in questions {
            match self.sets.decide(question) {
                Ok(decided) => names.extend(decided.decided_by().iter().map(ToString::to_string)),
                Err(denial) => return Today::denied(&denial),
            }
        }
        Today { allowed: true, decided_by: names.into_iter().collect(), reason: None }
    }

    /// An exchange that may not have the lifetime that it asked for asks for shorter ones, and its refusal says that it may have
    /// none of them. Whoever would get a shorter one today is newly allowed.
    fn ask_shorter(&self, questions: &[Facts]) -> Option<Today> {
        let [Facts { grant, asked: Asked::Issue { ttl, .. }, .. }] = questions else { return None };
        let grant = grant.to_grant().ok()?;
        let candidates = self.sets.candidates(Action::Issue, &grant).ok()?;
        let asked_for = lifetime(*ttl).ok().filter(|_| candidates.reads.has(Part::Ttl))?;
        asked_for.shorter().find_map(|shorter| {
            let mut question = questions.first()?.clone();
            if let Asked::Issue { ttl, .. } = &mut question.asked {
                *ttl = shorter.duration();
            }
            self.sets.decide(&question).ok().map(|decided| Today::permitted(&decided))
        })
    }

    fn count(&mut self, grant: &str, principal: &str, kind: Option<DifferenceKind>) {
        self.report.total.count(kind);
        for (tallies, name) in
            [(&mut self.report.by_grant, grant), (&mut self.report.by_principal, principal)]
        {
            match tallies.get_mut(name) {
                Some(tally) => tally.count(kind),
                None => tallies.entry(name.to_owned()).or_default().count(kind),
            }
        }
    }
}

impl Today {
    fn permitted(decided: &Decided) -> Self {
        let decided_by = decided.decided_by().iter().map(ToString::to_string).collect();
        Self { allowed: true, decided_by, reason: None }
    }

    fn denied(denial: &Denial) -> Self {
        let decided_by = denial.decided_by.iter().map(ToString::to_string).collect();
        Self { allowed: false, decided_by, reason: Some(denial.reason.to_string()) }
    }
}

impl Tally {
    fn count(&mut self, kind: Option<DifferenceKind>) {
        self.decisions += 1;
        match kind {
            None => {}
            Some(DifferenceKind::NewlyAllowed) => self.newly_allowed += 1,
            Some(DifferenceKind::NewlyDenied) => self.newly_denied += 1,
            Some(DifferenceKind::OtherPolicies) => self.other_policies += 1,
        }
    }

    /// Would any of them be another one?
    pub const fn is_changed(&self) -> bool {
        self.newly_allowed + self.newly_denied + self.other_policies > 0
    }
}

/// A long list is cut in the record, and ends with `and N more`.
fn are_the_same(recorded: &[String], today: &[String]) -> bool {
    match recorded.split_last() {
        Some((last, names)) if last.starts_with("and ") && last.ends_with(" more") => {
            today.len() > names.len() && today.starts_with(names)
        }
        _ => recorded == today,
    }
}
