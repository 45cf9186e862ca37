//! `tidegate policy check`: what is wrong with the policies, and what is valid and still not what somebody meant.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::super::shown::{Shown, count};
use super::super::{Output, failed};
use super::place::{Place, PlaceArgs, Surroundings};
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
         what needs them is left out.\n\
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
        let sets = match PolicySets::gather(&place.policy) {
            Ok(sets) => Some(sets),
            Err(error) => {
                faults.extend(error.faults.iter().map(|fault| Shown::of_policies(&place.policy, fault)));
                None
            }
        };
        let found = match &sets {
            Some(sets) if faults.is_empty() => look(&place, sets, around.as_ref()),
            _ => Vec::new(),
        };
        faults.extend(found);
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
            "world": around.is_some(),
            "faults": wrong,
            "warnings": warnings,
            "findings": faults,
        }))?;
        let refused = wrong > 0 || (self.deny_warnings && warnings > 0);
        Ok(if refused { failed() } else { ExitCode::SUCCESS })
    }
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
