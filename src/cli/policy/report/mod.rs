//! `tidegate policy report`: who can get what, and what was proved: the page that goes with an audit.

mod escape;
mod markdown;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::own;
use super::place::{Place, PlaceArgs};
use super::solver::world;
use crate::cli::{Output, failed};
use crate::clock::{Clock as _, Moment, SystemClock};
use crate::policy::overview::{Overview, overview};
use crate::policy::{PolicySets, World};
use crate::proof::{Answer, HeldBy, Question, Solver, Verdict, prove};

/// Arguments of `tidegate policy report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Markdown on standard output, or JSON with --output json. Without a solver the report says that nothing was proved.

Exit code 0: reported, and nothing is refuted or unknown. 1: an invariant is refuted or unknown, or nothing could be read.

Example: tidegate policy report --config tidegate.toml > policies-2026-11.md")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// What must hold; else `invariants.cedar` of the policy folder and of the vendor's bundle
    #[arg(long, value_name = "FILE")]
    invariants: Option<PathBuf>,
    /// cvc5, the SMT solver: `apt-get install cvc5`
    #[arg(long, value_name = "PATH", env = "CVC5", default_value = "cvc5")]
    solver: PathBuf,
    /// The longest that it may think about one question
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = span)]
    timeout: Duration,
}

fn span(text: &str) -> Result<Duration, &'static str> {
    crate::span::parse_duration(text).ok_or(crate::span::FORMS)
}

/// All of it.
#[derive(Debug, Serialize)]
struct Report {
    /// When it was made.
    at: Moment,
    /// By which version.
    version: &'static str,
    /// From which folder.
    folder: String,
    #[serde(flatten)]
    overview: Overview,
    invariants: Invariants,
}

/// What can never happen, as far as it was proved.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Invariants {
    /// The folder has none.
    None,
    /// There are some, and no solver.
    NotProved { why: String, ids: Vec<String> },
    /// Each was asked about.
    Asked { solver: String, verdicts: Vec<Told> },
}

/// What became of one invariant. An example is `policy prove`'s to show: it names a request, which is not a report's.
#[derive(Debug, Serialize)]
struct Told {
    id: String,
    doc: String,
    answer: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

impl Args {
    /// Reports.
    pub(in crate::cli) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let report = self.report(output).await?;
        output.line(markdown::page(&report).trim_end())?;
        output.json(&report)?;
        Ok(if report.invariants.are_in_doubt() { failed() } else { ExitCode::SUCCESS })
    }

    async fn report(&self, output: &Output) -> anyhow::Result<Report> {
        let place = self.place.open()?;
        let (sets, world, at) = (place.sets()?, world(&place)?, SystemClock::start().now());
        Ok(Report {
            at,
            version: env!("CARGO_PKG_VERSION"),
            folder: place.policy.dir.display().to_string(),
            overview: overview(&sets, &world, at)?,
            invariants: self.invariants(&place, &sets, &world, at, output).await?,
        })
    }

    async fn invariants(
        &self,
        place: &Place,
        sets: &PolicySets,
        world: &World,
        now: Moment,
        output: &Output,
    ) -> anyhow::Result<Invariants> {
        let invariants = own::invariants(place, self.invariants.as_ref())?;
        if invariants.is_empty() {
            return Ok(Invariants::None);
        }
        let mut solver = match Solver::start(&self.solver, self.timeout).await {
            Ok(solver) => solver,
            Err(missing) => {
                let ids = invariants.iter().map(|invariant| invariant.id.clone()).collect();
                return Ok(Invariants::NotProved { why: missing.to_string(), ids });
            }
        };
        let question = Question { sets, invariants: &invariants, no_wider_than: None, world, now };
        let report = prove(question, &mut solver, &mut |id| output.progress(format!("proving {id}"))).await;
        output.progress("");
        Ok(Invariants::Asked {
            // It introduces itself in a sentence.
            solver: report.solver.trim_start_matches("This is ").trim_end_matches('.').to_owned(),
            verdicts: report.verdicts.into_iter().map(told).collect(),
        })
    }
}

impl Invariants {
    fn are_in_doubt(&self) -> bool {
        match self {
            Self::None | Self::NotProved { .. } => false,
            Self::Asked { verdicts, .. } => verdicts.iter().any(|verdict| verdict.answer != "proved"),
        }
    }
}

fn told(verdict: Verdict) -> Told {
    let (answer, note) = match verdict.answer {
        Answer::Proved { about_nothing: true, .. } => {
            ("proved", "no request to this configuration is of the kind that it speaks of".to_owned())
        }
        Answer::Proved { held_by: HeldBy::Broker, .. } => (
            "proved",
            "held by the broker and its configuration; the policies alone would permit it".to_owned(),
        ),
        Answer::Proved { held_by: HeldBy::Policies, .. } => ("proved", String::new()),
        Answer::Refuted(_) => ("refuted", "`tidegate policy prove` shows how".to_owned()),
        Answer::Unknown { why } => ("unknown", why),
    };
    Told { id: verdict.id, doc: verdict.doc, answer, note }
}
