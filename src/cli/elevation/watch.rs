//! `tidegate elevation watch`: the event stream, across broken connections.

use std::process::ExitCode;

use serde_json::Value;

use super::super::Output;
use super::super::api::{Api, Doing, Event, Events, PersonArgs};
use super::path;
use super::view::View;
use crate::cli::terminal::{cut, escaped};
use crate::clock::{Clock as _, SystemClock};
use crate::ids::ElevationId;

/// Arguments of `watch`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WatchArgs {
    /// Only this one.
    #[arg(value_name = "ID")]
    id: Option<ElevationId>,
    /// Begin after this entry of the log instead of now.
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
    #[command(flatten)]
    person: PersonArgs,
}

impl WatchArgs {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let api = self.person.api()?;
        let follow = Box::pin(follow(&api, self.id, self.after, output));
        tokio::select! {
            ended = follow => ended?,
            pressed = tokio::signal::ctrl_c() => pressed?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Until the one that is followed is over; else for ever.
pub(super) async fn follow(
    api: &Api,
    id: Option<ElevationId>,
    after: Option<u64>,
    output: &Output,
) -> anyhow::Result<()> {
    let mut events = Events::new(api, after.map(|index| index.to_string()));
    if let Some(id) = id {
        // First the stream, then how it stands: what happens between the two is heard and not lost.
        events.connect().await?;
        let now = api.get(&path(id, ""), &[], Doing::Look).await?;
        let view = View::read(&now)?;
        let standing = view.standing(SystemClock::start().now());
        output.line(escaped(&format!("{}  {}: {standing}", view.id, view.state)))?;
        output.json_line(&now)?;
        if view.is_over() {
            return Ok(());
        }
    }
    let wanted = id.map(|id| id.to_string());
    loop {
        let event = events
            .next(|why, wait| output.note(format!("{}; again in {wait:.1?}", cut(&format!("{why:#}"), 200))))
            .await?;
        if let Some(over) = print(&event, wanted.as_deref(), output)?
            && over
            && wanted.is_some()
        {
            return Ok(());
        }
    }
}

/// Prints an event about a wanted elevation, and says whether that is over.
fn print(event: &Event, wanted: Option<&str>, output: &Output) -> anyhow::Result<Option<bool>> {
    let data: Value = serde_json::from_str(&event.data)?;
    let Ok(view) = View::read(&data) else {
        // An event of tomorrow, or a word from the stream itself.
        return Ok(None);
    };
    if wanted.is_some_and(|wanted| wanted != view.id) {
        return Ok(None);
    }
    output.line(line(event, &view))?;
    output.json_line(&data)?;
    Ok(Some(view.is_over()))
}

/// `1042  elv-…  elevation.approved  …`
fn line(event: &Event, view: &View) -> String {
    escaped(&format!("{}  {}  {}  {}  {}", event.id, view.id, view.state, event.kind, view.news()))
}
