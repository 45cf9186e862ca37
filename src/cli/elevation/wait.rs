//! Waiting for a decision and then for the end: what changed goes to standard output, the countdown to the terminal.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::super::api::{Api, Doing, Refusal};
use super::super::{Output, failed};
use super::view::View;
use crate::breakglass::StateName;
use crate::cli::terminal::escaped;
use crate::clock::Clock;

/// How often the broker is asked. It answers with the time in it: no end is missed by more than this.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How often the countdown moves.
const TICK: Duration = Duration::from_millis(500);

/// One wait.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    api: &'a Api,
    clock: &'a dyn Clock,
    output: &'a Output,
    ask_every: Duration,
    tick: Duration,
}

impl<'a> Wait<'a> {
    pub(super) fn new(api: &'a Api, clock: &'a dyn Clock, output: &'a Output) -> Self {
        Self { api, clock, output, ask_every: ASK_EVERY, tick: TICK }
    }

    #[cfg(test)]
    pub(super) fn hasty(self) -> Self {
        Self { ask_every: Duration::from_millis(5), tick: Duration::from_millis(1), ..self }
    }

    /// From `first` until it is over, or until `stop`: stopping to wait changes nothing at the broker.
    pub(super) async fn until_the_end(
        &self,
        first: Value,
        stop: impl Future<Output = std::io::Result<()>>,
    ) -> anyhow::Result<ExitCode> {
        let mut stop = std::pin::pin!(stop);
        let mut view = self.changed(&first)?;
        let mut asked_at = self.clock.uptime();
        while !view.is_over() {
            self.output.progress(format!("{}: {}", view.state, view.standing(self.clock.now())));
            tokio::select! {
                stopped = &mut stop => {
                    stopped?;
                    return Ok(self.stopped(&view));
                }
                () = tokio::time::sleep(self.tick) => {}
            }
            if self.clock.uptime().saturating_sub(asked_at) >= self.ask_every {
                view = self.ask(view).await?;
                asked_at = self.clock.uptime();
            }
        }
        self.output.progress("");
        Ok(outcome(view.state))
    }

    /// How it stands by now. A broker that is away is no decision: the wait goes on.
    async fn ask(&self, view: View) -> anyhow::Result<View> {
        let path = format!("/v1/elevations/{}", view.id);
        match self.api.get(&path, &[], Doing::Look).await {
            Ok(now) if is_newer(&now, &view) => self.changed(&now),
            Ok(_) => Ok(view),
            Err(error) if error.is::<Refusal>() => Err(error),
            Err(error) => {
                self.output.progress(format!("{}: the broker is away ({error}), still trying", view.state));
                Ok(view)
            }
        }
    }

    fn changed(&self, value: &Value) -> anyhow::Result<View> {
        let view = View::read(value)?;
        self.output.progress("");
        let standing = view.standing(self.clock.now());
        self.output.line(escaped(&format!("{}  {}  {} ({standing})", view.id, view.news(), view.state)))?;
        self.output.json_line(value)?;
        Ok(view)
    }

    fn stopped(&self, view: &View) -> ExitCode {
        self.output.progress("");
        let id = escaped(&view.id);
        self.output.note(format!(
            "stopped waiting; {id} stays {}: `tidegate elevation watch {id}` waits on, `tidegate elevation {} {id}` gives it \
             up",
            view.state,
            if view.state == StateName::Active { "end" } else { "withdraw" }
        ));
        if view.state == StateName::Requested { failed() } else { ExitCode::SUCCESS }
    }
}

/// By version, or because the clock has moved it on.
fn is_newer(now: &Value, seen: &View) -> bool {
    let version = now.get("version").and_then(Value::as_u64);
    let state = now.get("state").and_then(Value::as_str);
    version != Some(seen.version) || state != Some(seen.state.as_str())
}

/// Access that was had until its end is a success; access that was refused or taken away is none.
fn outcome(state: StateName) -> ExitCode {
    match state {
        StateName::Expired | StateName::Ended => ExitCode::SUCCESS,
        _ => failed(),
    }
}
