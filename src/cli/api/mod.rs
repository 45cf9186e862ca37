//! The broker's break-glass API as a command sees it: who calls, one request at a time, and what may be sent again. Knows
//! no elevation and no lock; tokens go where the caller said and nowhere else.

mod events;
mod refusal;
#[cfg(test)]
pub(super) mod tests;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

pub(super) use self::events::{Event, Events};
pub(super) use self::refusal::{Doing, Refusal};
use super::broker::{away, base_url, read_body, retry_after};
use super::options::BrokerArgs;
use super::subject::SubjectSource;
use crate::entropy::{SystemEntropy, bytes};
use crate::secret::SecretText;

/// How long one connection to the event stream may last; a new one goes on where it ended.
const STREAM: Duration = Duration::from_hours(24);

/// Who calls, and which broker. A token is never an argument: every user of the machine can read arguments.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Who and where")]
pub(super) struct PersonArgs {
    /// The file with your own OIDC token; `-` is standard input. It is read again for every request, so that whatever
    /// renews it may do so.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SUBJECT_TOKEN_FILE", hide_env_values = true)]
    subject_token_file: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// How often and after what wait something is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Tries in all.
    pub(super) tries: u32,
    /// The wait after the first; each later one is twice as long.
    pub(super) first_wait: Duration,
    /// No wait is longer.
    pub(super) longest_wait: Duration,
}

impl Patience {
    /// For one request: somebody sits before it.
    const REQUEST: Self =
        Self { tries: 4, first_wait: Duration::from_millis(300), longest_wait: Duration::from_secs(5) };

    /// The wait after `failures` failures in a row.
    pub(super) fn wait(&self, failures: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest_wait)
    }
}

/// A broker, and the person who calls it.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    base: Url,
    bearer: Bearer,
    patience: Patience,
}

/// The person's token.
#[derive(Debug)]
struct Bearer {
    source: SubjectSource,
    /// Standard input can be read only once.
    kept: OnceCell<SecretText>,
}

/// What one attempt came to.
enum Attempt {
    Answered(Value),
    Refused(Refusal),
    /// Nothing was heard, or the broker cannot now: the same request may be sent again.
    Again(anyhow::Error, Option<Duration>),
}

impl PersonArgs {
    /// For a command that calls a broker only when one is named.
    pub(super) fn calling(
        broker: String,
        subject_token_file: Option<PathBuf>,
        ca_file: Option<PathBuf>,
    ) -> Self {
        Self { subject_token_file, broker: BrokerArgs::at(broker, ca_file) }
    }

    /// Ready to call.
    pub(super) fn api(&self) -> anyhow::Result<Api> {
        let base = base_url(self.broker.url()?)?;
        let http = self.broker.trust().read()?.client(&base)?;
        let source = SubjectSource::find(self.subject_token_file.as_deref())?;
        let bearer = Bearer { source, kept: OnceCell::new() };
        Ok(Api { http, base, bearer, patience: Patience::REQUEST })
    }
}

impl Api {
    /// Reads.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        doing: Doing<'_>,
    ) -> anyhow::Result<Value> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.persist(doing, || self.http.get(url.clone())).await
    }

    /// Changes something. All attempts carry one `Idempotency-Key`: an answer that was lost on its way is given again and
    /// nothing happens twice.
    pub(super) async fn post(&self, path: &str, body: &Value, doing: Doing<'_>) -> anyhow::Result<Value> {
        let (url, key, body) = (self.url(path), idempotency_key()?, serde_json::to_vec(body)?);
        let request = || {
            let request = self.http.post(url.clone()).header("idempotency-key", &key);
            request.header(CONTENT_TYPE, "application/json").body(body.clone())
        };
        self.persist(doing, request).await
    }

    /// Deletes. Sent again it would find nothing and call a success a failure, so it is sent once.
    pub(super) async fn delete(&self, path: &str, doing: Doing<'_>) -> anyhow::Result<Value> {
        match self.attempt(self.http.request(Method::DELETE, self.url(path))).await? {
            Attempt::Answered(answer) => Ok(answer),
            Attempt::Refused(refusal) => Err(refusal.on(doing).into()),
            Attempt::Again(why, _) => {
                Err(why.context("it is not known whether this was done: look, and try again"))
            }
        }
    }

    /// The event stream, from after the event `last` or from now on.
    pub(super) async fn events(&self, last: Option<&str>) -> anyhow::Result<Response> {
        // A stream has no end: its silence is watched by who reads it.
        let mut request = self.http.get(self.url("/v1/events")).timeout(STREAM);
        request = request.header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response =
            self.bearer.sign(request).await?.send().await.map_err(|error| away(&self.base, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let refusal = Refusal::read(status, &read_body(response).await?);
        if refusal.is_passing() {
            Err(anyhow!(refusal.to_string()))
        } else {
            Err(refusal.on(Doing::Watch).into())
        }
    }

    /// Until an answer comes or patience ends.
    async fn persist(&self, doing: Doing<'_>, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Value> {
        let mut failures = 0;
        loop {
            match self.attempt(request()).await? {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Refused(refusal) => return Err(refusal.on(doing).into()),
                Attempt::Again(why, asked) => {
                    failures += 1;
                    if failures >= self.patience.tries {
                        return Err(why.context(format!("no answer after {failures} attempts")));
                    }
                    let wait = self.patience.wait(failures).max(asked.unwrap_or_default());
                    tokio::time::sleep(wait.min(self.patience.longest_wait)).await;
                }
            }
        }
    }

    async fn attempt(&self, request: RequestBuilder) -> anyhow::Result<Attempt> {
        let response = match self.bearer.sign(request).await?.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Attempt::Again(away(&self.base, &error), None)),
        };
        let (status, asked) = (response.status(), retry_after(&response));
        let body = match read_body(response).await {
            Ok(body) => body,
            Err(error) => return Ok(Attempt::Again(error.context("the answer broke off"), None)),
        };
        if status.is_success() {
            return answer(&body).map(Attempt::Answered);
        }
        let refusal = Refusal::read(status, &body);
        if refusal.is_passing() {
            return Ok(Attempt::Again(anyhow!(refusal.to_string()), asked));
        }
        Ok(Attempt::Refused(refusal))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

impl Bearer {
    /// RFC 6750 §2.1. The header is marked as sensitive: no log of the client's shows it.
    async fn sign(&self, request: RequestBuilder) -> anyhow::Result<RequestBuilder> {
        if matches!(self.source, SubjectSource::StandardInput) {
            let kept = self.kept.get_or_try_init(|| self.source.read("tidegate")).await?;
            return Ok(request.bearer_auth(kept.expose()));
        }
        Ok(request.bearer_auth(self.source.read("tidegate").await?.expose()))
    }
}

fn answer(body: &[u8]) -> anyhow::Result<Value> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).ok().context("the broker's answer is no JSON: is this its address?")
}

/// Nobody else's: a key that could be guessed could take another's answer.
fn idempotency_key() -> anyhow::Result<String> {
    let chance = u128::from_be_bytes(bytes::<16>(&SystemEntropy::new())?);
    Ok(format!("{chance:032x}"))
}

/// Is this a status of which nothing is known but that it passes?
const fn passes(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
}
