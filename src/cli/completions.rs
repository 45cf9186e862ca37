//! `tidegate completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

/// Arguments of `tidegate completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tidegate completions bash > /etc/bash_completion.d/tidegate")]
pub(super) struct Args {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(super) fn run(self) {
        clap_complete::generate(self.shell, &mut super::Cli::command(), "tidegate", &mut std::io::stdout());
    }
}
