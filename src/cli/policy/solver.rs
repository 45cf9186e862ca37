//! Which solver, and how long it may think: arguments that `prove` and `diff` share. Prints examples.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::super::Output;
use super::place::Place;
use crate::policy::{Facts, World};
use crate::proof::{Solver, told};

/// Which solver.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Which solver")]
pub(super) struct SolverArgs {
    /// cvc5, the SMT solver: `apt-get install cvc5`
    #[arg(long, value_name = "PATH", env = "CVC5", default_value = "cvc5")]
    solver: PathBuf,
    /// The longest that it may think about one question
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = span)]
    timeout: Duration,
    /// Write each example to a file of this folder, for `tidegate policy explain --facts FILE`
    #[arg(long, value_name = "DIR")]
    examples: Option<PathBuf>,
}

fn span(text: &str) -> Result<Duration, &'static str> {
    crate::span::parse_duration(text).ok_or(crate::span::FORMS)
}

impl SolverArgs {
    pub(super) async fn start(&self) -> anyhow::Result<Solver> {
        Ok(Solver::start(&self.solver, self.timeout).await?)
    }

    /// The example in lines, and as a file when that is wanted.
    pub(super) fn show(&self, name: &str, facts: &Facts, output: &Output) -> anyhow::Result<()> {
        for line in told(facts) {
            output.line(format!("      {line}"))?;
        }
        if let Some(dir) = &self.examples {
            let path = dir.join(format!("{name}.json"));
            write(dir, &path, facts).with_context(|| format!("writing `{}`", path.display()))?;
            output.line(format!("      tidegate policy explain --facts {}", path.display()))?;
        }
        Ok(())
    }
}

fn write(dir: &Path, path: &Path, facts: &Facts) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    Ok(std::fs::write(path, serde_json::to_vec_pretty(facts)?)?)
}

/// Proofs are about the requests that a broker can get, so they need to know whose tokens it takes and what it issues.
pub(super) fn world(place: &Place) -> anyhow::Result<World> {
    let world = place.world_if_known()?;
    anyhow::ensure!(
        !world.grants.is_empty(),
        "which issuers and grants are these policies for? Name the configuration with `--config FILE`, or describe them \
         in `tests/world.toml` of the policy folder"
    );
    Ok(world)
}
