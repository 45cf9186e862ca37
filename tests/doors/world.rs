//! A broker in this process, two issuers that it trusts, a stand-in STS, and a clock that stands still.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tidegate::clock::{Clock as _, ManualClock, Moment};
use tidegate::entropy::SystemEntropy;
use tidegate::server::{self, AwsIdentity, Ports, Running};

use crate::tokens::{TestKey, jwks};

pub const NOW: i64 = 1_795_363_392;
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

const POLICIES: &str = r#"
@id("billing-jwt")
permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"ledger-api")
when { principal has kubernetes && principal.kubernetes.namespace == "billing" };
@id("billing-aws")
permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"orders-read")
when { principal has kubernetes && principal.kubernetes.namespace == "billing" };
@id("everyone-break-glass")
permit (principal, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"prod-admin");
@id("short")
permit (principal is Tidegate::Workload, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"short-lived")
when { context.ttl <= duration("2m") };
"#;

/// The vendor's engineers are in `people/sre`; who decides, looks and audits is in groups of `staff`.
const PEOPLE: &str = r#"
@id("request")
permit (principal is Tidegate::Person in Tidegate::Group::"people/sre", action == Tidegate::Action::"request", resource is Tidegate::Grant)
when { resource.break_glass };
@id("approve")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/leads", action == Tidegate::Action::"approve", resource is Tidegate::Elevation);
@id("two-approvals")
permit (principal is Tidegate::Person, action == Tidegate::Action::"activate", resource is Tidegate::Grant)
when { context.approvals.count >= 2 };
@id("leads")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/leads", action in [Tidegate::Action::"revoke", Tidegate::Action::"view", Tidegate::Action::"lock"], resource);
@id("viewers")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/viewers", action == Tidegate::Action::"view", resource is Tidegate::Elevation);
@id("audit")
permit (principal is Tidegate::Person in Tidegate::Group::"staff/audit", action in [Tidegate::Action::"audit", Tidegate::Action::"view"], resource);
@id("ledger-break-glass")
permit (principal is Tidegate::Person, action == Tidegate::Action::"issue", resource == Tidegate::Grant::"prod-ledger")
when { context has elevation && context.elevation.approvals >= 2 };
"#;

pub struct World {
    pub clock: Arc<ManualClock>,
    pub http: reqwest::Client,
    pub cluster: TestKey,
    pub people: TestKey,
    pub staff: TestKey,
    pub sts: FakeSts,
    pub folder: tempfile::TempDir,
    running: Option<Running>,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Serves over TLS with `files`, which `tls` (the lines of `[server.tls]`) names.
    pub async fn start_with_tls(tls: &str, files: &[(&str, &str)]) -> Self {
        Self::lay_out("", &format!("[server.tls]\n{tls}"), files).await
    }

    /// `extra` stands in `[server.limits]`.
    pub async fn start_with(extra: &str) -> Self {
        Self::lay_out(extra, "", &[]).await
    }

    async fn lay_out(extra: &str, tls: &str, files: &[(&str, &str)]) -> Self {
        let own = [
            ("policies/customer/main.cedar", POLICIES),
            ("policies/customer/people.cedar", PEOPLE),
            ("orders-read.json", SESSION_POLICY),
        ];
        Self::of(|sts| configuration(sts, &format!("{extra}\n{tls}")), &[&own, files].concat()).await
    }

    /// By this configuration, which is told where STS is. Beside it are `files` and the key sets `cluster.json`,
    /// `people.json` and `staff.json`.
    pub async fn of(configuration: impl FnOnce(&str) -> String, files: &[(&str, &str)]) -> Self {
        server::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let (cluster, people) = (TestKey::fresh_p256("cluster-1"), TestKey::ed25519("people-1"));
        let staff = TestKey::fresh_p256("staff-1");
        let sts = FakeSts::start().await;
        write(&folder, "staff.json", &jwks(&[&staff]));
        write(&folder, "cluster.json", &jwks(&[&cluster]));
        write(&folder, "people.json", &jwks(&[&people]));
        for (name, text) in files {
            write(&folder, name, text);
        }
        write(&folder, "tidegate.toml", &configuration(&sts.url));
        tidegate::keys::Kek::create(&folder.path().join("kek"), &SystemEntropy::new()).unwrap();
        let clock = Arc::new(ManualClock::at(Moment::from_unix_seconds(NOW)));
        let mut world = Self {
            clock,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            cluster,
            people,
            staff,
            sts,
            folder,
            running: None,
        };
        world.run().await;
        world
    }

    pub async fn run(&mut self) {
        self.running = Some(self.another().await);
    }

    /// Talks to `other` from now on.
    pub fn switch(&mut self, other: &mut Running) {
        std::mem::swap(self.running.as_mut().unwrap(), other);
    }

    /// Another broker, by the configuration as it is now.
    pub async fn another(&self) -> Running {
        let settings = tidegate::config::load(&self.folder.path().join("tidegate.toml")).unwrap();
        let credentials = aws_credential_types::Credentials::new("AKIATEST", "secret", None, None, "test");
        let ports = Ports {
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::new(SystemEntropy::new()),
            aws_identity: AwsIdentity::Fixed(Box::new(credentials)),
        };
        server::start(settings, ports).await.unwrap()
    }

