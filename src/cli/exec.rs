//! `tidegate exec`: become another program that has a credential in its environment. Nothing of ours stays behind: signals
//! and the exit code are the program's own.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use super::Output;
use super::broker::Wanted;
use super::given::{Given, TOKEN_VARIABLE};
use super::options::{BrokerArgs, SubjectArgs, TermsArgs};

/// As every shell says it: found, but cannot be run.
const CANNOT_RUN: u8 = 126;
/// As every shell says it: not found.
const NOT_FOUND: u8 = 127;

/// Whatever an SDK could take for the caller's identity. Which of them wins differs from SDK to SDK (JavaScript prefers a
/// profile to keys in the environment), so none but ours is handed on.
const OTHER_IDENTITIES: [&str; 16] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_SCOPE",
    "AWS_ACCOUNT_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Arguments of `tidegate exec`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The command gets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and \
    AWS_CREDENTIAL_EXPIRATION,\nor TIDEGATE_TOKEN when the grant makes a JWT. They are not renewed: for what runs longer \
    than a credential lives,\nsee `tidegate agent`.\n\n\
    Exit code: the command's own; 126 it cannot be run, 127 it is not found, 1 the broker refused, 2 usage.\n\n\
    Examples:\n  \
    tidegate exec --grant orders-read -- aws s3 ls s3://orders\n  \
    tidegate exec --grant ledger-api -- sh -c 'curl --oauth2-bearer \"$TIDEGATE_TOKEN\" https://ledger.internal/'")]
pub(super) struct Args {
    /// What to ask for.
    #[arg(long, value_name = "NAME")]
    grant: String,
    /// Some of the grant's scopes, separated by spaces.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Args {
    /// Gets the credential and becomes the command. Returns only when that does not work.
    pub(super) fn run(self, output: &Output) -> anyhow::Result<ExitCode> {
        // The runtime ends here: what comes after it has no thread and no socket of ours.
        let given = super::current_thread()?.block_on(self.credential())?;
        let Some((program, arguments)) = self.command.split_first() else {
            return Ok(ExitCode::from(NOT_FOUND));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        let dropped = hand_on(&mut command, &given, &present());
        if !dropped.is_empty() {
            output.note(format!("tidegate: not handed on: {}", dropped.join(", ")));
        }
        let Err(error) = become_it(&mut command);
        output.note(format!("tidegate: `{}`: {error}", program.display()));
        Ok(ExitCode::from(shells_code(&error)))
    }

    async fn credential(&self) -> anyhow::Result<Given> {
        let (broker, subject) = (self.broker.open()?, self.subject.find()?);
        let elevation = self.terms.elevation.map(|id| id.to_string());
        let wanted = Wanted {
            grant: &self.grant,
            scope: self.scope.as_deref(),
            expires_in: self.terms.expires_in,
            elevation: elevation.as_deref(),
            kind: None,
        };
        broker.exchange(&subject.token().await?, &wanted).await?.given()
    }
}

fn become_it(command: &mut Command) -> Result<Infallible, io::Error> {
    Err(command.exec())
}

/// Puts the credential into the command's environment and takes other identities out: those that were there.
fn hand_on(command: &mut Command, given: &Given, present: &[&'static str]) -> Vec<&'static str> {
    let Some(aws) = &given.aws else {
        command.env(TOKEN_VARIABLE, given.access_token.expose());
        return Vec::new();
    };
    for name in OTHER_IDENTITIES {
        command.env_remove(name);
    }
    command.envs(aws.environment());
    present.to_vec()
}

/// The other identities in our own environment.
#[expect(clippy::disallowed_methods, reason = "command line: what would reach the command, not our settings")]
fn present() -> Vec<&'static str> {
    OTHER_IDENTITIES.into_iter().filter(|name| std::env::var_os(name).is_some()).collect()
}

fn shells_code(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => CANNOT_RUN,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::cli::broker::Granted;
    use crate::cli::broker::tests::aws;

    fn environment(command: &Command) -> BTreeMap<String, Option<String>> {
        let text = |part: &std::ffi::OsStr| part.to_str().unwrap().to_owned();
        command.get_envs().map(|(name, value)| (text(name), value.map(text))).collect()
    }

    #[test]
    fn no_other_identity_is_left_beside_the_one_that_was_given() {
        let given = Granted::of(&aws("ASIA", 300, "2026-11-22T16:03:12Z")).given().unwrap();
        let mut command = Command::new("true");
        let dropped = hand_on(&mut command, &given, &["AWS_PROFILE"]);
        assert_eq!(dropped, ["AWS_PROFILE"]);
        let handed = environment(&command);
        let set: Vec<_> = handed.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect();
        let ours =
            ["AWS_ACCESS_KEY_ID", "AWS_CREDENTIAL_EXPIRATION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        assert_eq!(set, ours);
        assert_eq!(handed["AWS_PROFILE"], None);
        assert_eq!(handed.len(), OTHER_IDENTITIES.len());
    }

    #[test]
    fn a_jwt_leaves_the_callers_cloud_identity_alone() {
        let given = Granted::of(&json!({ "access_token": "a.b.c", "expires_in": 300 })).given().unwrap();
        let mut command = Command::new("true");
        assert!(hand_on(&mut command, &given, &["AWS_PROFILE"]).is_empty());
        assert_eq!(environment(&command), [("TIDEGATE_TOKEN".to_owned(), Some("a.b.c".to_owned()))].into());
    }

    #[test]
    fn a_command_that_does_not_start_ends_as_in_a_shell() {
        let code = |kind: io::ErrorKind| shells_code(&io::Error::from(kind));
        assert_eq!(code(io::ErrorKind::NotFound), 127);
        assert_eq!(code(io::ErrorKind::PermissionDenied), 126);
        assert_eq!(code(io::ErrorKind::ArgumentListTooLong), 126);
    }
}
