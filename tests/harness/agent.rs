//! `tidegate agent` beside a workload.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::broker::Broker;
use super::process::Running;
use super::sdk::Door;

/// A running agent. Dropping it kills it.
pub(crate) struct Agent {
    process: Running,
    _runtime: TempDir,
    credentials: String,
    token_file: PathBuf,
}

impl Agent {
    /// For who has that token at that broker.
    pub(crate) fn start(broker: &Broker, subject_token_file: &Path) -> Self {
        let runtime = tempfile::tempdir().unwrap();
        let mut command = broker.command(&["agent", "--output", "json", "--broker", broker.url()]);
        command.arg("--subject-token-file").arg(subject_token_file).env("XDG_RUNTIME_DIR", runtime.path());
        let process = Running::start("agent", &mut command);
        let facts = process.announcement();
        let fact = |name: &str| facts.get(name).and_then(Value::as_str).unwrap().to_owned();
        let (credentials, token_file) = (fact("credentials"), fact("token_file").into());
        Self { process, _runtime: runtime, credentials, token_file }
    }

    /// What it told so far.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// The two variables for the grant.
    pub(crate) fn door(&self, grant: &str) -> Door {
        Door::new(
            "agent",
            &[
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}{grant}", self.credentials)),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", self.token_file.to_str().unwrap()),
            ],
        )
    }
}
