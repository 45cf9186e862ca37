//! `tidegate agent`: a container-credentials endpoint on loopback, so that any AWS SDK on this machine or in this pod gets
//! what the broker grants, renewed before it ends. Knows sockets, files and signals; what is served is the keeper's.

mod bearer;
mod keeper;
mod serve;
mod slot;
mod status;
#[cfg(test)]
mod tests;
mod wish;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::bearer::{Bearer, TokenFile};
use self::keeper::{Keeper, Surroundings};
use self::serve::Door;
use self::wish::Wish;
use super::Output;
use super::options::{BrokerArgs, SubjectArgs, TermsArgs};
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::ids::GrantName;
use crate::server::listen::Listener;

/// boto3 hangs up after two seconds and then shows no reason; the exchange goes on and the next request finds its result.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// How often the background looks.
const LOOK: Duration = Duration::from_millis(500);
/// For requests in flight at the end.
const DRAIN: Duration = Duration::from_secs(2);
/// Connections at once.
const MOST_CONNECTIONS: u32 = 1_024;

/// Arguments of `tidegate agent`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    after_help = "Two variables make every AWS SDK and tool ask the agent; --print-env prints them:\n  \
    AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9911/aws/credentials/GRANT\n  \
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=PATH\n\n\
    Examples:\n  \
    tidegate agent --listen 127.0.0.1:9911 --token-file /run/tidegate/token\n  \
    tidegate agent --grant orders-read --print-env > agent.env &\n  \
    tidegate agent status --listen 127.0.0.1:9911 --token-file /run/tidegate/token"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how a running agent and its grants stand
    Status(status::StatusArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Where to listen: a loopback address; port 0 is any free port.
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_AGENT_LISTEN", value_parser = loopback)]
    #[arg(default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to keep the agent's own token, which SDKs show to it. Without it, in a new folder under `XDG_RUNTIME_DIR` or the
    /// folder for temporary files.
    #[arg(long, value_name = "PATH", env = "TIDEGATE_AGENT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Get this grant's credential at once. Others are got when they are first asked for.
    #[arg(long, value_name = "NAME")]
    grant: Option<GrantName>,
    /// Print the two variables for --grant on standard output.
    #[arg(long, requires = "grant")]
    print_env: bool,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

impl Args {
    /// Serves until it is told to stop, or shows the status.
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self.command {
            Some(Command::Status(args)) => args.run(output).await,
            None => self.run.run(output).await,
        }
    }
}

impl RunArgs {
    async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let subject = self.subject.find()?;
        if !subject.is_lasting() {
            return Ok(usage(
                output,
                "--subject-token-file: standard input cannot be read again at each renewal",
            ));
        }
        if self.grant.is_none() && self.terms.elevation.is_some() {
            return Ok(usage(output, "--elevation is for one grant: name it with --grant"));
        }
        let mut stop = Stop::listen()?;
        let (entropy, clock) = (Arc::new(SystemEntropy::new()), Arc::new(SystemClock::start()));
        let around =
            Surroundings { clock, entropy: entropy.clone(), tell: Box::new(say), patience: PATIENCE };
        let keeper = Keeper::new(self.broker.open()?, subject, around);
        let bearer = Arc::new(Bearer::new(entropy.as_ref())?);
        let router = serve::router(Door {
            keeper: keeper.clone(),
            bearer: bearer.clone(),
            expires_in: self.terms.expires_in,
        });
        let listener = Listener::start(self.listen, None, MOST_CONNECTIONS, router)
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        // Not before: where another agent listens already, its token file must stay as it is.
        let token_file = bearer.write(self.token_file.as_deref(), entropy.as_ref())?;
        self.announce(output, listener.address, &token_file)?;
        if let Some(mut wish) = self.wish() {
            wish.expires_in = self.terms.expires_in;
            let keeper = Arc::clone(&keeper);
            // How it went is told on standard error, and to whoever asks.
            tokio::spawn(async move { keeper.credential(&wish).await.map(|_| ()) });
        }
        stop.keeping(&keeper).await;
        listener.drain(DRAIN).await;
        Ok(ExitCode::SUCCESS)
    }

    /// What the printed URL asks for.
    fn wish(&self) -> Option<Wish> {
        let grant = self.grant.clone()?;
        Some(Wish { grant, elevation: self.terms.elevation, expires_in: None })
    }

    /// Where it is, and what to export.
    fn announce(&self, output: &Output, address: SocketAddr, token_file: &TokenFile) -> anyhow::Result<()> {
        let base = format!("http://{address}/aws/credentials/");
        let path = token_file.path().to_string_lossy();
        output.note(format!("tidegate agent: listening on http://{address}, token file {path}"));
        let uri = self.wish().map(|wish| format!("{base}{wish}"));
        let variables = uri.as_deref().map(|uri| {
            [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &*path)]
        });
        let environment = variables.map(BTreeMap::from);
        output.json_line(&json!({
            "address": address, "credentials": base, "token_file": path, "environment": environment,
        }))?;
        let Some(variables) = variables.filter(|_| self.print_env) else { return Ok(()) };
        // In one piece: whoever waits for a file with them finds both.
        let lines = variables.map(|(name, value)| format!("export {name}={}", quoted(value)));
        Ok(output.line(lines.join("\n"))?)
    }
}

/// What ends the agent.
struct Stop {
    signals: [tokio::signal::unix::Signal; 2],
}

impl Stop {
    /// SIGHUP is left as it was: under `nohup` an agent survives its terminal.
    fn listen() -> std::io::Result<Self> {
        let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        Ok(Self { signals: [terminate?, interrupt?] })
    }

    /// Keeps the credentials fresh until then.
    async fn keeping(&mut self, keeper: &Arc<Keeper>) {
        let [terminate, interrupt] = &mut self.signals;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = look.tick() => keeper.tick(),
            }
        }
    }
}

fn say(line: &str) {
    Output::new(super::OutputFormat::Text).note(format!("tidegate agent: {line}"));
}

fn usage(output: &Output, why: &str) -> ExitCode {
    output.note(format!("tidegate agent: {why}"));
    ExitCode::from(2)
}

/// As a shell reads it back; plain where it can be.
fn quoted(value: &str) -> Cow<'_, str> {
    let is_plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"/:._-".contains(&b));
    if is_plain { Cow::Borrowed(value) } else { Cow::Owned(format!("'{}'", value.replace('\'', "'\\''"))) }
}

/// Whatever reaches the agent can ask for the workload's credentials, so nothing beyond this machine may reach it.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write an address and a port, such as 127.0.0.1:9911 or [::1]:0".to_owned())?;
    if !address.ip().is_loopback() {
        let why = "is no loopback address: whatever reaches the agent could ask for this workload's credentials, in \
                   clear text. SDKs refuse it too";
        return Err(format!("{} {why}", address.ip()));
    }
    Ok(address)
}
