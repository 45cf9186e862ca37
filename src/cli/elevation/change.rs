//! `tidegate elevation approve|deny|withdraw|end|revoke`: one POST each, and how the elevation stands after it.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::Output;
use super::super::api::{Doing, PersonArgs};
use super::view::View;
use super::{OneArgs, duration, path, words};
use crate::cli::terminal::escaped;
use crate::clock::{Clock as _, SystemClock};
use crate::ids::ElevationId;
use crate::span::format_duration;

/// Said when a change holds and the log cannot be written.
pub(in crate::cli) const NOT_RECORDED: &str = "It is in force from now on, but the log cannot be written at the moment: the \
                                               broker records it as soon as it can.";

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ApproveArgs {
    /// A word to who asked.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// For at most so long; the shortest approval counts.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// For at most these scopes, separated by spaces.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    #[command(flatten)]
    one: OneArgs,
}

/// Arguments of `deny` and `revoke`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReasonArgs {
    /// Why; it stays in the log for ever.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    #[command(flatten)]
    one: OneArgs,
}

impl ApproveArgs {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let id = self.one.id.to_string();
        change(&self.one.person, self.one.id, "/approve", &self.body(), Doing::Approve(&id), output).await
    }

    pub(super) fn body(&self) -> Value {
        let mut body = Map::new();
        let span = self.duration.map(format_duration);
        for (name, value) in [("comment", &self.comment), ("duration", &span), ("scope", &self.scope)] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        Value::Object(body)
    }
}

impl ReasonArgs {
    pub(super) async fn deny(self, output: &Output) -> anyhow::Result<ExitCode> {
        let id = self.one.id.to_string();
        change(&self.one.person, self.one.id, "/deny", &self.body(), Doing::Deny(&id), output).await
    }

    pub(super) async fn revoke(self, output: &Output) -> anyhow::Result<ExitCode> {
        let id = self.one.id.to_string();
        change(&self.one.person, self.one.id, "/revoke", &self.body(), Doing::Revoke(&id), output).await
    }

    fn body(&self) -> Value {
        json!({ "reason": self.reason })
    }
}

pub(super) async fn withdraw(args: OneArgs, output: &Output) -> anyhow::Result<ExitCode> {
    let id = args.id.to_string();
    change(&args.person, args.id, "/withdraw", &json!({}), Doing::Withdraw(&id), output).await
}

pub(super) async fn end(args: OneArgs, output: &Output) -> anyhow::Result<ExitCode> {
    let id = args.id.to_string();
    change(&args.person, args.id, "/end", &json!({}), Doing::End(&id), output).await
}

async fn change(
    person: &PersonArgs,
    id: ElevationId,
    deed: &str,
    body: &Value,
    doing: Doing<'_>,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let changed = person.api()?.post(&path(id, deed), body, doing).await?;
    let view = View::read(&changed)?;
    let standing = view.standing(SystemClock::start().now());
    output.line(format!("{} is {}: {}", escaped(&view.id), view.state, standing))?;
    if !view.recorded {
        output.note(NOT_RECORDED);
    }
    output.json(&changed)?;
    Ok(ExitCode::SUCCESS)
}
