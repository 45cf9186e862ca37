//! `tidegate lock`: freeze somebody or something at once, see what is frozen, thaw it. Policy says who may (action `lock`).

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Output;
use super::api::{Doing, PersonArgs};
use super::elevation::view::Who;
use super::elevation::{NOT_RECORDED, duration, words};
use super::terminal::{Table, escaped};
use crate::clock::Moment;
use crate::ids::{ElevationId, GrantName, IssuerName, LockId, Subject};
use crate::span::format_duration;

/// Freeze people, issuers, grants, elevations or everything, at once.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Freeze: issuing, asking and approving stop at once; revoking, denying and looking do not
    #[command(after_help = "Examples:\n  \
        tidegate lock set --principal 'vendor|v7' --reason \"laptop stolen\"\n  \
        tidegate lock set --grant prod-admin --reason \"incident 17\" --ttl 2h\n  \
        tidegate lock set --all --reason \"something is very wrong\"\n\n\
        A lock survives restarts and holds even while the log cannot be written.")]
    Set(SetArgs),
    /// List what is frozen
    #[command(after_help = "Example:\n  tidegate lock list --output json")]
    List(ListArgs),
    /// Thaw
    #[command(after_help = "Example:\n  tidegate lock lift lck-019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071")]
    Lift(LiftArgs),
}

/// Arguments of `set`.
#[derive(Debug, Args)]
pub(super) struct SetArgs {
    #[command(flatten)]
    target: Target,
    /// Why; it stays in the log for ever.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Lift it by itself after so long; without it somebody must lift it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    person: PersonArgs,
}

/// Exactly one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// One person or workload: the issuer's configured name, a bar, and the token's `sub`.
    #[arg(long, value_name = "ISSUER|SUB", value_parser = principal)]
    principal: Option<String>,
    /// Everybody of an issuer.
    #[arg(long, value_name = "NAME")]
    issuer: Option<IssuerName>,
    /// A grant, whoever asks.
    #[arg(long, value_name = "NAME")]
    grant: Option<GrantName>,
    /// One elevation.
    #[arg(long, value_name = "ID")]
    elevation: Option<ElevationId>,
    /// Everything.
    #[arg(long)]
    all: bool,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    person: PersonArgs,
}

/// Arguments of `lift`.
#[derive(Debug, Args)]
pub(super) struct LiftArgs {
    /// The lock's id.
    #[arg(value_name = "ID")]
    id: LockId,
    #[command(flatten)]
    person: PersonArgs,
}

/// A lock as the API shows it.
#[derive(Debug, Deserialize)]
struct View {
    id: String,
    target: Map<String, Value>,
    reason: String,
    by: Who,
    at: Moment,
    until: Option<Moment>,
    #[serde(default = "yes")]
    recorded: bool,
}

const fn yes() -> bool {
    true
}

impl Command {
    /// Does it and prints.
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Set(args) => args.run(output).await,
            Self::List(args) => args.run(output).await,
            Self::Lift(args) => args.run(output).await,
        }
    }
}

impl SetArgs {
    async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let set = self.person.api()?.post("/v1/locks", &self.body(), Doing::Lock).await?;
        let view = View::read(&set)?;
        let until =
            view.until.map_or_else(|| "until it is lifted".to_owned(), |until| format!("until {until}"));
        output.line(escaped(&format!("{} is locked {until}: {}", view.target(), view.id)))?;
        if !view.recorded {
            output.note(NOT_RECORDED);
        }
        output.json(&set)?;
        Ok(ExitCode::SUCCESS)
    }

    fn body(&self) -> Value {
        let mut body = json!({ "target": self.target.body(), "reason": self.reason });
        if let (Some(ttl), Some(body)) = (self.ttl, body.as_object_mut()) {
            body.insert("ttl".to_owned(), json!(format_duration(ttl)));
        }
        body
    }
}

