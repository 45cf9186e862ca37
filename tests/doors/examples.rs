//! From a solver's example to a request: the token of its caller, and what a client would send with it.

use serde_json::{Value, json};
use tidegate::clock::{Clock as _, Moment};
use tidegate::policy::facts::{Asked, AuthFacts, PrincipalFacts};
use tidegate::policy::{Facts, Invariant, KnownIssuer, PolicySets, World as Known};
use tidegate::proof::{Question, Report, prove};

use crate::place::solver;
use crate::world::{Answer, World, rand_id};

/// Seconds. Longer than any credential of these tests, which end with some tokens.
const LIFE: i64 = 5 * 3600;
/// GitHub's end within a quarter of an hour.
const LIFE_OF_A_JOBS_TOKEN: i64 = 600;

impl World {
    /// What a solver says about the policies and the configuration that the broker has, at `now`.
    pub async fn proofs(&self, invariants: &[Invariant], now: Moment) -> Report {
        let settings = tidegate::config::load(&self.folder.path().join("tidegate.toml")).unwrap();
        let issuers = settings.issuers.iter().map(|issuer| KnownIssuer {
            name: issuer.name.clone(),
            profile: issuer.profile,
            shared: false,
            may_approve: issuer.may_approve,
        });
        let world = Known { issuers: issuers.collect(), grants: settings.grants.iter().cloned().collect() };
        let sets = PolicySets::read(&settings.policy.dir).unwrap();
        let question = Question { sets: &sets, invariants, no_wider_than: None, world: &world, now };
        prove(question, &mut solver().await, &mut |_| {}).await
    }

    /// The example as a request to the token endpoint, naming an elevation.
    pub async fn exchange_like(&self, facts: &Facts, elevation: Option<&str>) -> Answer {
        let Asked::Issue { ttl, scopes, .. } = &facts.asked else { panic!("{facts:?}") };
        let (grant, ttl) = (facts.grant.name.to_string(), ttl.as_secs().to_string());
        let scopes = scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let token = self.token_of(&facts.principal, &facts.auth);
        let mut form = self.form(&token, &grant);
        form.push(("expires_in", &ttl));
        form.extend(elevation.map(|id| ("elevation", id)));
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        let mut request = self.http.post(self.url("/oauth2/token")).form(&form);
        for (name, value) in came_from(facts) {
            request = request.header(name, value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// The example's caller makes a call of the API.
    pub async fn api_like(&self, facts: &Facts, method: &str, path: &str, body: Value) -> Answer {
        let token = self.token_of(&facts.principal, &facts.auth);
        let headers = came_from(facts);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.api_with(&token, method, path, body, &headers).await
    }

    /// A token of this caller, who signed in like that, and not later than now.
    pub fn token_of(&self, caller: &PrincipalFacts, auth: &AuthFacts) -> String {
        let issuer = caller.issuer.as_str();
        let key = match issuer {
            "people" | "vendor" => &self.people,
            "staff" => &self.staff,
            _ => &self.cluster,
        };
        let life = if caller.github.is_some() { LIFE_OF_A_JOBS_TOKEN } else { LIFE };
        let issued_at = auth.issued_at.min(self.clock.now()).unix_seconds();
        let mut claims = json!({
            "iss": format!("https://{issuer}.example.com"), "aud": "tidegate", "sub": caller.subject.as_str(),
            "iat": issued_at, "exp": issued_at + life, "jti": rand_id().to_string(), "groups": caller.groups,
            "amr": auth.amr,
        });
        let mut put = |name: &str, value: Value| claims[name] = value;
        for (name, value) in [("email", &caller.email), ("name", &caller.name), ("acr", &auth.acr)] {
            if let Some(text) = value {
                put(name, json!(text));
            }
        }
        auth.auth_time.iter().for_each(|at| put("auth_time", json!(at.unix_seconds())));
        caller.tags.iter().for_each(|(name, values)| put(name, json!(values)));
        if let Some(job) = &caller.github {
            let record = serde_json::to_value(job).unwrap();
            record.as_object().unwrap().iter().for_each(|(name, value)| put(name, value.clone()));
        }
        key.token(&claims)
    }
}

/// As the proxy before the broker writes it.
fn came_from(facts: &Facts) -> Vec<(&'static str, String)> {
    facts.source_ip.iter().map(|address| ("x-forwarded-for", address.to_string())).collect()
}
