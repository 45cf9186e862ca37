//! `tidegate policy digest`: which policies are these?

use std::process::ExitCode;

use serde_json::json;

use super::super::Output;
use super::place::PlaceArgs;
use crate::policy::PolicyDigests;

/// Arguments of `tidegate policy digest`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Compare it with `policy.loaded` in the log: `tidegate audit tail`.\n\n\
                        Example: tidegate policy digest --policies policies")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
}

impl Args {
    /// Prints it.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let sets = self.place.open()?.sets()?;
        let PolicyDigests { both, customer, vendor } = sets.digests();
        output.line(both.to_string())?;
        output.json(&json!({ "digest": both, "customer": customer, "vendor": vendor }))?;
        Ok(ExitCode::SUCCESS)
    }
}
