//! `tidegate policy`: read, test and prove policies before they decide anything. Starts no broker and changes nothing.

mod bundle;
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
    /// Make the key pair with which a vendor signs policy bundles.
    NewKey(bundle::NewKeyArgs),
    /// Put the vendor's policies into one signed file.
    Bundle(bundle::BundleArgs),
    /// Say what a bundle holds, and whether it is to be taken.
    Verify(bundle::VerifyArgs),
}

impl Command {
    /// Runs it.
    pub(in crate::cli) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Digest(args) => args.run(output),
            Self::NewKey(args) => args.run(output),
            Self::Bundle(args) => args.run(output),
            Self::Verify(args) => args.run(output),
        }
    }
}
