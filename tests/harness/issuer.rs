//! A real OpenID provider (npm `oidc-provider`) whose tokens a workload presents.

use serde_json::Value;

use super::http::{self, Answer};
use super::process::Running;
use super::tools;

/// The subject of every token that the provider gives out.
pub(crate) const SUBJECT: &str = "orders-worker";

/// The running provider.
pub(crate) struct OidcProvider {
    process: Running,
    facts: Value,
}

impl OidcProvider {
    pub(crate) fn start() -> Self {
        let process = Running::start("oidc-provider", &mut tools::node("issuer.mjs"));
        let facts = process.announcement();
        Self { process, facts }
    }

    /// Its issuer URL.
    pub(crate) fn url(&self) -> &str {
        self.fact("issuer")
    }

    /// A fresh workload token from its token endpoint, signed with `algorithm` (`es256`, `rs256`, `eddsa`).
    pub(crate) async fn token(&self, algorithm: &str) -> String {
        let resource = format!("urn:tidegate:{algorithm}");
        let form = [("grant_type", "client_credentials"), ("resource", &resource), ("scope", "work")];
        let request = http::client().post(format!("{}/token", self.url())).form(&form);
        let request = request.basic_auth(self.fact("client_id"), Some(self.fact("client_secret")));
        Answer::to(request).await.unwrap().granted().text("/access_token").to_owned()
    }

    /// New keys; the old ones are no longer published.
    pub(crate) async fn rotate(&self) {
        self.command("rotate").await;
    }

    /// Answers 503 to everything until [`Self::up`].
    pub(crate) async fn down(&self) {
        self.command("down").await;
    }

    pub(crate) async fn up(&self) {
        self.command("up").await;
    }

    async fn command(&self, name: &str) {
        let request = http::client().post(format!("{}/{name}", self.fact("control")));
        Answer::to(request).await.unwrap().granted();
    }

    fn fact(&self, name: &str) -> &str {
        self.facts.get(name).and_then(Value::as_str).unwrap()
    }
}
