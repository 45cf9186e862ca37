//! The AWS side: `ministack` (enforces session policies and time) or `moto` (plumbing only), and boto3 as the client.

use serde_json::Value;

use super::process::Running;
use super::tools;

/// A running stand-in, with a role that may read the buckets `orders` and `ledger`, and a user for the broker.
pub(crate) struct Aws {
    process: Running,
    endpoint: String,
    administrator: (String, String),
    world: Value,
}

/// What boto3 got when it read one object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Got(String),
    Refused(String),
}

impl Aws {
    /// Enforces what is in the session policy, to the second.
    pub(crate) fn ministack() -> Self {
        Self::start("ministack")
    }

    /// Checks signatures only.
    pub(crate) fn moto() -> Self {
        Self::start("moto")
    }

    fn start(kind: &str) -> Self {
        let process = Running::start(kind, tools::python("serve.py").arg(kind));
        let facts = process.announcement();
        let [endpoint, key_id, secret] = ["endpoint", "access_key_id", "secret_access_key"]
            .map(|name| facts.get(name).and_then(Value::as_str).unwrap());
        let (good, world) = tools::ask(tools::python("aws_world.py").args([endpoint, key_id, secret]), "");
        assert!(good, "{kind} was not laid out: {world}\n{}", process.output());
        let administrator = (key_id.to_owned(), secret.to_owned());
        Self { endpoint: endpoint.to_owned(), administrator, process, world }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The role that the broker assumes.
    pub(crate) fn role_arn(&self) -> &str {
        self.world.pointer("/role_arn").and_then(Value::as_str).unwrap()
    }

    /// The broker's own identity, as environment variables.
    pub(crate) fn broker_env(&self) -> [(&'static str, String); 2] {
        let fact = |pointer| self.world.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        [
            ("AWS_ACCESS_KEY_ID", fact("/broker/access_key_id")),
            ("AWS_SECRET_ACCESS_KEY", fact("/broker/secret_access_key")),
        ]
    }

    /// Access key id and secret of who may do everything.
    pub(crate) fn administrator(&self) -> (&str, &str) {
        (&self.administrator.0, &self.administrator.1)
    }

    /// The documents of the role that end sessions early, by policy name.
    pub(crate) fn session_ends(&self) -> Value {
        self.end_sessions(&["show"])
    }

    /// Puts a copy of that policy that lacks what `ministack` cannot judge.
    pub(crate) fn enforce_without_source_identity(&self, policy: &str) {
        self.end_sessions(&["enforce", policy]);
    }

    /// Takes that copy away.
    pub(crate) fn forget_copy(&self) {
        self.end_sessions(&["forget"]);
    }

    fn end_sessions(&self, what: &[&str]) -> Value {
        let (id, secret) = self.administrator();
        let role = self.role_arn().rsplit('/').next().unwrap();
        let mut command = tools::python("end_sessions.py");
        let (good, answer) = tools::ask(command.args([self.endpoint(), id, secret, role]).args(what), "");
        assert!(good, "{what:?}: {answer}");
        answer
    }

    /// A new symmetric key in KMS, which the broker's identity may use: its ARN.
    pub(crate) fn kms_key(&self) -> String {
        let answer = self.kms(&["create", "tidegate"]);
        answer["arn"].as_str().unwrap().to_owned()
    }

    /// Switches it `enable`, `disable`, or takes the broker's permission away (`deny`).
    pub(crate) fn kms_do(&self, what: &str, arn: &str) {
        self.kms(&[what, arn]);
    }

    fn kms(&self, what: &[&str]) -> Value {
        let (id, secret) = self.administrator();
        let mut command = tools::python("kms_keys.py");
        let (good, answer) = tools::ask(command.args([self.endpoint(), id, secret]).args(what), "");
        assert!(good, "{what:?}: {answer}");
        answer
    }

    /// The role's credentials without a session policy: the control in every experiment.
    pub(crate) fn unscoped(&self) -> &Value {
        self.world.get("unscoped").unwrap()
    }

    /// URLs of `hello.txt` in each bucket that are good for an hour by themselves, presigned with these credentials.
    pub(crate) fn presign<const N: usize>(&self, credentials: &Value, buckets: [&str; N]) -> [String; N] {
        let mut command = tools::python("s3_presign.py");
        command.args([self.endpoint(), "hello.txt"]).args(buckets);
        let (good, urls) = tools::ask(&mut command, &credentials.to_string());
        assert!(good, "boto3 did not run: {urls}");
        std::array::from_fn(|place| urls[place].as_str().unwrap().to_owned())
    }

    /// Reads `hello.txt` of each bucket with the credentials that the broker answered in `aws`.
    pub(crate) fn read<const N: usize>(&self, credentials: &Value, buckets: [&str; N]) -> [Read; N] {
        let mut command = tools::python("s3_get.py");
        command.args([self.endpoint(), "hello.txt"]).args(buckets);
        let (good, answers) = tools::ask(&mut command, &credentials.to_string());
        assert!(good, "boto3 did not run: {answers}");
        std::array::from_fn(|place| {
            let answer = &answers[place];
            let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            if answer["ok"] == true { Read::Got(text("body")) } else { Read::Refused(text("code")) }
        })
    }
}
