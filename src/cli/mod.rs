//! One file per subcommand. Knows arguments, terminals and exit codes; everything else is asked of the rooms.

mod broker;
pub mod check;
mod subject;
pub mod token;

use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use serde::Serialize;

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
