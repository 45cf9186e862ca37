//! `tidegate policy digest`: which policies are these?

use std::process::ExitCode;

use serde_json::json;

use super::super::Output;
use super::place::PlaceArgs;

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
        output.line(sets.digest().to_string())?;
        output.json(&json!({ "digest": sets.digest() }))?;
        Ok(ExitCode::SUCCESS)
    }
}
