//! `tidegate policy prove`: can it never happen?

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::super::terminal::escaped;
use super::super::{Output, failed};
use super::place::{HALF, PlaceArgs};
use super::solver::{SolverArgs, world};
use crate::clock::{Clock as _, SystemClock};
use crate::policy::{INVARIANTS_FILE, Invariant, PolicySets, World};
use crate::proof::{Answer, HeldBy, Question, Refutation, Report, Shape, Verdict, assumptions, prove};

/// Arguments of `tidegate policy prove`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: all are proved. 1: one is refuted or unknown, or there is no solver.\n\n\
                        Example: tidegate policy prove --config tidegate.toml --no-wider-than policies.before"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// What must hold; else `invariants.cedar` of the policy folder
    #[arg(long, value_name = "FILE")]
    invariants: Option<PathBuf>,
    /// Prove too that nothing is permitted that this older policy folder did not permit
    #[arg(long, value_name = "DIR")]
    no_wider_than: Option<PathBuf>,
    /// Print what is taken for granted of every request, as Cedar, and prove nothing
    #[arg(long)]
    assumptions: bool,
    #[command(flatten)]
    solver: SolverArgs,
}

impl Args {
    /// Proves, and prints what became of it.
    pub(in crate::cli) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let place = self.place.open()?;
        let (sets, world) = (place.sets_or_half()?, world(&place)?);
        let file = self.invariants.clone().unwrap_or_else(|| place.policy.dir.join(INVARIANTS_FILE));
        let invariants = Invariant::read(&file)?;
        if self.assumptions {
            return print_assumptions(&sets, &invariants, &world, output);
        }
        let older = self
            .no_wider_than
            .as_deref()
            .map(|dir| PolicySets::read(dir).with_context(|| format!("in `{}`", dir.display())));
        let older = older.transpose()?;
        let mut solver = self.solver.start().await?;
        let question = Question {
            sets: &sets,
            invariants: &invariants,
            no_wider_than: older.as_ref(),
            world: &world,
            now: SystemClock::start().now(),
        };
        let count = invariants.len() + if older.is_some() { 2 } else { 0 };
        let mut next = 0;
        let mut progress = |id: &str| {
            next += 1;
            output.progress(format!("{next} of {count}: {id}"));
        };
        let report = prove(question, &mut solver, &mut progress).await;
        output.progress("");
        self.print(&report, output)?;
        if sets.is_half() {
            output.line(format!("{HALF}. A `forbid` that is proved of it holds beside every customer whose `entities.json` puts nobody into \
                 the groups that the vendor names"))?;
        }
        Ok(if report.is_proved() { ExitCode::SUCCESS } else { failed() })
    }

    fn print(&self, report: &Report, output: &Output) -> anyhow::Result<()> {
        output.json(report)?;
        let width = report.verdicts.iter().map(|verdict| verdict.id.len()).max().unwrap_or(0);
        for Verdict { id, doc, answer, .. } in &report.verdicts {
            let row = |word: &str| output.line(row_of(word, id, width, doc));
            match answer {
                Answer::Proved { held_by, about_nothing } => {
                    row("proved")?;
                    if *held_by != HeldBy::Policies {
                        output.line(format!("    held by {held_by}: the policies would permit it"))?;
                    }
                    if *about_nothing {
                        output.line(
                            "    but no request to this configuration is of the kind that it speaks of",
                        )?;
                    }
                }
                Answer::Refuted(refutation) => {
                    row("REFUTED")?;
                    self.refuted(id, refutation, output)?;
                }
                Answer::Unknown { why } => {
                    row("UNKNOWN")?;
                    output.line(format!("    {}", escaped(why)))?;
                }
            }
        }
        output.line(format!("policies {} by {}", report.digest, report.solver))?;
        Ok(())
    }

    fn refuted(&self, id: &str, refutation: &Refutation, output: &Output) -> anyhow::Result<()> {
        let Refutation { shape, example, decision, decided_by } = refutation;
        let names: Vec<_> = decided_by.iter().map(ToString::to_string).collect();
        let by = if names.is_empty() { String::new() } else { format!(" by {}", names.join(", ")) };
        output.line(format!("    {shape}: {decision}{by}"))?;
        self.solver.show(id, example, output)
    }
}

fn print_assumptions(
    sets: &PolicySets,
    invariants: &[Invariant],
    world: &World,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let mut all = serde_json::Map::new();
    for shape in Shape::all() {
        let text = assumptions(sets, invariants, world, shape).map_err(anyhow::Error::msg)?;
        output.line(format!("// {shape}\n{text}\n"))?;
        all.insert(shape.to_string(), text.into());
    }
    output.json(&all)?;
    Ok(ExitCode::SUCCESS)
}

/// What an invariant says of itself is its author's: nothing in it may look like another answer.
fn row_of(word: &str, id: &str, width: usize, doc: &str) -> String {
    format!("{word:<8}  {id:<width$}  {}", escaped(doc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_invariant_are_one_line() {
        let row = row_of("REFUTED", "x", 3, "never\nproved    y    everything\u{1b}[1A");
        assert_eq!(row, "REFUTED   x    never\\nproved    y    everything\\u{1b}[1A");
    }
}
