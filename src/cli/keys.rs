//! `tidegate keys`: ask the running broker for its keys, or to rotate them. The request is signed with the
//! key-encryption key, which only an operator can read.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Output;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Settings;
use crate::http::OperatorKey;
use crate::server;

/// Subcommands of `tidegate keys`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the token keys and the log's key, with their states.
    List(Args),
    /// Announce the next token key now; it signs once verifiers have had time to learn it.
    Rotate(Args),
}

/// Arguments of both.
#[derive(Debug, clap::Args)]
#[command(after_help = "The broker must be running; it is reached at `server.ops_listen`.")]
pub struct Args {
    /// The broker's configuration file.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    config: PathBuf,
    /// Where the ops listener is, when it is not where the file says.
    #[arg(long, value_name = "URL")]
    ops: Option<String>,
}

impl Command {
    /// Asks and prints.
    pub async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let (args, method, path) = match self {
            Self::List(args) => (args, "GET", "/keys"),
            Self::Rotate(args) => (args, "POST", "/keys/rotate"),
        };
        let answer = ask(&args, method, path).await?;
        match method {
            "GET" => print_list(&answer, output)?,
            _ => output.line(rotation_text(&answer))?,
        }
        output.json(&answer)?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn ask(args: &Args, method: &str, path: &str) -> anyhow::Result<Value> {
    let settings = crate::config::load(&args.config)?;
    let url = args.ops.clone().unwrap_or_else(|| format!("http://{}", settings.server.ops_listen));
    let key = operator_key(&settings)?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut request = client.request(method.parse()?, format!("{url}{path}"));
    for (name, value) in key.sign(method, path, SystemClock::start().now()) {
        request = request.header(name, value);
    }
    let response = request
        .send()
        .await
        .with_context(|| format!("the broker does not answer at {url}; is it running?"))?;
    let status = response.status();
    let body: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
    if !status.is_success() {
        let detail = body.pointer("/detail").and_then(Value::as_str).unwrap_or("no reason given");
        bail!("the broker answered {status}: {detail}");
    }
    Ok(body)
}

fn operator_key(settings: &Settings) -> anyhow::Result<OperatorKey> {
    let kek = server::key_encryption_key(&settings.keys.kek)?;
    Ok(OperatorKey::new(&kek.derive(server::OPERATOR_PURPOSE)?))
}

fn print_list(answer: &Value, output: &Output) -> anyhow::Result<()> {
    output.line(format!("{:<8} {:<8} {:<7} {:<25} {}", "STATE", "PURPOSE", "ALG", "SIGNS FROM", "KEY ID"))?;
    for key in answer.as_array().into_iter().flatten() {
        let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        output.line(format!(
            "{:<8} {:<8} {:<7} {:<25} {}",
            text("state"),
            text("purpose"),
            text("algorithm"),
            text("active_from"),
            text("kid")
        ))?;
    }
    Ok(())
}

fn rotation_text(answer: &Value) -> String {
    match answer.get("announced").and_then(Value::as_str) {
        Some(at) => format!("the next key is published; it signs from {at}"),
        None => "a next key is published already and on its way".to_owned(),
    }
}
