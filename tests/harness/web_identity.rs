//! AWS for a broker without an AWS identity: `ministack`, and in front of it what that leaves out of web identity tokens.

use serde_json::{Value, json};

use super::aws::Aws;
use super::http::{self, Answer};
use super::process::Running;
use super::tools;

/// The audience under which IAM is to know a broker.
pub(crate) const AUDIENCE: &str = "sts.amazonaws.com";
/// What a trust policy must allow for a token with tags.
pub(crate) const ACTIONS: [&str; 3] =
    ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"];

/// The front and the `ministack` behind it.
pub(crate) struct WebIdentitySts {
    front: Running,
    endpoint: String,
    aws: Aws,
}

impl WebIdentitySts {
    pub(crate) fn start() -> Self {
        let aws = Aws::ministack();
        let (id, secret) = aws.administrator();
        let mut command = tools::python("web_identity_sts.py");
        let front = Running::start("web_identity_sts", command.args([aws.endpoint(), id, secret]));
        let endpoint = front.announcement()["endpoint"].as_str().unwrap().to_owned();
        Self { front, endpoint, aws }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What is behind: buckets, roles, and who may do everything.
    pub(crate) fn aws(&self) -> &Aws {
        &self.aws
    }

    /// Makes IAM know the issuer.
    pub(crate) async fn register(&self, issuer: &str) {
        self.post("provider", &json!({ "issuer": issuer, "audience": AUDIENCE })).await;
    }

    /// Lets it assume the role for that subject, as docs/aws.md says it.
    pub(crate) async fn trust(&self, issuer: &str, subject: &str, actions: &[&str]) {
        let role = self.aws.role_arn().rsplit('/').next().unwrap();
        let conditions = json!({ "sub": subject, "aud": AUDIENCE });
        let trust = json!({ "role": role, "issuer": issuer, "conditions": conditions, "actions": actions });
        self.post("trust", &trust).await;
    }

    /// A managed policy that allows to read those objects: its ARN.
    pub(crate) async fn managed_policy(&self, name: &str, resource: &str) -> String {
        let made = self.post("policy", &json!({ "name": name, "resource": resource })).await;
        made["arn"].as_str().unwrap().to_owned()
    }

    /// Every call with a token that AWS would take.
    pub(crate) async fn seen(&self) -> Vec<Value> {
        let request = http::client().get(format!("{}/seen", self.endpoint));
        let seen = Answer::to(request).await.unwrap().granted().body;
        seen.as_array().expect("a list").clone()
    }

    async fn post(&self, what: &str, body: &Value) -> Value {
        let request = http::client().post(format!("{}/{what}", self.endpoint)).body(body.to_string());
        let answer = Answer::to(request).await.unwrap_or_else(|_| panic!("{what}: {}", self.front.output()));
        answer.granted().body
    }
}
