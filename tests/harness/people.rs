//! A company's identity provider for its people (npm `oidc-provider`): they sign in with the authorization code flow.

use serde_json::{Value, json};

use super::http::{self, Answer};
use super::process::Running;
use super::tools;

/// The running provider.
pub(crate) struct Company {
    _process: Running,
    facts: Value,
}

impl Company {
    pub(crate) fn start() -> Self {
        let process = Running::start("people", &mut tools::node("people.mjs"));
        let facts = process.announcement();
        Self { _process: process, facts }
    }

    /// Its issuer URL.
    pub(crate) fn url(&self) -> &str {
        self.fact("issuer")
    }

    /// Somebody joins, or changes groups.
    pub(crate) async fn hire(&self, sub: &str, groups: &[&str]) {
        let person = json!({ "sub": sub, "name": format!("{sub} at work"), "email": format!("{sub}@work.example"), "groups": groups });
        let request = http::client().post(format!("{}/people", self.fact("control")));
        Answer::to(request.body(person.to_string())).await.unwrap().granted();
    }

    /// A fresh ID token of that person.
    pub(crate) async fn token(&self, sub: &str) -> String {
        let request = http::client().post(format!("{}/sign-in?sub={sub}", self.fact("control")));
        Answer::to(request).await.unwrap().granted().text("/id_token").to_owned()
    }

    fn fact(&self, name: &str) -> &str {
        self.facts.get(name).and_then(Value::as_str).unwrap()
    }
}
