//! `tidegate policy`: read, test and prove policies before they decide anything. Starts no broker and changes nothing.

mod bundle;
pub(super) mod check;
mod diff;
mod digest;
mod explain;
mod junit;
mod own;
pub(super) mod place;
mod prove;
mod replay;
mod report;
mod solver;
mod test;
mod version;

use std::process::ExitCode;

use clap::Subcommand;

use super::{Output, current_thread};

/// Subcommands of `tidegate policy`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List what is wrong with the policies, and what is valid and still not what somebody meant.
    Check(check::Args),
    /// Decide the cases beside the policies, and compare with what they expect.
    Test(test::Args),
    /// Print the digest of the policy sets, as entries of the log carry it.
    Digest(digest::Args),
    /// Make the key pair with which a vendor signs policy bundles.
    NewKey(bundle::NewKeyArgs),
    /// Put the vendor's policies into one signed file.
    Bundle(bundle::BundleArgs),
    /// Say what a bundle holds, and whether it is to be taken.
    Verify(bundle::VerifyArgs),
    /// Show which requests two versions decide otherwise, each with an example; or prove that none is.
    Diff(diff::Args),
    /// Prove what can never happen, or show how it can.
    Prove(prove::Args),
    /// Show who can get what, on what conditions, and what is proved: the page that goes with an audit.
    Report(report::Args),
    /// Say why a request is permitted or not, and what would have to be different.
    Explain(Box<explain::Args>),
    /// Decide again what the log says was decided, by other policies.
    Replay(replay::Args),
}

impl Command {
    /// Runs it.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(args) => args.run(output),
            Self::Test(args) => args.run(output),
            Self::Digest(args) => args.run(output),
            Self::NewKey(args) => args.run(output),
            Self::Bundle(args) => args.run(output),
            Self::Verify(args) => args.run(output),
            Self::Diff(args) => current_thread()?.block_on(args.run(output)),
            Self::Prove(args) => current_thread()?.block_on(args.run(output)),
            Self::Report(args) => current_thread()?.block_on(args.run(output)),
            Self::Explain(args) => current_thread()?.block_on(args.run(output)),
            Self::Replay(args) => super::multi_thread()?.block_on(args.run(output)),
        }
    }
}
