//! `tidegate keys`: ask the running broker for its keys, to rotate them, or to change the key that seals them. The request
//! is signed with the key-encryption key, which only an operator can read or have opened.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use reqwest::StatusCode;
use serde_json::Value;

use super::Output;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Settings;
use crate::custody::KekSource;
use crate::entropy::SystemEntropy;
use crate::http::OperatorKey;
use crate::keys::{Kek, KekRing};
use crate::server::{self, AwsIdentity};

/// Subcommands of `tidegate keys`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the token keys and the log's key, with their states and what seals them.
    List(Args),
    /// Announce the next token key now; it signs once verifiers have had time to learn it.
    Rotate(Args),
    /// Seal every kept key anew under the key-encryption key that the configuration names.
    ///
    /// Name the new one as `kek_file` (or `kek`, `kek_kms`) and the one before as `previous_kek_file` (or `previous_kek`,
    /// `previous_kek_kms`), restart every replica, then run this once. Under the same `kek_kms` nothing has to be
    /// changed before: a new data key is made. All kept keys change over in one transaction, or none does.
    #[command(name = "rotate-kek")]
    RotateKek(Args),
}

/// Arguments of each.
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
        let answer = match self {
            Self::List(args) => {
                let answer = Operator::new(&args).await?.ask("GET", "/keys").await?;
                print_list(&answer, output)?;
                answer
            }
            Self::Rotate(args) => {
                let answer = Operator::new(&args).await?.ask("POST", "/keys/rotate").await?;
                output.line(rotation_text(&answer))?;
                answer
            }
            Self::RotateKek(args) => {
                let answer = Operator::new(&args).await?.rotate_kek().await?;
                output.line(kek_rotation_text(&answer))?;
                answer
            }
        };
        output.json(&answer)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Who holds the broker's key-encryption key, or both while it is being changed.
struct Operator {
    url: String,
    keks: Vec<Arc<Kek>>,
    is_changing: bool,
}

impl Operator {
    async fn new(args: &Args) -> anyhow::Result<Self> {
        let settings = crate::config::load(&args.config)?;
        let url = args.ops.clone().unwrap_or_else(|| format!("http://{}", settings.server.ops_listen));
        let is_changing = settings.keys.kek.previous.is_some();
        Ok(Self { url, keks: keks(&settings).await?, is_changing })
    }

    /// Signed with the first key that the broker takes.
    async fn ask(&self, method: &str, path: &str) -> anyhow::Result<Value> {
        for kek in &self.keks {
            match self.send(kek, method, path).await? {
                (StatusCode::UNAUTHORIZED, _) => {}
                (status, body) => return read(status, body),
            }
        }
        let hint = if self.is_changing { "; was it restarted with this configuration?" } else { "" };
        bail!("the broker answered 401: it does not know the key-encryption key of this configuration{hint}")
    }

    /// Only the one in force can be changed, and the broker says which one that is.
    async fn rotate_kek(&self) -> anyhow::Result<Value> {
        let keys = self.ask("GET", "/keys").await?;
        let of_log = |key: &&Value| key.get("purpose").and_then(Value::as_str) == Some("log");
        let log = keys.as_array().into_iter().flatten().find(of_log);
        let in_force = log.and_then(|key| key.get("kek")).and_then(Value::as_str).unwrap_or_default();
        let Some(kek) = self.keks.iter().find(|kek| kek.id().to_string() == in_force) else {
            bail!(
                "kept keys are sealed under the key-encryption key {in_force}, which this configuration does not have: name it as `keys.previous_kek_file`"
            );
        };
        let (status, body) = self.send(kek, "POST", "/keys/rotate-kek").await?;
        read(status, body)
    }

    async fn send(&self, kek: &Kek, method: &str, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut request = client.request(method.parse()?, format!("{}{path}", self.url));
        for (name, value) in OperatorKey::of(kek)?.sign(method, path, SystemClock::start().now()) {
            request = request.header(name, value);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("the broker does not answer at {}; is it running?", self.url))?;
        Ok((response.status(), serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null)))
    }
}

fn read(status: StatusCode, body: Value) -> anyhow::Result<Value> {
    if !status.is_success() {
        let detail = body.pointer("/detail").and_then(Value::as_str).unwrap_or("no reason given");
        bail!("the broker answered {status}: {detail}");
    }
    Ok(body)
}

/// From files without asking anybody. What KMS has wrapped is in the store, beside the broker that has it open; KMS opens
/// it for whoever may call it.
async fn keks(settings: &Settings) -> anyhow::Result<Vec<Arc<Kek>>> {
    let kek = &settings.keys.kek;
    let sources = [Some(&kek.wanted), kek.previous.as_ref()];
    if sources.iter().flatten().all(|source| !matches!(source, KekSource::Kms(_))) {
        let read = sources.iter().flatten().filter_map(|source| source.read().transpose());
        let keks = read.map(|kek| kek.map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        return Ok(KekRing::new(keks).all());
    }
    let store = crate::store::open_beside_with(&settings.store).await?;
    let entropy = Arc::new(SystemEntropy::new());
    let custody = server::custody::open(settings, &AwsIdentity::DefaultChain, store, entropy).await?;
    Ok(custody.ring().all())
}

fn print_list(answer: &Value, output: &Output) -> anyhow::Result<()> {
    output.line(format!(
        "{:<8} {:<8} {:<7} {:<25} {:<16} {}",
        "STATE", "PURPOSE", "ALG", "SIGNS FROM", "SEALED UNDER", "KEY ID"
    ))?;
    for key in answer.as_array().into_iter().flatten() {
        let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        output.line(format!(
            "{:<8} {:<8} {:<7} {:<25} {:<16} {}",
            text("state"),
            text("purpose"),
            text("algorithm"),
            text("active_from"),
            text("kek"),
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

fn kek_rotation_text(answer: &Value) -> String {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or("-");
    let keys = answer.get("resealed").and_then(Value::as_array).map_or(0, Vec::len);
    format!(
        "{keys} keys are sealed under the key-encryption key {} ({}); take the previous one out of the configuration, and keep it as long as you keep backups that were made before",
        text("kek"),
        text("custody")
    )
}
