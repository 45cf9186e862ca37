//! Arguments that commands share, so that one flag and one variable mean the same everywhere. Each struct is a few lines
//! of `--help`, and makes what they describe.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::broker::{Broker, TrustFiles};
use super::subject::SubjectSource;
use crate::ids::ElevationId;
use crate::secret::SecretText;
use crate::span::parse_duration;

/// Which broker, and who vouches for whom on the way there.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Who and where")]
pub(super) struct BrokerArgs {
    /// The broker.
    // Required, but for a subcommand that needs none.
    #[arg(long, value_name = "URL", env = "TIDEGATE_URL", hide_env_values = true, required = true)]
    broker: Option<String>,
    /// Trust these authorities (PEM) instead of the system's.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CA_FILE", hide_env_values = true)]
    ca_file: Option<PathBuf>,
    /// A certificate (PEM) to show to the broker, where it or its policy asks for one.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CLIENT_CERT_FILE", hide_env_values = true)]
    #[arg(requires = "client_key_file")]
    client_cert_file: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CLIENT_KEY_FILE", hide_env_values = true)]
    #[arg(requires = "client_cert_file")]
    client_key_file: Option<PathBuf>,
}

/// Whose token is exchanged. The token itself is never an argument: every user of the machine can read arguments.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Who and where")]
pub(super) struct SubjectArgs {
    /// The file with this workload's own token; `-` is standard input. Else `AWS_WEB_IDENTITY_TOKEN_FILE`, else the token
    /// that GitHub Actions hands out.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SUBJECT_TOKEN_FILE", hide_env_values = true)]
    subject_token_file: Option<PathBuf>,
    /// The audience to ask GitHub Actions for.
    #[arg(long, value_name = "AUDIENCE", env = "TIDEGATE_SUBJECT_AUDIENCE", hide_env_values = true)]
    #[arg(default_value = "tidegate")]
    subject_audience: String,
}

/// How long, and under which elevation.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TermsArgs {
    /// Ask for another lifetime than the grant's usual one.
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub(super) expires_in: Option<Duration>,
    /// The elevation to use, when more than one of yours is active for the grant.
    #[arg(long, value_name = "ID")]
    pub(super) elevation: Option<ElevationId>,
}

/// A place where the subject's token is, and the audience that it is asked for.
#[derive(Debug)]
pub(super) struct Subject {
    source: SubjectSource,
    audience: String,
}

impl BrokerArgs {
    /// The broker at `url`.
    pub(super) fn at(url: String, ca_file: Option<PathBuf>) -> Self {
        Self { broker: Some(url), ca_file, client_cert_file: None, client_key_file: None }
    }

    /// Ready to be asked; files that cannot be used are named.
    pub(super) fn open(&self) -> anyhow::Result<Broker> {
        Broker::at(self.url()?, self.trust())
    }

    /// Where the broker is.
    pub(super) fn url(&self) -> anyhow::Result<&str> {
        self.broker.as_deref().context("name the broker with --broker or in TIDEGATE_URL")
    }

    /// The files of the connection.
    pub(super) fn trust(&self) -> TrustFiles {
        let identity = self.client_cert_file.clone().zip(self.client_key_file.clone());
        TrustFiles { authorities: self.ca_file.clone(), identity }
    }

    #[cfg(test)]
    pub(super) fn plain(url: &str) -> Self {
        Self { broker: Some(url.to_owned()), ca_file: None, client_cert_file: None, client_key_file: None }
    }
}

impl SubjectArgs {
    /// Where the token will be read.
    pub(super) fn find(&self) -> anyhow::Result<Subject> {
        let source = SubjectSource::find(self.subject_token_file.as_deref())?;
        Ok(Subject { source, audience: self.subject_audience.clone() })
    }

    #[cfg(test)]
    pub(super) fn file(path: PathBuf) -> Self {
        Self { subject_token_file: Some(path), subject_audience: "tidegate".to_owned() }
    }
}

impl Subject {
    /// The token as it is now.
    pub(super) async fn token(&self) -> anyhow::Result<SecretText> {
        self.source.read(&self.audience).await
    }

    /// Can it be read again and again?
    pub(super) const fn is_lasting(&self) -> bool {
        !matches!(self.source, SubjectSource::StandardInput)
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number with a unit, such as 90s, 5m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        broker: BrokerArgs,
    }

    #[test]
    fn a_lifetime_needs_its_unit() {
        assert!(lifetime("300").is_err());
        assert_eq!(lifetime("5m"), Ok(Duration::from_mins(5)));
    }

    #[test]
    fn a_certificate_without_its_key_is_a_mistake_and_so_is_the_reverse() {
        let parse = |more: &[&str]| Command::try_parse_from([&["x", "--broker", "https://b"], more].concat());
        assert!(parse(&["--client-cert-file", "c"]).is_err());
        assert!(parse(&["--client-key-file", "k"]).is_err());
        let both = parse(&["--client-cert-file", "c", "--client-key-file", "k"]).unwrap();
        assert!(both.broker.trust().identity.is_some());
    }
}