impl Target {
    fn body(&self) -> Value {
        let mut body = Map::new();
        let named = [
            ("principal", self.principal.clone()),
            ("issuer", self.issuer.as_ref().map(ToString::to_string)),
            ("grant", self.grant.as_ref().map(ToString::to_string)),
            ("elevation", self.elevation.map(|id| id.to_string())),
        ];
        for (name, value) in named {
            body.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        if self.all {
            body.insert("all".to_owned(), json!(true));
        }
        Value::Object(body)
    }
}

impl ListArgs {
    async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let found = self.person.api()?.get("/v1/locks", &[], Doing::Look).await?;
        output.line(list(&found)?)?;
        output.json(&found)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl LiftArgs {
    async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let lifted = self.person.api()?.delete(&format!("/v1/locks/{}", self.id), Doing::Lift).await?;
        output.line(format!("{} is lifted", self.id))?;
        output.json(&lifted)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl View {
    fn read(value: &Value) -> anyhow::Result<Self> {
        Self::deserialize(value).context("the broker's answer is no lock: is this its address?")
    }

    fn target(&self) -> String {
        let shown = |(kind, name): (&String, &Value)| match name.as_str() {
            Some(name) => format!("{kind} {name}"),
            None => kind.clone(),
        };
        self.target.iter().map(shown).collect::<Vec<_>>().join(" ")
    }
}

fn list(answer: &Value) -> anyhow::Result<String> {
    let locks = answer.get("locks").and_then(Value::as_array).context("the broker's answer is no list")?;
    let mut table = Table::new(&["ID", "TARGET", "SINCE", "UNTIL", "BY", "IN THE LOG", "REASON"]);
    for lock in locks {
        let view = View::read(lock)?;
        let until = view.until.map_or_else(|| "lifted".to_owned(), |until| until.to_string());
        let recorded = if view.recorded { "yes" } else { "not yet" };
        table.row([
            &view.id,
            &view.target(),
            &view.at.to_string(),
            &until,
            &view.by.text(),
            recorded,
            &view.reason,
        ]);
    }
    Ok(if table.is_empty() { "nothing is locked".to_owned() } else { table.render() })
}

fn principal(text: &str) -> Result<String, String> {
    let parts = text
        .split_once('|')
        .ok_or("write the issuer's configured name, a bar and the subject: 'vendor|00u1'")?;
    IssuerName::new(parts.0).map_err(|error| error.to_string())?;
    Subject::new(parts.1).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    const BROKER: [&str; 2] = ["--broker", "https://broker.example.com"];

    fn body(args: &[&str]) -> Result<Value, clap::Error> {
        let line = [&["lock", "set", "--reason", "why"], args, &BROKER].concat();
        match Cli::try_parse_from(line)?.command {
            Command::Set(args) => Ok(args.body()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lock_has_exactly_one_target_that_can_exist() {
        for bad in [
            &[][..],
            &["--all", "--grant", "a"],
            &["--grant", "a", "--issuer", "b"],
            &["--grant", "A B"],
            &["--principal", "no-bar"],
            &["--principal", "vendor|"],
            &["--principal", "VENDOR|x"],
            &["--elevation", "elv-1"],
            &["--all", "--ttl", "5"],
            &["--all", "--reason", " "],
        ] {
            assert!(body(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_target_is_sent_as_the_api_wants_it() {
        assert_eq!(
            body(&["--principal", "vendor|a|b", "--ttl", "90m"]).unwrap(),
            json!({ "target": { "principal": "vendor|a|b" }, "reason": "why", "ttl": "1h30m" })
        );
        assert_eq!(body(&["--all"]).unwrap(), json!({ "target": { "all": true }, "reason": "why" }));
        assert_eq!(body(&["--grant", "prod"]).unwrap()["target"], json!({ "grant": "prod" }));
        assert_eq!(body(&["--issuer", "vendor"]).unwrap()["target"], json!({ "issuer": "vendor" }));
        let id = "elv-01a204b4-7a5e-7994-8652-29cf5b8dd4ce";
        assert_eq!(body(&["--elevation", id]).unwrap()["target"], json!({ "elevation": id }));
    }

    #[test]
    fn locks_are_listed_with_what_they_stop_and_until_when() {
        let by = json!({ "issuer": "customer", "subject": "op" });
        let answer = json!({ "locks": [
            { "id": "lck-1", "target": { "all": true }, "reason": "a\u{1b}[1m", "by": by, "at": "2026-11-22T16:00:00Z" },
            { "id": "lck-2", "target": { "principal": "vendor|v7" }, "reason": "b", "by": by, "recorded": false,
              "at": "2026-11-22T16:00:00Z", "until": "2026-11-22T17:00:00Z" },
        ] });
        insta::assert_snapshot!(list(&answer).unwrap(), @r"
        ID     TARGET               SINCE                 UNTIL                 BY           IN THE LOG  REASON
        lck-1  all                  2026-11-22T16:00:00Z  lifted                customer|op  yes         a\u{1b}[1m
        lck-2  principal vendor|v7  2026-11-22T16:00:00Z  2026-11-22T17:00:00Z  customer|op  not yet     b
        ");
        assert_eq!(list(&json!({ "locks": [] })).unwrap(), "nothing is locked");
        assert!(list(&json!({})).is_err());
    }
}
