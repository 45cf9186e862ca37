//! Unmodified AWS SDKs and the AWS CLI. Each is told by its environment alone where its credentials come from, uses its
//! default chain, and knows nothing of Tidegate.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::agent::Agent;
use super::process::Running;
use super::tools;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Python, `boto3`.
    Boto3,
    /// AWS CLI version 1.
    Cli,
    /// `@aws-sdk` version 3.
    JavaScript,
    /// `aws-config`.
    Rust,
}

/// Where an SDK gets its credentials: the environment that says so.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// For messages.
    pub(crate) name: &'static str,
    env: Vec<(String, String)>,
}

/// What an SDK said to its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Got(String),
    Refused { code: String, message: String },
}

impl Door {
    /// The broker's `GET /aws/credentials/{grant}`.
    pub(crate) fn container(broker: &str, grant: &str, token_file: &Path) -> Self {
        let uri = format!("{broker}/aws/credentials/{grant}");
        Self::new(
            "container",
            &[
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file.to_str().unwrap()),
            ],
        )
    }

    /// The broker's `POST /sts`.
    pub(crate) fn sts(broker: &str, role_arn: &str, token_file: &Path) -> Self {
        Self::new(
            "sts",
            &[
                ("AWS_ENDPOINT_URL_STS", &format!("{broker}/sts")),
                ("AWS_ROLE_ARN", role_arn),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token_file.to_str().unwrap()),
            ],
        )
    }

    /// `tidegate agent`.
    pub(crate) fn agent(agent: &Agent, grant: &str) -> Self {
        let variables = agent.variables(grant);
        Self::new("agent", &variables.each_ref().map(|(name, value)| (*name, value.as_str())))
    }

    fn new(name: &'static str, env: &[(&str, &str)]) -> Self {
        Self {
            name,
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    /// With further variables.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One SDK in a process of its own, or a command for each question where it is a command line.
pub(crate) struct Sdk {
    kind: Kind,
    home: TempDir,
    env: Vec<(String, String)>,
    process: Option<Running>,
}

impl Sdk {
    /// Starts it; S3 is at `s3`.
    pub(crate) fn start(kind: Kind, s3: &str, door: &Door) -> Self {
        let mut env = door.env.clone();
        let fixed = [
            ("AWS_ENDPOINT_URL_S3", s3),
            ("AWS_REGION", "eu-central-1"),
            // boto3 and AWS CLI version 1 read only this one.
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            // No chain may ask the machine that the tests run on.
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        env.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut sdk = Self { kind, home: tempfile::tempdir().unwrap(), env, process: None };
        if let Some(mut program) = kind.program() {
            sdk.process =
                Some(Running::start(&format!("{kind:?} at {}", door.name), sdk.alone(&mut program)));
        }
        sdk
    }

    /// `hello.txt` of the bucket.
    pub(crate) fn read(&mut self, bucket: &str) -> Said {
        if self.process.is_some() {
            return self.ask(&format!("read {bucket}"), "/body");
        }
        let to = self.home.path().join("object");
        let get = ["s3api", "get-object", "--bucket", bucket, "--key", "hello.txt", to.to_str().unwrap()];
        match self.aws(&get) {
            Ok(_) => Said::Got(std::fs::read_to_string(to).unwrap()),
            Err(refused) => refused,
        }
    }

    /// `hello.txt` of the bucket, with a session that it has narrowed itself to what `pattern` names. Only boto3.
    pub(crate) fn read_narrowed(&mut self, pattern: &str, bucket: &str) -> Said {
        self.ask(&format!("narrowed {pattern} {bucket}"), "/body")
    }

    /// The ARN that `GetCallerIdentity` tells.
    pub(crate) fn whoami(&mut self) -> Said {
        if self.process.is_some() {
            return self.ask("whoami", "/arn");
        }
        match self.aws(&["sts", "get-caller-identity"]) {
            Ok(answer) => Said::Got(answer["Arn"].as_str().unwrap().to_owned()),
            Err(refused) => refused,
        }
    }

    /// The session that its chain has found, with the names of the members that our own answers have. The AWS CLI tells
    /// nobody, but keeps on disk what it got for a web identity.
    pub(crate) fn keys(&mut self) -> Option<Value> {
        if let Some(process) = &mut self.process {
            return Some(process.ask("keys"));
        }
        let kept = std::fs::read_dir(self.home.path().join(".aws/cli/cache")).ok()?.next()?.unwrap();
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(kept.path()).unwrap()).unwrap();
        Some(kept["Credentials"].clone())
    }

    fn ask(&mut self, command: &str, found: &str) -> Said {
        let answer = self.process.as_mut().unwrap().ask(command);
        let text =
            |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if answer["ok"] == true {
            return Said::Got(text(found));
        }
        Said::Refused { code: text("/code"), message: text("/message") }
    }

    /// One call of the AWS CLI: what it wrote, or what it complained.
    fn aws(&self, arguments: &[&str]) -> Result<Value, Said> {
        let mut command = tools::in_venv("aws");
        let output = self.alone(command.args(arguments)).output().unwrap();
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null));
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        // `An error occurred (AccessDenied) when calling the GetObject operation: …`
        let code = message.strip_prefix("An error occurred (").and_then(|rest| rest.split_once(')'));
        Err(Said::Refused { code: code.map_or_else(String::new, |(code, _)| code.to_owned()), message })
    }

    /// Nothing of the developer's machine but the path: no account, no profile, no proxy.
    fn alone<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let path: OsString = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.home.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)))
    }
}

impl Kind {
    fn program(self) -> Option<Command> {
        match self {
            Self::Boto3 => Some(tools::python("sdk_boto3.py")),
            Self::JavaScript => Some(tools::node("sdk_javascript.mjs")),
            Self::Rust => Some(Command::new(built_example("sdk_rust"))),
            Self::Cli => None,
        }
    }
}

/// Built beside the tests, as every example is.
fn built_example(name: &str) -> PathBuf {
    let example = Path::new(env!("CARGO_BIN_EXE_tidegate")).with_file_name("examples").join(name);
    tools::present(&example);
    example
}
