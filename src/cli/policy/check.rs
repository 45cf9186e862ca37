//! `tidegate policy check`: what is wrong with the policies, and what is valid and still not what somebody meant.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::super::shown::{Shown, count};
use super::super::{Output, failed};
use super::place::{HALF, Place, PlaceArgs, Surroundings};
use crate::config::Settings;
use crate::policy::PolicySets;
use crate::policy::lint::{self, Code, Level};

/// Arguments of `tidegate policy check`.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// Warnings are faults: for pipelines.
    #[arg(long)]
    deny_warnings: bool,
}

fn after_help() -> String {
    let lints: Vec<_> =
        Code::ALL.iter().map(|code| format!("  {:<29} {}", code.as_str(), code.sense())).collect();
    format!(
        "Lints:\n{}\n\n\
         Issuers and grants come from the configuration, or from `tests/world.toml` in the policy folder; without either,\n\
         what needs them is left out. A folder with `vendor` and no `customer` is judged as a vendor's half.\n\
         Exit codes: 0 no fault, 1 at least one.\n\n\
         Example: tidegate policy check --policies policies --deny-warnings",
        lints.join("\n")
    )
}

impl Args {
    /// Checks, prints, and answers whether all is well.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let place = self.place.open()?;
        let (around, mut faults) = match place.surroundings() {
            Ok(around) => (around, Vec::new()),
            Err(faults) => (None, faults),
        };
        let sets = match place.sets_or_faults() {
            Ok(sets) => Some(sets),
            Err(found) => {
                faults.extend(found);
                None
            }
        };
        if let Some(sets) = sets.as_ref().filter(|_| faults.is_empty()) {
            faults.extend(strangers(&place, sets, around.as_ref()));
            faults.extend(look(&place, sets, around.as_ref()));
        }
        let is_half = sets.as_ref().is_some_and(PolicySets::is_half);
        let wrong = faults.iter().filter(|shown| shown.level != Some(Level::Warning)).count();
        let warnings = faults.len() - wrong;
        for shown in &faults {
            output.line(shown.render())?;
        }
        if around.is_none() && wrong == 0 {
            output.note(
                "issuers and grants are unknown, so lints that need them were left out: name the configuration with \
                 --config, or write tests/world.toml beside the policies",
            );
        }
        if is_half {
            output
                .line(format!("{HALF}. What only both halves can hold was not looked for: {}", left_out()))?;
        }
        let policies = sets.as_ref().map_or(0, |sets| sets.policies().len());
        output.line(format!(
            "{}: {}, {}, {}",
            place.policy.dir.display(),
            count_policies(policies),
            count(wrong, "fault"),
            count(warnings, "warning")
        ))?;
        output.json(&json!({
            "policies": policies,
            "digest": sets.as_ref().map(|sets| sets.digest().to_string()),
            "authors": sets.as_ref().map(PolicySets::authors),
            "world": around.is_some(),
            "faults": wrong,
            "warnings": warnings,
            "findings": faults,
        }))?;
        let refused = wrong > 0 || (self.deny_warnings && warnings > 0);
        Ok(if refused { failed() } else { ExitCode::SUCCESS })
    }
}

/// The lints that are about what both authors permit.
fn left_out() -> String {
    [Code::SharedIssuerUnbound, Code::BreakGlassWithoutApproval].map(|code| format!("`{code}`")).join(", ")
}

/// What `entities.json` names and nobody has: a broker of these issuers and grants would not start.
fn strangers(place: &Place, sets: &PolicySets, around: Option<&Surroundings>) -> Vec<Shown> {
    let known = around.map_or(Ok(()), |around| sets.check_against(&around.world));
    known.err().map(|error| place.shown(&error)).unwrap_or_default()
}

fn count_policies(number: usize) -> String {
    if number == 1 { "1 policy".to_owned() } else { format!("{number} policies") }
}

/// For `tidegate check`, which looks at the whole configuration: one line when a closer look is worth while.
pub(in crate::cli) fn hint(config: &Path, settings: Settings) -> Option<String> {
    let place = Place::of(config, settings);
    let sets = PolicySets::gather(&place.policy).ok()?;
    let around = place.surroundings().ok()?;
    let found = look(&place, &sets, around.as_ref()).len();
    let findings = count(found, "finding");
    (found > 0).then(|| {
        format!(
            "{findings} about the policies: `tidegate policy check --config {}` shows more",
            config.display()
        )
    })
}

/// What the lints find, in the order of files.
fn look(place: &Place, sets: &PolicySets, around: Option<&Surroundings>) -> Vec<Shown> {
    let groups = sets.relations().groups().into_iter().map(str::to_owned).collect();
    let (groups, closed): (BTreeSet<String>, _) =
        (groups, around.map(|around| around.groups.clone()).unwrap_or_default());
    let world = around.map(|around| &around.world);
    let findings = lint::lint(&lint::Subject { sets, world, groups: &groups, closed: &closed });
    let shown = findings.iter().map(|finding| {
        let shown = Shown::of_finding(&place.policy, finding);
        match (&finding.place, &finding.grant, around) {
            (None, Some(grant), Some(around)) => around.at_grant(grant.as_str(), shown),
            _ => shown,
        }
    });
    shown.collect()
}
