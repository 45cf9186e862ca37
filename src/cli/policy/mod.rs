//! `tidegate policy`: read, test and prove policies before they decide anything. Starts no broker and changes nothing.

pub(super) mod check;
mod digest;
mod explain;
mod junit;
pub(super) mod place;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

use super::Output;

/// Subcommands of `tidegate policy`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List what is wrong with the policies, and what is valid and still not what somebody meant.
    Check(check::Args),
    /// Decide the cases beside the policies, and compare with what they expect.
    Test(test::Args),
    /// Print the digest of the policy sets, as entries of the log carry it.
    Digest(digest::Args),
    /// Say why a request is permitted or not, and what would have to be different.
    Explain(Box<explain::Args>),
}

impl Command {
    /// Runs it.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(args) => args.run(output),
            Self::Test(args) => args.run(output),
            Self::Digest(args) => args.run(output),
            Self::Explain(args) => super::current_thread()?.block_on(args.run(output)),
        }
    }
}
