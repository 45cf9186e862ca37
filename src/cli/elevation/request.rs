//! `tidegate elevation request`

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::Output;
use super::super::api::{Doing, PersonArgs};
use super::view::View;
use super::wait::Wait;
use super::{duration, words};
use crate::clock::{Clock as _, Moment, SystemClock};
use crate::ids::GrantName;
use crate::span::{FORMS, format_duration, parse_duration};

/// Arguments of `request`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RequestArgs {
    /// For which grant; `tidegate grants` lists them.
    #[arg(long, value_name = "NAME")]
    grant: GrantName,
    /// How long access should last, such as 30m or 2h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Duration,
    /// What you will do and why; approvers and auditors read it.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Where the work is tracked.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// Open it not earlier than this: RFC 3339, or +30m from now.
    #[arg(long, value_name = "TIME", value_parser = NotBefore::parse, allow_hyphen_values = true)]
    not_before: Option<NotBefore>,
    /// Some of the grant's scopes, separated by spaces.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// Wait until it is decided, then count down to its end. Ctrl-C stops the waiting and nothing else.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    person: PersonArgs,
}

/// When the window may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotBefore {
    At(Moment),
    In(Duration),
}

impl NotBefore {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix('+') {
            Some(span) => parse_duration(span).map(Self::In).ok_or_else(|| FORMS.to_owned()),
            None => text.parse().map(Self::At).map_err(|_| {
                "write a time such as 2026-11-22T16:03:12Z, or +30m for thirty minutes from now".to_owned()
            }),
        }
    }

    fn from(self, now: Moment) -> Moment {
        match self {
            Self::At(at) => at,
            Self::In(span) => now.plus(span),
        }
    }
}

impl RequestArgs {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let (api, clock) = (self.person.api()?, SystemClock::start());
        let asked = api.post("/v1/elevations", &self.body(clock.now()), Doing::Request).await?;
        let view = View::read(&asked)?;
        if self.wait {
            return Wait::new(&api, &clock, output).until_the_end(asked, tokio::signal::ctrl_c()).await;
        }
        output.line(next_steps(&view, clock.now()))?;
        output.json(&asked)?;
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn body(&self, now: Moment) -> Value {
        let mut body = Map::new();
        body.insert("grant".to_owned(), json!(self.grant));
        body.insert("duration".to_owned(), json!(format_duration(self.duration)));
        body.insert("reason".to_owned(), json!(self.reason));
        let not_before = self.not_before.map(|when| when.from(now).to_string());
        for (name, value) in [("ticket", &self.ticket), ("not_before", &not_before), ("scope", &self.scope)] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        Value::Object(body)
    }
}

fn next_steps(view: &View, at: Moment) -> String {
    let id = &view.id;
    format!(
        "{}\n\nAn approver decides with:  tidegate elevation approve {id}\n\
         You follow it with:        tidegate elevation watch {id}\n\
         You take it back with:     tidegate elevation withdraw {id}",
        view.render(at)
    )
}