    /// The store of a broker that is down.
    pub async fn store(&self) -> Arc<dyn tidegate::store::Store> {
        let url = format!("sqlite:{}", self.folder.path().join("tidegate.db").display());
        tidegate::store::open_beside(&url).await.unwrap()
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    pub async fn stop(&mut self) {
        self.running.take().unwrap().stop("test").await;
    }

    pub async fn reload(&self) {
        self.running().reload().await;
    }

    pub fn write(&self, name: &str, text: &str) {
        write(&self.folder, name, text);
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running().public_address())
    }

    pub fn ops(&self, path: &str) -> String {
        format!("http://{}{path}", self.running().ops_address())
    }

    pub fn seconds(&self) -> i64 {
        self.clock.now().unix_seconds()
    }

    /// Claims of a service account in `namespace`, with `changes`; `null` removes one.
    pub fn claims(&self, namespace: &str, changes: &Value) -> Value {
        let at = self.seconds();
        let claims = json!({
            "iss": "https://cluster.example.com", "aud": ["tidegate"], "iat": at, "nbf": at, "exp": at + 3600,
            "sub": format!("system:serviceaccount:{namespace}:app"), "jti": format!("{}", rand_id()),
            "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": "app", "uid": "u" } },
        });
        crate::tokens::with(claims, changes)
    }

    pub fn token(&self, namespace: &str) -> String {
        self.token_with(namespace, &json!({}))
    }

    pub fn token_with(&self, namespace: &str, changes: &Value) -> String {
        self.cluster.token(&self.claims(namespace, changes))
    }

    /// A token that may be presented again, as those of most clusters.
    pub fn reusable(&self, namespace: &str) -> String {
        self.token_with(namespace, &json!({ "iss": "https://platform.example.com" }))
    }

    pub fn person(&self) -> String {
        let at = self.seconds();
        self.people.token(&json!({
            "iss": "https://people.example.com", "aud": "tidegate", "sub": "ann", "iat": at, "exp": at + 600,
            "email": "ann@example.com", "groups": ["sre"],
        }))
    }

    /// A vendor's engineer.
    pub fn engineer(&self, name: &str) -> String {
        self.sign_in(&self.people, "people", name, &["sre"])
    }

    /// Somebody at the customer's.
    pub fn staff(&self, name: &str, group: &str) -> String {
        self.sign_in(&self.staff, "staff", name, &[group])
    }

    pub fn sign_in(&self, key: &TestKey, issuer: &str, name: &str, groups: &[&str]) -> String {
        let at = self.seconds();
        key.token(&json!({
            "iss": format!("https://{issuer}.example.com"), "aud": "tidegate", "sub": name, "iat": at,
            "exp": at + 600, "name": format!("{name} of {issuer}"), "groups": groups,
        }))
    }

    /// A call of the API; no body when it is `null`.
    pub async fn api(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        self.api_with(token, method, path, body, &[]).await
    }

    pub async fn api_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.http.request(method.parse().unwrap(), self.url(path)).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub fn form<'a>(&self, token: &'a str, grant: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", JWT),
            ("audience", grant),
        ]
    }

    pub async fn post(&self, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.http.post(self.url("/oauth2/token")).form(form).send().await.unwrap()).await
    }

    pub async fn exchange(&self, token: &str, grant: &str) -> Answer {
        self.post(&self.form(token, grant)).await
    }

    /// The newest entries of the log, oldest first, as JSON.
    pub async fn entries(&self) -> Vec<Value> {
        self.raw_entries().await.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect()
    }

    pub async fn raw_entry(&self, index: u64) -> Vec<u8> {
        self.raw_entries().await.swap_remove(index as usize)
    }

    async fn raw_entries(&self) -> Vec<Vec<u8>> {
        let checkpoint =
            self.http.get(self.url("/log/checkpoint")).send().await.unwrap().text().await.unwrap();
        let size: usize = checkpoint.lines().nth(1).unwrap().parse().unwrap();
        assert!(size < 256, "one bundle is enough for a test");
        let bundle =
            self.http.get(self.url(&format!("/log/tile/entries/000.p/{size}"))).send().await.unwrap();
        assert!(bundle.status().is_success());
        let bytes = bundle.bytes().await.unwrap();
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let (entry, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)));
            entries.push(entry.to_vec());
            rest = tail;
        }
        entries
    }

    pub async fn entries_of(&self, kind: &str) -> Vec<Value> {
        self.entries().await.into_iter().filter(|entry| entry["type"] == kind).collect()
    }
}

