//! `tidegate store migrate`.

use std::process::ExitCode;

use serde_json::json;

use super::PlaceArgs;
use crate::cli::Output;
use crate::store;

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        let before = store::migrate(&self.place.find()?, self.dry_run).await?;
        let steps: Vec<_> =
            before.pending.iter().map(|step| json!({ "version": step.version, "what": step.what })).collect();
        out.json(&json!({
            "version": before.version,
            "wanted": before.wanted,
            "steps": steps,
            "done": !self.dry_run && !before.is_current(),
        }))?;
        for step in &before.pending {
            let verb = if self.dry_run { "would apply" } else { "applied" };
            out.line(format!("{verb} version {}: {}", step.version, step.what))?;
        }
        if before.is_current() {
            out.line(format!("the schema is up to date: version {}", before.version))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
