//! `tidegate agent status`: how a running agent and its grants stand. Also a probe for Kubernetes, whose own HTTP probes do
//! not reach loopback inside a pod.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::loopback;
use crate::cli::Output;
use crate::cli::broker::{Trust, read_body};
use crate::cli::subject::SubjectSource;
use crate::cli::terminal::Table;

/// Arguments of `tidegate agent status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 the agent answers, 1 it does not. Grants in trouble do not make it 1: the agent is well.\n\n\
    Example:\n  tidegate agent status --listen 127.0.0.1:9911 --token-file /run/tidegate/token"
)]
pub(super) struct StatusArgs {
    /// Where the agent listens.
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_AGENT_LISTEN", value_parser = loopback)]
    listen: SocketAddr,
    /// Its token file. Without it, only whether it lives is told.
    #[arg(long, value_name = "PATH", env = "TIDEGATE_AGENT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Shown {
    status: String,
    #[serde(default)]
    grants: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    grant: String,
    state: String,
    #[serde(default)]
    expires_at: String,
    #[serde(default)]
    last_error: String,
}

impl StatusArgs {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let status = self.ask().await?;
        output.line(render(&status)?)?;
        output.json(&status)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(&self) -> anyhow::Result<Value> {
        let url: Url = format!("http://{}/healthz", self.listen).parse()?;
        let mut request = Trust::system().client(&url)?.get(url);
        if let Some(path) = &self.token_file {
            let bearer = SubjectSource::File(path.clone()).read("").await.context("--token-file")?;
            request = request.header("authorization", bearer.expose());
        }
        let response = request.send().await.map_err(reqwest::Error::without_url);
        let response = response.with_context(|| format!("no agent answers on {}", self.listen))?;
        let status = response.status();
        let body = read_body(response).await?;
        if !status.is_success() {
            bail!("the agent on {} refused: HTTP {}: is this its token file?", self.listen, status.as_u16());
        }
        serde_json::from_slice(&body).ok().context("this is no agent")
    }
}

fn render(status: &Value) -> anyhow::Result<String> {
    let shown = Shown::deserialize(status).ok().context("this is no agent")?;
    if shown.grants.is_empty() {
        return Ok(shown.status);
    }
    let mut table = Table::new(&["GRANT", "STATE", "UNTIL", "LAST ERROR"]);
    for grant in &shown.grants {
        table.row([&grant.grant, &grant.state, &grant.expires_at, &grant.last_error]);
    }
    Ok(format!("{}\n\n{}", shown.status, table.render()))
}
