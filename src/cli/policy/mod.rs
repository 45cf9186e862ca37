//! `tidegate policy`: read, test and prove policies before they decide anything. Starts no broker and changes nothing.

mod digest;
mod place;

use std::process::ExitCode;

use clap::Subcommand;

use super::Output;

/// Subcommands of `tidegate policy`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print the digest of the policy sets, as entries of the log carry it.
    Digest(digest::Args),
}

impl Command {
    /// Runs it.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Digest(args) => args.run(output),
        }
    }
}
