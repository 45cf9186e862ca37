//! `tidegate policy replay`: what other policies would have said to what was asked. Reads the log, believes none of it before
//! all of it is verified, and asks no broker.

mod reading;
mod render;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use self::reading::{Reading, Span};
use crate::audit::verify::{self, Report as LogReport};
use crate::cli::audit::{SourceArgs, read_key, read_text};
use crate::cli::{Output, failed};
use crate::clock::{Clock as _, Moment, SystemClock};
use crate::policy::PolicySets;
use crate::policy::replay::{Replay, Report};

/// Arguments of `tidegate policy replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Decides again what the log says was decided: same caller, same grant, same moment, other policies. Entries that\n\
                  do not say what their decision depended on are counted and cannot be decided again.\n\
                  Exit codes: 0 nothing of what `--fail-on` names, 1 something is, or the log or a decision does not hold, 2 usage.\n\n\
                  Examples:\n  \
                  tidegate policy replay https://broker.example.com --key log.vkey --against next/ --days 30\n  \
                  tidegate policy replay ./mirror --key log.vkey --against next/ --fail-on any --output json"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The log's verifier key (`name+hash+key`) or a file with it
    #[arg(long, value_name = "VKEY_OR_FILE")]
    key: String,
    /// A checkpoint that was saved earlier: the log must still begin with it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The policy folder to decide by; else the configuration's
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    against: Option<PathBuf>,
    /// The broker's configuration, for its policy folder
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Only decisions of the last N days
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "to"])]
    days: Option<u32>,
    /// Only entries from this index on
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// Only entries before this index
    #[arg(long, value_name = "INDEX")]
    to: Option<u64>,
    /// What makes the command fail
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    fail_on: FailOn,
    /// How many changed decisions are printed; 0 for all of them. With `--output json` all are
    #[arg(long, value_name = "N", default_value_t = 100)]
    list: usize,
}

/// What makes the command fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Something that was refused would be allowed.
    #[default]
    Allowed,
    /// Something that was allowed would be refused.
    Denied,
    /// Either of the two.
    Any,
    /// Neither.
    None,
}

/// What was found out.
#[derive(Debug)]
struct Outcome {
    log: LogReport,
    sets: PolicySets,
    report: Report,
}

impl Args {
    /// Runs it. An error is a failure too; its text is for standard error.
    pub(in crate::cli) async fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        let outcome = self.replay(SystemClock::start().now(), out).await;
        out.progress("");
        let outcome = outcome?;
        render::print(&outcome, self.list, out)?;
        Ok(if self.is_fine(&outcome.report) { ExitCode::SUCCESS } else { failed() })
    }

    async fn replay(&self, now: Moment, out: &Output) -> anyhow::Result<Outcome> {
        let (source, key) = (self.source.open()?, read_key(&self.key)?);
        let saved = self.checkpoint.as_deref().map(read_text).transpose()?;
        let dir = self.dir()?;
        let sets = PolicySets::read(&dir).with_context(|| format!("in `{}`", dir.display()))?;
        let mut reading = Reading::new(Replay::new(&sets), self.span(now), out);
        let log = verify::verify_and_read(&source, &key, saved.as_deref(), &mut reading).await?;
        let report = reading.finish();
        if !log.is_ok() {
            let faults = log.faults.iter().map(ToString::to_string);
            let saved = log.saved.as_ref().filter(|saved| !saved.is_ok()).map(ToString::to_string);
            let told: Vec<_> = faults.chain(saved).collect();
            anyhow::bail!(
                "this log must not be believed, so nothing is said of its decisions: {}",
                told.join("; ")
            );
        }
        Ok(Outcome { log, sets, report })
    }

    fn dir(&self) -> anyhow::Result<PathBuf> {
        match (&self.against, &self.config) {
            (Some(dir), _) => Ok(dir.clone()),
            (None, Some(config)) => Ok(crate::config::outline(config)?.policy.dir),
            (None, None) => anyhow::bail!("name the policies with `--against DIR`"),
        }
    }

    fn span(&self, now: Moment) -> Span {
        let since = self.days.map(|days| now.minus(std::time::Duration::from_hours(24) * days));
        Span { from: self.from.unwrap_or(0), to: self.to.unwrap_or(u64::MAX), since }
    }

    /// A decision that the very same policies would not make again is never fine.
    fn is_fine(&self, report: &Report) -> bool {
        let (allowed, denied) = (report.total.newly_allowed > 0, report.total.newly_denied > 0);
        let found = match self.fail_on {
            FailOn::Allowed => allowed,
            FailOn::Denied => denied,
            FailOn::Any => allowed || denied,
            FailOn::None => false,
        };
        !found && report.inconsistent.is_empty()
    }
}
