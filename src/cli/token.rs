//! `tidegate token`: exchange this workload's token for a credential and print it.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Output;
use super::broker::{Granted, Wanted};
use super::given::{AwsGiven, TOKEN_VARIABLE};
use super::options::{BrokerArgs, SubjectArgs, TermsArgs};

/// Arguments of `tidegate token`. A token is never one of them: every user of the machine can read arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidegate token --grant ledger-api --format raw\n  \
    eval \"$(tidegate token --grant orders-read --format env)\"\n  \
    credential_process = tidegate token --grant orders-read --format credential-process")]
pub struct Args {
    /// What to ask for.
    #[arg(long, value_name = "NAME")]
    grant: String,
    /// Some of the grant's scopes, separated by spaces.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// How a credential is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The broker's whole answer.
    #[default]
    Json,
    /// `export` lines for a shell.
    Env,
    /// For `credential_process` in an AWS configuration file.
    CredentialProcess,
    /// Only the JWT.
    Raw,
}

impl Args {
    /// Exchanges and prints.
    pub async fn run(self, _output: &Output) -> anyhow::Result<ExitCode> {
        let (broker, subject) = (self.broker.open()?, self.subject.find()?);
        let elevation = self.terms.elevation.map(|id| id.to_string());
        let wanted = Wanted {
            grant: &self.grant,
            scope: self.scope.as_deref(),
            expires_in: self.terms.expires_in,
            elevation: elevation.as_deref(),
            kind: None,
        };
        let granted = broker.exchange(&subject.token().await?, &wanted).await?;
        let mut out = std::io::stdout().lock();
        // What reads a raw token from a pipe wants the token and not a line.
        let end = if self.format != Format::Raw || out.is_terminal() { "\n" } else { "" };
        let text = render(self.format, &granted)?;
        write!(out, "{}{end}", text.as_str())?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(format: Format, granted: &Granted) -> anyhow::Result<Zeroizing<String>> {
    if format == Format::Json {
        return Ok(Zeroizing::new(serde_json::to_string_pretty(&granted.value()?)?));
    }
    let given = granted.given()?;
    let text = match (format, given.aws) {
        (Format::Env, Some(aws)) => exports(&aws.environment()),
        (Format::Env, None) => exports(&[(TOKEN_VARIABLE, given.access_token.expose())]),
        (Format::CredentialProcess, Some(aws)) => credential_process(&aws).to_string(),
        (Format::CredentialProcess, None) => bail!("this grant makes a JWT: use --format raw"),
        (Format::Raw, Some(_)) => {
            bail!("this grant makes AWS credentials: use --format env or credential-process")
        }
        (Format::Raw | Format::Json, _) => given.access_token.expose().to_owned(),
    };
    Ok(Zeroizing::new(text))
}

fn credential_process(aws: &AwsGiven) -> Value {
    json!({
        "Version": 1,
        "AccessKeyId": aws.access_key_id,
        "SecretAccessKey": aws.secret_access_key.expose(),
        "SessionToken": aws.session_token.expose(),
        "Expiration": aws.expiration,
    })
}

/// `export NAME='value'` lines. In single quotes a shell expands nothing.
fn exports(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let line_end = if index == 0 { "" } else { "\n" };
        let _ = write!(text, "{line_end}export {name}='{}'", value.replace('\'', "'\\''"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt() -> Value {
        json!({ "access_token": "a.b.c", "token_type": "Bearer", "expires_in": 300 })
    }

    fn aws() -> Value {
        json!({ "access_token": "SESSION", "token_type": "N_A", "expires_in": 300, "aws": {
            "AccessKeyId": "ASIA", "SecretAccessKey": "se'cr$(et)", "SessionToken": "SESSION",
            "Expiration": "2026-11-22T16:03:12Z" } })
    }

    fn shown(format: Format, answer: &Value) -> anyhow::Result<String> {
        Ok(render(format, &Granted::of(answer))?.to_string())
    }

    #[test]
    fn a_format_that_does_not_fit_the_grant_is_refused_without_showing_anything() {
        for (format, answer) in [(Format::Raw, aws()), (Format::CredentialProcess, jwt())] {
            let refusal = shown(format, &answer).unwrap_err().to_string();
            assert!(refusal.contains("use --format"), "{refusal}");
        }
        let nonsense = json!({ "access_token": 7, "x": "hunter2" });
        let refusal = format!("{:#}", shown(Format::Env, &nonsense).unwrap_err());
        assert_eq!(refusal, "the broker's answer has no credential");
    }

    #[test]
    fn no_value_can_break_out_of_its_quotes() {
        assert_eq!(exports(&[("A", "x'; rm -rf / #")]), r"export A='x'\''; rm -rf / #'");
    }

    #[test]
    fn every_format_looks_as_its_reader_wants_it() {
        let shown = |format, answer| shown(format, &answer).unwrap();
        assert_eq!(shown(Format::Raw, jwt()), "a.b.c");
        assert_eq!(shown(Format::Env, jwt()), "export TIDEGATE_TOKEN='a.b.c'");
        insta::assert_snapshot!(shown(Format::Env, aws()), @r"
        export AWS_ACCESS_KEY_ID='ASIA'
        export AWS_SECRET_ACCESS_KEY='se'\''cr$(et)'
        export AWS_SESSION_TOKEN='SESSION'
        export AWS_CREDENTIAL_EXPIRATION='2026-11-22T16:03:12Z'
        ");
        let process: Value = serde_json::from_str(&shown(Format::CredentialProcess, aws())).unwrap();
        assert_eq!(
            (process["Version"].as_i64(), process["SessionToken"].as_str()),
            (Some(1), Some("SESSION"))
        );
        let whole: Value = serde_json::from_str(&shown(Format::Json, jwt())).unwrap();
        assert_eq!(whole, jwt());
    }
}
