//! `tidegate policy`: read, test and prove policies before they decide anything. Starts no broker and changes nothing.

mod digest;
mod place;
mod replay;

use std::process::ExitCode;

use clap::Subcommand;

use super::Output;

/// Subcommands of `tidegate policy`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print the digest of the policy sets, as entries of the log carry it.
    Digest(digest::Args),
    /// Decide again what the log says was decided, by other policies
    Replay(replay::Args),
}

impl Command {
    /// Runs it.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Digest(args) => args.run(output),
            Self::Replay(args) => super::multi_thread()?.block_on(args.run(output)),
        }
    }
}
