//! `tidegate policy test`: do the policies answer as their authors expect?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::shown::{Shown, count};
use super::super::terminal::{Table, cut, escaped};
use super::super::{Output, failed};
use super::junit;
use super::own::{self, OwnCases};
use super::place::{HALF, Place, PlaceArgs};
use crate::policy::cases::{self, Case, Outcome, Report};
use crate::policy::{Author, PolicyRef, PolicySets, World};

/// Arguments of `tidegate policy test`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Issuers and grants come from the configuration, or from `tests/world.toml` in the policy folder.\n\
                        The cases in a vendor's bundle are decided too, by the vendor's part alone and about the bundle's own world.\n\
                        Of a folder with `vendor` and no `customer` the cases are decided by the vendor's half.\n\
                        Exit codes: 0 every case is answered as it says, 1 one is not, or a file is at fault.\n\n\
                        Examples:\n  \
                        tidegate policy test --policies policies --require-coverage --junit report.xml\n  \
                        tidegate policy test --config tidegate.toml --vendor-bundle acme-8.bundle"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// Files of cases, or folders of them; else `tests` in the policy folder.
    #[arg(value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// Only cases whose name holds this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write a report in the form of `JUnit`, too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List the policies that no case decided.
    #[arg(long, conflicts_with = "only")]
    coverage: bool,
    /// Fail when no case decided some policy.
    #[arg(long, conflicts_with = "only")]
    require_coverage: bool,
}

/// A case and the file that it stands in.
#[derive(Debug)]
pub(super) struct Filed {
    pub(super) file: String,
    pub(super) case: Case,
}

impl Args {
    /// Decides every case, prints, and answers whether all are as expected.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let place = self.place.open()?;
        let (sets, read, own) = match (place.world_or_faults(), place.sets_or_faults()) {
            (Ok(world), Ok(sets)) => (sets, self.read(&place, &world)?, self.own(&place, &world)?),
            (world, sets) => {
                let faults = [world.err(), sets.err()].into_iter().flatten().flatten().collect::<Vec<_>>();
                return broken(&faults, output);
            }
        };
        let (mut cases, own) = match (read, own) {
            (Ok(cases), Ok(own)) => (cases, own),
            (read, own) => {
                let faults = [read.err(), own.err()].into_iter().flatten().flatten().collect::<Vec<_>>();
                return broken(&faults, output);
            }
        };
        let mut report = cases::run(&sets, cases.iter().map(|filed| &filed.case));
        if let Some(own) = own {
            self.add(own, &mut cases, &mut report, output);
        }
        if cases.is_empty() {
            anyhow::bail!("no case was found: write some, or name other files");
        }
        if let Some(file) = &self.junit {
            let text = junit::render(&cases, &report);
            std::fs::write(file, text).with_context(|| format!("`{}` cannot be written", file.display()))?;
        }
        self.print(&cases, &report, &sets, output)
    }

    fn read(&self, place: &Place, world: &World) -> anyhow::Result<Result<Vec<Filed>, Vec<Shown>>> {
        let (mut cases, mut faults) = (Vec::new(), Vec::new());
        for file in self.files(place)? {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(&file).with_context(|| format!("`{shown}` cannot be read"))?;
            match cases::read(&text, world) {
                Ok(read) => {
                    cases.extend(read.into_iter().map(|case| Filed { file: shown.clone(), case }));
                }
                Err(found) => faults.extend(found.iter().map(|fault| Shown::of_document(&file, fault))),
            }
        }
        cases.retain(|filed| self.is_wanted(filed));
        Ok(if faults.is_empty() { Ok(cases) } else { Err(faults) })
    }

    /// The vendor's cases, unless others are named.
    fn own(&self, place: &Place, world: &World) -> anyhow::Result<Result<Option<OwnCases>, Vec<Shown>>> {
        if self.cases.is_empty() { own::cases(place, world) } else { Ok(Ok(None)) }
    }

    /// Decides them by the vendor's part. What they decided is covered.
    fn add(&self, own: OwnCases, cases: &mut Vec<Filed>, report: &mut Report, output: &Output) {
        let OwnCases { sets, cases: mut found, left_out } = own;
        found.retain(|filed| self.is_wanted(filed));
        let of_own = cases::run(&sets, found.iter().map(|filed| &filed.case));
        report.undecided.retain(|name| name.author() != Author::Vendor || of_own.undecided.contains(name));
        report.outcomes.extend(of_own.outcomes);
        cases.extend(found);
        if left_out > 0 {
            let which = count(left_out, "case");
            output.note(format!(
                "{which} in the bundle left out: what is expected comes from a customer's part"
            ));
        }
    }

    fn is_wanted(&self, filed: &Filed) -> bool {
        self.only.as_ref().is_none_or(|text| filed.case.name.contains(text))
    }

    fn files(&self, place: &Place) -> anyhow::Result<Vec<PathBuf>> {
        let tests = || vec![place.policy.dir.join("tests")];
        let named = if self.cases.is_empty() { tests() } else { self.cases.clone() };
        let mut files = Vec::new();
        for path in named {
            // A bundle may bring cases of its own, so a customer need not have any.
            if self.cases.is_empty() && place.policy.vendor.is_some() && !path.exists() {
                continue;
            }
            if !path.is_dir() {
                files.push(path);
                continue;
            }
            let unreadable = || format!("`{}` cannot be read", path.display());
            let entries = std::fs::read_dir(&path).with_context(unreadable)?;
            let mut found = Vec::new();
            for entry in entries {
                found.push(entry.with_context(unreadable)?.path());
            }
            found.sort();
            files.extend(found.into_iter().filter(|file| is_cases(file)));
        }
        Ok(files)
    }

    fn print(
        &self,
        cases: &[Filed],
        report: &Report,
        sets: &PolicySets,
        output: &Output,
    ) -> anyhow::Result<ExitCode> {
        let policies = sets.policies().len();
        output.line(table(cases, report))?;
        let failures = failures(cases, report);
        for failure in &failures {
            output.line(format!("\n{failure}"))?;
        }
        output.line("")?;
        let whole = self.only.is_none() && self.cases.is_empty();
        if self.coverage || self.require_coverage {
            for policy in &report.undecided {
                output.line(format!("no case decided `{policy}`"))?;
            }
        }
        let passed = cases.len() - failures.len();
        let mut summary =
            format!("{}: {passed} passed, {} failed", count(cases.len(), "case"), failures.len());
        if self.only.is_none() {
            let decided = policies - report.undecided.len();
            summary = format!("{summary}; {decided} of {policies} policies decided at least one");
        }
        if whole && !report.undecided.is_empty() && !self.coverage && !self.require_coverage {
            summary.push_str(" (--coverage lists the others)");
        }
        if sets.is_half() {
            output.line(HALF)?;
        }
        output.line(summary)?;
        output.json(&document(cases, report, sets))?;
        let uncovered = self.require_coverage && !report.undecided.is_empty();
        Ok(if failures.is_empty() && !uncovered { ExitCode::SUCCESS } else { failed() })
    }
}

