//! `tidegate grants`: what the caller may ask for.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::Output;
use super::api::{Doing, PersonArgs};
use super::terminal::Table;

/// Arguments of `tidegate grants`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidegate grants\n\nA break-glass grant is asked for with `tidegate elevation request`, any other \
                        at once with `tidegate token`."
)]
pub(super) struct Args {
    #[command(flatten)]
    person: PersonArgs,
}

#[derive(Debug, Deserialize)]
struct Offer {
    name: String,
    kind: String,
    scope: Option<String>,
    account: Option<String>,
    #[serde(default)]
    break_glass: bool,
    #[serde(default)]
    may_request: bool,
    max_duration: Option<String>,
    approvals_needed: Option<u32>,
    max_ttl: Option<String>,
}

impl Args {
    /// Asks and prints.
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        let offers = self.person.api()?.get("/v1/grants", &[], Doing::Look).await?;
        output.line(render(&offers)?)?;
        output.json(&offers)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(answer: &Value) -> anyhow::Result<String> {
    let offers = answer.get("grants").and_then(Value::as_array).context("the broker's answer is no list")?;
    let mut table =
        Table::new(&["GRANT", "KIND", "BREAK-GLASS", "AT MOST", "APPROVALS", "SCOPES OR ACCOUNT"]);
    for offer in offers {
        let offer = Offer::deserialize(offer).context("the broker's answer is no grant")?;
        let longest = if offer.break_glass { &offer.max_duration } else { &offer.max_ttl };
        table.row([
            &offer.name,
            &offer.kind,
            offer.how(),
            longest.as_deref().unwrap_or_default(),
            &offer.approvals_needed.map(|count| count.to_string()).unwrap_or_default(),
            offer.scope.as_ref().or(offer.account.as_ref()).map(String::as_str).unwrap_or_default(),
        ]);
    }
    Ok(if table.is_empty() { "nothing that you may ask for".to_owned() } else { table.render() })
}

impl Offer {
    const fn how(&self) -> &'static str {
        match (self.break_glass, self.may_request) {
            (true, true) => "you may ask",
            (true, false) => "not for you",
            (false, _) => "no",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_needs_approval_is_told_from_what_does_not() {
        let answer = json!({ "grants": [
            { "name": "prod-admin", "kind": "aws", "account": "123456789012", "break_glass": true, "may_request": true,
              "max_duration": "4h", "approvals_needed": 2, "max_ttl": "1h" },
            { "name": "ledger-fix", "kind": "jwt", "scope": "ledger.read ledger.write", "break_glass": true,
              "may_request": false, "max_duration": "1h", "max_ttl": "15m" },
            { "name": "ledger-api", "kind": "jwt", "scope": "ledger.read", "break_glass": false, "max_ttl": "15m" },
        ] });
        insta::assert_snapshot!(render(&answer).unwrap(), @r"
        GRANT       KIND  BREAK-GLASS  AT MOST  APPROVALS  SCOPES OR ACCOUNT
        prod-admin  aws   you may ask  4h       2          123456789012
        ledger-fix  jwt   not for you  1h       -          ledger.read ledger.write
        ledger-api  jwt   no           15m      -          ledger.read
        ");
        assert_eq!(render(&json!({ "grants": [] })).unwrap(), "nothing that you may ask for");
        assert!(render(&json!({ "grants": [{}] })).is_err());
    }
}
