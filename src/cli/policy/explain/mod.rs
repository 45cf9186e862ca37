//! `tidegate policy explain`: why a request is permitted or not, and what would have to be different.

mod described;
mod question;
mod render;
#[cfg(test)]
mod tests;
mod token;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use self::described::DescribedArgs;
use self::question::{Asker, facts_in};
use super::place::PlaceArgs;
use crate::cli::Output;
use crate::cli::api::{Doing, PersonArgs};
use crate::clock::{Clock as _, SystemClock};
use crate::explain::Described;
use crate::policy::explain::{Explanation, Verdict, explain};
use crate::policy::facts::Facts;

/// Arguments of `tidegate policy explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The request comes from one of three places: --facts (as `policy prove` and `policy diff` print it, or an entry of the log),
a token with --token-file, or a description with --issuer and --subject. Nothing is issued and no token is spent.

Examples:
  tidegate policy explain --policies policies --grant orders-read \\
    --issuer prod-cluster --subject system:serviceaccount:orders:api --attr kubernetes.namespace=orders \\
    --attr kubernetes.service_account=api --ttl 2h
  tidegate policy explain --config tidegate.toml --grant prod-admin --action request \\
    --person --issuer vendor --subject ann --group oncall --duration 8h
  tidegate policy explain --config tidegate.toml --grant orders-read --token-file /var/run/secrets/token
  tidegate policy explain --facts example.json
  tidegate policy explain --broker https://broker.example.com --grant prod-admin --action request --person …

Exit codes: 0 permitted, 1 denied or failed, 2 usage.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// The request as JSON: facts, or an entry of the log that has some; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token_file", "subject", "grant"])]
    facts: Option<PathBuf>,
    /// Whose request: a file with their token; `-` is standard input. It is never printed and never spent.
    #[arg(long, value_name = "FILE", conflicts_with = "subject", requires = "grant")]
    token_file: Option<PathBuf>,
    /// Believe the token although its signature was not checked: its issuer's keys cannot be had here.
    #[arg(long, requires = "token_file")]
    unverified: bool,
    #[command(flatten)]
    described: DescribedArgs,
    #[command(flatten)]
    live: LiveArgs,
}

/// To ask a running broker instead of reading policies here.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Ask a running broker")]
struct LiveArgs {
    /// The broker; you need its policies' permission to `explain`.
    #[arg(long, value_name = "URL", conflicts_with_all = ["facts", "unverified", "policies", "vendor_bundle"])]
    broker: Option<String>,
    /// The file with your own OIDC token.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SUBJECT_TOKEN_FILE", hide_env_values = true)]
    subject_token_file: Option<PathBuf>,
    /// Trust these authorities (PEM) instead of the system's.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CA_FILE", hide_env_values = true)]
    ca_file: Option<PathBuf>,
}

impl Args {
    /// Explains and prints.
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let (explanation, note) = self.explanation().await?;
        print(&explanation, note, output)
    }

    /// The answer, and what must be said beside it.
    async fn explanation(&self) -> anyhow::Result<(Explanation, Option<&'static str>)> {
        if let Some(broker) = self.live.broker.clone() {
            return Ok((self.ask(broker).await?, None));
        }
        let place = self.place.open()?;
        let world = place.world_if_known()?;
        let sets = place.sets()?;
        let (facts, note) = match &self.facts {
            Some(file) => (facts_in(file)?, None),
            None => self.asked(&place, &world).await?,
        };
        Ok((explain(&sets, &world, &facts).context("no request can be like this")?, note))
    }

    /// The request of a token or of a description.
    async fn asked(
        &self,
        place: &super::place::Place,
        world: &crate::policy::World,
    ) -> anyhow::Result<(Facts, Option<&'static str>)> {
        let body = self.described.body()?;
        let described: Described =
            serde_json::from_value(body).context("the description does not make a request")?;
        let name = &described.grant;
        let Some(grant) = world.grant(name.as_str()) else {
            let known: Vec<_> = world.grants.iter().map(|grant| grant.name.as_str()).collect();
            bail!("there is no grant `{name}`; known are: {}", known.join(", "));
        };
        let now = SystemClock::start().now();
        if place.outline.is_none() {
            self.described.check_complete()?;
        }
        let Asker { principal, auth, note } = match (&self.token_file, described.principal.clone()) {
            (Some(file), None) => token::asker(file, place, self.unverified, now).await?,
            (None, Some(principal)) => Asker { principal, auth: None, note: None },
            _ => bail!("say whose request it is: --facts, --token-file, or --issuer with --subject"),
        };
        Ok((described.facts(grant, principal, auth, now)?, note))
    }

    async fn ask(&self, broker: String) -> anyhow::Result<Explanation> {
        let mut body = self.described.body()?;
        if let Some(file) = &self.token_file {
            let token = token::read(file)?;
            body.as_object_mut()
                .context("the description is no object")?
                .insert("token".to_owned(), json!(token.expose()));
        }
        let person =
            PersonArgs::calling(broker, self.live.subject_token_file.clone(), self.live.ca_file.clone());
        let answer = person.api()?.post("/v1/explain", &body, Doing::Explain).await?;
        serde_json::from_value(answer).context("the broker's answer is no explanation: is it an older one?")
    }
}

fn print(explanation: &Explanation, note: Option<&'static str>, output: &Output) -> anyhow::Result<ExitCode> {
    if let Some(note) = note {
        output.note(note);
    }
    output.line(render::text(explanation, std::io::stdout().is_terminal()).trim_end())?;
    let mut shown = serde_json::to_value(explanation)?;
    if let (Some(members), Some(_)) = (shown.as_object_mut(), note) {
        members.insert("unverified".to_owned(), json!(true));
    }
    output.json(&shown)?;
    let permitted = explanation.decision == Verdict::Permit;
    Ok(if permitted { ExitCode::SUCCESS } else { crate::cli::failed() })
}