pub fn rand_id() -> u128 {
    u128::from_be_bytes(tidegate::entropy::bytes::<16>(&SystemEntropy::new()).unwrap())
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// 200 with a credential.
    pub fn issued(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.headers["cache-control"], "no-store");
        self.body
    }

    /// Done, with what it is now.
    pub fn done(self) -> Value {
        assert!([200, 201].contains(&self.status), "{} {}", self.status, self.body);
        assert_eq!(self.headers["cache-control"], "no-store");
        self.body
    }

    /// A problem with this code, in the shape that all of them have. Gives its text.
    pub fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers["x-request-id"].to_str().ok(), self.body["request_id"].as_str());
        assert_eq!(self.body["status"], status);
        self.body["detail"].as_str().unwrap().to_owned()
    }

    /// Refused with this OAuth code; nothing that looks like a credential in it.
    pub fn refused(self, status: u16, code: &str) -> String {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(code)), "{}", self.body);
        assert!(self.body.get("access_token").is_none() && self.body.get("aws").is_none());
        assert_eq!(self.headers["x-request-id"].to_str().ok(), self.body["request_id"].as_str());
        assert_eq!(self.headers["cache-control"], "no-store");
        self.body["error_description"].as_str().unwrap().to_owned()
    }
}

const SESSION_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject",
  "Resource":"arn:aws:s3:::orders/{principal.namespace}/*"}]}"#;

fn configuration(sts: &str, limits: &str) -> String {
    format!(
        r#"[server]
issuer = "https://broker.example.com"
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"

[server.limits]
{limits}

[store]
url = "sqlite:tidegate.db"

[keys]
kek_file = "kek"

[policy]
dir = "policies"

[aws]
region = "eu-central-1"
sts_endpoint = "{sts}"

[[issuers]]
name = "cluster"
url = "https://cluster.example.com"
profile = "kubernetes"
audiences = ["tidegate"]
algorithms = ["ES256"]
jwks_file = "cluster.json"
replay = "single-use"

[[issuers]]
name = "platform"
url = "https://platform.example.com"
profile = "kubernetes"
audiences = ["tidegate"]
algorithms = ["ES256"]
jwks_file = "cluster.json"

[[issuers]]
name = "people"
url = "https://people.example.com"
profile = "person"
audiences = ["tidegate"]
algorithms = ["EdDSA"]
jwks_file = "people.json"
may_approve = false

[[issuers]]
name = "staff"
url = "https://staff.example.com"
profile = "person"
audiences = ["tidegate"]
algorithms = ["ES256"]
jwks_file = "staff.json"

[[grants]]
name = "ledger-api"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.read", "ledger.write"]
default_ttl = "5m"
max_ttl = "15m"

[[grants]]
name = "short-lived"
kind = "jwt"
audience = "https://short.internal"
scopes = ["x"]
default_ttl = "5m"
max_ttl = "15m"

[[grants]]
name = "orders-read"
kind = "aws"
role_arn = "arn:aws:iam::123456789012:role/orders-read"
default_ttl = "10m"
max_ttl = "1h"
session_policy_file = "orders-read.json"
session_tags = {{ namespace = "{{principal.namespace}}" }}

[[grants]]
name = "prod-admin"
kind = "aws"
role_arn = "arn:aws:iam::123456789012:role/vendor-break-glass"
break_glass = true
max_duration = "4h"

[[grants]]
name = "prod-ledger"
kind = "jwt"
audience = "https://ledger.internal"
scopes = ["ledger.admin", "ledger.read"]
default_ttl = "5m"
max_ttl = "15m"
break_glass = true
max_duration = "2h"
"#
    )
}

/// A stand-in STS: remembers what it was asked, answers what the test wants.
pub struct FakeSts {
    pub url: String,
    state: Arc<Mutex<StsState>>,
}

#[derive(Default)]
struct StsState {
    calls: Vec<BTreeMap<String, String>>,
    error: Option<(u16, &'static str)>,
    delay: Duration,
}

impl FakeSts {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(StsState::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(assume_role).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn fail(&self, error: Option<(u16, &'static str)>) {
        self.state.lock().unwrap().error = error;
    }

    pub fn slow(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    pub fn calls(&self) -> Vec<BTreeMap<String, String>> {
        self.state.lock().unwrap().calls.clone()
    }
}

async fn assume_role(State(state): State<Arc<Mutex<StsState>>>, body: String) -> Response {
    let (number, error, delay) = {
        let mut state = state.lock().unwrap();
        state.calls.push(url::form_urlencoded::parse(body.as_bytes()).into_owned().collect());
        (state.calls.len(), state.error, state.delay)
    };
    tokio::time::sleep(delay).await;
    if let Some((status, code)) = error {
        let xml = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>\
             <RequestId>r</RequestId></ErrorResponse>"
        );
        return (StatusCode::from_u16(status).unwrap(), [("content-type", "text/xml")], xml).into_response();
    }
    let xml = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIATEST{number:012}</AccessKeyId><SecretAccessKey>s3cr3t</SecretAccessKey>\
         <SessionToken>session-{number}</SessionToken><Expiration>2036-01-01T00:00:00Z</Expiration></Credentials>\
         <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId>\
         </AssumedRoleUser><PackedPolicySize>7</PackedPolicySize></AssumeRoleResult></AssumeRoleResponse>"
    );
    ([("content-type", "text/xml")], xml).into_response()
}
