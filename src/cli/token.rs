//! `tidegate token`: exchange this workload's token for a credential and print it.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Output;
use super::broker::{Broker, Wanted};
use super::subject::SubjectSource;
use crate::span::parse_duration;

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
    /// The file with this workload's own token; `-` is standard input. Else `AWS_WEB_IDENTITY_TOKEN_FILE`, else the token
    /// that GitHub Actions hands out.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SUBJECT_TOKEN_FILE")]
    subject_token_file: Option<PathBuf>,
    /// The audience to ask GitHub Actions for.
    #[arg(long, value_name = "AUDIENCE", default_value = "tidegate")]
    subject_audience: String,
    /// The broker.
    #[arg(long, value_name = "URL", env = "TIDEGATE_URL")]
    broker: String,
    /// Trust these authorities (PEM) instead of the system's.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Some of the grant's scopes, separated by spaces.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// Ask for another lifetime than the grant's usual one.
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires_in: Option<Duration>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
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

/// What the broker gave, as far as printing needs it.
#[derive(Deserialize)]
struct Given {
    access_token: String,
    aws: Option<AwsGiven>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AwsGiven {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

impl Args {
    /// Exchanges and prints.
    pub async fn run(self, _output: &Output) -> anyhow::Result<ExitCode> {
        let broker = Broker::at(&self.broker, self.ca_file.as_deref())?;
        let source = SubjectSource::find(self.subject_token_file.as_deref())?;
        let subject = source.read(&self.subject_audience).await?;
        let wanted = Wanted { grant: &self.grant, scope: self.scope.as_deref(), expires_in: self.expires_in };
        let answer = broker.exchange(&subject, &wanted).await?;
        let mut out = std::io::stdout().lock();
        // What reads a raw token from a pipe wants the token and not a line.
        let end = if self.format != Format::Raw || out.is_terminal() { "\n" } else { "" };
        write!(out, "{}{end}", render(self.format, answer)?)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number with a unit, such as 90s, 5m or 1h".to_owned())
}

fn render(format: Format, answer: Value) -> anyhow::Result<String> {
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(&answer)?);
    }
    // The cause would quote the answer, which holds secrets.
    let given: Given =
        serde_json::from_value(answer).ok().context("the broker's answer has no credential")?;
    match (format, given.aws) {
        (Format::Env, Some(aws)) => Ok(exports(&[
            ("AWS_ACCESS_KEY_ID", &aws.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &aws.secret_access_key),
            ("AWS_SESSION_TOKEN", &aws.session_token),
            ("AWS_CREDENTIAL_EXPIRATION", &aws.expiration),
        ])),
        (Format::Env, None) => Ok(exports(&[("TIDEGATE_TOKEN", &given.access_token)])),
        (Format::CredentialProcess, Some(aws)) => Ok(credential_process(&aws).to_string()),
        (Format::CredentialProcess, None) => bail!("this grant makes a JWT: use --format raw"),
        (Format::Raw, Some(_)) => {
            bail!("this grant makes AWS credentials: use --format env or credential-process")
        }
        (Format::Raw | Format::Json, _) => Ok(given.access_token),
    }
}

fn credential_process(aws: &AwsGiven) -> Value {
    json!({
        "Version": 1,
        "AccessKeyId": aws.access_key_id,
        "SecretAccessKey": aws.secret_access_key,
        "SessionToken": aws.session_token,
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
        json!({ "access_token": "SESSION", "token_type": "N_A", "aws": {
            "AccessKeyId": "ASIA", "SecretAccessKey": "se'cr$(et)", "SessionToken": "SESSION",
            "Expiration": "2026-11-22T16:03:12Z" } })
    }

    #[test]
    fn a_format_that_does_not_fit_the_grant_is_refused_without_showing_anything() {
        for (format, answer) in [(Format::Raw, aws()), (Format::CredentialProcess, jwt())] {
            let refusal = render(format, answer).unwrap_err().to_string();
            assert!(refusal.contains("use --format"), "{refusal}");
        }
        let refusal =
            format!("{:#}", render(Format::Env, json!({ "access_token": 7, "x": "hunter2" })).unwrap_err());
        assert_eq!(refusal, "the broker's answer has no credential");
    }

    #[test]
    fn no_value_can_break_out_of_its_quotes() {
        assert_eq!(exports(&[("A", "x'; rm -rf / #")]), r"export A='x'\''; rm -rf / #'");
    }

    #[test]
    fn every_format_looks_as_its_reader_wants_it() {
        let shown = |format, answer| render(format, answer).unwrap();
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

    #[test]
    fn a_lifetime_needs_its_unit() {
        assert!(lifetime("300").is_err());
        assert_eq!(lifetime("5m"), Ok(Duration::from_mins(5)));
    }
}
