//! `tidegate store`: look at the store, bring its schema up to date, move it to another place.

mod copy;
mod migrate;
mod status;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

use super::Output;
use crate::audit::checkpoint::{Checkpoint, VerifierKey};
use crate::store::StoreSettings;

/// Look at the store, bring its schema up to date, move it.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say how the store is, beside a running broker or without one
    ///
    /// With a checkpoint that was saved earlier it finds a store that was restored from an older backup, and one that went
    /// on from there: it says so, and fails.
    #[command(after_help = "Examples:\n  tidegate store status --config tidegate.toml\n  \
                            tidegate store status --config tidegate.toml --checkpoint last.checkpoint")]
    Status(status::Args),
    /// Bring the schema up to date without starting a broker
    ///
    /// `tidegate serve` does the same when it starts. Two at once are no harm; brokers of the version before go on serving.
    #[command(after_help = "Example:\n  tidegate store migrate --config tidegate.toml --dry-run")]
    Migrate(migrate::Args),
    /// Copy everything into an empty store, such as from SQLite into PostgreSQL, and compare
    ///
    /// Stop the broker first. Nothing is changed in the source. What was interrupted goes on when it is run again; until it
    /// has ended no broker starts on the target.
    #[command(
        after_help = "Examples:\n  tidegate store copy --config old.toml --to-config new.toml --checkpoint \
                            last.checkpoint\n  tidegate store copy --from sqlite:tidegate.db --to \
                            'postgres:///tidegate?host=/run/postgresql&user=tidegate'"
    )]
    Copy(copy::Args),
}

/// Which store.
#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// The configuration file that says where the store is
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG", required_unless_present = "url")]
    config: Option<PathBuf>,
    /// The store itself, instead: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl Command {
    /// Runs it. An error is a failure too; its text is for standard error.
    pub(super) async fn run(self, out: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Status(args) => args.run(out).await,
            Self::Migrate(args) => args.run(out).await,
            Self::Copy(args) => args.run(out).await,
        }
    }
}

impl PlaceArgs {
    fn find(&self) -> anyhow::Result<StoreSettings> {
        place(self.url.as_deref(), self.config.as_deref())
    }
}

/// The URL when there is one: it was written for this call, a file may stand in the environment.
fn place(url: Option<&str>, config: Option<&Path>) -> anyhow::Result<StoreSettings> {
    let Some(url) = url else {
        let config = config.context("name the store by its URL or by a configuration file")?;
        return Ok(crate::config::load(config)?.store);
    };
    let settings = StoreSettings::from_url(url)
        .map_err(|fault| anyhow::anyhow!("the store's URL: {}; {}", fault.what, fault.help))?;
    if let StoreSettings::Postgres(postgres) = &settings {
        anyhow::ensure!(
            postgres.password.is_none(),
            "every user of this machine can read arguments: leave the password out of the URL, and name a configuration \
             file with `password_file` or `password_command` under [store]"
        );
    }
    Ok(settings)
}

/// A saved checkpoint, with the signature of the log's own key.
fn read_checkpoint(path: &Path, key: Option<&VerifierKey>) -> anyhow::Result<Checkpoint> {
    let note =
        std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let key = key.context("the store has no log yet: it is not the one that the saved checkpoint is of")?;
    Checkpoint::open(&note, key).with_context(|| {
        format!("`{}` is no checkpoint of the log in this store, whose key is `{key}`", path.display())
    })
}
