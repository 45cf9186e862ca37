//! One file per subcommand. Knows arguments, terminals and exit codes; everything else is asked of the rooms.

mod agent;
mod api;
pub mod audit;
mod broker;
pub mod check;
mod completions;
#[cfg(feature = "demo")]
mod demo;
mod elevation;
mod exec;
mod given;
mod grants;
pub mod keys;
mod lock;
mod logging;
mod options;
mod policy;
mod serve;
mod shown;
mod store;
mod subject;
mod terminal;
pub mod token;
mod whoami;

use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

/// A short-lived credential broker that you host yourself.
///
/// Workloads exchange their OIDC token for AWS credentials or JWTs that live for minutes; policy decides, and every
/// credential is in a log that anyone can check.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Start with `tidegate demo`. Exit codes: 0 ok, 1 refused or failed, 2 usage.")]
struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the whole story on loopback in a few seconds, then exit.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Run the broker.
    Serve(serve::Args),
    /// List every fault of a configuration, each with its place in the file.
    Check(check::Args),
    /// Exchange this workload's token for a credential.
    Token(token::Args),
    /// Run a command with a credential in its environment.
    Exec(exec::Args),
    /// Serve AWS SDKs on this machine, and renew what they use.
    Agent(agent::Args),
    /// Ask for break-glass access, decide about it, and see how it stands.
    #[command(subcommand)]
    Elevation(elevation::Command),
    /// Freeze people, issuers, grants, elevations or everything, at once.
    #[command(subcommand)]
    Lock(lock::Command),
    /// Show who the broker takes you for.
    Whoami(whoami::Args),
    /// List what you may ask for.
    Grants(grants::Args),
    /// Verify, prove, report on, follow and export an audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// List and rotate the broker's signing keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look at the store, bring its schema up to date, move it.
    #[command(subcommand)]
    Store(store::Command),
    /// Read, test and prove policies before they decide anything.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Print a completion script for your shell.
    Completions(completions::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.output);
    crate::server::install_crypto_provider();
    match run(cli.command, &output) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output.note(format!("tidegate: {}", told(&error)));
            failed()
        }
    }
}

fn run(command: Command, output: &Output) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => multi_thread()?.block_on(demo::run(args, output)),
        Command::Serve(args) => multi_thread()?.block_on(serve::run(args, output)),
        Command::Check(args) => args.run(output),
        Command::Token(args) => current_thread()?.block_on(args.run(output)),
        Command::Exec(args) => args.run(output),
        Command::Agent(args) => current_thread()?.block_on(args.run(output)),
        Command::Elevation(command) => current_thread()?.block_on(command.run(output)),
        Command::Lock(command) => current_thread()?.block_on(command.run(output)),
        Command::Whoami(args) => current_thread()?.block_on(args.run(output)),
        Command::Grants(args) => current_thread()?.block_on(args.run(output)),
        Command::Audit(command) => multi_thread()?.block_on(command.run(output)),
        Command::Keys(command) => current_thread()?.block_on(command.run(output)),
        Command::Policy(command) => command.run(output),
        Command::Store(command) => multi_thread()?.block_on(command.run(output)),
        Command::Completions(args) => {
            args.run();
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The chain of causes. Most of our errors tell their cause themselves: it is not said twice.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        before if before.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

fn multi_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Starts in a millisecond: for commands that SDKs run once per refresh.
fn current_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Standard output for results, standard error for progress and refusals. A closed pipe ends quietly.
#[derive(Debug)]
pub struct Output {
    format: OutputFormat,
}

impl Output {
    /// Prints in `format`.
    pub const fn new(format: OutputFormat) -> Self {
        Self { format }
    }

    /// Are results printed as JSON?
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// One line of the result, for people; nothing in JSON mode.
    pub fn line(&self, text: impl AsRef<str>) -> std::io::Result<()> {
        if self.is_json() { Ok(()) } else { writeln!(std::io::stdout().lock(), "{}", text.as_ref()) }
    }

    /// The result, for programs; nothing in text mode.
    pub fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        if self.is_json() {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, value)?;
            writeln!(out)?;
        }
        Ok(())
    }

    /// One of several results, for programs: a document on a line of its own.
    pub fn json_line(&self, value: &impl Serialize) -> anyhow::Result<()> {
        if self.is_json() {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, value)?;
            writeln!(out)?;
            out.flush()?;
        }
        Ok(())
    }

    /// A line on standard error, in both modes.
    pub fn note(&self, text: impl AsRef<str>) {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
    }

    /// A progress line that replaces itself, when standard error is a terminal.
    pub fn progress(&self, text: impl AsRef<str>) {
        let mut err = std::io::stderr().lock();
        if err.is_terminal() {
            let _ = write!(err, "\r\x1b[K{}", text.as_ref());
            let _ = err.flush();
        }
    }
}

/// Refused or failed.
pub fn failed() -> ExitCode {
    ExitCode::from(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_and_none_is_left_out() {
        let inner =
            anyhow::anyhow!("the disk is full").context("the store cannot be opened: the disk is full");
        assert_eq!(told(&inner), "the store cannot be opened: the disk is full");
        let outer = anyhow::anyhow!("refused").context("no connection").context("asking the broker");
        assert_eq!(told(&outer), "asking the broker: no connection: refused");
    }
}
