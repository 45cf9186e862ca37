//! `tidegate serve`: run the broker until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Output, check, logging};
use crate::server::{self, Ports, Running};

/// Arguments of `tidegate serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "SIGHUP reloads policies and certificates; SIGTERM and SIGINT drain and stop.\n\
                        Check a configuration first with `tidegate check --config FILE`.")]
pub(super) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: PathBuf,
}

pub(super) async fn run(args: Args, output: &Output) -> anyhow::Result<ExitCode> {
    let settings = match crate::config::load(&args.config) {
        Ok(settings) => settings,
        Err(faults) => {
            check::print_faults(&faults, output)?;
            return Ok(super::failed());
        }
    };
    logging::start(&settings.log);
    let mut signals = Signals::listen()?;
    let running = server::start(settings, Ports::system()).await?;
    tracing::info!(
        public.address = %running.public_address(),
        ops.address = %running.ops_address(),
        log.verifier_key = running.verifier_key(),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    let reason = signals.until_stop(&running).await;
    tracing::info!(reason, "draining");
    running.stop(reason).await;
    Ok(ExitCode::SUCCESS)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn until_stop(&mut self, running: &Running) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => running.reload().await,
            }
        }
    }
}
