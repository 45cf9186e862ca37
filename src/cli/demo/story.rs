//! The story itself: each step does the real thing over HTTP and says in plain words what came of it. A step that
//! does not come out as told ends the demo with an error: the demo is also a check.

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::super::Output;
use super::world::World;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

pub(super) struct Story<'a> {
    pub(super) world: &'a World,
    pub(super) output: &'a Output,
    pub(super) http: reqwest::Client,
    steps: Vec<Value>,
}

impl<'a> Story<'a> {
    pub(super) fn new(world: &'a World, output: &'a Output) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build().context("an HTTP client")?;
        Ok(Self { world, output, http, steps: Vec::new() })
    }

    pub(super) async fn tell(&mut self) -> anyhow::Result<()> {
        self.opening()?;
        self.a_workload_gets_a_jwt().await?;
        self.a_workload_gets_aws_credentials().await?;
        self.a_replay_is_refused().await?;
        self.a_stranger_is_refused().await?;
        self.another_namespace_is_refused().await?;
        self.break_glass().await?;
        self.the_log_is_verified().await?;
        self.output.line("\nNobody held a standing key; access ended by itself, to the second. Every credential and every refusal of\n\
             somebody known is in the log; the stranger, whom nobody knows, was only counted.")?;
        self.output.json(&self.steps)
    }

    fn opening(&self) -> anyhow::Result<()> {
        let line = |text: &str| self.output.line(text);
        line("Tidegate demo: everything on loopback, nothing is kept.\n")?;
        line("  the broker                the real one, on SQLite, as `tidegate serve` runs it")?;
        line(
            "  the identity providers    STAND-INS for your cluster's OIDC issuer, for yours and for your vendor's",
        )?;
        line("  AWS STS                   a STAND-IN; its keys open nothing\n")?;
        Ok(())
    }

    async fn a_workload_gets_a_jwt(&mut self) -> anyhow::Result<()> {
        let token = self.token_of("billing")?;
        let answer = self.exchange(&token, "ledger-api").await?.issued()?;
        let claims = claims_of(text_at(&answer, "/access_token")?)?;
        self.output.line("1. Workload `billing/invoicer` asks for grant `ledger-api`.")?;
        self.output.line(format!(
            "   -> a JWT for {} with scope `{}`, for {} s; audit entry {}",
            text_at(&claims, "/aud")?,
            text_at(&answer, "/scope")?,
            answer.pointer("/expires_in").unwrap_or(&Value::Null),
            answer.pointer("/audit/index").unwrap_or(&Value::Null),
        ))?;
        self.told("jwt", &claims);
        Ok(())
    }

    async fn a_workload_gets_aws_credentials(&mut self) -> anyhow::Result<()> {
        let token = self.token_of("billing")?;
        let answer = self.exchange(&token, "orders-read").await?.issued()?;
        let policy = self.world.sts.last_policy().context("STS was called without a session policy")?;
        ensure!(policy.contains("orders/billing/*"), "the session policy is not scoped to the caller");
        ensure!(policy.contains("DateGreaterThanEquals"), "the session policy does not end by itself");
        self.output.line("2. The same workload asks for grant `orders-read` (AWS).")?;
        self.output.line(format!(
            "   -> keys {} that end at {}, whatever happens to the broker",
            text_at(&answer, "/aws/AccessKeyId")?,
            text_at(&answer, "/aws/Expiration")?,
        ))?;
        self.output.line("      STS was sent this session policy:")?;
        self.output.line(format!("      {policy}"))?;
        self.told("aws", &serde_json::from_str(&policy)?);
        Ok(())
    }

    async fn a_replay_is_refused(&mut self) -> anyhow::Result<()> {
        let token = self.token_of("billing")?;
        self.exchange(&token, "ledger-api").await?.issued()?;
        let answer = self.exchange(&token, "ledger-api").await?;
        self.output.line("3. Somebody copies that workload's token and presents it again.")?;
        self.refusal("replay", answer, "presented before")
    }

    async fn a_stranger_is_refused(&mut self) -> anyhow::Result<()> {
        let stranger = super::idp::Idp::start().await?;
        let token = stranger.service_account("billing", "invoicer", self.world.clock.now(), 600)?;
        let answer = self.exchange(&token, "ledger-api").await?;
        self.output.line("4. A stranger comes with a token of an issuer that nobody registered.")?;
        self.refusal("stranger", answer, "issuer")
    }

    async fn another_namespace_is_refused(&mut self) -> anyhow::Result<()> {
        let token = self.token_of("web")?;
        let answer = self.exchange(&token, "ledger-api").await?;
        self.output.line("5. Workload `web/invoicer` of the same cluster asks for `ledger-api`.")?;
        self.refusal("policy", answer, "policy")
    }

    async fn the_log_is_verified(&mut self) -> anyhow::Result<()> {
        self.output
            .line("12. An auditor who trusts none of us checks the log with nothing but its public key.")?;
        let source = format!("{}/log", self.world.broker_url());
        let report = super::super::audit::verify_source(&source, &self.world.verifier_key()).await?;
        ensure!(report.is_ok(), "the log does not verify");
        let size = report.checkpoint.size;
        self.output.line(format!("   -> {size} entries, every hash and the signature hold"))?;
        self.told("log", &serde_json::json!({ "verified": true, "size": size }));
        Ok(())
    }

    /// Prints commands to try and waits for Ctrl-C.
    pub(super) async fn stay(&self) -> anyhow::Result<()> {
        let broker = self.world.broker_url();
        let token = self.world.idp.service_account("billing", "invoicer", self.world.clock.now(), 3_600)?;
        self.output
            .line(format!("\nEverything stays up in {}. Try:\n", self.world.folder.root().display()))?;
        self.output.line(format!(
            "  curl -s {broker}/oauth2/token -d grant_type={TOKEN_EXCHANGE} -d subject_token_type={JWT_TYPE} \\\n    \
             -d audience=ledger-api -d subject_token={token}\n"
        ))?;
        self.output.line("  (that token is for single use: the second call is refused)\n")?;
        self.doors_for_sdks_to_try()?;
        self.break_glass_to_try()?;
        self.output.line(format!("  curl -s {broker}/log/checkpoint"))?;
        self.output.line(format!("  curl -s {broker}/.well-known/jwks.json"))?;
        self.output.line(format!("  curl -s {}/metrics", self.world.ops_url()))?;
        self.output
            .line(format!("  tidegate audit verify {broker}/log --key '{}'\n", self.world.verifier_key()))?;
        self.output.line("Ctrl-C ends the demo.")?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed?,
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    /// Two tokens: each is for single use.
    fn doors_for_sdks_to_try(&self) -> anyhow::Result<()> {
        let broker = self.world.broker_url();
        self.output.line("  What an AWS SDK asks (its keys are the stand-in's and open nothing):\n")?;
        self.output.line(format!(
            "  curl -s {broker}/aws/credentials/orders-read -H 'Authorization: {}'\n",
            self.token_of("billing")?
        ))?;
        self.output.line(format!(
            "  curl -s {broker}/sts -d Action=AssumeRoleWithWebIdentity -d Version=2011-06-15 -d RoleSessionName=me \\\n    \
             -d RoleArn=arn:aws:iam::123456789012:role/orders-read -d WebIdentityToken={}\n",
            self.token_of("billing")?
        ))?;
        Ok(())
    }

    fn token_of(&self, namespace: &str) -> anyhow::Result<String> {
        self.world.idp.service_account(namespace, "invoicer", self.world.clock.now(), 3_600)
    }

    pub(super) async fn exchange(&self, token: &str, grant: &str) -> anyhow::Result<Answer> {
        let form = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", JWT_TYPE),
            ("audience", grant),
        ];
        let url = format!("{}/oauth2/token", self.world.broker_url());
        let response = self.http.post(url).form(&form).send().await?;
        let ok = response.status().is_success();
        let body = serde_json::from_slice(&response.bytes().await?)?;
        Ok(if ok { Answer::Issued(body) } else { Answer::Refused(body) })
    }

    pub(super) fn refusal(&mut self, step: &str, answer: Answer, reason: &str) -> anyhow::Result<()> {
        let Answer::Refused(body) = answer else { bail!("a credential was issued that must not be") };
        let description = text_at(&body, "/error_description")?;
        ensure!(description.contains(reason), "refused for another reason: {description}");
        self.output.line(format!("   -> refused, {}: {description}", text_at(&body, "/error")?))?;
        self.told(step, &body);
        Ok(())
    }

    pub(super) fn told(&mut self, step: &str, facts: &Value) {
        self.steps.push(serde_json::json!({ "step": step, "facts": facts }));
    }
}

pub(super) enum Answer {
    Issued(Value),
    Refused(Value),
}

impl Answer {
    pub(super) fn issued(self) -> anyhow::Result<Value> {
        match self {
            Self::Issued(body) => Ok(body),
            Self::Refused(body) => bail!("refused: {body}"),
        }
    }
}

pub(super) fn text_at<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("the answer has no {pointer}"))
}

pub(super) fn claims_of(token: &str) -> anyhow::Result<Value> {
    let payload = token.split('.').nth(1).context("not a JWT")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}
