//! The break-glass part of the story: a vendor's engineer, the customer's approvers, and a window of seconds.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::idp::{Idp, Someone};
use super::story::{Story, claims_of, text_at};
use crate::clock::Moment;

const GRANT: &str = "ledger-repair";
/// Long enough for one credential, short enough to wait for its end. The end is rounded down to a second.
const WINDOW: &str = "3s";
/// How long the broker may take to write down what the clock has done.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

const VERA: Someone = Someone { subject: "vera", name: "Vera", group: "oncall" };
const VINCE: Someone = Someone { subject: "vince", name: "Vince", group: "oncall" };
const ANN: Someone = Someone { subject: "ann", name: "Ann", group: "leads" };
const BEN: Someone = Someone { subject: "ben", name: "Ben", group: "leads" };

impl Story<'_> {
    /// From the request to the end, all over HTTP.
    pub(super) async fn break_glass(&mut self) -> anyhow::Result<()> {
        let elevation = self.the_engineer_asks().await?;
        self.nobody_approves_themselves(&elevation).await?;
        self.two_approvers_let_her_in(&elevation).await?;
        let end = self.a_credential_that_ends_with_the_window().await?;
        self.it_ends_by_itself(end).await?;
        self.its_whole_story(&elevation).await
    }

    async fn the_engineer_asks(&mut self) -> anyhow::Result<String> {
        let nothing = self.exchange(&self.vendor(VERA)?, GRANT).await?;
        self.output.line(format!(
            "6. Vera, an engineer of the vendor, needs grant `{GRANT}`, which nobody has until the customer says so."
        ))?;
        self.refusal("without-an-elevation", nothing, "policy")?;
        let ask =
            json!({ "grant": GRANT, "duration": WINDOW, "reason": "the ledger's nightly batch is stuck" });
        let asked = self.api(&self.vendor(VERA)?, "/v1/elevations", &ask).await?;
        let asked = asked.of(StatusCode::CREATED)?;
        self.output.line(format!(
            "   She asks for {WINDOW}: \"the ledger's nightly batch is stuck\"\n   -> {}: {}, {} approvals needed",
            text_at(&asked, "/id")?,
            text_at(&asked, "/state")?,
            asked.pointer("/approvals_needed").unwrap_or(&Value::Null),
        ))?;
        self.told("request", &asked);
        Ok(text_at(&asked, "/id")?.to_owned())
    }

    async fn nobody_approves_themselves(&mut self, elevation: &str) -> anyhow::Result<()> {
        self.output.line("7. She tries to approve it herself, then a colleague at the vendor tries.")?;
        for (step, who) in [("self-approval", VERA), ("colleague", VINCE)] {
            let answer = self.api(&self.vendor(who)?, &approve(elevation), &json!({})).await?;
            let refused = answer.of(StatusCode::FORBIDDEN)?;
            self.output.line(format!("   -> {}: refused: {}", who.name, text_at(&refused, "/detail")?))?;
            self.told(step, &refused);
        }
        Ok(())
    }

    async fn two_approvers_let_her_in(&mut self, elevation: &str) -> anyhow::Result<()> {
        self.output.line("8. Ann and Ben, leads at the customer, approve.")?;
        for (step, who) in [("first-approval", ANN), ("second-approval", BEN)] {
            let answer = self
                .api(&self.customer(who)?, &approve(elevation), &json!({ "comment": "go ahead" }))
                .await?;
            let now = answer.of(StatusCode::OK)?;
            let state = text_at(&now, "/state")?;
            ensure!(who.subject != ANN.subject || state == "requested", "one approval was enough");
            self.output.line(format!("   -> {}: {state}{}", who.name, until(&now)))?;
            self.told(step, &now);
        }
        Ok(())
    }

    async fn a_credential_that_ends_with_the_window(&mut self) -> anyhow::Result<Moment> {
        let answer = self.exchange(&self.vendor(VERA)?, GRANT).await?.issued()?;
        let claims = claims_of(text_at(&answer, "/access_token")?)?;
        let end = claims.pointer("/exp").and_then(Value::as_i64).context("the token has no exp")?;
        let end = Moment::from_unix_seconds(end);
        self.output.line("9. Inside the window Vera gets her credential.")?;
        self.output.line(format!(
            "   -> a JWT with scope `{}` that ends at {end}; audit entry {}",
            text_at(&answer, "/scope")?,
            answer.pointer("/audit/index").unwrap_or(&Value::Null),
        ))?;
        self.told("under-the-elevation", &claims);
        Ok(end)
    }

    async fn it_ends_by_itself(&mut self, end: Moment) -> anyhow::Result<()> {
        let wait = end.since(self.world.clock.now());
        ensure!(wait <= Duration::from_secs(4), "the credential outlives the window");
        self.output
            .line(format!("10. Everybody waits {:.1} s, and nobody does anything.", wait.as_secs_f64()))?;
        tokio::time::sleep(wait).await;
        let answer = self.exchange(&self.vendor(VERA)?, GRANT).await?;
        self.refusal("after-the-end", answer, "policy")
    }

    async fn its_whole_story(&mut self, elevation: &str) -> anyhow::Result<()> {
        let (source, key) = (format!("{}/log", self.world.broker_url()), self.world.verifier_key());
        let deadline = self.world.clock.uptime().saturating_add(WRITTEN_WITHIN);
        let types = loop {
            let types = super::super::audit::story_of(&source, &key, elevation).await?;
            if types.iter().any(|kind| kind == "elevation.expired") {
                break types;
            }
            ensure!(self.world.clock.uptime() < deadline, "the log has no `elevation.expired`: {types:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let expired = types.iter().filter(|kind| *kind == "elevation.expired").count();
        ensure!(expired == 1, "the elevation expired {expired} times");
        self.output
            .line("11. The log alone tells all of it, each entry with a proof (`tidegate audit report`):")?;
        self.output.line(format!("   -> {}", types.join(", ")))?;
        self.told("report", &json!(types));
        Ok(())
    }

    /// For `--stay`: the same by hand, with an hour's time.
    pub(super) fn break_glass_to_try(&self) -> anyhow::Result<()> {
        let (line, broker) = (|text: String| self.output.line(text), self.world.broker_url());
        let now = self.world.clock.now();
        let hour = |idp: &Idp, who: Someone| idp.person(&who, now, 3_600);
        line("  Break-glass by hand: Vera asks, Ann and Ben approve, Vera gets a credential.\n".to_owned())?;
        for (name, token) in [
            ("VERA", hour(&self.world.vendor, VERA)?),
            ("ANN", hour(&self.world.customer, ANN)?),
            ("BEN", hour(&self.world.customer, BEN)?),
        ] {
            line(format!("  {name}={token}"))?;
        }
        line(format!(
            "  ID=$(curl -s {broker}/v1/elevations -H \"Authorization: Bearer $VERA\" -H 'Content-Type: application/json' \\\n    \
             -d '{{\"grant\":\"{GRANT}\",\"duration\":\"10m\",\"reason\":\"trying it out\"}}' | grep -o 'elv-[0-9a-f-]*' | head -1)"
        ))?;
        for name in ["ANN", "BEN"] {
            line(format!(
                "  curl -s -X POST {broker}/v1/elevations/$ID/approve -H \"Authorization: Bearer ${name}\""
            ))?;
        }
        line(format!(
            "  curl -s {broker}/oauth2/token -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\\n    \
             -d subject_token_type=urn:ietf:params:oauth:token-type:jwt -d audience={GRANT} -d subject_token=$VERA"
        ))?;
        line(format!("  curl -sN {broker}/v1/events -H \"Authorization: Bearer $ANN\" &"))?;
        line(format!(
            "  curl -s -X POST {broker}/v1/elevations/$ID/revoke -H \"Authorization: Bearer $ANN\" \\\n    \
             -H 'Content-Type: application/json' -d '{{\"reason\":\"enough\"}}'"
        ))?;
        line(format!(
            "  tidegate audit report {broker} --elevation $ID --key '{}'\n",
            self.world.verifier_key()
        ))?;
        Ok(())
    }

    fn vendor(&self, who: Someone) -> anyhow::Result<String> {
        self.world.vendor.person(&who, self.world.clock.now(), 600)
    }

    fn customer(&self, who: Someone) -> anyhow::Result<String> {
        self.world.customer.person(&who, self.world.clock.now(), 600)
    }

    async fn api(&self, token: &str, path: &str, body: &Value) -> anyhow::Result<Said> {
        let url = format!("{}{path}", self.world.broker_url());
        let request = self.http.post(url).bearer_auth(token).header("content-type", "application/json");
        let response = request.body(serde_json::to_vec(body)?).send().await?;
        Ok(Said { status: response.status(), body: serde_json::from_slice(&response.bytes().await?)? })
    }
}

/// What the API answered.
struct Said {
    status: StatusCode,
    body: Value,
}

impl Said {
    fn of(self, expected: StatusCode) -> anyhow::Result<Value> {
        ensure!(self.status == expected, "answered {} and not {expected}: {}", self.status, self.body);
        Ok(self.body)
    }
}

fn approve(elevation: &str) -> String {
    format!("/v1/elevations/{elevation}/approve")
}

fn until(elevation: &Value) -> String {
    elevation
        .pointer("/ends_at")
        .and_then(Value::as_str)
        .map_or_else(String::new, |end| format!(" until {end}"))
}
