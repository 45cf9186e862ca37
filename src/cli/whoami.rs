//! `tidegate whoami`: the first thing to look at when something is refused.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::Output;
use super::api::{Doing, PersonArgs};
use super::terminal::Facts;

/// Arguments of `tidegate whoami`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidegate whoami --subject-token-file ~/.cache/idp-token --broker https://broker.example.com"
)]
pub(super) struct Args {
    #[command(flatten)]
    person: PersonArgs,
}

#[derive(Debug, Deserialize)]
struct Me {
    issuer: String,
    subject: String,
    name: Option<String>,
    email: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    may_approve: Option<bool>,
    token_expires_at: Option<String>,
}

impl Args {
    /// Asks and prints.
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let me = self.person.api()?.get("/v1/whoami", &[], Doing::Look).await?;
        output.line(render(&me)?)?;
        output.json(&me)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(answer: &Value) -> anyhow::Result<String> {
    let me = Me::deserialize(answer).context("the broker's answer names nobody: is this its address?")?;
    let mut facts = Facts::new();
    facts.fact("you are", &format!("{}|{}", me.issuer, me.subject));
    facts.maybe("name", me.name.as_deref());
    facts.maybe("e-mail", me.email.as_deref());
    facts.fact("groups", &if me.groups.is_empty() { "none".to_owned() } else { me.groups.join(", ") });
    facts.maybe(
        "may approve",
        me.may_approve
            .map(|may| if may { "if policy says so" } else { "never: your issuer is barred from it" }),
    );
    facts.maybe("token ends", me.token_expires_at.as_deref());
    Ok(facts.render())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_part_that_decides_comes_before_the_name() {
        let me = json!({ "issuer": "vendor", "subject": "v7", "name": "Vera\u{202e}", "groups": ["oncall", "a,b"],
                         "may_approve": false, "token_expires_at": "2026-11-22T17:00:00Z" });
        insta::assert_snapshot!(render(&me).unwrap(), @r"
        you are      vendor|v7
        name         Vera\u{202e}
        groups       oncall, a,b
        may approve  never: your issuer is barred from it
        token ends   2026-11-22T17:00:00Z
        ");
        assert!(render(&json!({})).is_err());
    }
}
