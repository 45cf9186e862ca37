//! `tidegate policy prove`: can it never happen?

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::{Output, failed};
use super::own;
use super::place::{HALF, PlaceArgs};
use super::solver::{SolverArgs, world};
use super::version::{Age, bundle_of};
use crate::clock::{Clock as _, SystemClock};
use crate::policy::{Invariant, PolicySets, World};
use crate::proof::{Answer, HeldBy, Question, Refutation, Report, Shape, Verdict, assumptions, prove};

/// Arguments of `tidegate policy prove`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What a vendor's bundle promises about itself is proved too, under the bundle's name, unless --invariants names a file.\n\n\
                        Exit code 0: all are proved. 1: one is refuted or unknown, or there is no solver.\n\n\
                        Examples:\n  \
                        tidegate policy prove --config tidegate.toml --no-wider-than policies.before\n  \
                        tidegate policy prove --config tidegate.toml --vendor-bundle acme-8.bundle --no-wider-than acme-7.bundle"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// What must hold; else `invariants.cedar` of the policy folder and of the vendor's bundle
    #[arg(long, value_name = "FILE")]
    invariants: Option<PathBuf>,
    /// Prove too that nothing is permitted that this older version did not permit: a policy folder, or a vendor's bundle
    #[arg(long, value_name = "VERSION")]
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
        let invariants = own::invariants(&place, self.invariants.as_ref())?;
        anyhow::ensure!(
            !invariants.is_empty() || self.no_wider_than.is_some(),
            "nothing is to be proved: write `invariants.cedar` in `{}`, or name a file with `--invariants`",
            place.policy.dir.display()
        );
        if self.assumptions {
            return print_assumptions(&sets, &invariants, &world, output);
        }
        let older = self.no_wider_than.as_deref().map(|at| place.version(at, Age::Earlier)).transpose()?;
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
        self.print(&report, &bundle_of(&sets), output)?;
        if sets.is_half() {
            output.line(format!("{HALF}. A `forbid` that is proved of it holds beside every customer whose `entities.json` puts nobody into \
                 the groups that the vendor names"))?;
        }
        Ok(if report.is_proved() { ExitCode::SUCCESS } else { failed() })
    }

    fn print(&self, report: &Report, bundle: &str, output: &Output) -> anyhow::Result<()> {
        output.json(report)?;
        let width = report.verdicts.iter().map(|verdict| verdict.id.len()).max().unwrap_or(0);
        for Verdict { id, doc, answer, .. } in &report.verdicts {
            let row = |word: &str| output.line(format!("{word:<8}  {id:<width$}  {doc}"));
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
                    output.line(format!("    {why}"))?;
                }
            }
        }
        output.line(format!("policies {}{bundle} by {}", report.digest, report.solver))?;
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