/// What lies beside the cases and is none: the world, and whatever is no TOML.
fn is_cases(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "toml")
        && file.file_name().is_some_and(|name| name != "world.toml")
}

fn broken(faults: &[Shown], output: &Output) -> anyhow::Result<ExitCode> {
    for fault in faults {
        output.line(fault.render())?;
    }
    output.line(count(faults.len(), "fault"))?;
    output.json(&json!({ "findings": faults }))?;
    Ok(failed())
}

fn place_of(filed: &Filed) -> String {
    format!("{}:{}", filed.file, filed.case.line)
}

fn table(cases: &[Filed], report: &Report) -> String {
    let mut table = Table::new(&["", "CASE", "WHERE", "EXPECTED", "GOT"]);
    for (filed, outcome) in cases.iter().zip(&report.outcomes) {
        let sign = if outcome.passed() { "ok" } else { "FAILED" };
        let expected = cut(&filed.case.expect.to_string(), 40);
        table.row([sign, &cut(&filed.case.name, 70), &place_of(filed), &expected, &cut(&outcome.answer, 40)]);
    }
    table.render()
}

fn failures(cases: &[Filed], report: &Report) -> Vec<String> {
    let failed = cases.iter().zip(&report.outcomes).filter(|(_, outcome)| !outcome.passed());
    let shown = failed.map(|(filed, outcome)| {
        let reasons: Vec<_> = outcome.failures.iter().map(|why| format!("  {}", escaped(why))).collect();
        format!("FAILED {}: {}\n{}", place_of(filed), escaped(&filed.case.name), reasons.join("\n"))
    });
    shown.collect()
}

fn document(cases: &[Filed], report: &Report, sets: &PolicySets) -> Value {
    let one = |(filed, outcome): (&Filed, &Outcome)| {
        json!({
            "name": filed.case.name,
            "file": filed.file,
            "line": filed.case.line,
            "passed": outcome.passed(),
            "expected": filed.case.expect.to_string(),
            "got": outcome.answer,
            "decided_by": names(&outcome.decided_by),
            "approvals_needed": outcome.approvals_needed.map(|needed| needed.to_string()),
            "failures": outcome.failures,
        })
    };
    let failed = report.outcomes.iter().filter(|outcome| !outcome.passed()).count();
    json!({
        "passed": cases.len() - failed,
        "failed": failed,
        "policies": sets.policies().len(),
        "authors": sets.authors(),
        "undecided": names(&report.undecided),
        "cases": cases.iter().zip(&report.outcomes).map(one).collect::<Vec<_>>(),
    })
}

fn names(policies: &[PolicyRef]) -> Vec<&str> {
    policies.iter().map(PolicyRef::as_str).collect()
}
