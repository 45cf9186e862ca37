//! `tidegate policy`: read, test and prove policies before they decide anything. Starts no broker and changes nothing.

mod diff;
mod digest;
mod place;
mod prove;
mod solver;

use std::process::ExitCode;

use clap::Subcommand;

use super::{Output, current_thread};

/// Subcommands of `tidegate policy`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print the digest of the policy sets, as entries of the log carry it.
    Digest(digest::Args),
    /// Show which requests two versions decide otherwise, each with an example; or prove that none is.
    Diff(diff::Args),
    /// Prove what can never happen, or show how it can.
    Prove(prove::Args),
}

impl Command {
    /// Runs it.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Digest(args) => args.run(output),
            Self::Diff(args) => current_thread()?.block_on(args.run(output)),
            Self::Prove(args) => current_thread()?.block_on(args.run(output)),
        }
    }
}
