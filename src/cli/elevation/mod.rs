//! `tidegate elevation`: ask for break-glass access, decide about it, and see how it stands. Knows the API's words;
//! refuses to know who may do what: the broker says so.

mod change;
mod request;
#[cfg(test)]
mod tests;
pub(super) mod view;
mod wait;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

pub(super) use self::change::NOT_RECORDED;
use self::view::View;
use super::Output;
use super::api::{Doing, PersonArgs};
use crate::breakglass::StateName;
use crate::clock::{Clock as _, SystemClock};
use crate::ids::{ElevationId, GrantName};
use crate::span::{FORMS, parse_duration};

/// What `list` shows unless it is told otherwise: what waits for somebody or is open.
const OPEN: [StateName; 3] = [StateName::Requested, StateName::Approved, StateName::Active];

/// Ask for break-glass access, decide about it, and see how it stands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask for access
    #[command(after_help = "Examples:\n  \
        tidegate elevation request --grant prod-admin --duration 1h --reason \"orders-db: disk full\" --ticket OPS-42\n  \
        tidegate elevation request --grant prod-admin --duration 2h --reason \"planned failover\" --not-before +30m --wait\n\n\
        Then: tidegate token --grant prod-admin (with the same token file)")]
    Request(request::RequestArgs),
    /// List what is open; with --all or --state also what was
    #[command(after_help = "Examples:\n  tidegate elevation list\n  \
        tidegate elevation list --state requested --grant prod-admin\n  \
        tidegate elevation list --all --limit 500 --output json")]
    List(ListArgs),
    /// Show one, with its approvals and its history
    #[command(after_help = "Example:\n  tidegate elevation show elv-019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071")]
    Show(OneArgs),
    /// Say yes; you can make it shorter and smaller, never longer or wider
    #[command(after_help = "Examples:\n  tidegate elevation approve ID --comment \"go ahead, call me\"\n  \
        tidegate elevation approve ID --duration 30m --scope \"ledger.read\"")]
    Approve(change::ApproveArgs),
    /// Say no, with the reason
    #[command(after_help = "Example:\n  tidegate elevation deny ID --reason \"use the replica\"")]
    Deny(change::ReasonArgs),
    /// Take your own request back before it opens
    #[command(after_help = "Example:\n  tidegate elevation withdraw ID")]
    Withdraw(OneArgs),
    /// Give your own access back before its end
    #[command(after_help = "Example:\n  tidegate elevation end ID")]
    End(OneArgs),
    /// Take access away, now
    #[command(
        after_help = "Example:\n  tidegate elevation revoke ID --reason \"done with, and nobody answers\"\n\n\
        Issuing stops at once. Whether credentials that are out already can be cut off depends on the grant:\n\
        `tidegate elevation show ID` says under `aws sessions` how that stands."
    )]
    Revoke(change::ReasonArgs),
    /// Follow changes as they happen; of one, until it is over
    #[command(
        after_help = "Examples:\n  tidegate elevation watch\n  tidegate elevation watch ID --output json\n  \
        tidegate elevation watch --after 1042    (from after entry 1042 of the log)"
    )]
    Watch(watch::WatchArgs),
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only these states; may be given several times.
    #[arg(long, value_name = "STATE", value_parser = state, conflicts_with = "all")]
    state: Vec<StateName>,
    /// Only for this grant.
    #[arg(long, value_name = "NAME")]
    grant: Option<GrantName>,
    /// Also what is over.
    #[arg(long)]
    all: bool,
    /// At most so many, the newest first.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    person: PersonArgs,
}

/// Arguments of a command on one elevation.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The elevation's id.
    #[arg(value_name = "ID")]
    id: ElevationId,
    #[command(flatten)]
    person: PersonArgs,
}

impl Command {
    /// Does it and prints.
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Request(args) => args.run(output).await,
            Self::List(args) => args.run(output).await,
            Self::Show(args) => args.show(output).await,
            Self::Approve(args) => args.run(output).await,
            Self::Deny(args) => args.deny(output).await,
            Self::Withdraw(args) => change::withdraw(args, output).await,
            Self::End(args) => change::end(args, output).await,
            Self::Revoke(args) => args.revoke(output).await,
            Self::Watch(args) => args.run(output).await,
        }
    }
}

impl ListArgs {
    async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let found = self.pages(&self.person.api()?).await?;
        let views = found.iter().map(View::read).collect::<anyhow::Result<Vec<_>>>()?;
        output.line(view::list(&views, SystemClock::start().now()))?;
        output.json(&serde_json::json!({ "elevations": found }))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Page by page, until there are enough.
    async fn pages(&self, api: &super::api::Api) -> anyhow::Result<Vec<Value>> {
        let most = usize::try_from(self.limit)?;
        let (state, mut cursor, mut found) = (self.states(), None::<String>, Vec::new());
        loop {
            let limit = (most - found.len()).min(PAGE).to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend((!state.is_empty()).then_some(("state", state.as_str())));
            query.extend(self.grant.as_ref().map(|grant| ("grant", grant.as_str())));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = api.get("/v1/elevations", &query, Doing::Look).await?;
            let elevations = page.get("elevations").and_then(Value::as_array);
            let elevations = elevations.ok_or_else(|| anyhow::anyhow!("the broker's answer is no list"))?;
            found.extend(elevations.iter().take(most - found.len()).cloned());
            cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || elevations.is_empty() || found.len() >= most {
                return Ok(found);
            }
        }
    }

    /// As the query wants it: comma-separated; empty for every state.
    fn states(&self) -> String {
        let states: &[StateName] = match (self.all, self.state.is_empty()) {
            (true, _) => &[],
            (false, true) => &OPEN,
            (false, false) => &self.state,
        };
        states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// The broker gives no more at once.
const PAGE: usize = 100;

impl OneArgs {
    async fn show(self, output: &Output) -> anyhow::Result<ExitCode> {
        let found = self.person.api()?.get(&path(self.id, ""), &[], Doing::Look).await?;
        output.line(View::read(&found)?.render(SystemClock::start().now()))?;
        output.json(&found)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `/v1/elevations/ID` and what is done with it.
fn path(id: ElevationId, deed: &str) -> String {
    format!("/v1/elevations/{id}{deed}")
}

fn state(text: &str) -> Result<StateName, String> {
    StateName::parse(text)
        .ok_or_else(|| format!("one of {}", StateName::ALL.map(StateName::as_str).join(", ")))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| FORMS.to_owned())
}

/// Words that somebody will read: not nothing.
pub(super) fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why in a few words".to_owned()) } else { Ok(text.to_owned()) }
}
