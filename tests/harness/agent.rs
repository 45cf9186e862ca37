//! `tidegate agent` beside a workload, and a program that finds its credentials there.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::broker::{Broker, tidegate};
use super::http::{self, Answer};
use super::process::Running;
use super::tools;

/// A running agent with a folder of its own, in which the workload's token is.
pub(crate) struct Agent {
    process: Running,
    facts: Value,
    folder: TempDir,
}

impl Agent {
    /// Everything is said by environment variables, as in a pod; `more` are further arguments.
    pub(crate) fn start(broker: &Broker, token: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("subject"), token).unwrap();
        let mut command = tidegate(folder.path());
        command.args(["agent", "--output", "json"]).args(more);
        command.env("TIDEGATE_URL", broker.url()).env("TIDEGATE_SUBJECT_TOKEN_FILE", "subject");
        command.env("TIDEGATE_AGENT_TOKEN_FILE", folder.path().join("bearer"));
        let process = Running::start("agent", &mut command);
        let facts = process.announcement();
        Self { process, facts, folder }
    }

    /// Puts another token into the workload's file.
    pub(crate) fn renew(&self, token: &str) {
        fs::write(self.folder.path().join("subject"), token).unwrap();
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.facts["address"].as_str().unwrap())
    }

    pub(crate) fn bearer_file(&self) -> PathBuf {
        self.folder.path().join("bearer")
    }

    pub(crate) fn bearer(&self) -> String {
        fs::read_to_string(self.bearer_file()).unwrap()
    }

    /// The two variables that a program needs.
    pub(crate) fn variables(&self, grant: &str) -> [(&'static str, String); 2] {
        let path = self.bearer_file().to_str().unwrap().to_owned();
        let uri = format!("{}{grant}", self.facts["credentials"].as_str().unwrap());
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path)]
    }

    /// `GET {path}` with this as `Authorization`.
    pub(crate) async fn get_as(&self, path: &str, authorization: Option<&str>) -> Answer {
        let mut request = http::client().get(format!("{}{path}", self.url()));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        Answer::to(request).await.unwrap()
    }

    /// The same with the agent's token.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(path, Some(&self.bearer())).await
    }

    /// What it said so far.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// Waits until it has said this.
    pub(crate) fn hear(&self, words: &str) -> String {
        self.process.hear(|line| line.contains(words).then(|| line.to_owned())).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// SIGTERM; what is left of its folder.
    pub(crate) fn stop(self) -> (ExitStatus, TempDir) {
        (self.process.stop(), self.folder)
    }

    /// An unmodified boto3 that uses this grant.
    pub(crate) fn boto3(&self, grant: &str, endpoint: &str) -> Boto3 {
        Boto3::start(endpoint, &self.variables(grant), self.folder.path())
    }
}

/// boto3 in a process of its own, which does as it is told.
pub(crate) struct Boto3 {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Boto3 {
    pub(crate) fn start(endpoint: &str, variables: &[(&str, String)], home: &Path) -> Self {
        let mut command: Command = tools::python("ambient_s3.py");
        command.arg(endpoint).env("HOME", home).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// One command, one answer.
    pub(crate) fn tell(&mut self, command: &Value) -> Value {
        self.begin(command);
        self.end()
    }

    /// The command; its answer is for [`Self::end`].
    pub(crate) fn begin(&mut self, command: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
    }

    pub(crate) fn end(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("boto3 answered {line:?}: {error}"))
    }

    pub(crate) fn read(&mut self, bucket: &str) -> Value {
        self.tell(&json!({ "read": bucket }))
    }
}

impl Drop for Boto3 {
    fn drop(&mut self) {
        // It ends with its input; and in any case now.
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
